"""Kernels timed side by side on a machine that others use too.

Cases take turns, so that a disturbance is spread over all of them, until intervals are narrow. A turn begins with calls
that do not count: a cache that strangers use holds all lines of a call only after some of them. A call of one thread is
timed in parts of a twentieth of a millisecond (csrc/host_watch.hpp): a kernel does the same in the same order each
time, so that a part of one call is the same work as that of the next, and a core that a stranger shares for some
milliseconds at a time is ours alone for many parts, where it hardly ever is for a long call. A part in which the system
took the processor away is put aside, with the next, which finds the caches of somebody else; so is one before or after
which the front end of the core was not ours alone (front_end.py). The time of a call is the sum of the medians of its
parts.

Where a part has too few samples left, all of them count, made shorter by as much as the samples of the other parts are
shorter that were alone. Where most parts have too few, all samples count as they are, and the mean share that was left
of the front end is told, as the prediction must be for that. Where these are too few, the case is called noisy and not
judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lightbound._core import host

from .cases import Call
from .copying import Ask, Copied, Walk
from .front_end import INSTRUCTIONS, NEARLY, WHOLE, clock_hz, issued_per_s

QUIET = 1.1  # wall over processor time of an undisturbed call, at most, where it is not timed in parts
LEAST = 5  # undisturbed samples of a part, and of a case
SLACK_S = 40e-6  # to start threads
WARM_S = 0.016  # of the calls with which a turn begins, one at least
BURST = 4  # samples in a turn at least
TURN_S = 0.02  # of a turn: short calls take many samples in the time that long ones take
TURNS = 3  # of a case, at least
NARROW = 0.01  # of the time of a case: half the interval that it may have where it needs no more turns
PART_S = 50e-6  # of a part, about
KNOWN = (
    0.5  # of the time of a call is in parts with undisturbed samples enough, at least: the others can be told by them
)


@dataclass(frozen=True)
class Measurement:
    """Seconds of the undisturbed samples of every part of a case, which is one part where others had it all the time.

    noisy: all samples had to do. put_aside: how many samples of parts were not used. wall_over_cpu: of all samples
    together. share: of the front end that the thread had during the samples, 1 where it was ours alone. shares: the
    same of every sample that was taken. every_s: of a call by the medians of all samples from which the system did not
    take the processor away, whoever shared the core. clock_hz: of the core, in the middle of what was asked around its
    samples; copied: the same of copies through as many bytes, where they were asked (copying.py).
    """

    parts: tuple[tuple[float, ...], ...]
    put_aside: int
    wall_over_cpu: float
    noisy: bool
    share: float = 1.0
    shares: tuple[float, ...] = ()
    every_s: float = 0.0
    clock_hz: float = 0.0
    copied: Copied | None = None

    @property
    def samples(self) -> int:
        """Undisturbed samples, of the part that has the fewest."""
        return min(len(samples) for samples in self.parts)

    @property
    def median_s(self) -> float:
        """The sum of the medians of the parts."""
        return float(sum(np.median(samples) for samples in self.parts))

    @property
    def interval_s(self) -> tuple[float, float]:
        """95 % confidence interval of the sum: those of the medians of its parts, whose errors are independent."""
        reach = np.array([np.abs(np.array(_interval(samples)) - np.median(samples)) for samples in self.parts])
        low, high = np.sqrt((reach**2).sum(axis=0))
        return self.median_s - float(low), self.median_s + float(high)

    @property
    def spread(self) -> float:
        """Half the interval over the median."""
        low, high = self.interval_s
        return (high - low) / 2 / self.median_s


@dataclass(frozen=True)
class _Part:
    """Seconds of a part of a call, wall seconds of what they are taken from, whether the system left it alone, and the
    front end around it."""

    seconds: float
    wall_s: float
    clean: bool
    before: float
    after: float

    def alone(self, least: float = WHOLE) -> bool:
        return self.clean and all(least <= one <= 1 / least for one in (self.before, self.after))

    @property
    def share(self) -> float:
        return (self.before + self.after) / 2


class _Case:
    """A call, and the parts of every sample of it."""

    def __init__(self, calls: Sequence[Call], ask: Ask | Walk | None, issue_width: float | None, threads: int) -> None:
        self.calls, self.ask, self.issue_width = calls, ask, issue_width
        self.beside = _Case(ask.calls, None, issue_width, threads) if isinstance(ask, Walk) else None
        self.divided = issue_width is not None and threads == 1  # threads share tasks out anew in every call
        self.clocks: list[float] = []
        self.copied: list[Copied] = []
        self.marks = 0  # of a part; 0: not known yet
        self.turns = 0
        self.samples: list[tuple[_Part, ...]] = []
        self.counts: list[int] = []  # of undisturbed samples, by part

    @property
    def call(self) -> Call:
        """That of this turn."""
        return self.calls[self.turns % len(self.calls)]

    def turn(self) -> None:
        """Samples of one turn, after calls that warm the caches."""
        self._ask_copied()
        warm = time.perf_counter() + WARM_S
        self.call([])
        while time.perf_counter() < warm:
            self.call([])
        self._ask_clock()
        if not self.marks:
            self.marks = self._marks() if self.divided else 1
        clean, taken, end = True, 0, time.perf_counter() + TURN_S
        while taken < BURST or time.perf_counter() < end:
            sample = tuple(self._sample(clean))
            clean = sample[-1].clean
            self.samples.append(sample)
            found = self.counts or [0] * len(sample)
            self.counts = [count + part.alone() for count, part in zip(found, sample, strict=True)]
            taken += 1
        self._ask_clock()
        self._ask_copied()
        self.turns += 1

    def _ask_copied(self) -> None:
        if self.beside is not None:
            self.beside.turn()
        elif callable(self.ask):
            self.copied.append(self.ask())

    def _found_copied(self) -> Copied | None:
        """What was found of copies, by asking or by the turns of a walk beside."""
        if self.beside is not None and isinstance(self.ask, Walk):
            return Copied(self.ask.moved_bytes / self.beside.measurement().median_s, cache=self.ask.cache)
        return Copied.middle(self.copied) if self.copied else None

    def _ask_clock(self) -> None:
        """The clock moves by some per cent within seconds, and what the front end issues with it."""
        self.clocks.append(clock_hz())

    @property
    def whole_per_s(self) -> float:
        """Instructions a second that the front end issues now, while it is ours."""
        return (self.issue_width or 0.0) * self.clocks[-1]

    def _marks(self) -> int:
        """How many marks a part shall have."""
        seconds: list[float] = []
        host.watch_begin(1 << 40, INSTRUCTIONS)
        self.call(seconds)
        marks = sum(part[2] for part in host.watch_end())
        return max(1, round(marks * PART_S / max(max(seconds), 1e-9)))

    def _sample(self, before: bool) -> Iterator[_Part]:
        """The parts of a call; `before`: whether the system left the last one alone."""
        seconds: list[float] = []
        issued = self._ask()
        start, used = time.perf_counter(), time.thread_time()
        if self.divided:
            host.watch_begin(self.marks, INSTRUCTIONS)
        self.call(seconds)
        parts = host.watch_end() if self.divided else []
        wall, used = time.perf_counter() - start, time.thread_time() - used
        for part, processor, _, instruction in parts:
            clean, after = part <= processor, 1 / instruction / self.whole_per_s
            yield _Part(part, part, clean and before, issued, after)
            before, issued = clean, after
        if not parts:  # of several threads, or nobody asks
            longest = max(max(seconds), 1e-9)
            outside = max(used - seconds[0], 0.0)  # of the kernel: this thread is the first of those that run it
            clean = wall <= QUIET * (longest + outside) + SLACK_S
            yield _Part(longest, wall, clean and before, issued, self._ask())

    def _ask(self) -> float:
        return issued_per_s() / self.whole_per_s if self.issue_width else 1.0

    @property
    def least(self) -> int:
        """Undisturbed samples of the part that has the fewest."""
        return min(self.counts)

    def done(self, repeats: int) -> bool:
        """Whether more turns would hardly move the figure."""
        return self.turns >= TURNS and self.least >= repeats and self.measurement().spread <= NARROW

    def alone(self, least: float = WHOLE) -> list[tuple[float, ...]]:
        """Seconds of every part while nobody disturbed it."""
        chosen = [[part for part in parts if part.alone(least)] for parts in zip(*self.samples, strict=True)]
        return [tuple(part.seconds for part in parts) for parts in chosen]

    def measurement(self) -> Measurement:
        """What to make of the samples."""
        return replace(self._measurement(), clock_hz=float(np.median(self.clocks)), copied=self._found_copied())

    def _measurement(self) -> Measurement:
        every = [part for sample in self.samples for part in sample]
        shares = tuple(part.share for part in every)
        over = sum(part.wall_s for part in every) / sum(part.seconds for part in every)
        clean = [part for part in every if part.clean]
        parts = [tuple(part.seconds for part in some if part.clean) for some in zip(*self.samples, strict=True)]
        enough = min(map(len, parts)) >= LEAST
        every_s = sum(float(np.median(some)) for some in parts) if enough else 0.0
        for least, most in ((WHOLE, 1.0), (NEARLY, 1.0), (NEARLY, KNOWN)) if enough else ((WHOLE, 1.0), (NEARLY, 1.0)):
            alone = self.alone(least)
            if _known(alone, parts) >= most:
                used = sum(len(some) for some in alone if len(some) >= LEAST)
                return Measurement(
                    tuple(_completed(alone, parts)), len(every) - used, over, False, 1.0, shares, every_s
                )
        if not enough:
            whole = tuple(sum(part.seconds for part in sample) for sample in self.samples)
            return Measurement((whole,), len(every), over, True, 1.0, shares, float(np.median(whole)))
        share = float(np.average([part.share for part in clean], weights=[part.seconds for part in clean]))
        return Measurement(tuple(parts), len(every) - len(clean), over, False, share, shares, every_s)


def _known(alone: list[tuple[float, ...]], parts: list[tuple[float, ...]]) -> float:
    """Of the time of a call, the share of parts that have undisturbed samples enough."""
    times = [float(np.median(some)) if some else 0.0 for some in parts]
    known = sum(time for time, some in zip(times, alone, strict=True) if len(some) >= LEAST)
    return 1.0 if min(map(len, alone)) >= LEAST else known / max(sum(times), 1e-30)


def _completed(alone: list[tuple[float, ...]], parts: list[tuple[float, ...]]) -> Iterator[tuple[float, ...]]:
    """Samples of every part: the undisturbed ones; where they are too few all, as much shorter as the others' are."""
    known = [(some, every) for some, every in zip(alone, parts, strict=True) if len(some) >= LEAST]
    ratio = sum(float(np.median(some)) for some, _ in known) / sum(float(np.median(every)) for _, every in known)
    for some, every in zip(alone, parts, strict=True):
        yield some if len(some) >= LEAST else tuple(one * ratio for one in every)


def measure(
    calls: Sequence[Call | Sequence[Call]],
    repeats: int = 20,
    budget_s: float = 60.0,
    step: Callable[[int], None] | None = None,
    issue_width: float | None = None,
    threads: int = 1,
    asks: Sequence[Ask | Walk | None] | None = None,
) -> list[Measurement]:
    """Measurements of calls that take turns, each until all its parts have so many undisturbed samples, in several
    turns, and its interval is narrow, or time is up.

    A call runs its kernel once and fills the list it is given with the seconds of its threads; of several calls of one
    case, which do the same elsewhere in memory, each turn takes another. `step` is told how many
    cases are done. Every case gets one turn even where the time is up. `issue_width`: instructions a cycle that the
    front end issues while it is ours, as probed; None: nobody asks it. `threads`: of a call. `asks`: by case, what
    tells how fast bytes are copied where it finds its tensors, asked before and after each turn.
    """
    asked = asks or [None] * len(calls)
    places = [(call,) if callable(call) else call for call in calls]
    cases = [_Case(*row, issue_width, threads) for row in zip(places, asked, strict=True)]
    end = time.perf_counter() + budget_s
    waiting = list(cases)
    first = True
    while waiting and (first or time.perf_counter() < end):
        for case in list(waiting):
            case.turn()
            if case.done(repeats):
                waiting.remove(case)
                if step is not None:
                    step(1)
        first = False
    if step is not None:
        step(len(waiting))
    return [case.measurement() for case in cases]


def _interval(samples: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the median, from order statistics; the range of fewer than six samples."""
    ordered = np.sort(samples)
    reach = 0.98 * np.sqrt(len(ordered))
    low = max(int(np.floor(len(ordered) / 2 - reach)), 0)
    high = min(int(np.ceil(len(ordered) / 2 + reach)), len(ordered) - 1)
    return float(ordered[low]), float(ordered[high])
