"""Measured kernels beside their predictions: records of campaigns read back, each case predicted as it was run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from lightbound.archs.library import machine as find_machine
from lightbound.archs.library import machine_names
from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.kernels.triton.campaign.records import OURS, Record, read_records
from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.kernel import Case, Tile, Work

from ..kernels import machine_named
from .predict import GpuPrediction, known_code, predict_case

FOLDER = Path(__file__).parents[1] / "measurements"
SMALL_S = 20e-6  # a case whose bound is below is small: launches and the ends of blocks are a good part of it


@dataclass(frozen=True)
class Scored:
    """A case measured and predicted. Times in seconds; `peers` are the medians of others at the same case;
    `start_clock_hz` is the clock at which the device came to the case: after a rest, or that of the case before.
    """

    record: Record = field(repr=False)
    machine: str
    predicted: GpuPrediction
    peers: Mapping[str, float]
    start_clock_hz: float | None = None

    @property
    def kernel(self) -> str:
        return str(self.record["kernel"])

    @property
    def case(self) -> str:
        return str(self.record["name"])

    @property
    def held_out(self) -> bool:
        return bool(self.record["held_out"])

    @property
    def split(self) -> str:
        """Which part of the cases it is in."""
        if "fresh" in self.record:
            return "fresh"
        return "held out" if self.held_out else "calibration"

    @property
    def measured_s(self) -> float:
        return float(self.record["median_s"])

    @property
    def error(self) -> float:
        """Of the prediction, relative to what was measured; negative where the prediction is too fast."""
        return self.predicted.latency_s / self.measured_s - 1

    @property
    def violates(self) -> bool:
        """Whether it was faster than its bound."""
        return self.measured_s < self.predicted.bound_s

    @property
    def size(self) -> str:
        """Small or large, by the bound."""
        return "small" if self.predicted.bound_s < SMALL_S else "large"

    @property
    def tile(self) -> str:
        """The tile that it had, in words."""
        return Tile(**self.record["tile"]).name

    @property
    def clock_hz(self) -> float | None:
        """The true clock while it was timed, where it was read."""
        return self.record.get("clock_hz")

    @property
    def clock_error(self) -> float | None:
        """Of the predicted clock, relative to the true one, where that was read."""
        return self.predicted.clock_hz / self.clock_hz - 1 if self.clock_hz else None

    @property
    def error_at_clock(self) -> float | None:
        """The error that is left when the clock is taken as it was: that of cycles, bytes and launches. The clock that
        was read is a mean over all samples, so that it stands against their mean.
        """
        if self.clock_hz is None:
            return None
        return self.predicted.latency_at(self.clock_hz) / fmean(self.record["samples_s"]) - 1

    @property
    def explanation(self) -> str:
        """What the prediction spends its time on, the largest parts first."""
        return _told(self.predicted.shares)

    @property
    def waits(self) -> str:
        """What the prediction waits for, the largest parts first."""
        return _told(self.predicted.waits)


def _told(shares: Mapping[str, float]) -> str:
    parts = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in parts if share >= 0.05)


@dataclass(frozen=True)
class Measured:
    """All records of some files: cases scored, reasons why others are not, and where they ran."""

    scored: tuple[Scored, ...]
    left_out: Mapping[str, int]
    runs: tuple[Record, ...]
    failures: tuple[Record, ...]
    checks: tuple[Record, ...]

    @property
    def where(self) -> str:
        """Devices, dates and commits in a sentence."""
        told = {
            f"{run['fingerprint']['device']}, {run['fingerprint'].get('date', '')[:10]}, "
            f"commit {run['fingerprint'].get('commit', 'unknown')[:10]}": None
            for run in self.runs
        }
        return "; ".join(told)


def recorded_files() -> list[Path]:
    """The files of records that ship with lightbound."""
    return sorted(FOLDER.glob("*.jsonl"))


def read_measured(paths: Iterable[Path], machine: Machine | None = None) -> Measured:
    """The records of files, predicted on the machine that they name, or on `machine`.

    Raises LightboundError for a file that is none, and for a device that no machine stands for.
    """
    scored: list[Scored] = []
    left_out: Counter[str] = Counter()
    records: list[Record] = []
    for path in paths:
        own = list(read_records(path))
        records += own
        timings = [record for record in own if record["record"] == "timing"]
        if not timings:
            continue
        runs = [record for record in own if record["record"] == "run"]
        on = machine if machine is not None else machine_of(_device(path, runs), path)
        launch_s = next((float(record["median_s"]) for record in own if record["record"] == "launch"), None)
        scored += _score(timings, on, launch_s, _start_clocks(own), left_out)
    kinds = {kind: tuple(one for one in records if one["record"] == kind) for kind in ("run", "failure", "check")}
    return Measured(tuple(scored), dict(left_out), kinds["run"], kinds["failure"], kinds["check"])


def machine_of(device: str, where: Path | str = "device") -> Machine:
    """The machine that stands for a device by the name that its driver gives it: ``NVIDIA H100 80GB HBM3``."""
    plain = re.sub(r"^(NVIDIA|AMD|Tesla|GeForce)\s+", "", device).replace("GeForce ", "")
    found = machine_named(plain)
    if found is None:
        known = ", ".join(machine_names())
        raise LightboundError(
            str(where), device, "is a device that no machine stands for", f"Name one by --machine: {known}."
        )
    return found


def _device(path: Path, runs: Sequence[Record]) -> str:
    if not runs:
        raise LightboundError(
            str(path), None, "does not say where it was measured", "Give a file that a campaign wrote."
        )
    return str(runs[0]["fingerprint"]["device"])


def _start_clocks(records: Iterable[Record]) -> dict[str, float]:
    """By the key of a timing, the clock at which the device came to it, where a run's records tell."""
    found: dict[str, float] = {}
    last_hz: float | None = None
    for record in records:
        if record["record"] == "run":
            last_hz = None
        start_hz = record.get("rested_clock_hz", last_hz)
        if record["record"] == "timing" and start_hz is not None:
            found[record["key"]] = start_hz
        last_hz = record.get("clock_hz", last_hz)
    return found


def _score(
    timings: Iterable[Record],
    machine: Machine,
    launch_s: float | None,
    start_clocks: Mapping[str, float],
    left_out: Counter[str],
) -> Iterable[Scored]:
    peers: dict[tuple[str, str], dict[str, float]] = {}
    ours: list[Record] = []
    for record in timings:
        if record["implementation"] == OURS:
            ours.append(record)
        else:
            beside = peers.setdefault((record["kernel"], record["name"]), {})
            beside[record["implementation"]] = float(record["median_s"])
    for record in ours:
        try:
            predicted = predict_record(record, machine, launch_s)
        except LightboundError as error:
            left_out[f"{record['kernel']}: {error.field} {error.problem}"] += 1
            continue
        beside = peers.get((record["kernel"], record["name"]), {})
        yield Scored(record, machine.name, predicted, beside, start_clocks.get(record["key"]))


def predict_record(record: Mapping[str, Any], machine: Machine, launch_s: float | None) -> GpuPrediction:
    """The prediction of a timing as it was run: its tile, in a run of its length."""
    case, tile = Case(**record["case"]), Tile(**record["tile"])
    kernel = find_kernel(case.kernel)
    capability = int(machine.params.get("compute_capability", 0))
    try:
        launches = kernel.launches(case, tile, capability)
    except KeyError as missing:
        problem = f"lacks {missing}: it is a tile of another version of the kernel"
        raise LightboundError("tile", tile.name, problem, "Measure the case again.") from missing
    code = known_code(kernel, case, tile, capability, len(launches))
    work, cached = Work(**record["work"]), _fits_cache(record, machine)
    return predict_case(launches, machine, work, float(record["run_s"]), launch_s, code, cached)


def _fits_cache(record: Mapping[str, Any], machine: Machine) -> bool:
    """Whether the inputs and outputs of all calls that a sample went through are in the cache together."""
    held = float(record.get("sets", 0)) * float(record.get("bytes", 0))
    return any(level.cache and 0 < held <= float(level.capacity_bytes or 0) for level in machine.levels)


def machine_for(name: str) -> Machine:
    """A machine by its name or file, for records of a device that was probed."""
    return find_machine(name)
