"""Tasks dealt over workers: when the last one ends, and how early it can end at all. Plain numbers, no machines."""

from __future__ import annotations

from heapq import heapify, heapreplace

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64] | NDArray[np.int64]
LARGEST = 200_000  # tasks beyond which a schedule is so close to the mean that the bound serves for it


def dealt(times: Times, copies: int, workers: int) -> float:
    """When the last of `copies` runs of the tasks ends, each given, in order, to the worker that is free first."""
    if len(times) * copies > LARGEST:
        return shortest(times, copies, workers)
    ends = [0.0] * min(workers, len(times) * copies)
    heapify(ends)
    row = times.tolist()
    for _ in range(copies):
        for time in row:
            heapreplace(ends, ends[0] + time)
    return float(max(ends))


def shortest(times: Times, copies: int, workers: int) -> float:
    """A time before which no schedule of the tasks ends.

    The mean load of the workers, the longest task, and, for every k, the k + 1 shortest of the longest k * workers + 1
    tasks: some worker does that many of them.
    """
    values, counts = np.unique(np.asarray(times, np.float64), return_counts=True)
    values, counts = values[::-1], counts[::-1] * copies
    total, tasks = float((values * counts).sum()), int(counts.sum())
    bound = max(total / workers, float(values[0]))
    ends = np.cumsum(counts)
    sums = np.cumsum(values * counts)

    def longest(count: NDArray[np.int64]) -> NDArray[np.float64]:
        """Time of the longest so many tasks together."""
        at = np.searchsorted(ends, count)
        return sums[at] - (ends[at] - count) * values[at]

    steps = np.arange(1, (tasks - 1) // workers + 1, dtype=np.int64)
    if len(steps):
        taken = steps * workers + 1
        bound = max(bound, float((longest(taken) - longest(taken - steps - 1)).max()))
    return bound
