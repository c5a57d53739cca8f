"""Tasks dealt over workers: when the last one ends, and how early it can end at all. Plain numbers, no machines."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from itertools import islice
from typing import Any

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


def in_sections(row: NDArray[Any], copies: int, section: int) -> NDArray[Any]:
    """The tasks of all copies of a row, each task of `section` copies (0: of all) before the next one of the row."""
    together = min(section, copies) or copies
    whole, rest = divmod(copies, together)
    return np.concatenate([*[np.repeat(row, together)] * whole, np.repeat(row, rest)])


def dealt_resident(times: Times, copies: int, instances: int, speeds: Sequence[float]) -> float:
    """As `dealt`, to instances that work on several tasks at once: each at speed ``speeds[n - 1]`` while n are there.

    With as many as there are speeds, an instance is full; a task is then given to the first one that is not.
    """
    if len(speeds) == 1:
        return dealt(times / speeds[0], copies, instances)
    tasks = len(times) * copies
    if tasks > LARGEST:
        return shortest(times, copies, instances) / (len(speeds) * speeds[-1])
    row = times.tolist()
    waiting = (time for _ in range(copies) for time in row)
    left: list[list[float]] = [[] for _ in range(min(instances, tasks))]
    for _ in speeds:
        for here in left:
            here.extend(islice(waiting, 1))
    since = [0.0] * len(left)
    # Instances with room take one task at a time, the emptiest first: (when, how many it has then, which).
    events = [(min(here) / speeds[len(here) - 1], 0, number) for number, here in enumerate(left)]
    heapify(events)
    end = 0.0
    while events:
        end, _, number = events[0]
        here = left[number]
        done = (end - since[number]) * speeds[len(here) - 1] if here else 0.0
        least = 1e-9 * done + 1e-12 * end  # what is left of a task that ends now, since times are rounded
        here = [time - done for time in here if time - done > least]
        more = list(islice(waiting, 1)) if len(here) < len(speeds) else []
        here += more
        left[number], since[number] = here, end
        if more and len(here) < len(speeds):
            heapreplace(events, (end, len(here), number))
        elif here:
            heapreplace(events, (end + min(here) / speeds[len(here) - 1], 0, number))
        else:
            heappop(events)
    return end


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
