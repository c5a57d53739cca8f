// The host's kernels for x86-64 with AVX-512 (F, BW, DQ, VL).
#if defined(__x86_64__)
#include <immintrin.h>
#include <cstddef>
#include <cstdint>

#include "host_kernels.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif

#define HOST_X86
#define HOST_NAME "avx512"
#define HOST_NAMESPACE avx512
#define HOST_LANES 16
#define HOST_TILE_ROWS 6
#define HOST_TILE_VECTORS 4
#define HOST_ATTEND_ROWS 6
#define HOST_ATTEND_VECTORS 4
#define HOST_REGISTER "v"
#include "host_isa.hpp"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
