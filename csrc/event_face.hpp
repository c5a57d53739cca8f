// Registers the native event engine in lightbound._core.
#pragma once

#include <pybind11/pybind11.h>

void register_events(pybind11::module_& module);
