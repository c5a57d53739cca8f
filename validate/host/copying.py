"""How fast bytes are copied now, where a case's tensors lie: asked around its samples, as the clock is.

The third cache and memory are shared with strangers, and what is left of them changes within seconds: on a Zen 5 the
same copy through 6 to 16 MB went at 24 or at 30 bytes a cycle. What a probe found minutes before says little about it.
A copy through as many bytes as the case walks through, half of them read and half written, in pages as an array of
numpy has them, meets the same caches in the same state, and knows nothing of the case but that number.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from statistics import median

from .sampling import HUGE, PIECE, Loops, Sample
from .system import beyond_caches, cache_sizes

STEP = 1.1  # of sizes: buffers are shared by cases that are nearly as large
WARM, ASKED = 8, 4  # samples of a third of a millisecond: a shared cache holds the lines of a walk only after a while

Ask = Callable[[], float]


class Copies:
    """Copies of an instruction set, by how many bytes they walk through."""

    def __init__(self, isa: str) -> None:
        self.isa = isa
        caches, _ = cache_sizes()
        self.caches, self.big = max(caches.values()), beyond_caches(caches)
        self.loops = Loops(0, huge=2 * HUGE)
        self.samples: dict[int, Sample] = {}

    def ask(self, walked_bytes: float) -> Ask:
        """Asks for bytes a second, read and written, of one thread that walks through so many."""
        step = round(log(max(walked_bytes, 1.0)) / log(STEP))
        size = max(int(STEP**step) // 4096 * 4096, 4096)
        memory = size > self.caches
        if step not in self.samples and memory:
            self.samples[step] = self.loops.stream(self.isa, "copy", self.big, min(PIECE, self.big // 4))
        elif step not in self.samples:
            self.samples[step] = self.loops.rate(self.isa, "copy", size)
        sample = self.samples[step]

        def asked() -> float:
            for _ in range(0 if memory else WARM):
                sample()
            return 2 * median(sample()[0] for _ in range(ASKED))

        return asked
