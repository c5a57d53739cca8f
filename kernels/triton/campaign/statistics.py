"""Samples in two numbers: the median and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, sqrt
from statistics import median as median


def interval(samples: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of the median, from order statistics; the range of fewer than six samples."""
    ordered = sorted(samples)
    reach = 0.98 * sqrt(len(ordered))
    low = max(floor(len(ordered) / 2 - reach), 0)
    high = min(ceil(len(ordered) / 2 + reach), len(ordered) - 1)
    return ordered[low], ordered[high]
