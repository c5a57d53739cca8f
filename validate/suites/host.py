"""The host's own kernels, predicted and measured here and now. It is run on request: its figures are of this machine.

No number is fitted, so shapes that are held out should be predicted as well as the others; but which mechanisms are
modelled was chosen with such timings in view. Bars are wide, for machines
that others use at the same time; benchmarks/host.py reports the figures against those one would want.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

from lightbound.archs.cached import probed_file
from lightbound.base.errors import LightboundError

from ..host.compare import Compared, Comparison, compare
from ..host.front_end import NEARLY, issued_whole_per_s
from ..host.machine_file import write_machine
from ..host.predict import host_machine, issue_width
from ..host.probe import probe_host
from ..suite import Check, Score, Suite, SuiteReport

CONTROLS = ("gemm", "softmax", "exp")
BARS = {"all": 0.20, "controls": 0.20, "held": 2.0}  # of a noisy machine
BUDGET_S, REPEATS = 150.0, 12


def run() -> SuiteReport:
    """Compare all kernels at all shapes, after a probe where this machine has none."""
    notes: tuple[str, ...] = ()
    why = _unprobed()
    if why:
        path = write_machine(probe_host())
        notes = (f"This machine was probed first, since {why}: {path}",)
    return report(compare(repeats=REPEATS, budget_s=BUDGET_S), notes)


def _unprobed() -> str:
    """Why a probe is due: there is none, none of this version, or cores now issue more than they did in it."""
    if not Path(probed_file("host")).is_file():
        return "it had not been"
    try:
        machine = host_machine(1)
        probed = issue_width(machine) * float(machine.clock_hz)
    except (LightboundError, KeyError):
        return "its file is of another version"
    now = median(issued_whole_per_s(most_s=1.0))
    if now * NEARLY > probed:
        return f"a core issued {probed / 1e9:.1f} thousand million instructions a second then, and {now / 1e9:.1f} now"
    return ""


def report(found: Comparison, notes: tuple[str, ...] = (), bars: dict[str, float] | None = None) -> SuiteReport:
    """A comparison against bars."""
    limits = BARS if bars is None else bars
    judged = found.judged
    controls = [one for one in judged if one.case.kernel in CONTROLS]
    held = [one for one in judged if one.case.held_out]
    others = [one for one in judged if not one.case.held_out]
    checks = [
        Check(f"mean error of the predicted time, {len(judged)} cases", limits["all"], _mean(judged)),
        Check(
            f"mean error of controls ({', '.join(CONTROLS)}), {len(controls)} cases",
            limits["controls"],
            _mean(controls),
        ),
        Check(
            f"mean error of {len(held)} held-out cases over that of {len(others)} others",
            limits["held"] if held and others else None,
            _mean(held) / _mean(others) if held and others else 0.0,
        ),
        Check("cases faster than their bound, beyond the interval", 0, sum(one.violates for one in found.cases)),
    ]
    quiet = f"{len(judged)} of {len(found.cases)} cases are judged. {found.noise}".strip()
    told = (*notes, f"{found.machine}.", quiet, *(one for one in (found.clock, found.copying, found.sharing) if one))
    return SUITE.report(checks, [_score(one) for one in judged], told)


def _mean(cases: list[Compared] | tuple[Compared, ...]) -> float:
    return sum(abs(one.error) for one in cases) / len(cases) if cases else 0.0


def _score(one: Compared) -> Score:
    keys = {"shape": one.case.name, "held_out": one.case.held_out, "bottleneck": one.predicted.bottleneck}
    return Score(one.case.kernel, "latency_s", keys, one.measured.median_s, one.predicted.latency_s)


SUITE = Suite(
    name="host",
    title="The host's kernels, predicted and measured on this machine",
    source="lightbound probe host; csrc/host_*",
    run=run,
    by_name=True,
)
