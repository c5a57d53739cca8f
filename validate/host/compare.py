"""Predicted beside measured: the host's kernels, case by case, with what was achieved of the bound."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError, choose_from
from lightbound.kernels.host import instruction_set

from ..statistics import ErrorStatistics, error_statistics
from .cases import HostCase, host_cases
from .measure import Measurement, measure
from .predict import HostPrediction, host_machine, predict_host

DEVICES = ("host",)


@dataclass(frozen=True)
class Compared:
    """One case: its prediction, its measurement. Errors are fractions of what was measured."""

    case: HostCase
    predicted: HostPrediction
    measured: Measurement

    @property
    def error(self) -> float:
        """Signed: positive where the prediction is too long."""
        return self.predicted.latency_s / self.measured.median_s - 1

    @property
    def achieved(self) -> float:
        """The bound (operations, or compulsory traffic at the machine's peak) over the measured time."""
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
            "samples": len(self.measured.samples),
            "put_aside": self.measured.put_aside,
            "wall_over_cpu": self.measured.wall_over_cpu,
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
            "every sample. Their medians are shown and not scored. Stop other programs, and run it again."
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
            "noise": self.noise,
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
) -> Comparison:
    """Predict kernels on the probed machine, run them there, and show both.

    kernel: a name or several, all by default. Times are the processor time of the busiest thread. Raises
    LightboundError for unknown names, and where the machine has not been probed.
    """
    if device not in DEVICES:
        raise LightboundError("device", device, "has no kernels to compare", choose_from(DEVICES, device))
    names = [kernel] if isinstance(kernel, str) else list(kernel or ())
    return compare_cases(host_cases(names), host_machine(threads), threads, repeats, budget_s, step)


def compare_cases(
    cases: Sequence[HostCase],
    machine: Machine,
    threads: int = 1,
    repeats: int = 20,
    budget_s: float = 60.0,
    step: Callable[[int], None] | None = None,
) -> Comparison:
    """The comparison of given cases with a machine of `host_machine`."""
    predicted = [predict_host(case, machine) for case in cases]
    measured = measure([case.call(threads) for case in cases], repeats, budget_s, step)
    isa = str(instruction_set()["name"])
    if isa not in machine.title.split(", "):
        remedy = f"Probe again with LIGHTBOUND_ISA={isa}, or unset it: lightbound probe host."
        raise LightboundError("machine", machine.title, f"was not probed with {isa}, which the kernels use", remedy)
    memory = machine.levels[0]
    return Comparison(
        device="host",
        machine=machine.title,
        isa=isa,
        threads=threads,
        taken=datetime.now(UTC).isoformat(timespec="seconds"),
        cases=tuple(Compared(*row) for row in zip(cases, predicted, measured, strict=True)),
        peak_flops=2 * float(machine.peak_per_s("mac")),
        bandwidth_bytes_per_s=float(memory.rate_bytes_per_s or 0.0),
    )


def _kernels(cases: Iterable[Compared]) -> list[str]:
    return list(dict.fromkeys(one.case.kernel for one in cases))
