"""Kernels timed side by side on a machine that others use too.

Cases take turns, so that a disturbance is spread over all of them. A sample is the processor time of the busiest
thread. One in which the system took the processor away (its wall time is longer) is put aside, and so is the next,
which finds the caches of somebody else. So is one before or after which the front end of the core was not ours alone
(front_end.py). Where too few are left without the last, they count too, and the mean share that was left of the front
end is told, as the prediction must be for that. Where these are too few, the case is called noisy and not judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .cases import Call
from .front_end import WHOLE, issued_per_s

QUIET = 1.1  # wall over processor time of an undisturbed sample, at most
LEAST = 5  # undisturbed samples of a case
SLACK_S = 40e-6  # to start threads
BURST = 4  # samples in a turn, after one to warm the caches


@dataclass(frozen=True)
class Measurement:
    """Seconds of the undisturbed samples of a case (of all, where it is `noisy`), and how many samples were put aside.

    wall_over_cpu: of all samples together. share: of the front end that the thread had during the samples, 1 where it
    was ours alone. shares: the same of every sample that was taken.
    """

    samples: tuple[float, ...]
    put_aside: int
    wall_over_cpu: float
    noisy: bool
    share: float = 1.0
    shares: tuple[float, ...] = ()

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


@dataclass(frozen=True)
class _Sample:
    """Seconds of the busiest thread, wall seconds, whether the system left it alone, and the front end around it."""

    seconds: float
    wall_s: float
    clean: bool
    before: float
    after: float

    @property
    def alone(self) -> bool:
        return self.clean and all(WHOLE <= one <= 1 / WHOLE for one in (self.before, self.after))

    @property
    def share(self) -> float:
        return (self.before + self.after) / 2


def measure(
    calls: Sequence[Call],
    repeats: int = 20,
    budget_s: float = 60.0,
    step: Callable[[int], None] | None = None,
    whole_per_s: float | None = None,
) -> list[Measurement]:
    """Measurements of calls that take turns, each until it has so many undisturbed samples or the time is up.

    A call runs its kernel once and fills the list it is given with the seconds of its threads. `step` is told how many
    cases are done. Every case gets one turn even where the time is up. `whole_per_s`: instructions a second that the
    front end issues while it is ours, as probed; None: nobody asks it.
    """
    taken: list[list[_Sample]] = [[] for _ in calls]
    end = time.perf_counter() + budget_s
    waiting = list(range(len(calls)))
    first = True
    while waiting and (first or time.perf_counter() < end):
        for number in list(waiting):
            taken[number].extend(_turn(calls[number], whole_per_s))
            if sum(one.alone for one in taken[number]) >= repeats:
                waiting.remove(number)
                if step is not None:
                    step(1)
        first = False
    if step is not None:
        step(len(waiting))
    return [_measurement(samples) for samples in taken]


def _measurement(samples: list[_Sample]) -> Measurement:
    chosen = [one for one in samples if one.alone]
    share = 1.0
    if len(chosen) < LEAST:
        chosen = [one for one in samples if one.clean]
        share = float(np.mean([one.share for one in chosen])) if chosen else 1.0
    noisy = len(chosen) < LEAST
    return Measurement(
        tuple(one.seconds for one in (samples if noisy else chosen)),
        len(samples) - len(chosen),
        sum(one.wall_s for one in samples) / sum(one.seconds for one in samples),
        noisy,
        1.0 if noisy else share,
        tuple(one.share for one in samples),
    )


def _turn(call: Call, whole_per_s: float | None) -> Iterator[_Sample]:
    """Samples of one turn."""
    seconds: list[float] = []
    call(seconds)
    before, issued = True, _share(whole_per_s)
    for _ in range(BURST):
        start, used = time.perf_counter(), time.thread_time()
        call(seconds)
        wall, used = time.perf_counter() - start, time.thread_time() - used
        longest = max(max(seconds), 1e-9)
        outside = max(used - seconds[0], 0.0)  # of the kernel: this thread is the first of those that run it
        undisturbed = wall <= QUIET * (longest + outside) + SLACK_S
        after = _share(whole_per_s)
        yield _Sample(longest, wall, undisturbed and before, issued, after)
        before, issued = undisturbed, after


def _share(whole_per_s: float | None) -> float:
    return 1.0 if whole_per_s is None else issued_per_s() / whole_per_s
