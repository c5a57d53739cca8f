"""A rest before a case is timed, until the clock is no longer the one that the case before it has left behind.

A GPU that a heavy load has slowed down stays slow for some tens of milliseconds after it: on an H200 cases behind one
that had run below 1.55 GHz had a tenth less clock than others, light ones (which draw no power to speak of) too. So
little is asked of the device now and then, and the pauses between let it cool, until it answers at its highest clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .clock import SmClock, clock_between

PAUSE_S = 5e-3  # from one look at the clock to the next
NEAR = 0.985  # of the highest clock that was seen: the clock moves in steps of 15 MHz, and a look is short
LIGHT_WORDS = 1 << 20  # 4 MiB, which stay in the L2 cache
LIGHT_CALLS = 96  # some 300 us together: the time advances in steps of a microsecond


class Rest:
    """Waits for a device. `clock_hz` runs something light and says at which clock, None where it cannot tell; the
    highest of its answers so far is what the device is expected to come back to.
    """

    def __init__(
        self,
        clock_hz: Callable[[], float | None],
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock_hz, self._now, self._sleep = clock_hz, now, sleep
        self._highest_hz = 0.0

    def until_fast(self, most_s: float) -> dict[str, float]:
        """Wait so long at most; `rest_s`, how long it was, and `rested_clock_hz`, the clock of the last look."""
        start = self._now()
        while True:
            clock_hz = self._clock_hz()
            rest_s = self._now() - start
            if clock_hz is None:
                return {}
            self._highest_hz = max(self._highest_hz, clock_hz)
            if clock_hz >= NEAR * self._highest_hz or rest_s + PAUSE_S > most_s:
                return {"rest_s": round(rest_s, 6), "rested_clock_hz": round(clock_hz)}
            self._sleep(PAUSE_S)


def light_clock(clock: SmClock, device: str) -> Callable[[], float | None]:
    """What adds to a few words in the L2 cache and reads the clock around it: two of the readings of `clock`."""
    import torch

    words = torch.zeros(LIGHT_WORDS, device=device)

    def clock_hz() -> float | None:
        clock.read(0)
        for _ in range(LIGHT_CALLS):
            words.add_(1)
        clock.read(1)
        torch.cuda.current_stream().synchronize()
        found = clock_between(*clock.readings()[:2])
        return None if found is None else found[0]

    return clock_hz
