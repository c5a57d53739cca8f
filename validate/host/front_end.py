"""What the front end of a core gives to this thread: asked in a few microseconds, between samples of something else.

A core that runs two threads deals the slots in which instructions are issued among both. Where the other thread belongs
to a stranger, as on a virtual machine it may, no counter tells; but a loop of instructions that need nothing but a slot
takes as much longer as slots are missing. This changes within milliseconds, so that it is asked before and after every
sample: of the probe, which keeps those that nobody disturbed, and of comparisons.
"""

from __future__ import annotations

import time

import numpy as np

from lightbound._core import host

INSTRUCTIONS = 60_000  # of a question
AGREE = 25  # answers, at least, with the quickest
NEAR = (
    0.9  # of the quickest, at least, where answers agree with it: a core that is shared has 0.8 of its slots or fewer
)
WHOLE = 0.95  # of the slots, at least, where the core is taken to be ours: a question errs by 2 %, a clock moves by 2
NEARLY = 0.92  # of them where that leaves too little


ADDITIONS = 100_000  # of a question after the clock


def clock_hz() -> float:
    """Cycles a second now: a chain of additions takes one each, whoever shares the core. The quickest of three."""
    return max(ADDITIONS / host.probe_additions(ADDITIONS) for _ in range(3))


def issued_per_s() -> float:
    """Instructions a second that this thread can issue now."""
    return 1 / float(host.probe_issue(INSTRUCTIONS))


def issued_whole_per_s(least_s: float = 0.3, most_s: float = 3.0) -> list[float]:
    """Instructions a second while all slots are ours: the answers that agree with the quickest.

    Nothing makes a question quicker than a core that has nothing else to do. It is asked until enough agree, or the
    time is up.
    """
    start = time.perf_counter()
    found: list[float] = []
    while True:
        found.extend(issued_per_s() for _ in range(500))
        quickest = float(np.quantile(found, 1 - 1 / len(found)))  # the second: one may have been a clock's mistake
        agree = [one for one in found if one >= NEAR * quickest]
        past = time.perf_counter() - start
        if past > most_s or (past > least_s and len(agree) >= AGREE):
            return agree
