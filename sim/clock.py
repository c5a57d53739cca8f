"""At which clock a group of Einsums runs: the machine's, or a lower one that its units and power allow.

Some units work at a lower clock than the machine's highest (`Unit.sustained_clock_hz`), which then holds for all of
it. And a chip that is busy draws power with its clock and with the share of cycles in which its hungriest unit works.
Where a machine states under which load it holds its sustained clock (`archs.machine.SustainedLoad`), the clock follows
that share once a run has lasted for some time, and before where a first clock is stated too; where it does not, nothing
else limits the clock.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.formula import Number, maximum, minimum, where


def clock_hz(machine: Machine, busy: Mapping[str, Number], cycles: Number) -> Number:
    """The clock of a run of so many cycles, in which units are busy for these cycles of the busiest instance."""
    most: Number = machine.clock_hz
    for name, unit in machine.units.items():
        works = busy.get(name, 0)
        limit = unit.sustained_clock_hz if unit.sustained_clock_hz is not None else unit.clock_hz
        if limit is not None and np.any(np.asarray(works) > 0):
            most = where(works > 0, minimum(most, limit), most)
    load = machine.sustained_load
    if load is None or machine.sustained_clock_hz is None:
        return most
    cycles = maximum(cycles, 1)
    share = maximum(_busy(machine, load.unit, busy) / cycles, 1e-9)
    factor = (load.utilization / share) ** (1 / load.exponent)
    first = most if load.first_clock_hz is None else minimum(most, load.first_clock_hz * factor)
    later = minimum(most, machine.sustained_clock_hz * factor)
    if load.before is not None:
        return load.before * first + (1 - load.before) * later
    before = first * load.after_s
    beyond = maximum(0, cycles - before)
    return cycles / maximum((cycles - beyond) / first + beyond / later, 1e-30)


def _busy(machine: Machine, name: str, busy: Mapping[str, Number]) -> Number:
    """Cycles of a unit, and what other instructions on the same hardware are worth: as many as its own would take for
    the same work, since power goes by work.
    """
    own = machine.units[name].cost
    total: Number = busy.get(name, 0)
    for other, unit in machine.units.items():
        if unit.shares == name:
            total = total + busy.get(other, 0) * max(
                (own[op] / unit.cost[op] for op in own if op in unit.cost), default=0
            )
    return total
