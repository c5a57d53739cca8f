"""Operands that a unit's own threads bring, step by step, before they work on them.

Copies that run by themselves (a direct memory access, an asynchronous copy) cost their level's bandwidth and nothing
else. Where the threads that work also load, the Einsum goes in steps: the operands of the next step are loaded during
the work of this one, and those of the first step are waited for. Work and loading then take the longer of the two,
plus the first load of every epoch.
"""

from __future__ import annotations

from lightbound.archs.machine import Machine
from lightbound.base.formula import Number, ceil_div, evaluate, maximum

from .flow import Held, Site
from .nests import Nests


def loaded_from(machine: Machine, site: Site) -> str:
    """The level that the threads of an Einsum's unit load from."""
    for chain in site.holds.values():
        for place, held in enumerate(chain):
            if held.wait is not None:
                return machine.levels[chain[place - 1].level if place else 0].name
    return machine.levels[0].name


def with_loading(
    machine: Machine,
    site: Site,
    nests: Nests,
    epochs: Number,
    work: Number,
    share: Number,
    word_bytes: int,
    arrived: set[int],
) -> Number:
    """Cycles of an Einsum on its unit, on the busiest instance, with the operands that its threads load.

    work: cycles without them. epochs: iterations of the shared loops for this Einsum, share: the part of everything
    that the busiest instance does. The port that is read also takes what arrives there for these operands, once for
    all Einsums of a group: `arrived` are the holds (by identity) that earlier ones have paid for.
    """
    load: Number = 0
    arriving: Number = 0
    refills: Number = 0
    waits: list[Number] = []
    for tensor, chain in site.holds.items():
        for place, held in enumerate(chain):
            if held.wait is None:
                continue
            waits.append(evaluate(held.wait, nests.environment))
            refills = maximum(refills, epochs * share * _steps(site, held, nests))
            above = chain[place - 1] if place else None
            load = load + _port_cycles(machine, site, tensor, held, above, nests, word_bytes) * share
            if above is not None and id(above) not in arrived:
                arrived.add(id(above))
                arriving = arriving + _port_cycles(machine, site, tensor, above, above, nests, word_bytes) * share
    load = load + refills * maximum(*waits)
    return maximum(work, load + arriving) + load * (epochs * share) / refills


def _steps(site: Site, held: Held, nests: Nests) -> Number:
    """Refills of an epoch: loops of the Einsum's own branch, but for iterations that lie side by side in lanes."""
    nest = nests.below(held.loops)
    steps: Number = 1
    for depth in range(site.shared, len(held.loops)):
        rank = held.loops[depth].rank
        if rank not in site.spatial:
            steps = steps * ceil_div(nest.extent(rank, depth), nest.extent(rank, depth + 1))
    return steps


def _port_cycles(
    machine: Machine, site: Site, tensor: str, held: Held, at: Held | None, nests: Nests, word_bytes: int
) -> Number:
    """Cycles for which the level of hold `at` (the outermost one for none) is busy with the words that fill a hold."""
    level = machine.levels[at.level if at is not None else 0]
    if level.rate_bytes_per_s is None:
        return 0
    access = next(access for access in site.einsum.reads if access.tensor == tensor)
    words = nests.below(held.loops).moved(access, len(held.loops), site.ranks)
    return words * word_bytes * machine.clock_hz / level.rate_bytes_per_s
