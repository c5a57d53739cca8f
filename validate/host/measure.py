"""Kernels timed side by side on a machine that others use too.

Cases take turns, so that a disturbance is spread over all of them. A sample is the processor time of the busiest
thread. One in which the system took the processor away (its wall time is longer) is put aside, and so is the next,
which finds the caches of somebody else. Where too few are left, the case is called noisy and not judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .cases import Call

QUIET = 1.1  # wall over processor time of an undisturbed sample, at most
LEAST = 5  # undisturbed samples of a case
BURST = 4  # samples in a turn, after one to warm the caches


@dataclass(frozen=True)
class Measurement:
    """Seconds of the undisturbed samples of a case (of all, where it is `noisy`), and how many samples were put aside.

    wall_over_cpu: of all samples together.
    """

    samples: tuple[float, ...]
    put_aside: int
    wall_over_cpu: float
    noisy: bool

    @property
    def median_s(self) -> float:
        """The median of the samples."""
        return float(np.median(self.samples))

    @property
    def interval_s(self) -> tuple[float, float]:
        """95 % confidence interval of the median, from order statistics; the range of fewer than six samples."""
        ordered = np.sort(self.samples)
        reach = 0.98 * np.sqrt(len(ordered))
        low = max(int(np.floor(len(ordered) / 2 - reach)), 0)
        high = min(int(np.ceil(len(ordered) / 2 + reach)), len(ordered) - 1)
        return float(ordered[low]), float(ordered[high])

    @property
    def spread(self) -> float:
        """Half the interval over the median."""
        low, high = self.interval_s
        return (high - low) / 2 / self.median_s


def measure(
    calls: Sequence[Call], repeats: int = 20, budget_s: float = 60.0, step: Callable[[int], None] | None = None
) -> list[Measurement]:
    """Measurements of calls that take turns, each until it has so many undisturbed samples or the time is up.

    A call runs its kernel once and fills the list it is given with the seconds of its threads. `step` is told how many
    cases are done. Every case gets one turn even where the time is up.
    """
    kept: list[list[float]] = [[] for _ in calls]
    every: list[list[float]] = [[] for _ in calls]
    walls = [0.0] * len(calls)
    end = time.perf_counter() + budget_s
    waiting = list(range(len(calls)))
    first = True
    while waiting and (first or time.perf_counter() < end):
        for number in list(waiting):
            for seconds, wall, clean in _turn(calls[number]):
                every[number].append(seconds)
                walls[number] += wall
                if clean:
                    kept[number].append(seconds)
            if len(kept[number]) >= repeats:
                waiting.remove(number)
                if step is not None:
                    step(1)
        first = False
    if step is not None:
        step(len(waiting))
    return [
        Measurement(
            tuple(clean if len(clean) >= LEAST else all_),
            len(all_) - len(clean),
            wall / sum(all_),
            len(clean) < LEAST,
        )
        for clean, all_, wall in zip(kept, every, walls, strict=True)
    ]


def _turn(call: Call) -> Iterator[tuple[float, float, bool]]:
    """Samples of one turn: seconds of the busiest thread, wall seconds, and whether nothing came between."""
    seconds: list[float] = []
    call(seconds)
    before = True
    for _ in range(BURST):
        start = time.perf_counter()
        call(seconds)
        wall = time.perf_counter() - start
        longest = max(max(seconds), 1e-9)
        undisturbed = wall <= QUIET * longest + 40e-6  # what the call does outside of the kernel
        yield longest, wall, undisturbed and before
        before = undisturbed
