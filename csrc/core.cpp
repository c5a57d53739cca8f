// The Python face of lightbound's native code: each native room registers its functions here.
#include <pybind11/pybind11.h>

namespace py = pybind11;

PYBIND11_MODULE(_core, module) {
    module.doc() = "Native code of lightbound.";
}
