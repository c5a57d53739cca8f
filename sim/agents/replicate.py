"""A scenario run several times with other draws, on all cores, and what the runs agree on.

Runs share nothing, and their seeds follow from one: the same seed gives the same figures, however many processes
there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import sqrt
from multiprocessing import get_all_start_methods, get_context

import numpy as np

from .outcome import Outcome, Spread, spread
from .pipeline import run
from .scenario import Scenario

# Two-sided 95 % quantiles of Student's distribution for 1, 2, ... degrees of freedom; 1.96 beyond.
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A mean over runs, and half the width of its 95 % confidence interval (NaN of one run)."""

    mean: float
    half_width: float


def estimate(values: Sequence[float]) -> Estimate:
    """Of one figure of each run; runs without it are left out."""
    known = [value for value in values if value == value]
    if not known:
        return Estimate(float("nan"), float("nan"))
    if len(known) == 1:
        return Estimate(known[0], float("nan"))
    quantile = _STUDENT[len(known) - 2] if len(known) - 2 < len(_STUDENT) else 1.96
    return Estimate(float(np.mean(known)), quantile * float(np.std(known, ddof=1)) / sqrt(len(known)))


def replicate(
    scenario: Scenario, replications: int = 1, seed: int = 0, workers: int | None = None, record: bool = False
) -> tuple[Outcome, ...]:
    """Outcomes of so many runs, in `workers` processes (one a core); `record` keeps the timeline of the first."""
    jobs = [(scenario, seed * 1_000_003 + number, record and not number) for number in range(replications)]
    workers = min(replications, workers or os.cpu_count() or 1)
    if workers <= 1:
        return tuple(_one(job) for job in jobs)
    start = "fork" if "fork" in get_all_start_methods() else None  # elsewhere a script needs a main guard
    with ProcessPoolExecutor(workers, mp_context=get_context(start)) as pool:
        return tuple(pool.map(_one, jobs))


def _one(job: tuple[Scenario, int, bool]) -> Outcome:
    scenario, seed, record = job
    return Outcome(run(scenario, seed, record))


@dataclass(frozen=True)
class Outcomes:
    """Several runs of one scenario, taken together."""

    runs: tuple[Outcome, ...]

    @property
    def scenario(self) -> Scenario:
        """What was run."""
        return self.runs[0].scenario

    @property
    def latency(self) -> Spread:
        """From capture to output, over all runs."""
        return spread(np.concatenate([one.latencies_s for one in self.runs]))

    def over_runs(self, figure: Callable[[Outcome], float]) -> Estimate:
        """The mean of a figure over the runs, with its confidence interval."""
        return estimate([figure(one) for one in self.runs])

    @property
    def stable(self) -> bool:
        """Whether everything kept up in every run."""
        return all(one.stable for one in self.runs)

    @property
    def overloads(self) -> tuple[str, ...]:
        """What did not keep up in any run."""
        return tuple(dict.fromkeys(reason for one in self.runs for reason in one.overloads))

    def meets(self, share: float = 0.95) -> bool:
        """Whether all keep up, and at least `share` of the outputs are in time and of the messages in them."""
        in_time = 1 - self.over_runs(lambda one: one.miss_ratio()).mean
        fused = self.over_runs(lambda one: one.fused_share).mean
        return self.stable and in_time >= share and not fused < share
