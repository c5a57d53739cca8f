"""Running a system of programs: the native event engine, and what both engines answer.

`run_system` is fast (csrc/event.cpp); event_simpy.run_system takes the same input and seed, gives the same answer, and
is the one to read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightbound.base.errors import LightboundError

from .program import KINDS, Block, System, marked_trips

Times = NDArray[np.float64]
MOST_TASKS = 2_000_000_000  # run one by one: two or three minutes


@dataclass(frozen=True)
class Slice:
    """One task done: from when it was served (or shared the resource) to its end."""

    start: float
    end: float
    worker: int
    context: int
    block: int  # 0 prologue, 1 body, 2 epilogue
    task: int
    iteration: int
    resource: int  # as numbered by the system


@dataclass(frozen=True, eq=False)
class EventRun:
    """What a run took, in the system's unit of time.

    busy: time each numbered resource had work (of a delay: the sum over its tasks); served: demand that it did.
    spent: by resource, and last by none of them, the time that contexts spent there (those of one worker on average):
    until a context goes on, it is at the task whose end lets it go on. The SimPy engine leaves it empty.
    Of every worker: when it took its slot, when it gave it back, and on which instance. slices: the first tasks to end.
    """

    system: System
    makespan: float
    tasks: int
    busy: Times
    served: Times
    worker_start: Times
    worker_end: Times
    worker_instance: NDArray[np.int32]
    slices: tuple[Slice, ...] = ()
    spent: Times = field(default_factory=lambda: np.zeros(0))

    @property
    def instance_end(self) -> Times:
        """When each instance finished its last worker; 0 where it had none."""
        ends = np.zeros(self.system.instances)
        np.maximum.at(ends, self.worker_instance, self.worker_end)
        return ends


def run_system(system: System, seed: int = 0, max_slices: int = 0, extrapolate: bool = False) -> EventRun:
    """Run all workers to their end. `seed` draws jitter and stagger; list the first `max_slices` tasks to end.

    extrapolate: where one context runs alone and without chance, leap over periods once its state repeats. What is
    leapt over would have been the same, so that only rounding differs.
    """
    from lightbound._core import run_events

    check_seed(seed)
    try:
        found = run_events(packed(system), system.instances, system.slots, seed, max_slices, MOST_TASKS, extrapolate)
    except ValueError as error:
        raise LightboundError(
            "event engine",
            f"{MOST_TASKS:,} tasks",
            "are run and there are more",
            "Use smaller sizes, or engine='analytical'.",
        ) from error
    return EventRun(
        system=system,
        makespan=found["makespan"],
        tasks=found["tasks"],
        busy=found["busy"],
        served=found["served"],
        worker_start=found["worker_start"],
        worker_end=found["worker_end"],
        worker_instance=found["worker_instance"],
        slices=_slices(system, found),
        spent=found["spent"],
    )


def check_seed(seed: int) -> None:
    """A seed is a whole number of 64 bits."""
    if not 0 <= seed < 2**64:
        raise LightboundError("seed", seed, "is out of range", "Give a whole number from 0 to 2^64 - 1.")


def _blocks(system: System) -> list[Block]:
    return [block for program in system.programs for block in program.blocks]


def packed(system: System) -> dict[str, NDArray[Any]]:
    """The system as plain arrays, which csrc/event.hpp describes."""
    blocks = _blocks(system)
    tasks = [task for block in blocks for task in block.tasks]
    after = [others for block in blocks for others in block.after]
    resource = {each.name: number for number, each in enumerate(system.resources)}
    program = {each.name: number for number, each in enumerate(system.programs)}
    i8, i32, i64, f64 = np.int8, np.int32, np.int64, np.float64
    columns: dict[str, tuple[list[Any], Any]] = {
        "kind": ([KINDS.index(each.kind) for each in system.resources], i8),
        "rate": ([each.rate for each in system.resources], f64),
        "shared": ([each.shared for each in system.resources], i8),
        "cache": ([each.cache for each in system.resources], f64),
        "resource": ([resource[task.resource] for task in tasks], i32),
        "demand": ([task.demand for task in tasks], f64),
        "cap": ([task.cap for task in tasks], f64),
        "more": ([task.more for task in tasks], f64),
        "priority": ([task.priority for task in tasks], i32),
        "key": ([-1 if task.key is None else task.key for task in tasks], i32),
        "turn": ([task.turn for task in tasks], i64),
        "round": ([task.round for task in tasks], i64),
        "ahead": ([task.ahead for task in tasks], i8),
        "after_start": (_starts([len(others) for others in after]), i64),
        "after_task": ([other for others in after for other, _ in others], i32),
        "after_distance": ([distance for others in after for _, distance in others], i64),
        "when_start": (_starts([len(task.when) for task in tasks]), i64),
        "when_period": ([when.period for task in tasks for when in task.when], i64),
        "when_first": ([when.first for task in tasks for when in task.when], i64),
        "when_end": ([when.end for task in tasks for when in task.when], i64),
        "block_start": (_starts([len(block.tasks) for block in blocks]), i64),
        "jitter": ([each.jitter for each in system.programs], f64),
        "stagger": ([each.stagger for each in system.programs], f64),
        "program": ([program[worker.program] for worker in system.workers], i32),
        "trips_start": (_starts([len(worker.trips) for worker in system.workers]), i64),
        "trips": ([trips for worker in system.workers for trips in worker.trips], i64),
        "marked": ([count for worker in system.workers for count in marked_trips(worker)], i64),
        "keys_start": (_starts([len(worker.keys) for worker in system.workers]), i64),
        "keys": ([key for worker in system.workers for key in worker.keys], i64),
        "instance": ([-1 if worker.instance is None else worker.instance for worker in system.workers], i32),
    }
    return {name: np.asarray(values, dtype=kind) for name, (values, kind) in columns.items()}


def _starts(lengths: list[int]) -> list[int]:
    return [0, *accumulate(lengths)]


def _slices(system: System, found: dict[str, Any]) -> tuple[Slice, ...]:
    place = [(number % 3, task) for number, block in enumerate(_blocks(system)) for task in range(len(block.tasks))]
    names = ("start", "end", "worker", "context", "task", "iteration", "resource")
    rows = zip(*(found[f"slice_{name}"].tolist() for name in names), strict=True)
    made = []
    for start, end, worker, context, task, iteration, resource in rows:
        block, number = place[task]
        made.append(Slice(start, end, worker, context, block, number, iteration, resource))
    return tuple(made)
