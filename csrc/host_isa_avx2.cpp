// The host's kernels for x86-64 with AVX2 and FMA.
#if defined(__x86_64__)
#include <immintrin.h>
#include <cstddef>
#include <cstdint>

#include "host_kernels.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#define HOST_X86
#define HOST_NAME "avx2"
#define HOST_NAMESPACE avx2
#define HOST_LANES 8
#define HOST_TILE_ROWS 6
#define HOST_TILE_VECTORS 2
#define HOST_ATTEND_ROWS 3
#define HOST_ATTEND_VECTORS 4
#define HOST_REGISTER "x"
#include "host_isa.hpp"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
