"""Samples of many figures in turns, over as long a time as a probe has: what strangers take is a matter of the moment.

A sample takes a third of a millisecond where it can, and the front end is asked before and after it. Those during which
it was not ours alone are put aside, as long as enough are left (front_end.py). A figure is what the better quarter of
the samples reaches: strangers make no sample better, and a core that is ours before and after a sample need not be so
in between.

Of several threads each has a processor of its own, and samples count in which they ran side by side: where the system
lets one wait, the other has all of a cache or a memory for itself, and both together seem to move twice what one does.
The same happens on a virtual machine whose cores are moved to different parts of a processor for a while, each with a
cache and a way to memory of its own: then a line takes as long from one core to the other as memory does, and the
sample does not count either. Nor does one in which its only thread waited: memory may have gone on with what it was
left.
That their cores are all ours at once is too rare to ask for: the figure is what the better sixteenth of the samples of
two threads reaches, and so on; and of one thread, where its core is hardly ever ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from lightbound._core import host

from .front_end import WHOLE, issued_per_s

SLICE_S = 0.0003  # of one sample: a core that is shared is ours for about as long at a time
BEST = 0.25  # of the samples reach a figure
ENOUGH = 24  # undisturbed samples of a figure, at least
LEAST = 12  # of these, where the time is up
NARROW = 0.01  # of a figure: half the range that it may have where it needs no more samples
TOGETHER = 0.9  # of the time of a sample in which all its threads run, at least
TRIES = 16  # of a sample, where they do not
PIECE = 16 << 20  # bytes of memory that a sample walks through, at most
HUGE = 4 << 20  # bytes from which on arrays of numpy are in huge pages


@dataclass(frozen=True)
class Figure:
    """One measured figure in SI units: what the better quarter of samples reaches (`value`); half the range of the
    middle half over the median; the best sample; and the median (`middle`), of what others had a share in meanwhile.
    """

    value: float
    spread: float
    what: str
    most: float = 0.0
    middle: float | None = None

    @property
    def shared(self) -> float:
        """What half of the samples reach: what calls will find, in the middle, of what is shared with strangers."""
        return self.value if self.middle is None else self.middle


Sample = Callable[[], tuple[float, bool]]
"""A sample: its value, and whether it counts: whether all its threads ran side by side, behind one cache."""


def alone(sample: Callable[[], float]) -> Sample:
    """Samples of one thread."""
    return lambda: (sample(), True)


def together(sample: Sample) -> Sample:
    """Samples that are taken again where they do not count."""

    def tried() -> tuple[float, bool]:
        value, counts = sample()
        for _ in range(TRIES - 1):
            if counts:
                break
            value, counts = sample()
        return value, counts

    return tried


@dataclass
class Sampled:
    """One figure under way. `sample` takes a sample; `fast`: more is better; `threads` work at once in it. In a turn so
    many samples are taken to `warm` caches, which do not count, and then `turn` that do. `core`: whether the front end
    matters, as it does not where memory is waited for: then all samples of one thread count.
    """

    sample: Sample
    what: str
    fast: bool = True
    threads: int = 1
    warm: int = 0
    turn: int = 1
    core: bool = True
    found: list[tuple[float, float]] = field(default_factory=list)  # value; front end around it, 0: does not count

    @property
    def alone(self) -> int:
        """How many samples had the front end for themselves."""
        return sum(share >= WHOLE for _, share in self.found)

    def chosen(self) -> tuple[np.ndarray, float]:
        """The undisturbed samples, or all where they are too few; and the part of them that reaches the figure."""
        if self.core and self.threads == 1 and self.alone >= LEAST:
            return np.array([value for value, share in self.found if share >= WHOLE]), BEST
        some = [value for value, share in self.found if share] or [value for value, _ in self.found]
        return np.array(some), BEST ** max(self.threads, 2 if self.core else 1)

    def settled(self) -> bool:
        """Whether more samples would hardly move the figure: of its rank, two standard errors to each side are near."""
        samples, best = self.chosen()
        if (self.alone if self.core and self.threads == 1 else len(samples) * 4 * best) < ENOUGH:
            return False
        part = 1 - best if self.fast else best
        reach = 2 * np.sqrt(part * (1 - part) / len(samples))
        low, high = np.quantile(samples, [max(part - reach, 0.0), min(part + reach, 1.0)])
        return bool(high - low <= 2 * NARROW * high)

    def figure(self) -> Figure:
        """What the samples say."""
        samples, part = self.chosen()
        value = float(np.quantile(samples, 1 - part if self.fast else part))
        low, middle, high = np.percentile(samples, [25, 50, 75])
        every = [value for value, _ in self.found]  # what a machine can do at most, in whatever state it is
        best = max(every) if self.fast else min(every)
        return Figure(value, float((high - low) / 2 / middle), self.what, float(best), float(middle))


class Sampler:
    """Figures of one group that take turns, in as many visits as there are."""

    def __init__(self, whole_per_s: float) -> None:
        self.whole_per_s = whole_per_s
        self.group: dict[str, Sampled] = {}

    def add(self, name: str, sample: Sample, what: str, **how: Any) -> None:
        """One more figure of the group; `how`: as fields of Sampled."""
        self.group[name] = Sampled(sample, what, **how)

    def visit(self, least_s: float, most_s: float) -> None:
        """Samples of all in turns for so long at least, then of those that are not settled, until the time is up."""
        start = time.perf_counter()
        waiting = list(self.group.values())
        while waiting and (past := time.perf_counter() - start) < most_s:
            for one in waiting:
                for _ in range(one.warm):
                    one.sample()
                before = issued_per_s()
                for _ in range(one.turn):
                    value, counts = one.sample()
                    after = issued_per_s()
                    one.found.append((value, min(before, after) / self.whole_per_s if counts else 0.0))
                    before = after
            if past > least_s:
                waiting = [one for one in waiting if not one.settled()]

    @property
    def alone(self) -> tuple[int, int]:
        """How many samples had the front end for themselves, and how many there are."""
        every = self.group.values()
        return sum(one.alone for one in every), sum(len(one.found) for one in every)

    def figures(self) -> dict[str, Figure]:
        """What all samples say."""
        return {name: one.figure() for name, one in self.group.items()}


class Loops:
    """Loops of an instruction set as samples, with the buffers they walk through."""

    def __init__(self, contiguous: int, near_s: float = inf, huge: int = HUGE) -> None:
        """contiguous: the most bytes that one core's own caches hold. near_s: of a line from one core to the next, at
        most, where samples of several threads count. huge: bytes from which on buffers are in huge pages.
        """
        self.contiguous, self.near_s, self.huge = contiguous, near_s, huge
        self.rooms: dict[tuple[int, int], host.Room] = {}
        self.handed = self.far = 0  # samples of several threads, and those whose cores were too far from each other

    def move(self) -> None:
        """Have buffers made anew, elsewhere in memory: how they lie there is luck."""
        self.rooms.clear()

    def rate(self, isa: str, loop: str, size: int = 0, threads: int = 1) -> Sample:
        """Operations (or bytes) a second over all threads, each with `size` bytes, which it has just been through."""
        room, rounds = self._room(size, threads), 1
        while True:
            _, seconds, _, _ = host.probe_loop(isa, loop, room, rounds, 0, size)
            if max(seconds) > SLICE_S / 4 or rounds > 1 << 40:
                break
            rounds *= 4
        rounds = max(1, int(rounds * SLICE_S / max(max(seconds), 1e-9)))

        def sample() -> tuple[float, bool]:
            room = self._room(size, threads)
            done, seconds, part, handover = host.probe_loop(isa, loop, room, rounds, 0, size)
            return done * rounds * threads / max(seconds), self._counts(part, handover, threads)

        return together(sample)

    def stream(self, isa: str, loop: str, size: int, piece: int, threads: int = 1) -> Sample:
        """The same of a walk through more than any cache holds, a piece a sample, each where the last one ended."""
        at = 0

        def sample() -> tuple[float, bool]:
            nonlocal at
            room = self._room(size, threads)
            done, seconds, part, handover = host.probe_loop(isa, loop, room, 1, at, piece, warm=False)
            at = at + piece if at + 2 * piece <= size else 0
            return done * threads / max(seconds), self._counts(part, handover, threads)

        return together(sample)

    def _counts(self, part: float, handover_s: float, threads: int) -> bool:
        """Whether a sample counts in which all threads ran for this part of the time."""
        far = handover_s > self.near_s
        if threads > 1:
            self.handed, self.far = self.handed + 1, self.far + far
        return part >= TOGETHER and not far

    def latency(self, size: int, steps: int) -> Sample:
        """Seconds of a load that waits for the one before, out of a buffer of this size."""
        chain = host.Chain(size, self._huge(size))
        return alone(lambda: chain.seconds(steps))

    def _room(self, size: int, threads: int) -> host.Room:
        key = (max(size, 1), threads)
        if key not in self.rooms:
            self.rooms[key] = host.Room(*key, self._huge(size))
        return self.rooms[key]

    def _huge(self, size: int) -> bool:
        """Whether a buffer is one piece of memory. Pages of 4 KiB meet in the sets of a core's caches by chance: the
        second one of a Zen 3 then gave 91 to 103 GB/s. Large ones are so too, as arrays of numpy are.
        """
        return size <= self.contiguous or size >= self.huge


def named(figures: dict[str, Figure], kind: str, levels: Sequence[str]) -> dict[str, Figure]:
    """Of figures named 'kind level', those of a kind, by level."""
    return {level: figures[f"{kind} {level}"] for level in levels}
