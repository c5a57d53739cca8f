"""Raw results of a GPU's probe as figures: medians with their spread, and the constants that a machine model asks for.

The programs and the measuring are in kernels/cuda; here is what samples mean. Every function says from which figures
its constant follows, and gives None where they were not measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightbound.base.document import read_text
from lightbound.base.errors import LightboundError
from lightbound.kernels.cuda.probe import FORMAT

LIMIT_BYTES = 50_000_000
HEAVY = 0.6  # share of tensor work from which on power is what limits the clock
FELL = 0.98  # of the highest clock: below it, power is taken to limit


@dataclass(frozen=True)
class Figure:
    """A figure in `unit`: the median, half the range of the middle half over it, the most, and what was done."""

    value: float
    spread: float
    most: float
    unit: str
    what: str
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Limited:
    """How power limits the clock: which clock is held at which share of tensor work, the exponent between them, and the
    length of a run after which the clock has fallen half of the way."""

    clock_hz: float
    utilization: float
    exponent: float | None
    after_s: float | None
    spread: float


@dataclass(frozen=True)
class GpuProbe:
    """What was measured of one GPU."""

    day: str
    device: Mapping[str, Any]
    figures: Mapping[str, Figure]
    failed: Mapping[str, str]
    skipped: tuple[str, ...]

    @property
    def name(self) -> str:
        """The GPU as its driver calls it."""
        return str(self.device["name"])

    @property
    def stated(self) -> str:
        """The source of every number that was measured."""
        driver = self.device.get("driver") or f"of CUDA {self.device.get('driver_cuda', 'unknown')}"
        return f"lightbound probe cuda, {self.day}, {self.name}, driver {driver}"

    def get(self, *names: str) -> Figure | None:
        """The first of these figures that was measured."""
        return next((self.figures[name] for name in names if name in self.figures), None)

    def best(self, prefix: str) -> Figure | None:
        """The figure with the highest median among those whose name begins so, zeros apart."""
        found = [one for name, one in self.figures.items() if name.startswith(prefix) and not name.endswith(".zeros")]
        return max(found, key=lambda one: one.value, default=None)

    @property
    def clock_hz(self) -> Figure | None:
        """The clock without tensor work: that of short fp32 work, else of the shortest tensor run."""
        return self.get("clock.fp32.10ms", "clock.tensor.1ms", "clock.fp32")

    def tensor_peak(self) -> Figure | None:
        """Multiply-accumulates of fp16 per multiprocessor and clock, by the fastest instructions."""
        return self.best("wgmma.fp16") or self.best("mma_sync.fp16.")

    def sync_peak(self) -> Figure | None:
        """The same by mma.sync."""
        found = [
            self.figures[name]
            for name in self.figures
            if name in ("mma_sync.fp16.4", "mma_sync.fp16.8", "mma_sync.fp16.16")
        ]
        return max(found, key=lambda one: one.value, default=None)

    def blocked(self, kind: str, op: str = "ffma", chains: int = 8) -> float | None:
        """The part of the FP32 lanes' time that tensor instructions take while they run at their full rate.

        Both ask for all they can get. Tensor work at the rate x of its peak leaves y of the lanes' own rate: where a
        busy tensor core takes part p of them, y = 1 - p x. Never below nothing.
        """
        name = f"beside.{kind}.{op}_{chains}"
        alone, beside = self.get(f"{name}.other_alone"), self.get(f"{name}.other_beside")
        tensor_alone, tensor = self.get(f"{name}.tensor_alone"), self.get(f"{name}.tensor_beside")
        if alone is None or beside is None or tensor_alone is None or tensor is None:
            return None
        if min(beside.detail.get("covered", 1), tensor.detail.get("covered", 1)) < 0.9:
            return None
        busy = tensor.value / tensor_alone.value
        return min(1.0, max(0.0, (1 - beside.value / alone.value) / busy)) if busy > 0 else None

    def limited(self) -> Limited | None:
        """How power limits the clock, from long runs on random numbers at several shares of tensor work."""
        peak, light = self.tensor_peak(), self.clock_hz
        full = self.get("clock.tensor.1.random")
        if peak is None or light is None or full is None:
            return None
        runs = [
            one for name, one in self.figures.items() if name.startswith("clock.tensor.") and name.endswith(".random")
        ]
        points = [(float(np.median(run.detail["per_clock"])) / peak.value, _settled(run)) for run in runs]
        # any tensor work lowers the clock by some, and lighter work lets it jump: power is read where work is heavy
        ceiling = max(clock for _, clock in points)
        held = [(share, clock) for share, clock in points if clock < FELL * ceiling and share > HEAVY]
        exponent = None
        if len(held) >= 2:
            logs = np.log(np.array(held))
            if np.ptp(logs[:, 0]) > 0.1:
                slope = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
                exponent = -1 / slope if slope < -1e-3 else None
        share = float(np.median(full.detail["per_clock"])) / peak.value
        return Limited(_settled(full), min(share, 1.0), exponent, _fall_s(full, light.value), full.spread)


def read_probe(path: str | Path) -> GpuProbe:
    """The probe in a file of raw results; LightboundError where it is none."""
    try:
        raw = json.loads(read_text(path, "raw results", LIMIT_BYTES))
    except ValueError as error:
        raise LightboundError("--from", str(path), f"is not JSON ({error})", "Name a file that --out wrote.") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        remedy = "Name a file that python -m lightbound.kernels.cuda.probe --out wrote."
        raise LightboundError("--from", str(path), f"is not of the format {FORMAT!r}", remedy)
    return from_raw(raw)


def from_raw(raw: Mapping[str, Any]) -> GpuProbe:
    """The probe of raw results, as `kernels.cuda.probe.measure` gives them."""
    figures = {name: _figure(one) for name, one in raw["figures"].items() if one["samples"]}
    if not figures or not raw["device"]:
        failed = "; ".join(f"{name}: {error}" for name, error in list(raw["failed"].items())[:3])
        raise LightboundError(
            "probe", "cuda", f"measured nothing ({failed or 'no task ran'})", "Give it a larger --budget."
        )
    return GpuProbe(raw["day"], raw["device"], figures, raw["failed"], tuple(raw["skipped"]))


def _figure(one: Mapping[str, Any]) -> Figure:
    low, middle, high = np.percentile(one["samples"], [25, 50, 75])
    spread = float((high - low) / 2 / middle) if middle else math.inf
    detail = {key: value for key, value in one.items() if key not in ("unit", "what", "samples")}
    return Figure(float(middle), spread, float(max(one["samples"])), one["unit"], one["what"], detail)


def _settled(run: Figure) -> float:
    """The clock in the last third of a run."""
    traces = [np.array(trace, float) for trace in run.detail["trace"]]
    last = [trace[trace[:, 0] > trace[-1, 0] * 2 / 3, 1] for trace in traces]
    return float(np.median(np.concatenate(last))) * 1e6


def _fall_s(run: Figure, high_hz: float) -> float | None:
    """When a run's clock has fallen half of the way from `high_hz` to where it settles; None if it does not fall."""
    low_hz = _settled(run)
    if low_hz > FELL * high_hz:
        return None
    trace = np.array(run.detail["trace"][0], float)
    below = trace[:, 1] * 1e6 < (low_hz + high_hz) / 2
    return float(trace[int(np.argmax(below)), 0]) if below.any() else None
