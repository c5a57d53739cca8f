"""For those who import it: all modules and tables that computing a point needs, which load on first use, are loaded.

One small prediction by the event engine under a mask uses them all: units, a machine, masks, closed forms, events.
"""

from __future__ import annotations

from lightbound.archs.library import machine
from lightbound.workloads.registry import workload

from ..simulate import simulate
from . import point as point

simulate(
    workload("gna", grid=(8, 8, 8), window=(4, 4, 4)).with_sizes(E=64, F=64, H=1), machine("h200"), "flash", "event"
)
