"""Real kernels, and what each of them implements as plain data: those of the host (host/), those of GPUs (triton/)."""
