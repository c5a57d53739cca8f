"""Predicted beside measured: the host's kernels, case by case, with what was achieved of the bound."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from lightbound.base.errors import LightboundError, choose_from
from lightbound.kernels.host import instruction_set

from ..statistics import ErrorStatistics, error_statistics
from .cases import HostCase, host_cases
from .copying import PLACES, Copies
from .fresh import fresh_cases
from .front_end import WHOLE
from .measure import Measurement, measure
from .predict import HostPrediction, goes_past, held_bytes, host_machine, issue_width, predict_host, predict_shared
from .sampling import HUGE

DEVICES = ("host",)


@dataclass(frozen=True)
class Compared:
    """One case: its prediction, its measurement, and the prediction with what the probe found of caches and memory,
    not what was asked around the samples. Errors are fractions of what was measured.
    """

    case: HostCase
    predicted: HostPrediction
    measured: Measurement
    as_probed: HostPrediction

    @property
    def error(self) -> float:
        """Signed: positive where the prediction is too long."""
        return self.predicted.latency_s / self.measured.median_s - 1

    @property
    def achieved(self) -> float:
        """The bound (operations, or at the machine's peak the traffic that no cache spares) over the measured time."""
        return self.predicted.bound_s / self.measured.median_s

    @property
    def violates(self) -> bool:
        """Whether the kernel was faster than the bound beyond the confidence interval."""
        return not self.measured.noisy and self.measured.interval_s[1] < self.predicted.bound_s

    def to_dict(self) -> dict[str, Any]:
        """The case as one flat row."""
        low, high = self.measured.interval_s
        return {
            "kernel": self.case.kernel,
            "shape": self.case.name,
            "held_out": self.case.held_out,
            "predicted_s": self.predicted.latency_s,
            "predicted_as_probed_s": self.as_probed.latency_s,
            "measured_s": self.measured.median_s,
            "measured_low_s": low,
            "measured_high_s": high,
            "relative_error": self.error,
            "bound_s": self.predicted.bound_s,
            "achieved": self.achieved,
            "bottleneck": self.predicted.bottleneck,
            "tensors_in": self.predicted.home,
            "operations": self.predicted.operations,
            "bytes": self.predicted.bytes,
            "samples": self.measured.samples,
            "parts": len(self.measured.parts),
            "put_aside": self.measured.put_aside,
            "wall_over_cpu": self.measured.wall_over_cpu,
            "front_end": self.measured.share,
            "clock_hz": self.measured.clock_hz,
            "copied": vars(self.measured.copied) if self.measured.copied else None,
            "noisy": self.measured.noisy,
        }


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: its cases, the machine they were predicted for, and on what they ran."""

    device: str
    machine: str
    isa: str
    threads: int
    taken: str
    cases: tuple[Compared, ...]
    peak_flops: float
    bandwidth_bytes_per_s: float
    probed_clock_hz: float

    @property
    def judged(self) -> tuple[Compared, ...]:
        """The cases whose measurement was not noisy."""
        return tuple(one for one in self.cases if not one.measured.noisy)

    @property
    def noise(self) -> str:
        """What a noisy machine means for the result, in a sentence; empty where all cases are quiet."""
        noisy = len(self.cases) - len(self.judged)
        if not noisy:
            return ""
        return (
            f"Too noisy to judge: in {noisy} of {len(self.cases)} cases the system took the processor away from nearly "
            "every sample, or time was up before there were enough. Their medians are shown and not scored. Stop other "
            "programs, or give it a longer budget, and run it again."
        )

    @property
    def clock(self) -> str:
        """How far the clock of the core was from that of the probe, in a sentence; empty where it was the same."""
        probed = self.probed_clock_hz / 1e9
        low, middle, high = np.percentile([one.measured.clock_hz / 1e9 for one in self.cases], [0, 50, 100])
        if max(high / probed, probed / low) < 1.005:
            return ""
        return (
            f"The clock was {low:.2f} to {high:.2f} GHz, {middle:.2f} in the middle, and {probed:.2f} when it was "
            "probed: each case is predicted for its own."
        )

    @property
    def copying(self) -> str:
        """What asking for the rate of copies made of the errors, in a sentence; empty where nobody asked."""
        asked = [one for one in self.judged if one.measured.copied is not None]
        if not asked:
            return ""
        error = np.mean([abs(one.as_probed.latency_s / one.measured.median_s - 1) for one in asked])
        return (
            "Each case is predicted for the rate at which as many bytes as it walks through were copied around its "
            f"samples; with the probe's rates alone the mean error would be {error:.1%}."
        )

    @property
    def sharing(self) -> str:
        """How much of the cores' front end was ours, as a loop told between samples, and what was made of it."""
        shares = np.array([share for one in self.cases for share in one.measured.shares])
        some = [one.measured.share for one in self.judged if one.measured.share != 1]
        alone = float(np.mean(shares >= WHOLE)) if len(shares) else 1.0
        if alone > 0.99 and not some:
            return ""
        told = f"Around {alone:.0%} of all samples the front end of the core was ours alone, as when it was probed"
        if not some:
            return f"{told}; only these count. Around the others another thread had a part of it."
        return (
            f"{told}. In {len(some)} of {len(self.judged)} cases these were too few: there all count, and the "
            f"prediction is for a core that another thread shares ({np.median(some):.0%} of the front end were left, "
            "in the middle)."
        )

    def errors(self, cases: Sequence[Compared] | None = None) -> tuple[ErrorStatistics, ...]:
        """Statistics of the judged cases by kernel, and over all."""
        chosen = self.judged if cases is None else cases
        groups = {name: [one for one in chosen if one.case.kernel == name] for name in _kernels(chosen)}
        if len(groups) > 1:
            groups["all"] = list(chosen)
        return tuple(
            error_statistics(
                name, "latency_s", [one.predicted.latency_s for one in some], [one.measured.median_s for one in some]
            )
            for name, some in groups.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "device": self.device,
            "machine": self.machine,
            "isa": self.isa,
            "threads": self.threads,
            "taken": self.taken,
            "platform": platform.platform(),
            "peak_flops": self.peak_flops,
            "bandwidth_bytes_per_s": self.bandwidth_bytes_per_s,
            "probed_clock_hz": self.probed_clock_hz,
            "noise": self.noise,
            "clock": self.clock,
            "copying": self.copying,
            "sharing": self.sharing,
            "errors": [vars(one) for one in self.errors()],
            "rows": [one.to_dict() for one in self.cases],
        }


def compare(
    kernel: str | Iterable[str] | None = None,
    device: str = "host",
    threads: int = 1,
    repeats: int = 20,
    budget_s: float = 60.0,
    step: Callable[[int], None] | None = None,
    fresh: int | None = None,
) -> Comparison:
    """Predict kernels on the probed machine, run them there, and show both.

    kernel: a name or several, all by default. fresh: at new shapes instead, drawn from this number (fresh.py). Times
    are the processor time of the busiest thread. Raises LightboundError for unknown names, and where the machine has
    not been probed.
    """
    return compare_cases(chosen_cases(kernel, device, fresh), threads, repeats, budget_s, step)


def chosen_cases(
    kernel: str | Iterable[str] | None = None, device: str = "host", fresh: int | None = None
) -> tuple[HostCase, ...]:
    """The cases that `compare` runs."""
    if device not in DEVICES:
        raise LightboundError("device", device, "has no kernels to compare", choose_from(DEVICES, device))
    names = [kernel] if isinstance(kernel, str) else list(kernel or ())
    return host_cases(names) if fresh is None else fresh_cases(names, fresh)


def compare_cases(
    cases: Sequence[HostCase],
    threads: int = 1,
    repeats: int = 20,
    budget_s: float = 60.0,
    step: Callable[[int], None] | None = None,
) -> Comparison:
    """The comparison of given cases."""
    machine = host_machine(threads)
    isa = str(instruction_set()["name"])
    if isa not in machine.title.split(", "):
        remedy = f"Probe again with LIGHTBOUND_ISA={isa}, or unset it: lightbound probe host."
        raise LightboundError("machine", machine.title, f"was not probed with {isa}, which the kernels use", remedy)
    for case in cases:
        predict_host(case, machine)  # what cannot be predicted is said first
    calls = [[case.call(threads) for _ in range(PLACES if held_bytes(case) < HUGE else 1)] for case in cases]
    copies = Copies(isa) if threads == 1 else None
    asks = [copies.ask(held_bytes(case), goes_past(case, machine)) for case in cases] if copies else None
    measured = measure(calls, repeats, budget_s, step, issue_width(machine), threads, asks)
    memory = machine.levels[0]
    return Comparison(
        device="host",
        machine=machine.title,
        isa=isa,
        threads=threads,
        taken=datetime.now(UTC).isoformat(timespec="seconds"),
        cases=tuple(_compared(*row, threads) for row in zip(cases, measured, strict=True)),
        peak_flops=2 * float(machine.peak_per_s("mac")),
        bandwidth_bytes_per_s=float(memory.rate_bytes_per_s or 0.0),
        probed_clock_hz=float(machine.clock_hz),
    )


def _compared(case: HostCase, measured: Measurement, threads: int) -> Compared:
    predicted = _predicted(case, measured, threads)
    if measured.copied is None:
        return Compared(case, predicted, measured, predicted)
    return Compared(case, predicted, measured, _predicted(case, replace(measured, copied=None), threads))


def _predicted(case: HostCase, measured: Measurement, threads: int) -> HostPrediction:
    """For the clock, the share of the front end, and the bytes copied a second, that the thread had."""
    clock, copied = measured.clock_hz, measured.copied
    if measured.share != 1:
        return predict_shared(case, threads, measured.share, clock_hz=clock, copied=copied)
    return predict_host(case, host_machine(threads, clock_hz=clock), copied)


def _kernels(cases: Iterable[Compared]) -> list[str]:
    return list(dict.fromkeys(one.case.kernel for one in cases))
