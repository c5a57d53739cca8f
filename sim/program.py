"""Programs of tasks on shared resources: the one input of both event engines, as plain data.

A *system* is resources, programs and workers. A program is a loop: the tasks of one iteration, each with the resource
it needs and how much of it, and what it waits for. A worker runs a program in one or more contexts, so many trips each,
in a slot of one instance; workers take slots in the order in which they are listed, as slots fall free.

The rules, which event_simpy.py spells out and csrc/event.cpp makes fast:

* Iterations of one task follow each other; only those of a delay overlap. A task starts its iteration i when for every
  ``(name, distance)`` it comes after, that task has done all its iterations up to i - distance.
* At one instant first all that ends, ends; then free slots are dealt; then resources take in what has arrived, in the
  order of their numbers. A queue is ordered by time of arrival, priority, worker, context, task. So equal times leave
  nothing open.
* Random factors are hashes of seed, worker, context, task and iteration: they do not depend on the order of events.

Nothing here knows an Einsum, a machine or a mapping (lowering.py does). Times and demands have no unit of their own:
lowering writes cycles and bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from math import inf, isfinite
from typing import Literal

from lightbound.base.errors import LightboundError, choose_from

Kind = Literal["fifo", "sharing", "bandwidth", "delay"]
KINDS: tuple[Kind, ...] = ("fifo", "sharing", "bandwidth", "delay")
MOST_RESOURCES = 63  # of a system, before they are numbered by instance: the native engine keeps a bit for each


@dataclass(frozen=True)
class Resource:
    """What tasks need. `rate` is how much demand it serves per unit of time.

    fifo: one task at a time, in order of arrival. sharing: all at once at equal parts of the rate. bandwidth: the same,
    max-min fair where tasks have a `cap`. delay: every task alone, as if there were one for each.
    A `shared` one is one for all instances; otherwise every instance has its own. cache: of a bandwidth, how much of
    what it moved (of tasks with a `key`) is kept behind it, the tiles used last; what is kept is not moved again.
    """

    name: str
    kind: Kind
    rate: float = 1.0
    shared: bool = False
    cache: float = 0.0


@dataclass(frozen=True)
class When:
    """The iterations i with ``first <= i % period < end``.

    A period of 0 is the whole loop, whatever its trips: `first` below 0 and `end` below 1 then count from its end, so
    that ``When(0, -1, 0)`` is the last iteration.
    """

    period: int
    first: int
    end: int


@dataclass(frozen=True)
class Task:
    """One step of an iteration: `demand` of a resource, after other tasks.

    after: ``(task, distance)``: that task must have done all its iterations up to this one less the distance.
    when: it runs only in the iterations that all conditions allow. ahead: `depth` does not hold it back.
    cap: the most of a bandwidth that it can take. priority: among tasks that arrive at one time, the least is first.
    more: demand beside `demand` in the marked iterations of a context; not of a delay.
    key: what it moves is a tile, of which others may move the same: that of a context of the same number, in a worker
    whose key of this place is the same, every `turn` iterations another one, and after `round` of them (0: never) the
    first one again.
    """

    name: str
    resource: str
    demand: float
    after: tuple[tuple[str, int], ...] = ()
    when: tuple[When, ...] = ()
    ahead: bool = False
    cap: float = inf
    priority: int = 0
    more: float = 0.0
    key: int | None = None
    turn: int = 1
    round: int = 0


@dataclass(frozen=True)
class Program:
    """A loop over `body`, with tasks done once before and after all contexts of a worker, one after the other.

    depth: how many iterations a context may have in flight; None: as many as dependencies allow.
    jitter: service times on sharing resources vary evenly by up to this fraction. stagger: every context starts its
    body up to this much later. Contexts that start in step and take equal times stay in step, which no hardware does.
    """

    name: str
    body: tuple[Task, ...]
    prologue: tuple[Task, ...] = ()
    epilogue: tuple[Task, ...] = ()
    depth: int | None = None
    jitter: float = 0.0
    stagger: float = 0.0

    @cached_property
    def blocks(self) -> tuple[Block, Block, Block]:
        """Prologue, body and epilogue with every rule of order written out as a dependency."""
        return _chain(self.prologue), Block(self.body, _dependencies(self)), _chain(self.epilogue)


@dataclass(frozen=True)
class Worker:
    """A program with the trips of each of its contexts. `instance` pins it; otherwise it takes any free slot.

    marked: so many of the first trips of each context are marked; none is where nothing is said. keys: by which tasks
    tell whether they move the same as another worker's.
    """

    program: str
    trips: tuple[int, ...] = (1,)
    instance: int | None = None
    marked: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()


@dataclass(frozen=True)
class Block:
    """Tasks, and what each comes after: (number of the task in the block, distance)."""

    tasks: tuple[Task, ...]
    after: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True)
class System:
    """All that an event engine needs to know. `slots` workers at a time run on each of the `instances`.

    whole: the system of which this one follows some instances, with their part of what all share (following.py).
    Raises LightboundError where names do not meet, numbers are out of range or tasks wait for each other in a circle.
    """

    resources: tuple[Resource, ...]
    programs: tuple[Program, ...]
    workers: tuple[Worker, ...]
    instances: int = 1
    slots: int = 1
    whole: System | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_system(self)

    @property
    def part(self) -> float:
        """Of the whole, as much as this follows; 1 where it is all."""
        return len(self.workers) / len(self.whole.workers) if self.whole is not None else 1.0

    @cached_property
    def first_number(self) -> dict[str, int]:
        """Resources are numbered in order, one for each instance that has its own."""
        numbers: dict[str, int] = {}
        total = 0
        for resource in self.resources:
            numbers[resource.name] = total
            total += 1 if resource.shared else self.instances
        return numbers

    @cached_property
    def numbered(self) -> tuple[tuple[Resource, int | None], ...]:
        """Every numbered resource with its instance, None for a shared one."""
        return tuple(
            (resource, None if resource.shared else copy)
            for resource in self.resources
            for copy in range(1 if resource.shared else self.instances)
        )

    @cached_property
    def program(self) -> dict[str, Program]:
        """Programs by name."""
        return {program.name: program for program in self.programs}


def next_active(task: Task, iteration: int, trips: int) -> int:
    """The first iteration from this one on in which the task runs; `trips` where there is none."""
    moved = bool(task.when)
    while moved and iteration < trips:
        moved = False
        for when in task.when:
            period, first, end = resolved(when, trips)
            phase = iteration % period
            if not first <= phase < end:
                iteration += first - phase + (0 if phase < first else period)
                moved = True
    return min(iteration, trips)


def resolved(when: When, trips: int) -> tuple[int, int, int]:
    """Period, first and end in a loop of so many trips."""
    if when.period:
        return when.period, when.first, when.end
    return trips, when.first if when.first >= 0 else max(0, trips + when.first), when.end + trips * (when.end <= 0)


def marked_trips(worker: Worker) -> tuple[int, ...]:
    """Marked trips of each context of a worker."""
    return worker.marked or (0,) * len(worker.trips)


def _chain(tasks: tuple[Task, ...]) -> Block:
    return Block(tasks, tuple(((number - 1, 0),) if number else () for number in range(len(tasks))))


def _dependencies(program: Program) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Dependencies by number. A bounded depth becomes: after the last tasks of the iteration so many before."""
    number = {task.name: position for position, task in enumerate(program.body)}
    after = [[(number[name], distance) for name, distance in task.after] for task in program.body]
    if program.depth is not None:
        always = [not task.when for task in program.body]
        followed = {
            other
            for task, others in zip(program.body, after, strict=True)
            for other, distance in others
            if distance == 0 and not task.when
        }
        last = [position for position in range(len(after)) if position not in followed]
        for task, others in zip(program.body, after, strict=True):
            held = any(distance == 0 and always[other] and not program.body[other].ahead for other, distance in others)
            if not held and not task.ahead:
                others.extend((other, program.depth) for other in last)
    return tuple(tuple(dict.fromkeys(others)) for others in after)


def check_system(system: System) -> None:
    """Raise the error of a system that no engine could run."""
    names = [resource.name for resource in system.resources]
    _unique("resources", names)
    _unique("programs", [program.name for program in system.programs])
    _at_least("instances", system.instances, 1)
    _at_least("slots", system.slots, 1)
    if len(names) > MOST_RESOURCES:
        raise LightboundError("resources", len(names), f"are more than {MOST_RESOURCES}", "Leave out unused ones.")
    for resource in system.resources:
        if resource.kind not in KINDS:
            raise LightboundError(f"resource {resource.name}", resource.kind, "is no kind", choose_from(KINDS, "fifo"))
        if not (resource.rate > 0 and isfinite(resource.rate)):
            raise LightboundError(
                f"rate of {resource.name}", resource.rate, "serves nothing", "Give a finite rate above 0."
            )
    for program in system.programs:
        _check_program(program, {resource.name: resource for resource in system.resources})
    known = {program.name for program in system.programs}
    for position, worker in enumerate(system.workers):
        where = f"workers.{position}"
        if worker.program not in known:
            raise LightboundError(
                f"{where}.program", worker.program, "does not exist", choose_from(known, worker.program)
            )
        if any(trips < 0 for trips in worker.trips):
            raise LightboundError(f"{where}.trips", worker.trips, "goes below 0", "Count iterations from 0 up.")
        most = max((task.key for task in system.program[worker.program].body if task.key is not None), default=-1)
        if most >= len(worker.keys):
            remedy = "Give a number for every key of its tasks."
            raise LightboundError(f"{where}.keys", worker.keys, f"has no key {most}", remedy)
        if worker.marked and len(worker.marked) != len(worker.trips):
            remedy = "Give one number for each context, or none."
            raise LightboundError(f"{where}.marked", worker.marked, f"is not for {len(worker.trips)} contexts", remedy)
        if worker.instance is not None and not 0 <= worker.instance < system.instances:
            raise LightboundError(
                f"{where}.instance",
                worker.instance,
                "is not an instance",
                f"Choose 0 to {system.instances - 1}, or none.",
            )


def _check_program(program: Program, resources: dict[str, Resource]) -> None:
    where = f"program {program.name}"
    if program.depth is not None:
        _at_least(f"{where}: depth", program.depth, 1)
    if not 0 <= program.jitter <= 1:
        raise LightboundError(f"{where}: jitter", program.jitter, "is not a fraction", "Give 0 to 1.")
    if not (program.stagger >= 0 and isfinite(program.stagger)):
        raise LightboundError(f"{where}: stagger", program.stagger, "is not a time", "Give 0 or more.")
    body = [task.name for task in program.body]
    _unique(where, body)
    for task in (*program.prologue, *program.body, *program.epilogue):
        field = f"{where}: {task.name}"
        if task.resource not in resources:
            raise LightboundError(
                f"{field}.resource", task.resource, "does not exist", choose_from(resources, task.resource)
            )
        for name, amount in (("demand", task.demand), ("more", task.more)):
            if not (amount >= 0 and isfinite(amount)):
                raise LightboundError(f"{field}.{name}", amount, "is not an amount", "Give a finite number, 0 or more.")
        if not task.cap > 0 or (task.cap != inf and resources[task.resource].kind != "bandwidth"):
            raise LightboundError(f"{field}.cap", task.cap, "caps nothing", "Give a cap above 0, and to a bandwidth.")
        numbers = task.key is None or (task.key >= 0 and task.turn >= 1 and task.round >= 0)
        if not numbers or (task.key is not None and resources[task.resource].kind != "bandwidth"):
            remedy = "Number keys from 0, let turns be 1 or more, and take a bandwidth."
            raise LightboundError(f"{field}.key", task.key, "names no tile", remedy)
        if task.more and resources[task.resource].kind == "delay":
            remedy = "Give the rest to a task on a resource."
            raise LightboundError(f"{field}.more", task.more, "cannot be of a delay: its iterations overlap", remedy)
        for when in task.when:
            if when.period < 0 or (when.period and not 0 <= when.first < when.end <= when.period):
                raise LightboundError(f"{field}.when", when, "is never", "Let 0 <= first < end <= period.")
    for task in (*program.prologue, *program.epilogue):
        if task.after or task.when or task.key is not None:
            raise LightboundError(
                f"{where}: {task.name}",
                task.after or task.when,
                "stands outside the loop",
                "Let it follow the one before.",
            )
    for task in program.body:
        for name, distance in task.after:
            if name not in body:
                raise LightboundError(f"{where}: {task.name}.after", name, "does not exist", choose_from(body, name))
            _at_least(f"{where}: {task.name}.after.{name}", distance, 0)
    try:
        edges = {task.name: [name for name, distance in task.after if distance == 0] for task in program.body}
        tuple(TopologicalSorter(edges).static_order())
    except CycleError as error:
        raise LightboundError(
            where,
            " -> ".join(error.args[1]),
            "wait for each other within one iteration",
            "Let one of them wait for an earlier iteration.",
        ) from error


def _unique(where: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise LightboundError(where, name, "is there twice", "Give every one a name of its own.")


def _at_least(where: str, value: int, least: int) -> None:
    if value < least:
        raise LightboundError(where, value, f"is below {least}", f"Give {least} or more.")
