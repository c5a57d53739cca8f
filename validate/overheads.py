"""What overheads of a call could do: the error of each operator as a function of one added time.

A table of calls does not say how much of a call is its kernel. So beside the scores with stated overheads stands what
any single overhead could reach at its best, for all operators of a GPU or for those that a framework calls in one way.
These overheads are found by looking at the rows that they are scored on: they are limits, not predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .operators import Row

STEP_S, LONGEST_S = 0.25e-6, 100e-6  # overheads that are tried
Errors = NDArray[np.float64]


@dataclass(frozen=True)
class Best:
    """The one overhead for several operators at which the worst of them, beside its bar, is nearest to it."""

    overhead_s: float
    errors: Mapping[str, float]  # mean relative error by operator, there

    def within(self, bars: Mapping[str, float]) -> bool:
        return all(error <= bars[operator] for operator, error in self.errors.items())


def tried() -> NDArray[np.float64]:
    """Overheads from nothing to the longest."""
    return STEP_S * np.arange(round(LONGEST_S / STEP_S) + 1, dtype=np.float64)


def mean_errors(rows: Iterable[Row]) -> dict[str, Errors]:
    """By operator the mean relative error of its rows under every overhead that is tried."""
    by_operator: dict[str, list[Errors]] = {}
    for row in rows:
        errors = np.abs(row.kernel_s + tried() - row.measured_s) / row.measured_s
        by_operator.setdefault(row.operator, []).append(errors)
    return {operator: np.mean(errors, axis=0) for operator, errors in by_operator.items()}


def within_bar(errors: Errors, bar: float) -> tuple[float, float] | None:
    """The least and the largest overhead under which a mean error keeps to its bar."""
    good = tried()[errors <= bar]
    return (float(good.min()), float(good.max())) if good.size else None


def best_of(errors: Mapping[str, Errors], bars: Mapping[str, float], operators: Sequence[str]) -> Best:
    """The best one overhead for these operators, each error as a part of its bar."""
    worst = np.max([errors[operator] / bars[operator] for operator in operators], axis=0)
    place = int(np.argmin(worst))
    return Best(float(tried()[place]), {operator: float(errors[operator][place]) for operator in operators})
