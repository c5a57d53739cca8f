"""Microbenchmarks of an NVIDIA GPU, as text of PTX: the exact instructions, loaded by the driver, no compiler's choice.

Programs (`arithmetic`, `tensor`, `beside`, `shared`, `memory`, `load`) are text; `driver` and `bench` run them; `probe`
measures every figure and writes raw results. Only numpy, torch and the standard library are needed, and torch is
imported when a GPU is used. What the figures say of a machine is for validate/gpu.
"""
