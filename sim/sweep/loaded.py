"""For those who import it: all modules and tables that computing a point needs, which load on first use, are loaded."""

from __future__ import annotations

from lightbound.archs.library import machine, machine_names

from .. import masked_events as masked_events
from .. import masked_prediction as masked_prediction
from . import point as point

machine(machine_names()[0])  # units, and the files of machines
