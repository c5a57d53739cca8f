"""``lightbound sweep`` and ``lightbound results``: many predictions in tables, the best and the front of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightbound.base.errors import LightboundError
from lightbound.base.place import check_place
from lightbound.sim.sweep.results import SweepResults
from lightbound.sim.sweep.run import sweep

from .answer import Answer, Block, Table, Text
from .output import note
from .progress import tally

if TYPE_CHECKING:
    from .charts.chart import Picture

SHOWN = 100  # rows of a table; csv and json have all


def run(spec: Path, out: Path | None, scheduler: str | None, workers: int | None) -> SweepResults:
    """Run a sweep with a sign of life; where it is interrupted, say what is kept and how to go on."""
    file = out if out is not None else Path(f"{spec.stem}.sqlite")
    if file.suffix.lower() in (".yaml", ".yml"):
        raise LightboundError("--out", str(file), "would be written over a description", "Name another file.")
    check_place("--out", file)
    reached = (0, 0)
    try:
        with tally(f"Sweeping {spec.name}", "points") as show:

            def tell(done: int, total: int) -> None:
                nonlocal reached
                reached = (done, total)
                show(done, total)

            found = sweep(spec, file, scheduler=scheduler, workers=workers, progress=tell)
    except KeyboardInterrupt:
        options = ["--scheduler", scheduler] if scheduler is not None else []
        command = shlex.join(["lightbound", "sweep", str(spec), "--out", str(file), *options])
        note(f"Stopped. {reached[0]:,} of {reached[1]:,} points are kept in {file}. To go on: {command}")
        raise
    for name in found.empty():
        note(f"{name} holds nothing at any point: is {found.plan.spec.metrics.get(name, name)} what you meant?")
    return found


def results_answer(
    found: SweepResults, best: int = 10, objective: str | None = None, pareto: str | None = None
) -> Answer:
    """What a sweep came to: counts, the best points, a front, and errors; the first points where nothing is best."""
    if best < 1:
        raise LightboundError("--best", best, "is no number of points", "Write at least 1.")
    axes = [one.strip() for one in pareto.split(",")] if pareto is not None else None
    top = found.best(best, objective) if objective is not None or found.objective else []
    front = found.pareto(axes) if axes is not None or len(found.axes) > 1 else []
    goal = objective or (found.objective.text if found.objective else "")
    goals = pareto or ", ".join(axis.text for axis in found.axes)
    first = (
        [] if goal or front else found.query("SELECT * FROM points WHERE error IS NULL ORDER BY rowid LIMIT ?", [best])
    )
    errors = found.errors()
    blocks: list[Block] = [_summary(found)]
    if top:
        blocks.append(_table(top, f"Best by {goal}"))
    if first:
        blocks += _first(first, found)
    if front:
        blocks += _cut(front, f"No point beats these on {goals}")
    if errors:
        blocks.append(_table(errors, "Failures"))
    data = {
        **found.counts(), "objective": goal or None, "best": top, "pareto_axes": goals or None, "pareto": front,
        "first": first, "errors": errors,
    }  # fmt: skip

    def pictures() -> Sequence[Picture]:
        from .charts.frontier import sweep_charts

        return sweep_charts(found, axes)

    return Answer(blocks, data, (front if pareto is not None or not top else top) or first, pictures)


def query_answer(found: SweepResults, sql: str) -> Answer:
    """The rows that a query gives."""
    rows = found.query(sql)
    return Answer(_cut(rows, "") if rows else [Text("No rows.")], rows, rows)


def _summary(found: SweepResults) -> Table:
    spec = found.plan.spec
    fixed = " ".join(f"{field}={value}" for field, value in spec.fixed.items())
    state = "" if found.complete else ", more to come: the sweep is not finished"
    rows = [
        ("points", f"{found.points:,}{state}"),
        ("failed", f"{found.failed:,}" if found.failed else ""),
        ("everywhere", fixed),
        ("columns", " ".join(found.columns)),
        ("file", str(found.file)),
    ]
    return Table(("sweep", spec.name), [row for row in rows if row[1]])


def _first(rows: Sequence[Mapping[str, Any]], found: SweepResults) -> list[Block]:
    answered, metrics = found.points - found.failed, found.plan.spec.metrics
    title = "Points" if len(rows) == answered else f"The first {len(rows):,} of {answered:,} points"
    command = shlex.join(["lightbound", "results", str(found.file), "--objective", f"min {next(iter(metrics))}"])
    return [_table(rows[:SHOWN], title), Text(f"The sweep does not state what is best. To rank them: {command}")]


def _cut(rows: Sequence[Mapping[str, Any]], title: str) -> list[Block]:
    """A table that people can read: the first rows, and how many more there are."""
    blocks: list[Block] = [_table(list(islice(rows, SHOWN)), title)]
    if len(rows) > SHOWN:
        blocks.append(Text(f"{SHOWN} of {len(rows):,} rows; --format csv has all."))
    return blocks


def _table(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    columns = tuple(rows[0])
    right = {name for name in columns if all(isinstance(row[name], int | float | None) for row in rows)}
    cells = [tuple(_cell(row[name]) for name in columns) for row in rows]
    return Table(tuple(map(_cell, columns)), cells, title, frozenset(map(_cell, right)))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in str(value))
