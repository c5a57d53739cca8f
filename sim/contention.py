"""Contexts that contend for the units of one instance: a closed queueing network, solved exactly.

Warps or warp groups that share an SM are interleaved instruction by instruction, so that each unit serves all contexts
that want it at once, each more slowly. Such networks do not depend on how service times are spread, only on their
means, and exact mean-value analysis gives their throughput (Reiser and Lavenberg, J. ACM 27(2), 1980). It lies between
one context after the other (n = 1) and perfect overlap.

Units may also have something in common, a port: the issue slots of a scheduler, say. Some units hold it in a part of
their time, and others wait for it, instruction by instruction. These are slowed as a shadow server is: an instruction
that needs the port for h cycles takes h / (1 - u) of them where the work of other contexts holds it in the share u of
all time (Sevcik, Priority scheduling disciplines in queueing network models of computer systems, IFIP 1977). So much
also follows: an epoch takes no less than the port is busy for it, held or needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightbound.base.formula import Number, maximum, minimum, where

PASSES = 24  # of the fixed point below: work beside contexts slows them, and slower contexts make less of it
MOST = 0.98  # of the time that a port is taken as held: the rest keeps the fixed point finite


@dataclass(frozen=True)
class Port:
    """What an epoch wants of a port, in cycles by unit: those that units hold it, and those that others need it.

    beside: needs pass the port while the unit works, so that they lengthen its work only where they take longer.
    """

    held: Sequence[Number]
    needed: Sequence[Number]
    beside: bool = False

    @property
    def cycles(self) -> Number:
        """Cycles of an epoch in which the port is busy."""
        return sum(self.held, 0) + sum(self.needed, 0)


def cycle_time(
    demands: Sequence[Number],
    contexts: Number,
    delay: Number = 0,
    beside: Sequence[Number] | None = None,
    ports: Sequence[Port] = (),
) -> Number:
    """Mean cycles between two finished epochs, when `contexts` go round through units with these demands.

    demands: cycles an epoch takes on each unit, alone. delay: cycles of an epoch that no unit is busy with. beside:
    cycles that each unit works for an epoch while nobody waits for it (stores): an open load, which leaves contexts the
    rest of the unit, so that every demand is longer by 1 / (1 - load). ports: what units have in common.
    """
    return rounds(demands, contexts, delay, beside, ports)[0]


def rounds(
    demands: Sequence[Number],
    contexts: Number,
    delay: Number = 0,
    beside: Sequence[Number] | None = None,
    ports: Sequence[Port] = (),
    least: Number = 0,
) -> tuple[Number, list[Number]]:
    """The cycle time, no shorter than `least`, and how many of its cycles a context is at each unit, served or in the
    queue; in the rest it is delayed.
    """
    open_load = beside is not None and any(np.any(np.asarray(load) > 0) for load in beside)
    ports = [port for port in ports if np.any(np.asarray(sum(port.held, 0)) > 0)]
    time, spent = _closed(demands, contexts, delay)
    if not open_load and not ports:
        return maximum(time, least), spent
    loads: Sequence[Number] = beside if beside is not None else [0] * len(demands)
    least = maximum(least, *(demand + load for demand, load in zip(demands, loads, strict=True)))
    for port in ports:
        least = maximum(least, port.cycles)
    time = maximum(time, least)
    for _ in range(PASSES):
        waited = stretches(demands, contexts, time, ports)
        slowed = [
            demand * wait / maximum(1 - load / time, 1e-3)
            for demand, wait, load in zip(demands, waited, loads, strict=True)
        ]
        closed, spent = _closed(slowed, contexts, delay)
        time = maximum(least, (time + closed) / 2)
    return time, spent


def stretches(demands: Sequence[Number], contexts: Number, time: Number, ports: Sequence[Port]) -> list[Number]:
    """How many times longer each demand is for waiting at ports, where an epoch takes so much `time`.

    A context does not wait for itself: the others hold the port in their share of the time.
    """
    found: list[Number] = [1.0] * len(demands)
    others = maximum(contexts - 1, 0) / maximum(contexts, 1)
    for port in ports:
        held = minimum(MOST, others * sum(port.held, 0) / maximum(time, 1e-30))
        for number, (demand, needed) in enumerate(zip(demands, port.needed, strict=True)):
            extra = maximum(0, needed / (1 - held) - demand) if port.beside else needed * held / (1 - held)
            longer = extra / maximum(demand, 1e-30)
            found[number] = found[number] + where(demand > 0, longer, 0)
    return found


def _closed(demands: Sequence[Number], contexts: Number, delay: Number) -> tuple[Number, list[Number]]:
    """The closed network alone: its cycle time, and the cycles at each unit."""
    spent: list[Number] = [0.0] * len(demands)
    waiting: list[Number] = [0.0] * len(demands)
    result: Number = 0.0
    most = int(np.max(contexts))
    for population in range(1, most + 1):
        stays = [demand * (1 + queue) for demand, queue in zip(demands, waiting, strict=True)]
        mean = (sum(stays, 0.0) + delay) / population
        result = where(population <= contexts, mean, result)
        spent = [
            where(population <= contexts, stay / population, known) for stay, known in zip(stays, spent, strict=True)
        ]
        waiting = [stay / mean for stay in stays] if population < most else waiting
    return result, spent
