"""What the front end of a core gives to this thread: asked in a few microseconds, between samples of something else.

A core that runs two threads deals the slots in which instructions are issued among both. Where the other thread belongs
to a stranger, as on a virtual machine it may, no counter tells; but a loop of instructions that need nothing but a slot
takes as much longer as slots are missing. This changes within milliseconds, so that it is asked before and after every
sample: of the probe, which keeps those that nobody disturbed, and of comparisons.
"""

from __future__ import annotations

import time

from lightbound._core import host

INSTRUCTIONS = 60_000  # of a question
AGREE = 25  # of the quickest answers
WHOLE = 0.97  # of the slots, at least, where the core is taken to be ours: a question errs by a per cent or two
NEARLY = 0.93  # of them where that leaves too little


def issued_per_s() -> float:
    """Instructions a second that this thread can issue now."""
    return 1 / float(host.probe_issue(INSTRUCTIONS))


def issued_whole_per_s(least_s: float = 0.3, most_s: float = 3.0) -> list[float]:
    """Instructions a second while all slots are ours: the quickest answers, which agree.

    Nothing makes a question quicker than a core that has nothing else to do, so that the few quickest of many tell its
    rate. It is asked until so many agree, or the time is up.
    """
    start = time.perf_counter()
    found: list[float] = []
    while True:
        found.extend(issued_per_s() for _ in range(500))
        quickest = sorted(found)[-AGREE:]
        past = time.perf_counter() - start
        if past > most_s or (past > least_s and quickest[0] >= 0.98 * quickest[-1]):
            return quickest
