"""Predicted against measured, and both on the roofline: drawn to a file with matplotlib, which loads here alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightbound.base.place import writing
from lightbound.sim.explain import seconds
from lightbound.validate.host.compare import Compared, Comparison

MARKS = "osD^v<>PX*hd"
COLOURS = (*(f"C{number}" for number in range(10)), "black", "gold")
BANDS = (0.1, 0.25)


def draw(found: Comparison, path: Path) -> None:
    """Write a scatter with error bands, and a roofline with both points of every case."""
    from matplotlib.figure import Figure  # no pyplot: a file needs no display

    figure = Figure(figsize=(13, 6.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(f"{found.machine}; {found.threads} thread{'s' if found.threads > 1 else ''}")
    kernels = list(dict.fromkeys(one.case.kernel for one in found.cases))
    looks = {
        kernel: {"marker": MARKS[number % len(MARKS)], "color": COLOURS[number % len(COLOURS)], "markersize": 5}
        for number, kernel in enumerate(kernels)
    }
    _scatter(left, found, looks)
    _roofline(right, found, looks)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)
    with writing("--plot", path):
        figure.savefig(path, dpi=150)


def _points(found: Comparison, kernel: str) -> list[Compared]:
    return [one for one in found.cases if one.case.kernel == kernel]


def _scatter(axes: Any, found: Comparison, looks: dict[str, dict[str, Any]]) -> None:
    times = [time for one in found.cases for time in (one.predicted.latency_s, one.measured.median_s)]
    ends = [min(times) / 1.5, max(times) * 1.5]
    for band in reversed(BANDS):
        low, high = [end * (1 - band) for end in ends], [end * (1 + band) for end in ends]
        axes.fill_between(ends, low, high, color="0.85" if band == BANDS[-1] else "0.7", linewidth=0)
        axes.annotate(
            f"{band:.0%}", (ends[1], low[1]), xytext=(3, 0), textcoords="offset points", fontsize=8, va="center"
        )
    axes.plot(ends, ends, color="black", linewidth=0.8)
    for kernel, look in looks.items():
        some = _points(found, kernel)
        x = [one.measured.median_s for one in some]
        below = [max(one.measured.median_s - one.measured.interval_s[0], 0.0) for one in some]
        above = [max(one.measured.interval_s[1] - one.measured.median_s, 0.0) for one in some]
        y = [one.predicted.latency_s for one in some]
        axes.errorbar(x, y, xerr=[below, above], linestyle="", elinewidth=0.8, label=kernel, **look)
    axes.set(xscale="log", yscale="log", xlabel="measured", ylabel="predicted", xlim=ends, ylim=ends)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: seconds(value))
    axes.set_title("Predicted against measured, with bands of error", fontsize=10)


def _roofline(axes: Any, found: Comparison, looks: dict[str, dict[str, Any]]) -> None:
    shown = [one for one in found.cases if one.predicted.operations]
    if not shown:
        axes.set_title("No case has a product to draw a roofline for", fontsize=10)
        return
    intensity = {id(one): one.predicted.operations / one.predicted.bytes for one in shown}
    ends = [min(intensity.values()) / 4, max(intensity.values()) * 4]
    ridge = found.peak_flops / found.bandwidth_bytes_per_s
    points = sorted({*ends, min(max(ridge, ends[0]), ends[1])})
    roof = [min(found.peak_flops, found.bandwidth_bytes_per_s * x) for x in points]
    axes.plot(points, roof, color="black", linewidth=1.2)
    axes.annotate("peak of multiply-adds; memory on the left", (points[-1], roof[-1]), xytext=(0, 4), ha="right",
                  textcoords="offset points", fontsize=8)  # fmt: skip
    for one in shown:
        x, look = intensity[id(one)], looks[one.case.kernel]
        measured = one.predicted.operations / one.measured.median_s
        predicted = one.predicted.operations / one.predicted.latency_s
        axes.plot([x, x], [measured, predicted], color=look["color"], linewidth=0.8)
        axes.plot(x, measured, **look)
        axes.plot(x, predicted, fillstyle="none", **look)
    axes.set(xscale="log", yscale="log", xlabel="operations a byte of compulsory traffic", ylabel="operations a second")
    axes.set_title("Roofline: measured (filled) and predicted (hollow)", fontsize=10)
