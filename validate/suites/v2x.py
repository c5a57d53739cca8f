"""V2X: links, contention and cooperative perception against closed forms, published figures and measurements.

Every case has a tolerance of its own. What ns-3 and shaped ports measured is held to tighter bars besides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightbound.base.errors import LightboundError
from lightbound.sim.agents.queues import asynchronous_delay

from ..agent_answers import AGENTS, drawn_delays
from ..cases import Case, Column, read_cases
from ..link_case import LinkCase, answer
from ..radio_answers import RADIO
from ..suite import Check, Score, Suite, SuiteReport, largest_error

PUBLISHED = Path(__file__).parents[1] / "published"
COLUMNS = (
    Column("id", "text"),
    Column("kind", "text"),
    Column("tech", "text"),
    Column("description", "text", empty=True, optional=True),
    Column("params", "text"),
    Column("quantity", "text"),
    Column("unit", "text"),
    Column("value", "text"),
    Column("tol_pct", "text"),
    Column("source", "text", empty=True, optional=True),
)
ROUNDING = 1e-9  # what a tolerance of nothing leaves to the last digits of a float
_NOTES = (
    "Figures of kind measured_ns3 are answered by events, with other draws than ns-3's; both carry the noise of their "
    "seeds. ns-3 counts symbols of 4 us in a channel of 10 MHz, and those cases state so.",
    "Broadcast among ten and more is not scored: no rule for who hears what agrees with ns-3 there.",
    "No block error rates of LTE and NR are modelled, and no accuracy of detection.",
)


@dataclass(frozen=True)
class _Scored:
    score: Score
    kind: str
    senders: int
    rate: float
    tolerance: float

    @property
    def within(self) -> bool:
        return abs(self.score.error) <= self.tolerance + ROUNDING


def run() -> SuiteReport:
    """The cases that ship with lightbound, and the delay model of OpenCOOD without contention."""
    scored = [_scored(case) for case in read_cases(PUBLISHED / "v2x_cases.csv", COLUMNS)]
    return SUITE.report((*_checks(scored), *_delay_checks()), [one.score for one in scored], _NOTES)


def score_file(path: Path) -> SuiteReport:
    """The cases of a user's file."""
    scored = [_scored(case) for case in read_cases(path, COLUMNS)]
    return SUITE.report(_checks(scored), [one.score for one in scored], _NOTES)


def _scored(case: Case) -> _Scored:
    cells = case.cells
    value, tolerance = (_number(cells[name], f"{case.where}: {name}") for name in ("value", "tol_pct"))
    if value == 0 or tolerance < 0:
        problem = "is a reference of zero" if value == 0 else "is a negative tolerance"
        raise LightboundError(case.where, cells["id"], problem, "Errors are relative: correct the row.")
    one = LinkCase(cells, case.where)
    found, how = answer(one, {**RADIO, **AGENTS})
    keys = {"id": cells["id"], "unit": cells["unit"], "by": how, "tolerance": tolerance / 100}
    score = Score(f"{cells['tech']}, {cells['kind']}", cells["quantity"], keys, value, found)
    return _Scored(
        score, cells["kind"], int(one.params.get("N", 0)), float(one.params.get("rate_mbps", 0)), tolerance / 100
    )


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LightboundError(where, text, "is not a finite number", "Write one, such as 1.5.")
    return value


def _checks(scored: Sequence[_Scored]) -> list[Check]:
    beyond = [one for one in scored if not one.within]
    named = f": {', '.join(str(one.score.keys['id']) for one in beyond[:5])}" if beyond else ""
    checks = [Check(f"of {len(scored)} cases, beyond their tolerance{named}", 0, len(beyond))]
    ns3 = [one for one in scored if one.kind == "measured_ns3"]
    saturated = [one for one in ns3 if one.score.metric == "throughput"]
    crowded = [one for one in saturated if one.senders >= 50 and one.rate >= 27]
    groups = (
        ("ns-3, saturation, largest error", 0.015, [one for one in saturated if one not in crowded]),
        ("ns-3, saturation of 50 senders at 27 Mb/s, largest error", 0.03, crowded),
        ("ns-3, mean completion of synchronised frames, largest error", 0.015, _of(ns3, "mean_ms")),
        ("ns-3, p95 completion of synchronised frames, largest error", 0.025, _of(ns3, "p95")),
        ("shaped port, TCP and UDP, largest error", 0.01, [one for one in scored if one.kind == "measured_netns"]),
    )
    checks += [Check(what, bar, largest_error([one.score for one in group])) for what, bar, group in groups if group]
    return checks


def _of(scored: Sequence[_Scored], quantity: str) -> list[_Scored]:
    return [one for one in scored if one.score.metric == quantity]


def _delay_checks() -> list[Check]:
    """OpenCOOD's delay model, in closed form and by events: 39.26 ms of sending, 99.26 ms in the mean, 0.4926 late."""
    exact = asynchronous_delay(1.06e6, 27e6, 0.1, 0.01)
    printed = ((1e3 * exact.sending_s, 39.26), (1e3 * exact.mean_s, 99.26), (exact.stale, 0.4926))
    closed = max(abs(found / given - 1) for found, given in printed)
    drawn = drawn_delays({"overhead_ms": 100, "backbone_ms": 10, "data_Mb": 1.06, "rate_mbps": 27})
    mean = float(abs(drawn.mean() / exact.mean_s - 1))
    late = float(abs((drawn >= 0.1).mean() / exact.stale - 1))
    return [
        Check("OpenCOOD's delay without contention (39.26 ms, 99.26 ms, 0.4926), closed form", 1e-4, closed),
        Check("OpenCOOD's delay without contention, by events: error of the mean", 0.01, mean),
        Check("OpenCOOD's delay without contention, by events: error of the share that is late", 0.03, late),
    ]


SUITE = Suite(
    name="v2x",
    title="V2X links and cooperating agents: airtime, contention, reservation, loss, messages, delays",
    source="IEEE 802.11, 3GPP TS 36.213, 38.214, 38.521-4; Bianchi 2000; OpenCOOD; ns-3.44 and Linux tc, measured",
    run=run,
    score=score_file,
    columns=tuple(column.name for column in COLUMNS),
)
