"""The ski slope: traffic and latency against the capacity of a buffer, drawn to a file with matplotlib.

matplotlib is an extra and loads here alone. The figure is read without colour: lines differ in dash, and
each is labelled where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError
from lightbound.base.place import check_place, writing
from lightbound.sim.explain import seconds, size

SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class SkiSlope:
    """What is drawn: at each capacity in bytes the least traffic in bytes and the latency in seconds."""

    title: str
    level: str
    outermost: str
    capacity_bytes: Sequence[float]
    traffic_bytes: Sequence[float]
    latency_s: Sequence[float]
    compulsory_bytes: float
    smallest_compulsory_bytes: float | None
    machine_bytes: float | None


def check_drawable(path: Path) -> None:
    """Refuse, before any work, a file type that cannot be drawn, and a machine without matplotlib."""
    if path.suffix.lower() not in SUFFIXES:
        raise LightboundError(
            "--plot", str(path), "is of no kind that can be drawn", f"End it in {', '.join(SUFFIXES)}."
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        remedy = "Install it: pip install 'lightbound[plot]'."
        raise LightboundError("--plot", str(path), "needs matplotlib, which is not installed", remedy) from error
    check_place("--plot", path)


def draw(slope: SkiSlope, path: Path) -> None:
    """Write the figure to a file whose suffix tells its kind."""
    from matplotlib.figure import Figure  # no pyplot: a file needs no display

    figure = Figure(figsize=(8, 6.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    figure.suptitle(slope.title)
    above.set_xscale("log", base=2)
    _traffic(above, slope)
    _latency(below, slope)
    below.set_xlabel(f"capacity of {slope.level}")
    below.xaxis.set_major_formatter(lambda value, _: size(value))
    with writing("--plot", path):
        figure.savefig(path, dpi=150)


def _traffic(axes: Any, slope: SkiSlope) -> None:
    axes.set_yscale("log", base=2)
    _stairs(axes, slope, slope.traffic_bytes)
    axes.axhline(slope.compulsory_bytes, color="black", linestyle="--", linewidth=1)
    axes.annotate(
        f"compulsory: {size(slope.compulsory_bytes)}", (0.01, slope.compulsory_bytes), fontsize=9,
        xycoords=("axes fraction", "data"), xytext=(0, 4), textcoords="offset points",
    )  # fmt: skip
    axes.set_ylim(bottom=slope.compulsory_bytes / 2, top=max(slope.traffic_bytes) * 2)
    _mark(axes, slope.smallest_compulsory_bytes, "reached at", "-.", 0.92)
    _mark(axes, slope.machine_bytes, "this machine:", ":", 0.84)
    axes.set_ylabel(f"traffic at {slope.outermost}")
    axes.yaxis.set_major_formatter(lambda value, _: size(value))


def _latency(axes: Any, slope: SkiSlope) -> None:
    axes.set_yscale("log")
    _stairs(axes, slope, slope.latency_s)
    _mark(axes, slope.machine_bytes, "", ":", 0)
    axes.set_ylabel("latency")
    axes.yaxis.set_major_formatter(lambda value, _: seconds(value))
    axes.yaxis.set_minor_formatter(lambda value, _: "")


def _stairs(axes: Any, slope: SkiSlope, values: Sequence[float]) -> None:
    """A staircase, since a capacity allows what every smaller one does; it runs on to this machine's capacity."""
    end = max(slope.capacity_bytes[-1], slope.machine_bytes or 0)
    axes.step((*slope.capacity_bytes, end), (*values, values[-1]), where="post", color="black", linewidth=1.5)
    axes.grid(alpha=0.3)


def _mark(axes: Any, at: float | None, text: str, dash: str, height: float) -> None:
    """A vertical line at a capacity, its label on the left of it."""
    if at is None:
        return
    axes.axvline(at, color="black", linestyle=dash, linewidth=1)
    if text:
        axes.annotate(
            f"{text} {size(at)}", (at, height), xycoords=("data", "axes fraction"), xytext=(-4, 0), ha="right",
            textcoords="offset points", fontsize=9, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
