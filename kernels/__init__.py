"""Real kernels and what each implements, as plain data."""
