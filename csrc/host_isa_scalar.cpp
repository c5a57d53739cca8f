// The host's kernels without vectors: the reference that every machine has.
#include <cstddef>
#include <cstdint>

#include "host_kernels.hpp"

#define HOST_NAME "scalar"
#define HOST_NAMESPACE scalar
#define HOST_LANES 1
#define HOST_TILE_ROWS 6
#define HOST_TILE_VECTORS 2
#define HOST_ATTEND_ROWS 6
#define HOST_ATTEND_VECTORS 2
#define HOST_REGISTER "m"
#include "host_isa.hpp"
