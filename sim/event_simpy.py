"""The event engine in SimPy: the readable definition of what csrc/event.cpp does fast.

A task is a process that waits for its dependencies and then for its resource, iteration after iteration. Everything
that could depend on the order of equal times is put off to the end of the instant by SimPy's own priorities: first all
that ends (normal events), then the dealing of slots, then the resources in the order of their numbers. The arithmetic
is that of the native engine, operation for operation, so that the two agree to the last bit. program.py states the
rules. This engine is for reading, tests and small cases: it is two hundred times slower.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from .chance import uniform
from .event import EventRun, Slice, check_seed
from .program import Block, Program, Resource, System, Task, Worker, marked_trips, next_active

DEAL = 2  # SimPy knows 0 (urgent) and 1 (normal); later in the instant: dealing, then resource after resource
SETTLE = 3


def run_system(system: System, seed: int = 0, max_slices: int = 0) -> EventRun:
    """Run all workers to their end, as event.run_system does."""
    check_seed(seed)
    return _Simulation(system, seed, max_slices).run()


def _later(env: Any, priority: int, callback: Callable[[Any], None]) -> None:
    """Call back later in this instant: as Event.succeed does, but with a priority."""
    event = env.event()
    event._ok, event._value = True, None
    event.callbacks.append(callback)
    env.schedule(event, priority)


class _Server:
    """A numbered resource. `settle` takes in what arrived in this instant, when all that ends in it has ended."""

    def __init__(self, simulation: _Simulation, resource: Resource, number: int) -> None:
        self.env = simulation.env
        self.rate = resource.rate
        self.cache = resource.cache
        self.priority = SETTLE + number
        self.touched = False
        self.busy = 0.0
        self.served = 0.0

    def touch(self) -> None:
        if not self.touched:
            self.touched = True
            _later(self.env, self.priority, self.settle)

    def settle(self, _: Any) -> None:
        self.touched = False

    def serve(self, order: tuple[Any, ...], demand: float, cap: float, tile: tuple[int, ...] | None) -> Any:
        """An event that is the task's end; its value is when service began. This one, a delay, serves each alone."""
        self.busy += demand / self.rate
        self.served += demand
        return self.env.timeout(demand / self.rate, value=self.env.now)


class _Fifo(_Server):
    """One task at a time, in order of arrival."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.queue: list[tuple[Any, ...]] = []
        self.serving = False

    def serve(self, order: tuple[Any, ...], demand: float, cap: float, tile: tuple[int, ...] | None) -> Any:
        done = self.env.event()
        heapq.heappush(self.queue, (self.env.now, *order, demand, done))
        self.touch()
        return done

    def settle(self, _: Any) -> None:
        self.touched = False
        if not self.serving and self.queue:
            self.serving = True
            self.env.process(self.hold(*heapq.heappop(self.queue)[-2:]))

    def hold(self, demand: float, done: Any) -> Iterator[Any]:
        start, time = self.env.now, demand / self.rate
        self.busy += time
        self.served += demand
        yield self.env.timeout(time)
        self.serving = False
        self.touch()
        done.succeed(start)


@dataclass
class _Flows:
    """Flows of one cap. They get one rate, so a demand of d ends when `virtual` has grown by d."""

    cap: float
    virtual: float = 0.0
    rate: float = 0.0
    jobs: list[tuple[Any, ...]] = field(default_factory=list)  # (virtual end, order, event, start)


class _Shared(_Server):
    """All at once, max-min fair under caps."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.flows: dict[float, _Flows] = {}
        self.arriving: list[tuple[Any, ...]] = []
        self.tiles: dict[tuple[int, ...], float] = {}  # the one used last at the end
        self.left = self.cache
        self.since = 0.0
        self.version = 0

    def serve(self, order: tuple[Any, ...], demand: float, cap: float, tile: tuple[int, ...] | None) -> Any:
        done = self.env.event()
        self.arriving.append((cap, demand, order, done, tile))
        self.touch()
        return done

    def kept(self, tile: tuple[int, ...], size: float) -> bool:
        """Whether a tile is kept. From now on it is, if it fits, instead of those that were not used for longest. A
        level without a cache keeps nothing, not even a tile of no size.
        """
        if not self.cache:
            return False
        if tile in self.tiles:
            self.tiles[tile] = self.tiles.pop(tile)
            return True
        if size <= self.cache:
            self.tiles[tile] = size
            self.left -= size
            while self.left < 0:
                self.left += self.tiles.pop(next(iter(self.tiles)))
        return False

    def advance(self) -> None:
        """Let the time pass that has passed."""
        elapsed, self.since = self.env.now - self.since, self.env.now
        if any(flows.jobs for flows in self.flows.values()):
            self.busy += elapsed
        for flows in self.flows.values():
            flows.virtual += elapsed * flows.rate

    def settle(self, _: Any) -> None:
        self.touched = False
        self.advance()
        self.flows = {cap: flows for cap, flows in self.flows.items() if flows.jobs}
        for cap, demand, order, done, tile in sorted(self.arriving, key=lambda job: job[2]):
            if tile is not None and self.kept(tile, demand):
                demand = 0.0
            flows = self.flows.setdefault(cap, _Flows(cap))
            heapq.heappush(flows.jobs, (flows.virtual + demand, order, done, self.env.now))
            self.served += demand
        self.arriving.clear()
        self.version += 1
        capacity, left = self.rate, sum(len(flows.jobs) for flows in self.flows.values())
        first, least = None, inf
        for flows in sorted(self.flows.values(), key=lambda flows: flows.cap):  # what small caps leave is shared
            if flows.jobs:
                flows.rate = min(flows.cap, capacity / left)
                capacity -= flows.rate * len(flows.jobs)
                left -= len(flows.jobs)
                wait = max(0.0, (flows.jobs[0][0] - flows.virtual) / flows.rate)
                if self.env.now + wait < self.env.now + least:
                    first, least = flows, wait
        if first is not None:
            self.env.process(self.end_of(least, first, self.version))

    def end_of(self, wait: float, flows: _Flows, version: int) -> Iterator[Any]:
        yield self.env.timeout(wait)
        if version == self.version:
            self.advance()
            flows.virtual = flows.jobs[0][0]  # not what rounding made of it: the job would never be done
            while flows.jobs and flows.jobs[0][0] <= flows.virtual:
                _, _, done, start = heapq.heappop(flows.jobs)
                done.succeed(start)
            self.touch()


_KINDS = {"fifo": _Fifo, "sharing": _Shared, "bandwidth": _Shared, "delay": _Server}


@dataclass
class _Context:
    """One context of a worker in one block: which iterations its tasks have finished, and who waits for more."""

    env: Any
    program: Program
    block: Block
    instance: int
    identity: tuple[int, int, int]  # worker, context, block
    trips: int
    marked: int
    keys: tuple[int, ...]

    def __post_init__(self) -> None:
        self.done = [next_active(task, 0, self.trips) for task in self.block.tasks]
        self.waiting: list[list[tuple[int, Any]]] = [[] for _ in self.block.tasks]

    def tile(self, task: Task, iteration: int) -> tuple[int, ...] | None:
        """What the task moves in this iteration, if others may move the same."""
        if task.key is None:
            return None
        tile = iteration // task.turn
        return task.key, self.keys[task.key], self.identity[1], tile % task.round if task.round else tile

    def reached(self, task: int, iteration: int) -> Any:
        """An event that comes when the task has done all its iterations up to this one."""
        event = self.env.event()
        if self.done[task] > iteration:
            event.succeed()
        else:
            self.waiting[task].append((iteration, event))
        return event

    def finish(self, task: int) -> None:
        """The task has done its next iteration."""
        self.done[task] = next_active(self.block.tasks[task], self.done[task] + 1, self.trips)
        waiting, self.waiting[task] = self.waiting[task], []
        for iteration, event in waiting:
            if self.done[task] > iteration:
                event.succeed()
            else:
                self.waiting[task].append((iteration, event))


class _Simulation:
    """The state of a run: servers, free slots and waiting workers."""

    def __init__(self, system: System, seed: int, max_slices: int) -> None:
        import simpy

        self.env: Any = simpy.Environment()
        self.system = system
        self.seed = seed
        self.max_slices = max_slices
        self.resource = {resource.name: resource for resource in system.resources}
        self.servers = [_KINDS[resource.kind](self, resource, i) for i, (resource, _) in enumerate(system.numbered)]
        self.waiting = list(range(len(system.workers)))
        self.free = [system.slots] * system.instances
        self.freed: list[int] = []
        self.start = np.zeros(len(system.workers))
        self.end = np.zeros(len(system.workers))
        self.instance = np.full(len(system.workers), -1, dtype=np.int32)
        self.slices: list[Slice] = []
        self.tasks = 0

    def run(self) -> EventRun:
        _later(self.env, DEAL, self.deal)
        self.env.run()
        busy, served = (np.array([getattr(server, name) for server in self.servers]) for name in ("busy", "served"))
        times = (busy, served, self.start, self.end)
        makespan = float(max(self.end, default=0.0))
        return EventRun(self.system, makespan, self.tasks, *times, self.instance, tuple(self.slices))

    def deal(self, _: Any) -> None:
        """Free slots take workers: the instance with most of them first, and on it the first worker that may run."""
        for instance in self.freed:
            self.free[instance] += 1
        self.freed.clear()
        while True:
            wanted = {self.system.workers[worker].instance for worker in self.waiting}
            able = [i for i, free in enumerate(self.free) if free and (i in wanted or None in wanted)]
            if not able:
                return
            instance = max(able, key=lambda i: (self.free[i], -i))
            worker = next(w for w in self.waiting if self.system.workers[w].instance in (None, instance))
            self.waiting.remove(worker)
            self.free[instance] -= 1
            self.start[worker], self.instance[worker] = self.env.now, instance
            self.env.process(self.worker(worker, self.system.workers[worker], instance))

    def worker(self, number: int, worker: Worker, instance: int) -> Iterator[Any]:
        """Prologue, then all contexts through the body, then the epilogue; then its slot is free."""
        program = self.system.program[worker.program]
        for phase, block in enumerate(program.blocks):
            if block.tasks:
                trips = zip(worker.trips, marked_trips(worker), strict=True) if phase == 1 else ((1, 0),)
                common = (self.env, program, block, instance)
                states = (_Context(*common, (number, i, phase), *counts, worker.keys) for i, counts in enumerate(trips))
                yield self.env.all_of([self.env.process(self.context(state)) for state in states])
        self.end[number] = self.env.now
        self.freed.append(instance)
        _later(self.env, DEAL, self.deal)

    def context(self, state: _Context) -> Iterator[Any]:
        """All tasks of a block side by side, as their dependencies allow."""
        worker, context, phase = state.identity
        if state.program.stagger and phase == 1:
            yield self.env.timeout(state.program.stagger * uniform(self.seed, worker, context, 3))
        tasks = enumerate(state.block.tasks)
        yield self.env.all_of([self.env.process(self.task(state, position, task)) for position, task in tasks])

    def task(self, state: _Context, position: int, task: Task) -> Iterator[Any]:
        """All iterations of one task, one after the other; those of a delay may overlap."""
        resource = self.resource[task.resource]
        number = self.system.first_number[task.resource] + (0 if resource.shared else state.instance)
        ends = []
        iteration = next_active(task, 0, state.trips)
        while iteration < state.trips:
            for other, distance in state.block.after[position]:
                yield state.reached(other, iteration - distance)
            demand, jitter = task.demand, state.program.jitter
            if iteration < state.marked:
                demand += task.more
            if jitter and resource.kind == "sharing":
                u = uniform(self.seed, *state.identity, position, iteration)
                demand = demand * (1.0 + jitter * (2.0 * u - 1.0))
            order = (task.priority, *state.identity[:2], position)
            end = self.servers[number].serve(order, demand, task.cap, state.tile(task, iteration))
            ended = self.env.process(self.ended(end, state, position, iteration, number))
            if resource.kind == "delay":
                ends.append(ended)
            else:
                yield ended
            iteration = next_active(task, iteration + 1, state.trips)
        yield self.env.all_of(ends)

    def ended(self, end: Any, state: _Context, position: int, iteration: int, number: int) -> Iterator[Any]:
        """Note the end of a task, and tell those that wait for it."""
        start = yield end
        self.tasks += 1
        if len(self.slices) < self.max_slices:
            self.slices.append(Slice(start, self.env.now, *state.identity, position, iteration, number))
        state.finish(position)
