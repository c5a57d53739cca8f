"""Operators of neural networks on GPUs, measured by others: products, softmax, normalization, elementwise functions.

No measured table ships with lightbound: this suite scores a user's. What is predicted is a kernel; what is measured is
a call of a framework. The overhead between them is the time of a call that computes nothing, one number for an operator
and GPU: stated by the table (`overhead_s`) or by those who measured, else the quickest call of that operator. Scores
with one overhead for all operators of a GPU stand beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cases import Column, read_cases
from ..operators import IN_COLUMNS, IN_ONE_CELL, Row, read_operators
from ..overheads import best_of, mean_errors, within_bar
from ..suite import Check, Score, Suite, SuiteReport, group_statistics

PUBLISHED = Path(__file__).parents[1] / "published"
BARS = {"matmul": 0.05, "softmax": 0.09, "layernorm": 0.08, "gelu": 0.055}
BARRED = "A100"  # the device, as LLMCompass's table names it, that the bars are for
LATENCY, ONE = "latency_s", "latency_s, one overhead"
_OVERHEADS = (
    Column("device", "text"),
    Column("operator", "text"),
    Column("path", "text"),
    Column("overhead_s", "number"),
    Column("source", "text"),
)
_NOTES = (
    "Inputs, not predictions: the overhead of the framework, which is added to what is predicted for the kernel.",
    "Tiles are those of libraries, passes over rows those of PyTorch's kernels, bandwidths from microbenchmarks. Which "
    "mechanisms are modelled was chosen with some of these rows in view: docs/operators.md says which.",
)


def run() -> SuiteReport:
    """No figures ship with lightbound; the report says what file to hand in."""
    columns = ", ".join(column.name for column in IN_ONE_CELL if not column.optional)
    others = ", ".join(column.name for column in IN_COLUMNS if not column.optional)
    return SUITE.report(
        (),
        (),
        (
            "Nothing is scored without a file: lightbound validate operators --cases FILE.csv",
            f"Columns of the file: {columns}; or {others}. The overhead of a call may stand in overhead_s.",
        ),
    )


def score_file(path: Path) -> SuiteReport:
    """The rows of a user's table, by operator and GPU."""
    known = _measured_by_stater(path)
    stated = _stated_overheads() if known else {}
    compiled = {cells["operator"] for cells in _stated() if cells["path"] == "compiled"} if known else set[str]()
    rows, others = read_operators(path, compiled)
    own = _overheads(rows, lambda row: (row.device, row.operator), stated)
    one = _overheads(rows, lambda row: (row.device, ""), {})
    scores = [
        *(_score(row, LATENCY, own[row.device, row.operator]) for row in rows),
        *(_score(row, ONE, one[row.device, ""]) for row in rows),
    ]
    scores.sort(key=lambda score: score.metric)
    left_out = (f"Not scored, {count} rows of {reason}." for reason, count in others.items())
    used = (
        f"Overhead of {operator} on {device}: {1e6 * seconds:.1f} us "
        f"({'stated by who measured it' if (device, operator) in stated else 'its quickest call'})."
        for (device, operator), seconds in own.items()
    )
    limits = _limits(rows) if stated else ()
    return SUITE.report(_checks(scores, bool(stated)), scores, (*_NOTES, *used, *limits, *left_out))


def _measured_by_stater(path: Path) -> bool:
    """Whether a table is by those whose overheads are known: theirs has their own predictions beside."""
    return "llmcompass_predicted_latency_s" in path.read_text(encoding="utf-8").partition("\n")[0]


def _stated_overheads() -> dict[tuple[str, str], float]:
    return {(cells["device"], cells["operator"]): cells["overhead_s"] for cells in _stated()}


def _stated() -> list[Mapping[str, Any]]:
    return [case.cells for case in read_cases(PUBLISHED / "operator_overheads.csv", _OVERHEADS)]


def _limits(rows: Sequence[Row]) -> tuple[str, ...]:
    """What one overhead could do on the device of the bars: for an operator, for a path of the framework, for all."""
    errors = mean_errors(row for row in rows if row.device == BARRED)
    made = []
    for operator in (name for name in errors if name in BARS):
        good = within_bar(errors[operator], BARS[operator])
        least = f"{errors[operator].min():.1%} at best"
        held = f"between {1e6 * good[0]:.1f} and {1e6 * good[1]:.1f} us" if good else "under no overhead"
        made.append(f"{operator} on {BARRED} keeps to its bar of {BARS[operator]:.1%} {held}: {least}.")
    paths: dict[str, list[str]] = {}
    for cells in _stated():
        if cells["device"] == BARRED and cells["operator"] in errors:
            paths.setdefault(cells["path"], []).append(cells["operator"])
    paths["any"] = [operator for operators in paths.values() for operator in operators]
    for path, operators in paths.items():
        best = best_of(errors, BARS, operators)
        each = ", ".join(f"{operator} {error:.1%}" for operator, error in best.errors.items())
        made.append(
            f"Best one overhead for calls of {path} path on {BARRED}, chosen on these rows: "
            f"{1e6 * best.overhead_s:.1f} us: {each}; {'' if best.within(BARS) else 'not '}within the bars."
        )
    return tuple(made)


def _overheads(
    rows: Iterable[Row], key: Callable[[Row], tuple[str, str]], stated: dict[tuple[str, str], float]
) -> dict[tuple[str, str], float]:
    """For each key the stated overhead, or the least that a row leaves beside its kernel's time."""
    quickest: dict[tuple[str, str], Row] = {}
    for row in rows:
        if key(row) not in quickest or row.measured_s < quickest[key(row)].measured_s:
            quickest[key(row)] = row
    return {
        name: stated[name] if name in stated else max(0.0, row.measured_s - row.kernel_s)
        for name, row in quickest.items()
    }


def _score(row: Row, metric: str, overhead_s: float) -> Score:
    overhead = overhead_s if row.overhead_s is None else row.overhead_s
    keys = {"device": row.device, "operator": row.operator, **row.sizes, "overhead_s": overhead}
    return Score(f"{row.operator} on {row.device}", metric, keys, row.measured_s, row.kernel_s + overhead)


def _checks(scores: Sequence[Score], barred: bool) -> tuple[Check, ...]:
    made = []
    for group in group_statistics(scores):
        operator, _, device = group.group.partition(" on ")
        bar = BARS.get(operator) if barred and device == BARRED and group.metric == LATENCY else None
        made.append(Check(f"{group.group}, {group.metric}: mean error of {group.n} rows", bar, group.mape))
    return tuple(made)


SUITE = Suite(
    name="operators",
    title="Measured operators on GPUs: matrix products, softmax, layer normalization, elementwise functions",
    source="a table of measured latencies that you hand in",
    run=run,
    score=score_file,
    columns=tuple(dict.fromkeys(column.name for column in (*IN_ONE_CELL, *IN_COLUMNS))),
)
