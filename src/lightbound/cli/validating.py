"""``lightbound validate``: suites run, each with its checks against their bars and its errors by group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightbound.base.errors import LightboundError, choose_from
from lightbound.validate.suite import Check, SuiteReport, find_suite, run_suite, suite_names

from .answer import Answer, Block, Table, Text
from .progress import progress

if TYPE_CHECKING:
    from .charts.chart import Picture


def answer(names: Sequence[str], cases: Path | None, machine: str | None = None) -> tuple[Answer, bool]:
    """The reports of these suites, and whether every one passed; without names, of all that do not measure."""
    known = suite_names()
    for name in names:
        if name not in known:
            raise LightboundError("suite", name, "does not exist", choose_from(known, name))
    chosen = list(dict.fromkeys(names)) or [name for name in known if not find_suite(name).by_name]
    if cases is not None and len(chosen) > 1:
        remedy = f"Name one: lightbound validate {chosen[0]} --cases {cases}."
        raise LightboundError("--cases", str(cases), "scores one suite", remedy)
    if machine is not None and len(chosen) > 1:
        raise LightboundError("--machine", machine, "is for one suite", "Name one: lightbound validate gpu.")
    reports: list[SuiteReport] = []
    with progress("Validating", total=len(chosen)) as advance:
        for name in chosen:
            reports.append(run_suite(name, cases, machine))
            advance(1)
    passed = all(report.passed for report in reports)
    blocks = [block for report in reports for block in _blocks(report)]
    data = {"passed": passed, "suites": [report.to_dict() for report in reports]}
    records = [{"suite": report.name, **row} for report in reports for row in report.rows]

    def pictures() -> Sequence[Picture]:
        from .charts.errors import suite_charts

        return [chart for report in reports for chart in suite_charts(report)]

    return Answer(blocks, data, records, pictures), passed


def _blocks(report: SuiteReport) -> list[Block]:
    verdict = "PASS" if report.passed else "FAIL"
    checks = [
        (check.what, _fraction(check.value), "" if check.bar is None else _fraction(check.bar), _verdict(check))
        for check in report.checks
    ]
    blocks: list[Block] = [
        Text(f"{report.title}\nSource: {report.source}", title=f"{report.name}: {verdict}"),
        Table(("check", "value", "bar", "verdict"), checks, right=frozenset({"value", "bar"})),
    ]
    if report.groups:
        columns = ("group", "metric", "n", "MAPE", "median", "maximum", "bias", "rank corr.")
        rows = [
            (
                one.group,
                one.metric,
                str(one.n),
                *(_fraction(value) for value in (one.mape, one.median, one.max, one.bias)),
                "" if one.rank_correlation is None else f"{one.rank_correlation:.4f}",
            )
            for one in report.groups
        ]
        blocks.append(Table(columns, rows, title="Relative errors", right=frozenset(columns[2:])))
    if report.shown:
        cells = [tuple(_cell(name, row[name]) for name in report.shown) for row in report.rows]
        numbers = {name for name in report.shown if any(isinstance(row[name], int | float) for row in report.rows)}
        blocks.append(Table(report.shown, cells, title="Points", right=frozenset(numbers)))
    if report.notes:
        blocks.append(Text("\n".join(report.notes), title="Notes"))
    return blocks


def _verdict(check: Check) -> str:
    if check.bar is None:
        return "reported"
    return "PASS" if check.passed else "FAIL"


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if name.startswith("relative") and isinstance(value, float):
        return f"{value:+.1%}"
    return f"{value:,.5g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _fraction(value: float) -> str:
    """A fraction as a percentage, or with an exponent where that would read 0.00 %; a count as it is."""
    if value == 0 or isinstance(value, int):
        return str(int(value))
    return f"{value:.2%}" if abs(value) >= 1e-4 else f"{value:.1e}"
