"""``lightbound catalogue``: what every method needs and takes, as a table, or in full as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightbound.sim.explain import joules, seconds, size, times
from lightbound.validate.catalogue import Entry, catalogue, jobs_of

from .answer import Answer, Block, Table, Text
from .progress import progress

if TYPE_CHECKING:
    from .charts.chart import Picture

COLUMNS = (
    "method", "preset", "multiply-adds", "passes", "latency", "by events", "waits for", "traffic", "energy",
    "over dense",
)  # fmt: skip


def answer(
    machines: Sequence[str], methods: Sequence[str] | None, every_preset: bool, events: bool, dense: bool
) -> tuple[Answer, bool]:
    """A table for each machine, and whether every method could be simulated."""
    total = len(jobs_of(methods, every_preset))
    with progress("Simulating methods", total=total) as advance:
        entries = catalogue(machines, methods, every_preset, events, advance=advance, dense=dense)
    blocks: list[Block] = []
    for machine in dict.fromkeys(entry.machine for entry in entries):
        here = [entry for entry in entries if entry.machine == machine]
        rows = [_row(entry) for entry in here if not entry.error]
        blocks.append(Table(COLUMNS, rows, title=machine, right=frozenset(COLUMNS[2:]) - {"waits for"}))
        failed = [f"{entry.method}: {entry.error}" for entry in here if entry.error]
        if failed:
            blocks.append(Text("\n".join(failed), title=f"Not simulated on {machine}"))
    records = [entry.to_dict() for entry in entries]

    def pictures() -> Sequence[Picture]:
        from .charts.frontier import catalogue_charts

        return catalogue_charts(entries)

    return Answer(blocks, records, records, pictures), not any(entry.error for entry in entries)


def _row(entry: Entry) -> tuple[str, ...]:
    assert entry.latency_s is not None and entry.traffic_bytes is not None
    passes = f"{entry.passes} over {entry.passed_rank}" if entry.passes > 1 else "1"
    return (
        entry.method,
        entry.preset,
        f"{entry.macs:.3g}",
        passes,
        seconds(entry.latency_s),
        "" if entry.events_s is None else seconds(entry.events_s),
        entry.bottleneck,
        size(entry.traffic_bytes),
        "" if entry.energy_j is None else joules(entry.energy_j),
        "" if entry.speedup is None else times(entry.speedup),
    )
