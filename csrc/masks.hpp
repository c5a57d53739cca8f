// Registers the native masks in lightbound._core.
#pragma once

#include <pybind11/pybind11.h>

void register_masks(pybind11::module_& module);
