"""A run of the event engine as a trace that the Perfetto UI and chrome://tracing open (Chrome's JSON trace format).

Every instance is a process and every unit of it a thread; what all instances share is a process of its own. Tasks that
share a unit at one time lie on tracks beside each other, since slices of one track must not overlap. Arrows lead to a
task from the one whose end let it start. Counters tell the bandwidth in use and how many workers an instance has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError

from .event import EventRun, Slice
from .following import followed
from .trace_counters import counters

LONGEST = 100_000  # slices; more make a file that no viewer opens quickly
ARROWS = 20_000  # of the first slices
_BLOCKS = ("prologue", "body", "epilogue")


def trace_events(
    runs: Sequence[tuple[EventRun, float, float]], machine: str, instance: str = "instance"
) -> list[dict[str, Any]]:
    """The events of runs that follow each other: each with its start in seconds, and seconds per unit of its time.

    machine and instance are the names that tracks are given.
    """
    shared = shared_process(runs)
    tracks = Tracks(first=shared + 1)  # a thread with the number of a process would be taken for its main thread
    made: list[dict[str, Any]] = []
    for group, (run, begin, scale) in enumerate(runs):
        places: dict[tuple[int, ...], tuple[int, int]] = {}
        for one in sorted(run.slices, key=lambda each: (each.start, each.end)):
            resource, owner = run.system.numbered[one.resource]
            process = shared if owner is None else owner + 1
            program = run.system.program[run.system.workers[one.worker].program]
            task = program.blocks[one.block].tasks[one.task].name
            made.append(
                {
                    "ph": "X",
                    "name": task,
                    "cat": resource.kind,
                    "pid": process,
                    "tid": (
                        track := tracks.take(process, resource.name, begin + one.start * scale, begin + one.end * scale)
                    ),
                    "ts": 1e6 * (begin + one.start * scale),
                    "dur": 1e6 * (one.end - one.start) * scale,
                    "args": _arguments(one, group),
                }
            )
            places[_identity(one)] = process, track
        made += _arrows(run, begin, scale, places, len(made))
        made += counters(run, begin, scale, shared)
    names = [
        named("process_name", process, 0, f"{machine}: shared" if process == shared else f"{instance} {process - 1}")
        for process in sorted({process for process, _, _ in tracks.numbers})
    ]
    names += [
        named("thread_name", process, number, name if not lane else f"{name} ({lane + 1})")
        for (process, name, lane), number in tracks.numbers.items()
    ]
    return [*names, *made]


def shared_process(runs: Sequence[tuple[EventRun, float, float]]) -> int:
    """The number of the process of what all instances share; instance i is process i + 1."""
    return 1 + max((run.system.instances for run, _, _ in runs), default=1)


def _identity(one: Slice) -> tuple[int, ...]:
    return one.worker, one.context, one.block, one.task, one.iteration


def _arrows(
    run: EventRun, begin: float, scale: float, places: dict[tuple[int, ...], tuple[int, int]], first: int
) -> list[dict[str, Any]]:
    """From the last task that each waited for, where it is listed, to where it starts."""
    ends = {_identity(one): one for one in run.slices}
    made: list[dict[str, Any]] = []
    for one in run.slices[:ARROWS]:
        program = run.system.program[run.system.workers[one.worker].program]
        before = [
            ends.get((one.worker, one.context, one.block, task, one.iteration - distance))
            for task, distance in program.blocks[one.block].after[one.task]
        ]
        known = [other for other in before if other is not None]
        if not known:
            continue
        last = max(known, key=lambda other: other.end)
        common = {"name": "then", "cat": "order", "id": first + len(made)}
        for phase, at, moment in (("s", last, last.start), ("f", one, one.start)):
            process, track = places[_identity(at)]
            where = {"pid": process, "tid": track, "ts": 1e6 * (begin + moment * scale)}
            made.append({**common, "ph": phase, **where, **({"bp": "e"} if phase == "f" else {})})
    return made


def write_trace(path: str | Path, runs: Sequence[tuple[EventRun, float, float]], machine: str, instance: str) -> None:
    """Write a trace file. It says how many tasks it leaves out, if there are more than it can hold."""
    listed, total = (
        sum(counts) for counts in ([len(run.slices) for run, _, _ in runs], [run.tasks for run, _, _ in runs])
    )
    events = trace_events(runs, machine, instance)
    some = {"followed": [str(one) for run, _, _ in runs if (one := followed(run.system))]}
    told = {"machine": machine, "tasks": total, "tasks left out": total - listed, **(some if some["followed"] else {})}
    write_document(path, events, told)


def write_document(path: str | Path, events: list[dict[str, Any]], other: dict[str, Any]) -> None:
    """Write events to a file, with other data beside them. Raises LightboundError where it cannot be written."""
    document = {"displayTimeUnit": "ns", "otherData": other, "traceEvents": events}
    try:
        Path(path).write_text(json.dumps(document), encoding="utf-8")
    except OSError as error:
        raise LightboundError("trace", str(path), f"cannot be written ({error.strerror})", "Name a file.") from error


class Tracks:
    """Numbers of tracks, and when each is free again; `first` is above every number of a process."""

    def __init__(self, first: int) -> None:
        self.numbers: dict[tuple[int, str, int], int] = {}
        self.free: dict[tuple[int, str], list[float]] = {}
        self.first = first

    def take(self, process: int, name: str, start: float, end: float) -> int:
        """The track of a slice: the first of this name that is free from `start` on."""
        lanes = self.free.setdefault((process, name), [])
        lane = next((number for number, free in enumerate(lanes) if free <= start), len(lanes))
        lanes[lane:lane] = [] if lane < len(lanes) else [0.0]
        lanes[lane] = end
        return self.numbers.setdefault((process, name, lane), self.first + len(self.numbers))


def _arguments(one: Slice, group: int) -> dict[str, Any]:
    return {
        "group": group,
        "worker": one.worker,
        "context": one.context,
        "iteration": one.iteration,
        "block": _BLOCKS[one.block],
    }


def named(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    """The event that gives a process or a thread (of a number above 0) its name."""
    return {"ph": "M", "name": kind, "pid": process, **({"tid": thread} if thread else {}), "args": {"name": name}}
