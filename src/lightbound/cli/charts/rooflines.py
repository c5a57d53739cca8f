"""A roofline: how many multiply-adds a second so many of them a byte allow, and where kernels lie under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .chart import Axis, Chart, Series

WIDER = 8.0  # than the points, on both sides


@dataclass(frozen=True)
class Point:
    """Something that does the work in `time_s` and moves `bytes` from the outermost level; hollow if it is a bound."""

    name: str
    time_s: float
    bytes: float
    hollow: bool = False


def roofline(
    title: str, macs: float, bandwidth: float, ceilings: Mapping[str, float], points: Sequence[Point]
) -> Chart:
    """The roofline of `macs` multiply-adds, with the bandwidth of the outermost level in bytes a second.

    ceilings: the seconds for which a unit is busy with this work if it alone counts, by its name.
    """
    at = [macs / point.bytes for point in points]
    tops = {name: macs / time for name, time in ceilings.items() if time > 0}
    lowest = min(tops.values())
    ridge = lowest / bandwidth
    ends = min(*at, ridge) / WIDER, max(*at, ridge) * WIDER
    slope = sorted({ends[0], ridge})
    series = [Series("bandwidth of memory", slope, [bandwidth * x for x in slope], "line", like=4)]
    for number, (name, top) in enumerate(sorted(tops.items(), key=lambda item: item[1])):
        first = max(top / bandwidth, ends[0]) if top == lowest else ridge
        series.append(Series(f"{name} always busy", [first, ends[1]], [top, top], "line", like=number))
    for number, (point, x) in enumerate(zip(points, at, strict=True)):
        rate = macs / point.time_s
        series.append(Series(point.name, [x], [rate], hollow=point.hollow, like=number))
    best = min(points, key=lambda point: point.time_s)
    last = points[0]
    roof = min(lowest, bandwidth * at[0])
    says = (
        f"Roofline of {macs:.3g} multiply-adds. {last.name} does {macs / last.time_s:.3g} of them a second at "
        f"{at[0]:.3g} a byte, {macs / last.time_s / roof:.0%} of what the roof allows there; the fastest point is "
        f"{best.name} at {macs / best.time_s:.3g} a second."
    )
    x, y = Axis("multiply-adds a byte of memory traffic", log=True), Axis("multiply-adds a second", log=True)
    return Chart(title, says, x, y, series)
