"""How far predictions are from references, in a few numbers.

What is compared, and how far is too far, is for suites to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ErrorStatistics:
    """Relative errors of one metric over one group of points, as fractions (0.01 is one per cent).

    `mape` is the mean, `median` the median and `max` the largest of their absolute values; `bias` is the signed mean,
    positive where predictions are too high. `rank_correlation` is Spearman's: 1 where predictions put the points in
    the order of the references, None where there are fewer than two points or all references are equal.
    """

    group: str
    metric: str
    n: int
    mape: float
    median: float
    max: float
    bias: float
    rank_correlation: float | None


def relative_error(predicted: float, reference: float) -> float:
    """Signed error as a fraction of the reference, which must not be zero."""
    return predicted / reference - 1


def error_statistics(
    group: str, metric: str, predicted: Sequence[float], reference: Sequence[float]
) -> ErrorStatistics:
    """Statistics over the points of a group: equally many predictions and references, at least one, none zero."""
    error = np.asarray(predicted, dtype=float) / np.asarray(reference, dtype=float) - 1
    size = np.abs(error)
    return ErrorStatistics(
        group=group,
        metric=metric,
        n=error.size,
        mape=float(np.mean(size)),
        median=float(np.median(size)),
        max=float(np.max(size)),
        bias=float(np.mean(error)),
        rank_correlation=rank_correlation(predicted, reference),
    )


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rank correlation of two sequences of equal length. Values that are equal to nine digits share their
    mean rank, so that rounding makes no order.

    None where it is not defined: fewer than two points, or all values of one sequence equal.
    """
    x, y = _ranks(np.asarray(a, dtype=float)), _ranks(np.asarray(b, dtype=float))
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
    return float(np.sum(x * y)) / spread if spread else None


def _ranks(values: np.ndarray) -> np.ndarray:
    digits = np.array([float(f"{value:.9g}") for value in values])
    _, inverse, counts = np.unique(digits, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse.reshape(-1)]
