"""How a cascade runs on a machine: mappings, reuse analysis, the engines, bounds and buffer sizes."""
