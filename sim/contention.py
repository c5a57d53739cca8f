"""Contexts that contend for the units of one instance: a closed queueing network, solved exactly.

Warps or warp groups that share an SM are interleaved instruction by instruction, so that each unit serves all contexts
that want it at once, each more slowly. Such networks do not depend on how service times are spread, only on their
means, and exact mean-value analysis gives their throughput (Reiser and Lavenberg, J. ACM 27(2), 1980). It lies between
one context after the other (n = 1) and perfect overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightbound.base.formula import Number, where


def cycle_time(demands: Sequence[Number], contexts: Number, delay: Number = 0) -> Number:
    """Mean cycles between two finished epochs, when `contexts` go round through units with these demands.

    demands: cycles an epoch takes on each unit, alone. delay: cycles of an epoch that no unit is busy with.
    """
    return rounds(demands, contexts, delay)[0]


def rounds(demands: Sequence[Number], contexts: Number, delay: Number = 0) -> tuple[Number, list[Number]]:
    """The cycle time, and how many of its cycles a context is at each unit, served or in the queue; in the rest it is
    delayed.
    """
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
