"""A Pareto frontier: of many points, those that no other beats on both axes; and the methods of a catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from lightbound.sim.sweep.results import SweepResults
from lightbound.sim.sweep.spec import goal
from lightbound.validate.catalogue import Entry

from .chart import Axis, Chart, Picture, Series

MOST = 2000  # points beside the frontier: of more, every so many is drawn


def pareto(
    title: str,
    x: Axis,
    y: Axis,
    points: Sequence[tuple[float, float]],
    labels: Sequence[str],
    more: tuple[bool, bool] = (False, False),
) -> Chart:
    """Points by two figures, and the frontier through those that no other beats on both.

    Less of a figure is better, or more of it, as `more` says.
    """
    signs = [-1 if wanted else 1 for wanted in more]
    costs = [(signs[0] * one, signs[1] * other) for one, other in points]
    best: list[int] = []
    for number in sorted(range(len(points)), key=lambda number: costs[number]):
        if not best or costs[number][1] < costs[best[-1]][1]:
            best.append(number)
    rest = [number for number in range(len(points)) if number not in set(best)]
    rest = rest[:: -(-len(rest) // MOST)] if rest else []

    def series(name: str, chosen: Sequence[int], **options: Any) -> Series:
        shown = [points[number] for number in chosen]
        words = [labels[number] for number in chosen]
        return Series(name, [one[0] for one in shown], [one[1] for one in shown], labels=words, **options)

    ends = points[best[0]], points[best[-1]]
    says = (
        f"{len(points)} points, {len(best)} of them on the frontier: from {labels[best[0]]} ({x.say(ends[0][0])}, "
        f"{y.say(ends[0][1])}) to {labels[best[-1]]} ({x.say(ends[1][0])}, {y.say(ends[1][1])})."
    )
    found = [series("on the frontier", best), series("frontier", best, form="line", like=0)]
    return Chart(title, says, x, y, [*found, *([series("others", rest, hollow=True, like=1)] if rest else [])])


def sweep_charts(found: SweepResults, axes: Sequence[str] | None) -> list[Picture]:
    """The first two goals of a front, over all points; nothing for a sweep without two goals."""
    goals = [goal("pareto", text, found.columns) for text in axes] if axes is not None else list(found.axes)
    if len(goals) < 2:
        return []
    columns = [found.column(one.column) for one in goals[:2]]
    known = [number for number, pair in enumerate(zip(*columns, strict=True)) if all(isfinite(one) for one in pair)]
    if not known:
        return []
    spec = found.plan.spec
    names = [name for name in found.columns if name not in (*spec.metrics, *spec.derive)]
    fields = {name: found.column(name) for name in names}
    labels = [", ".join(f"{name} {_told(values[number])}" for name, values in fields.items()) for number in known]
    points = [(float(columns[0][number]), float(columns[1][number])) for number in known]
    log = [min(one[side] for one in points) > 0 for side in (0, 1)]
    x, y = (Axis(one.column, _unit(one.column), log[side]) for side, one in enumerate(goals[:2]))
    title = f"{goals[0].text}, {goals[1].text}"
    return [pareto(title, x, y, points, labels, (goals[0].maximize, goals[1].maximize))]


def _told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _unit(column: str) -> str:
    return "s" if column.endswith("_s") else "B" if column.endswith("bytes") else ""


def catalogue_charts(entries: Sequence[Entry]) -> list[Picture]:
    """For each machine latency and traffic of all methods, and their speedups over what they replace."""
    charts: list[Picture] = []
    for machine in dict.fromkeys(one.machine for one in entries):
        here = [one for one in entries if one.machine == machine and one.latency_s and one.traffic_bytes]
        if here:
            charts.append(_scatter(machine, here))
        faster = sorted((one for one in here if one.speedup), key=lambda one: -(one.speedup or 0.0))
        if faster:
            charts.append(_speedups(machine, faster))
    return charts


def _named(one: Entry) -> str:
    return one.method + (f", {one.preset}" if one.preset else "")


def _scatter(machine: str, entries: Sequence[Entry]) -> Chart:
    series = []
    for resource in dict.fromkeys(one.bottleneck for one in entries):
        some = [one for one in entries if one.bottleneck == resource]
        x, y = [float(one.traffic_bytes or 0) for one in some], [float(one.latency_s or 0) for one in some]
        series.append(Series(f"waits for {resource}", x, y, "points", [_named(one) for one in some]))
    slowest = max(entries, key=lambda one: one.latency_s or 0.0)
    says = f"{len(entries)} methods on {machine} by traffic and latency; the slowest is {_named(slowest)}."
    return Chart(f"Methods on {machine}", says, Axis("traffic", "B", True), Axis("latency", "s", True), series)


def _speedups(machine: str, entries: Sequence[Entry]) -> Chart:
    values = [float(one.speedup or 0) for one in entries]
    names = [_named(one) for one in entries]
    series = [Series("over dense", values, names, "bars", [f"{value:.3g}x" for value in values])]
    says = f"{len(entries)} methods have a dense workload beside them; {names[0]} gains most, {values[0]:.3g}x."
    return Chart(f"Speedup over dense on {machine}", says, Axis("speedup", "x", True), Axis("method"), series)
