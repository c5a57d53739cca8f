"""Operands that a unit's own threads bring, step by step, before they work on them.

Copies that run by themselves (a direct memory access, an asynchronous copy) cost their level's bandwidth and nothing
else. Where the threads that work also load, the Einsum goes in steps: the operands of the next step are loaded during
the work of this one, and those of the first step are waited for. Work and loading then take the longer of the two,
plus the first load of every epoch.
"""

from __future__ import annotations

from lightbound.archs.machine import Machine
from lightbound.base.formula import Number, ceil_div, evaluate, maximum

from .plan import Held, Site
from .traffic import Nests


def loaded_from(machine: Machine, site: Site) -> str:
    """The level that the threads of an Einsum's unit load from."""
    for chain in site.holds.values():
        for place, held in enumerate(chain):
            if held.wait is not None:
                return machine.levels[chain[place - 1].level if place else 0].name
    return machine.levels[0].name


def with_loading(
    machine: Machine, site: Site, nests: Nests, epochs: Number, work: Number, share: Number, word_bytes: int
) -> Number:
    """Cycles of an Einsum on its unit, on the busiest instance, with the operands that its threads load.

    work: cycles without them. epochs: iterations of the shared loops for this Einsum, share: the part of everything
    that the busiest instance does. The port that is read also takes what arrives there for these operands.
    """
    load: Number = 0
    refills: Number = 0
    for tensor, chain in site.holds.items():
        for place, held in enumerate(chain):
            if held.wait is None:
                continue
            refills = maximum(refills, epochs * share * _steps(site, held, nests))
            load = load + _port_cycles(machine, site, tensor, chain, place, nests, word_bytes) * share
    waits = [evaluate(held.wait, nests.environment) for chain in site.holds.values() for held in chain if held.wait]
    if not waits:
        return work
    load = load + refills * maximum(*waits)
    return maximum(work, load) + load * (epochs * share) / refills


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
    machine: Machine, site: Site, tensor: str, chain: tuple[Held, ...], place: int, nests: Nests, word_bytes: int
) -> Number:
    """Cycles for which the level above a hold is busy with a tensor: words that leave it, and those that came in."""
    above = chain[place - 1] if place else None
    level = machine.levels[above.level if above is not None else 0]
    if level.rate_bytes_per_s is None:
        return 0
    access = next(access for access in site.einsum.reads if access.tensor == tensor)
    words = nests.below(chain[place].loops).moved(access, len(chain[place].loops), site.ranks)
    if above is not None:
        words = words + nests.below(above.loops).moved(access, len(above.loops), site.ranks)
    return words * word_bytes * machine.clock_hz / level.rate_bytes_per_s
