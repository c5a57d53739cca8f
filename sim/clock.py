"""At which clock a group of Einsums runs: the machine's, or a lower one that power allows a long run.

A chip that is busy draws power with its clock and with the share of cycles in which its hungriest unit works. Where a
machine states under which load it holds its sustained clock (`archs.machine.SustainedLoad`), the clock of long runs
follows that share; where it does not, the machine's clock holds throughout.
"""

from __future__ import annotations

from collections.abc import Mapping

from lightbound.archs.machine import Machine
from lightbound.base.formula import Number, maximum, minimum, where


def clock_hz(machine: Machine, busy: Mapping[str, Number], cycles: Number) -> Number:
    """The clock of a run of so many cycles, in which units are busy for these cycles of the busiest instance."""
    load = machine.sustained_load
    if load is None or machine.sustained_clock_hz is None:
        return machine.clock_hz
    share = maximum(busy.get(load.unit, 0) / maximum(cycles, 1), 1e-9)
    limited = machine.sustained_clock_hz * (load.utilization / share) ** (1 / load.exponent)
    long = cycles / machine.clock_hz > load.after_s
    return where(long, minimum(machine.clock_hz, limited), machine.clock_hz)
