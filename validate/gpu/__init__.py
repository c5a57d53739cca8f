"""Kernels for GPUs: what is predicted for them, what was measured, and how far one is from the other."""
