"""Age of information: how old the newest message of a neighbour is, at every instant, at the one who fuses.

Exact for what was simulated: the age rises by a second each second and falls at every arrival of something newer.
Periodic captures with a fixed delay and independent loss have closed forms to check against.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Age:
    """Age at one receiver of one sender, in seconds, between the first arrival and the last: its mean, the mean of its
    peaks, and its quantiles over time. `arrivals`: how many there were that brought something newer.
    """

    mean_s: float
    peak_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    arrivals: int


def age(arrivals: Iterable[tuple[float, float]]) -> Age | None:
    """From (arrival, capture) in seconds. None where fewer than two bring something newer than before."""
    ordered = np.array(sorted(arrivals), dtype=float).reshape(-1, 2)
    if len(ordered) < 2:
        return None
    newest = np.maximum.accumulate(ordered[:, 1])
    fresh = np.concatenate(([True], newest[1:] > newest[:-1]))
    when, captured = ordered[fresh, 0], ordered[fresh, 1]
    if len(when) < 2:
        return None
    low = when[:-1] - captured[:-1]  # just after an arrival
    high = when[1:] - captured[:-1]  # just before the next
    span = when[-1] - when[0]
    if span <= 0:
        return None
    quantiles = _quantiles(low, high, (0.5, 0.95, 0.99))
    mean = float(np.sum((high**2 - low**2) / 2) / span)
    return Age(mean, float(high.mean()), *quantiles, arrivals=len(when))


def _quantiles(low: np.ndarray, high: np.ndarray, shares: tuple[float, ...]) -> tuple[float, float, float]:
    """Quantiles over time of pieces that each rise from `low` to `high` at the speed of time."""
    ends = np.sort(np.concatenate((low, high)))
    lows, highs = np.sort(low), np.sort(high)
    # time spent at an age below x: the sum of min(x, high) - low over the pieces that begin below it
    sums_low = np.concatenate(([0.0], np.cumsum(lows)))
    sums_high = np.concatenate(([0.0], np.cumsum(highs)))
    begun, over = np.searchsorted(lows, ends, "right"), np.searchsorted(highs, ends, "right")
    spent = (begun - over) * ends + sums_high[over] - sums_low[begun]
    found = np.interp(np.array(shares) * spent[-1], spent, ends)
    return float(found[0]), float(found[1]), float(found[2])


def periodic_age(period_s: float, delay_s: float, loss: float) -> tuple[float, float]:
    """Mean age and mean peak age of captures every period that arrive after a fixed delay, each lost independently."""
    return delay_s + period_s * (1 + loss) / (2 * (1 - loss)), delay_s + period_s / (1 - loss)
