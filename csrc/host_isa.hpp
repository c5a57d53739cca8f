// The body of every host_isa_*.cpp: all kernels, compiled for the instruction set that its macros name. No other header
// may be included below the change of target: their functions would be compiled for it too, and linked into the rest.

namespace lightbound::host {
namespace HOST_NAMESPACE {
namespace {

#include "host_vector.hpp"
#include "host_tiles.hpp"
#include "host_attend.hpp"
#include "host_products.hpp"
#include "host_rows.hpp"
#include "host_scan.hpp"
#include "host_loops.hpp"

}  // namespace

extern const Isa table;
const Isa table = {
    HOST_NAME,     LANES,           TILE_ROWS, TILE_VECTORS, ATTEND_ROWS, ATTEND_VECTORS, FUSED,  attend_floats, attend,    product_floats,
    product_rows,  product_columns, product,   linear_floats, linear, softmax_floats, softmax,  exp_array, scan,
    probe,
};

}  // namespace HOST_NAMESPACE
}  // namespace lightbound::host
