"""A Pareto frontier: of many points, those that no other beats on both axes; and the methods of a catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightbound.validate.catalogue import Entry

from .chart import Axis, Chart, Picture, Series


def pareto(title: str, x: Axis, y: Axis, points: Sequence[tuple[float, float]], labels: Sequence[str]) -> Chart:
    """Points by two figures of which less is better, and the frontier through those that no other beats on both."""
    order = sorted(range(len(points)), key=lambda number: points[number])
    best: list[int] = []
    for number in order:
        if not best or points[number][1] < points[best[-1]][1]:
            best.append(number)
    rest = [number for number in range(len(points)) if number not in set(best)]

    def series(name: str, chosen: Sequence[int], **more: Any) -> Series:
        shown = [points[number] for number in chosen]
        words = [labels[number] for number in chosen]
        return Series(name, [one[0] for one in shown], [one[1] for one in shown], labels=words, **more)

    least = points[best[0]], points[best[-1]]
    says = (
        f"{len(points)} points, {len(best)} of them on the frontier: from {labels[best[0]]} ({x.say(least[0][0])}, "
        f"{y.say(least[0][1])}) to {labels[best[-1]]} ({x.say(least[1][0])}, {y.say(least[1][1])})."
    )
    found = [series("on the frontier", best), series("frontier", best, form="stairs", like=0)]
    return Chart(title, says, x, y, [*found, *([series("others", rest, hollow=True, like=1)] if rest else [])])


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
