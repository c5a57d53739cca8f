"""The true clock of a GPU over a stretch of work: what its multiprocessors counted between two readings of the time.

The driver's own figure is that of a moment, and it names the clock that was asked for: under a heavy load a device
skips cycles which only its counters miss. A reading is a kernel of one warp a block in the stream of the work, so that
it takes place right before what comes after it, and costs nothing while that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

Reading = Mapping[int, tuple[int, int]]  # of each multiprocessor its cycles and the nanoseconds then
LEAST_NS = 100_000  # between two readings: the time may advance in steps of a microsecond


class SmClock:
    """Readings of a device's multiprocessors, put into the current stream; an NVIDIA GPU is needed."""

    def __init__(self, device: str, readings: int) -> None:
        import torch

        from ..device.clock import read_clocks

        self._kernel: Any = read_clocks
        self._blocks = 2 * torch.cuda.get_device_properties(device).multi_processor_count  # none is left out
        self._rows = torch.zeros(readings, self._blocks, 3, dtype=torch.int64, device=device)
        for number in range(readings):
            self.read(number)  # the first call compiles, which later ones must not
        torch.cuda.synchronize()

    def read(self, number: int) -> None:
        """Queue a reading, which replaces an earlier one of that number."""
        self._kernel[(self._blocks,)](self._rows[number], num_warps=1)

    def readings(self) -> list[Reading]:
        """All readings, in the order of their numbers, once the stream is done."""
        return [as_reading(rows) for rows in self._rows.tolist()]


def sm_clock(device: str, readings: int) -> SmClock | None:
    """What reads the clock of a device, where it has such counters: NVIDIA's have."""
    import torch

    return SmClock(device, readings) if torch.version.hip is None else None


def as_reading(rows: Iterable[tuple[int, int, int]]) -> Reading:
    """Rows of cycles, nanoseconds and multiprocessor as a reading: the first block of each multiprocessor counts."""
    found: dict[int, tuple[int, int]] = {}
    for cycles, nanoseconds, place in rows:
        found[place] = min(found.get(place, (cycles, nanoseconds)), (cycles, nanoseconds))
    return found


def clock_between(before: Reading, after: Reading) -> tuple[float, float] | None:
    """Hz, the median over multiprocessors, and their range relative to it; None where too little time lies between."""
    rates = [
        1e9 * (after[place][0] - before[place][0]) / (after[place][1] - before[place][1])
        for place in before.keys() & after.keys()
        if after[place][1] - before[place][1] >= LEAST_NS and after[place][0] > before[place][0]
    ]
    if not rates:
        return None
    middle = median(rates)
    return middle, (max(rates) - min(rates)) / middle
