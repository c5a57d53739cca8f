"""Kernels on GPUs: recorded measurements of a campaign against what is predicted for the same cases.

Models are made with the calibration cases in view; the held-out third, chosen by a hash, is what the bars are about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median

from lightbound.archs.machine import Machine
from lightbound.sim.explain import seconds

from ..gpu.records import Measured, Scored, read_measured, recorded_files
from ..statistics import ErrorStatistics, error_statistics
from ..suite import Check, Score, Suite, SuiteReport

MEAN, LARGEST = 0.05, 0.15  # of the held-out cases
METRIC = "latency_s"
_NOTHING = (
    "Nothing is recorded yet: run `lightbound measure --device cuda` on a machine with a GPU, and score its file "
)
_NOTES = (
    "A case is timed back to back in CUDA graphs over inputs that exceed the L2 cache, so that its clock is that of a "
    "long run; it is predicted so. What a launch takes inside a graph is that of a kernel which does nothing, from the "
    "same file. bias is the signed mean, negative where predictions are too fast; a case is small where its bound is "
    "below 20 us, and the resource beside is the one that bounds it.",
)


def run() -> SuiteReport:
    """The records that ship with lightbound."""
    return report(read_measured(recorded_files()))


def score_file(path: Path) -> SuiteReport:
    """The records of a user's file, on the machine that it names."""
    return report(read_measured([path]))


def score_on(path: Path | None, machine: Machine) -> SuiteReport:
    """Records on a machine of the user's choice, such as a probed one."""
    return report(read_measured([path] if path is not None else recorded_files(), machine))


def report(found: Measured) -> SuiteReport:
    """What is scored, against the bars; it passes where there is nothing."""
    scored = found.scored
    notes = [*_NOTES, f"{found.where}."] if scored else [f"{_NOTHING}with --cases FILE."]
    if found.left_out:
        told = "; ".join(f"{count} {why}" for why, count in found.left_out.items())
        notes.append(f"Not predicted, {sum(found.left_out.values())} cases: {told}.")
    wrong = sorted({record["kernel"] for record in found.checks if record["passed"] is False})
    if wrong:
        notes.append(f"Wrong on the device, and so not timed: {', '.join(wrong)}.")
    scores = [_as_score(one) for one in scored]
    return SuiteReport(
        name=SUITE.name,
        title=SUITE.title,
        source=SUITE.source,
        checks=tuple(_checks(scored)),
        groups=tuple(_groups(scored)),
        rows=tuple(score.to_dict() for score in scores),
        notes=tuple(notes),
    )


def _as_score(one: Scored) -> Score:
    """A row: what was measured and predicted, and what models are mended by. Cycles are those of the longest kernel."""
    predicted, longest = one.predicted, one.predicted.longest
    keys = {
        "case": one.case,
        "tile": one.tile,
        "held_out": one.held_out,
        "split": one.split,
        "machine": one.machine,
        "measured_s": one.measured_s,
        "predicted_s": predicted.latency_s,
        "launches": predicted.launches,
        "launch_s": predicted.launch_s,
        "bound_s": predicted.bound_s,
        "bound": predicted.regime,
        "size": one.size,
        "bottleneck": predicted.bottleneck,
        "waits": one.waits,
        "explanation": one.explanation,
        "kernels": ", ".join(f"{kernel.mapping} {seconds(kernel.kernel_s)}" for kernel in predicted.kernels),
        "measured_clock_hz": one.clock_hz,
        "start_clock_hz": one.start_clock_hz,
        "predicted_clock_hz": predicted.clock_hz,
        "relative_clock_error": one.clock_error,
        "relative_error_at_clock": one.error_at_clock,
        **{name: value for name, value in asdict(longest).items() if name not in ("mapping", "kernel_s", "clock_hz")},
        **{name: one.record.get(name) for name in ("sm_mhz", "power_w", "run_s", "idle_s", "l2")},
    }
    return Score(one.kernel, METRIC, keys, one.measured_s, predicted.latency_s)


def _checks(scored: Sequence[Scored]) -> list[Check]:
    if not scored:
        return [Check("cases recorded", None, 0)]
    held = [one for one in scored if one.held_out]
    others = [one for one in scored if not one.held_out]
    checks: list[Check] = []
    if held:
        checks += [
            Check(f"MAPE of {len(held)} held-out cases", MEAN, _mape(held)),
            Check(f"largest error of {len(held)} held-out cases", LARGEST, max(abs(one.error) for one in held)),
            Check(f"bias of {len(held)} held-out cases", None, fmean(one.error for one in held)),
        ]
    if fresh := [one for one in held if one.split == "fresh"]:
        checks += [
            Check(f"MAPE of {len(fresh)} fresh cases, drawn for a blind test", MEAN, _mape(fresh)),
            Check(f"largest error of {len(fresh)} fresh cases", LARGEST, max(abs(one.error) for one in fresh)),
            Check(f"bias of {len(fresh)} fresh cases", None, fmean(one.error for one in fresh)),
        ]
    if others:
        checks += [
            Check(f"MAPE of {len(others)} calibration cases", None, _mape(others)),
            Check(f"largest error of {len(others)} calibration cases", None, max(abs(one.error) for one in others)),
        ]
    checks.append(Check("cases faster than their bound", 0, sum(one.violates for one in scored)))
    checks += _clock_checks(held, "held-out") + _clock_checks(others, "calibration")
    for kernel, some in _by(held, lambda one: one.kernel).items():
        checks.append(Check(f"MAPE of held-out cases, {kernel}, {len(some)}", None, _mape(some)))
    for name, ratios in sorted(peer_ratios(scored).items()):
        what = (
            f"time of {name.partition(': ')[0]} over that of {name.partition(': ')[2]}, median of {len(ratios)} cases"
        )
        checks.append(Check(what, None, median(ratios)))
    return checks


def _clock_checks(some: Sequence[Scored], split: str) -> list[Check]:
    """How far the clock that is predicted is off, and what is left where it is taken as it was."""
    off = [abs(error) for one in some if (error := one.clock_error) is not None]
    left = [abs(error) for one in some if (error := one.error_at_clock) is not None]
    if not off:
        return []
    return [
        Check(f"mean error of the clock in {len(off)} {split} cases", None, fmean(off)),
        Check(f"MAPE of {len(left)} {split} cases at their true clock", None, fmean(left)),
        Check(f"largest error of {len(left)} {split} cases at their true clock", None, max(left)),
    ]


def peer_ratios(scored: Iterable[Scored]) -> dict[str, list[float]]:
    """Our times over those of peers at the same cases, by ``kernel: peer``."""
    found: dict[str, list[float]] = {}
    for one in scored:
        for peer, peer_s in one.peers.items():
            found.setdefault(f"{one.kernel}: {peer}", []).append(one.measured_s / peer_s)
    return found


def _groups(scored: Sequence[Scored]) -> list[ErrorStatistics]:
    by_kernel = _by(scored, lambda one: f"{one.kernel}, {one.split}")
    within = _by(scored, lambda one: f"{one.kernel}, {one.split}, {one.size}, bound by {one.predicted.regime}")
    by_regime = _by(scored, lambda one: f"all, {one.split}, {one.size}, bound by {one.predicted.regime}")
    by_wait = _by(scored, lambda one: f"all, {one.split}, waiting for {one.predicted.bottleneck}")
    return [
        error_statistics(name, METRIC, [one.predicted.latency_s for one in some], [one.measured_s for one in some])
        for groups in (by_kernel, within, by_regime, by_wait)
        for name, some in groups.items()
    ]


def _by(scored: Iterable[Scored], key: Callable[[Scored], str]) -> dict[str, list[Scored]]:
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(key(one), []).append(one)
    return dict(sorted(groups.items()))


def _mape(some: Sequence[Scored]) -> float:
    return fmean(abs(one.error) for one in some)


SUITE = Suite(
    name="gpu",
    title="Kernels on GPUs: recorded measurements and their predictions",
    source="lightbound measure --device cuda; validate/measurements",
    run=run,
    score=score_file,
    score_on=score_on,
    columns=("records of a campaign, one JSON object a line",),
)
