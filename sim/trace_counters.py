"""Counters of a trace: the bandwidth in use at every port, and the workers on every instance, as they change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .event import EventRun
from .program import marked_trips


def counters(run: EventRun, begin: float, scale: float, shared: int) -> list[dict[str, Any]]:
    """The counter events of a run that starts at `begin` seconds and whose unit of time is `scale` seconds.

    A task's bytes count evenly from its start to its end. Only tasks that the trace lists count.
    """
    until = max((one.end for one in run.slices), default=0.0)
    made: list[dict[str, Any]] = []
    steps: dict[int, list[tuple[float, float]]] = {}
    for one in run.slices:
        resource, _ = run.system.numbered[one.resource]
        if resource.kind != "bandwidth" or one.end <= one.start:
            continue
        worker = run.system.workers[one.worker]
        task = run.system.program[worker.program].blocks[one.block].tasks[one.task]
        marked = one.block == 1 and one.iteration < marked_trips(worker)[one.context]
        rate = (task.demand + task.more * marked) / (one.end - one.start)
        steps.setdefault(one.resource, []).extend(((one.start, rate), (one.end, -rate)))
    for number, changes in steps.items():
        resource, owner = run.system.numbered[number]
        process = shared if owner is None else owner + 1
        part = run.system.part if owner is None else 1.0  # what all share counts for all
        rates = [(begin + at * scale, change * 1e-9 / scale / part) for at, change in changes]
        made += _steps(f"{resource.name} bandwidth", "GB/s", process, rates)
    resident: dict[int, list[tuple[float, float]]] = {}
    for start, end, instance in zip(run.worker_start, run.worker_end, run.worker_instance.tolist(), strict=True):
        if start <= until:
            resident.setdefault(instance, []).extend(((float(start), 1.0), (float(end), -1.0)))
    for instance, changes in sorted(resident.items()):
        kept = [(begin + at * scale, change) for at, change in changes if at <= until]
        made += _steps("workers", "resident", instance + 1, kept)
    return made


def _steps(name: str, unit: str, process: int, changes: Iterable[tuple[float, float]]) -> list[dict[str, Any]]:
    """A counter from its changes, by seconds."""
    level = 0.0
    values: dict[float, float] = {}
    for moment, change in sorted(changes):
        level += change
        values[moment] = max(0.0, level)
    return [
        {"ph": "C", "name": name, "pid": process, "ts": 1e6 * moment, "args": {unit: value}}
        for moment, value in values.items()
    ]
