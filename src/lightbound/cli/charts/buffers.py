"""The ski slope: least traffic, and least latency, against the capacity of a buffer."""

from __future__ import annotations

from collections.abc import Sequence

from lightbound.archs.machine import Machine
from lightbound.sim.buffers import BufferSizing
from lightbound.sim.explain import seconds, size

from .chart import Axis, Chart, Mark, Picture, Series


def sizing_charts(sizing: BufferSizing, machine: Machine) -> list[Picture]:
    """Traffic and latency, with this machine's capacity and the one that reaches compulsory traffic."""
    capacities = [float(point.capacity_bytes) for point in sizing.points]
    own = machine.level(sizing.level).capacity_bytes
    outermost = machine.levels[0].name
    marks = [Mark("x", float(own), f"this machine: {size(own)}")] if own is not None else []
    enough = sizing.smallest_compulsory_bytes
    if enough is not None:
        marks.append(Mark("x", float(enough), f"enough: {size(enough)}"))
    end = max([capacities[-1], *(mark.at for mark in marks)])
    across = Axis(f"capacity of {sizing.level}", "B", log=True)
    traffic = [float(point.traffic_bytes) for point in sizing.points]
    latency = [float(point.latency_s) for point in sizing.points]
    least = Mark("y", float(sizing.compulsory_bytes), f"compulsory: {size(sizing.compulsory_bytes)}")
    reached = (
        f"Compulsory traffic is reached at {size(enough)}."
        if enough is not None
        else "No capacity reaches compulsory traffic."
    )
    says = (
        f"With {size(capacities[0])} of {sizing.level} {size(traffic[0])} are moved at {outermost}, with "
        f"{size(capacities[-1])} {size(traffic[-1])}. {reached}"
    )
    slope = Chart(
        "Ski slope", says, across, Axis(f"traffic at {outermost}", "B", log=True),
        [_stairs("least traffic", capacities, traffic, end)], [*marks, least],
    )  # fmt: skip
    return [
        slope,
        Chart(
            "Latency by capacity", f"The least latency falls from {seconds(latency[0])} to {seconds(latency[-1])}.",
            across, Axis("latency", "s", log=True), [_stairs("least latency", capacities, latency, end)], marks[:1],
        ),
    ]  # fmt: skip


def _stairs(name: str, x: Sequence[float], y: Sequence[float], end: float) -> Series:
    """A staircase, since a capacity allows what every smaller one does."""
    return Series(name, [*x, end], [*y, y[-1]], "stairs")
