// The Python face of lightbound's native code: each native room registers its functions here.
#include <pybind11/pybind11.h>

#include "event_face.hpp"
#include "host_face.hpp"
#include "masks.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_core, module) {
    module.doc() = "Native code of lightbound.";
    register_events(module);
    register_host(module);
    register_masks(module);
}
