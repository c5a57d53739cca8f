"""Contexts that contend for the units of one instance: a closed queueing network, solved exactly.

Warps or warp groups that share an SM are interleaved instruction by instruction, so that each unit serves all contexts
that want it at once, each more slowly. Such networks do not depend on how service times are spread, only on their
means, and exact mean-value analysis gives their throughput (Reiser and Lavenberg, J. ACM 27(2), 1980). It lies between
one context after the other (n = 1) and perfect overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightbound.base.formula import Number, maximum, where

PASSES = 24  # of the fixed point below: work beside contexts slows them, and slower contexts make less of it


def cycle_time(
    demands: Sequence[Number], contexts: Number, delay: Number = 0, beside: Sequence[Number] | None = None
) -> Number:
    """Mean cycles between two finished epochs, when `contexts` go round through units with these demands.

    demands: cycles an epoch takes on each unit, alone. delay: cycles of an epoch that no unit is busy with. beside:
    cycles that each unit works for an epoch while nobody waits for it (stores): an open load, which leaves contexts the
    rest of the unit, so that every demand is longer by 1 / (1 - load).
    """
    return rounds(demands, contexts, delay, beside)[0]


def rounds(
    demands: Sequence[Number], contexts: Number, delay: Number = 0, beside: Sequence[Number] | None = None
) -> tuple[Number, list[Number]]:
    """The cycle time, and how many of its cycles a context is at each unit, served or in the queue; in the rest it is
    delayed.
    """
    if beside is None or not any(np.any(np.asarray(load) > 0) for load in beside):
        return _closed(demands, contexts, delay)
    least = maximum(*(demand + load for demand, load in zip(demands, beside, strict=True)))
    time, spent = _closed(demands, contexts, delay)
    time = maximum(time, least)
    for _ in range(PASSES):
        slowed = [demand / maximum(1 - load / time, 1e-3) for demand, load in zip(demands, beside, strict=True)]
        closed, spent = _closed(slowed, contexts, delay)
        time = maximum(least, (time + closed) / 2)
    return time, spent


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
