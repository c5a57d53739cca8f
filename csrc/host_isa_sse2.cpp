// The host's kernels for any x86-64.
#if defined(__x86_64__)
#include <immintrin.h>
#include <cstddef>
#include <cstdint>

#include "host_kernels.hpp"

#define HOST_X86
#define HOST_NAME "sse2"
#define HOST_NAMESPACE sse2
#define HOST_LANES 4
#define HOST_TILE_ROWS 6
#define HOST_TILE_VECTORS 2
#define HOST_ATTEND_ROWS 6
#define HOST_ATTEND_VECTORS 2
#define HOST_REGISTER "x"
#include "host_isa.hpp"
#endif
