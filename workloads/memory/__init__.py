"""How much memory a cascade needs at once, in inference and in training; see docs/memory.md."""

from .peak import OPTIMIZERS, PeakMemory, peak_memory

__all__ = ["OPTIMIZERS", "PeakMemory", "peak_memory"]
