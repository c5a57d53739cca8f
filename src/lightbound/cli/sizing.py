"""``lightbound size``: how traffic and latency fall as a buffer grows, and how large it has to be."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING

from lightbound.archs.machine import Machine
from lightbound.sim.buffers import BufferPoint, BufferSizing, size_buffers
from lightbound.sim.explain import seconds, size
from lightbound.sim.mapping import Mapping
from lightbound.workloads.registry import Workload

from .answer import Answer, Table, Text
from .inputs import inputs
from .plots import SkiSlope, check_drawable, draw
from .progress import progress

if TYPE_CHECKING:
    from .charts.chart import Picture

ROWS = 24  # a table that still fits a screen


def answer(
    work: Workload, machine: Machine, level: str | None, mapping: Mapping | str | None, plot: Path | None
) -> Answer:
    """The frontier of a level; drawn to the file `plot` too, where one is given."""
    if plot is not None:
        check_drawable(plot)
    with progress(f"Sizing {level or 'the buffer'} of {machine.name} for {work.name}"):
        sizing = size_buffers(work, machine, level, mapping)
    records = [{"level": sizing.level, **vars(point)} for point in sizing.points]
    blocks = [_frontier(sizing, machine), Text(sizing.explain(), title="In words", leads=True)]
    if plot is not None:
        draw(_slope(sizing, work, machine), plot)
    data = {**sizing.to_dict(), "preset": work.preset, "explanation": sizing.explain()}

    def pictures() -> Sequence[Picture]:
        from .charts.buffers import sizing_charts

        return sizing_charts(sizing, machine)

    return Answer(blocks, data, records, pictures, lambda: inputs(work, machine))


def _frontier(sizing: BufferSizing, machine: Machine) -> Table:
    shown = _milestones(sizing)
    rows = [
        (
            size(point.capacity_bytes),
            size(point.traffic_bytes),
            f"{point.traffic_bytes / sizing.compulsory_bytes:.3g}x",
            seconds(point.latency_s),
        )
        for point in shown
    ]
    title = f"What {sizing.level} of each capacity allows"
    if len(shown) < len(sizing.points):
        title += f" ({len(shown)} of {len(sizing.points)} points; all of them with --format csv)"
    columns = ("capacity", f"{machine.levels[0].name} traffic", "of compulsory", "latency")
    return Table(columns, rows, title=title, right=frozenset(columns))


def _milestones(sizing: BufferSizing) -> list[BufferPoint]:
    """The frontier in a page: its ends, the last point of each octave, and where compulsory traffic is reached."""
    points = sizing.points
    if len(points) <= ROWS:
        return list(points)
    kept = {int(log2(max(point.capacity_bytes, 1))): point for point in points}
    first = next((p for p in points if p.capacity_bytes == sizing.smallest_compulsory_bytes), points[0])
    return sorted({points[0], first, *kept.values()}, key=lambda point: point.capacity_bytes)


def _slope(sizing: BufferSizing, work: Workload, machine: Machine) -> SkiSlope:
    sizes = " ".join(f"{symbol}={value}" for symbol, value in work.sizes.items())
    return SkiSlope(
        title=f"{work.name} on {machine.name}: {sizing.level}\n{sizes}",
        level=sizing.level,
        outermost=machine.levels[0].name,
        capacity_bytes=[point.capacity_bytes for point in sizing.points],
        traffic_bytes=[point.traffic_bytes for point in sizing.points],
        latency_s=[point.latency_s for point in sizing.points],
        compulsory_bytes=sizing.compulsory_bytes,
        smallest_compulsory_bytes=sizing.smallest_compulsory_bytes,
        machine_bytes=machine.level(sizing.level).capacity_bytes,
    )
