// Registers the host's kernels and probes with the Python module.
#pragma once
#include <pybind11/pybind11.h>

void register_host(pybind11::module_& module);
