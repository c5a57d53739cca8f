"""How fast bytes are copied now, where a case's tensors lie: asked around its samples, as the clock is.

The third cache and memory are shared with strangers, and what is left of them changes within seconds: on a Zen 5 the
same copy through 6 to 16 MB went at 24 or at 30 bytes a cycle. What a probe found minutes before says little about it.
A copy through as many bytes as the case walks through, half of them read and half written, in pages as an array of
numpy has them, meets the same caches in the same state, and knows nothing of the case but that number, and whether it
writes past all caches.

Through a core's own caches it goes as the case does, one walk a call, timed by the same means: what an interpreter does
between two calls takes room in the second cache, so that of walks through half of it or more some comes from further
out (on a Zen 5 0.65 MB took 2.5 to 3.4 cycles a vector then, and 2.0 one behind the other).

What nearly fills the third cache lies in it only in part, and how much of it does is luck: which sets its pages meet
in, and what strangers bring. There two more copies are asked, through a walk that lies in the cache for sure and
through one that does not: from these and the first one follows how much of it is found there (`Copied.held`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import log
from statistics import median

from lightbound._core import host

from .cases import Call
from .sampling import HUGE, PIECE, SLICE_S, Loops, Sample
from .system import beyond_caches, cache_sizes

STEP = 1.1  # of sizes: buffers are shared by cases that are nearly as large
NEAR = 4.0  # times the size of a cache, or a part of it as small: between them a walk may lie in it in part
WARM, ASKED = 8, 4  # samples of a third of a millisecond: a shared cache holds the lines of a walk only after a while
WARM_S = 0.016  # through what nearly fills the last cache
PLACES = 3  # buffers of a size, in turn: how one lies in a cache is luck

Ask = Callable[[], "Copied"]


@dataclass(frozen=True)
class Walk:
    """A copy as a call that is timed like any other, in several places, of so many bytes, read and written;
    `cache`: the one that they nearly fill.
    """

    calls: tuple[Call, ...]
    moved_bytes: float
    cache: str | None


@dataclass(frozen=True)
class Copied:
    """Bytes a second, read and written, of one thread that copies through as many bytes as a case walks through;
    `past`: what it writes goes past all caches. Where they nearly fill a `cache`, also those of a walk that lies
    `inside` it and of one that comes from `outside`, if they were asked.
    """

    here: float
    past: bool = False
    cache: str | None = None
    inside: float = 0.0
    outside: float = 0.0

    @property
    def held(self) -> float:
        """Of the walk, the part that is found in the cache, by the time that the copies take."""
        if not self.outside < self.here < self.inside:
            return float(self.here >= self.inside)
        return (1 / self.outside - 1 / self.here) / (1 / self.outside - 1 / self.inside)

    @classmethod
    def middle(cls, several: Sequence[Copied]) -> Copied:
        """The medians of what was found for one case."""
        one = several[0]
        here, inside, outside = (median(getattr(a, name) for a in several) for name in ("here", "inside", "outside"))
        return cls(here, one.past, one.cache, inside, outside)


class Copies:
    """Copies of an instruction set, by how many bytes they walk through."""

    def __init__(self, isa: str) -> None:
        self.isa = isa
        self.caches, _ = cache_sizes()
        self.largest, self.big = max(self.caches.values()), beyond_caches(self.caches)
        self.loops = [Loops(0, huge=2 * HUGE) for _ in range(PLACES)]  # each with buffers of its own
        self.own = max(self.caches.get(name, 0) for name in ("l1", "l2"))  # of what the core has for itself
        self.samples: dict[tuple[str, int], list[Sample]] = {}
        self.rooms: dict[int, tuple[host.Room, ...]] = {}

    def ask(self, walked_bytes: float, past: bool = False) -> Ask | Walk:
        """Asks for bytes a second of one thread that walks through so many, and writes half of them past all caches or
        not. A walk through a core's own caches is left to who times calls.
        """
        size = max(int(STEP ** round(log(max(walked_bytes, 1.0)) / log(STEP))) // 4096 * 4096, 4096)
        if size < NEAR * self.own:
            return self._walk(size)
        here = self._rate("copy_past" if past else "copy", size)
        if past or not self.largest / NEAR < size < NEAR * self.largest or "l3" not in self.caches:
            return lambda: Copied(here(), past)
        inside, outside = (self._rate("copy", int(times * self.largest)) for times in (1 / NEAR, NEAR))

        def asked() -> Copied:
            far, near = outside(), inside()  # first: the last one leaves what it walks through in the cache
            return Copied(here(), past, "l3", near, far)

        return asked

    def _walk(self, size: int) -> Walk:
        """One walk through so many bytes, in small pages, as arrays of numpy of that size are."""
        if size not in self.rooms:
            self.rooms[size] = tuple(host.Room(size, 1, False) for _ in range(PLACES))

        def call(room: host.Room, seconds: list[float]) -> None:
            seconds.extend(host.probe_loop(self.isa, "copy", room, 1, 0, size, warm=False)[1])

        calls = tuple(partial(call, room) for room in self.rooms[size])
        nearly = size > self.own / NEAR and {"l2", "l3"} <= self.caches.keys()
        return Walk(calls, size, "l2" if nearly else None)

    def _rate(self, loop: str, size: int) -> Callable[[], float]:
        """Asks for bytes a second of a loop that walks through so many again and again, or, where no cache holds a part
        of them, on and on.
        """
        memory = size >= NEAR * self.largest
        if (loop, size) not in self.samples and memory:
            self.samples[loop, size] = [self.loops[0].stream(self.isa, loop, self.big, min(PIECE, self.big // 4))]
        elif (loop, size) not in self.samples:
            self.samples[loop, size] = [loops.rate(self.isa, loop, size) for loops in self.loops]
        samples = self.samples[loop, size]
        warm_s = WARM_S if size > self.largest / NEAR else WARM * SLICE_S

        def asked() -> float:
            sample = samples[0]
            samples.append(samples.pop(0))
            end = time.perf_counter() + (0 if memory else warm_s)
            while time.perf_counter() < end:
                sample()
            return 2 * median(sample()[0] for _ in range(ASKED))

        return asked
