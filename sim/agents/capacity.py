"""The largest and the least that still meet the deadline: agents, rate, compression. Found by trying, by bisection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .replicate import Outcomes

Meets = Callable[[float], bool]
Try = Callable[[float], Outcomes]


@dataclass(frozen=True)
class Found:
    """A limit: the value that meets the deadline where the next one does not; None where none in the range does.
    `open`: even the end of the range meets it, so that the true limit may lie beyond."""

    value: float | None
    open: bool = False


def largest_whole(meets: Meets, low: int, high: int) -> Found:
    """The largest whole number that meets, where larger ones are harder."""
    if not meets(low):
        return Found(None)
    good, bad, step = low, high + 1, 1
    while good + step < bad:  # ever longer steps: the answer is often small, and large ones cost most to try
        if meets(good + step):
            good, step = good + step, 2 * step
        else:
            bad = good + step
            break
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if meets(middle) else (good, middle)
    return Found(good, open=good == high)


def least_of(meets: Meets, values: Sequence[float]) -> Found:
    """The least of sorted values that meets, where larger ones are easier."""
    if not values or not meets(values[-1]):
        return Found(None)
    low, high = -1, len(values) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if meets(values[middle]) else (middle, high)
    return Found(values[high], open=high == 0)


def least(meets: Meets, low: float, high: float, precision: float = 0.01) -> Found:
    """The least real number that meets, to a relative precision, where larger ones are easier."""
    if meets(low):
        return Found(low, open=True)
    if not meets(high):
        return Found(None)
    while high / low > 1 + precision:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if meets(middle) else (middle, high)
    return Found(high)
