// The host's kernels for arm64, all of which have NEON.
#if defined(__aarch64__)
#include <arm_neon.h>
#include <cstddef>
#include <cstdint>

#include "host_kernels.hpp"

#define HOST_NEON
#define HOST_NAME "neon"
#define HOST_NAMESPACE neon
#define HOST_LANES 4
#define HOST_TILE_ROWS 6
#define HOST_TILE_VECTORS 4
#define HOST_ATTEND_ROWS 6
#define HOST_ATTEND_VECTORS 4
#define HOST_REGISTER "w"
#include "host_isa.hpp"
#endif
