"""Long programs on many like instances: some of the instances are followed, with their part of all that there is.

The SMs of a GPU do the same to blocks of one list and meet only at what they share. So k of N of them, given every
(N/k)-th block of the list and that part of the bandwidth of what they share, have to do what all N have to do:

* *As many rounds.* Whole rounds of workers stay whole, and of what is left for the last one its part, but something.
* *In the order of the launch.* The list is cut into stretches of equal length. Of each one worker is followed: the one
  with which those followed so far have most nearly their part of the work of all. So heads and the rows of a mask are
  all there, in their order, and their work adds up.
* *The same contention.* A shared resource has its part of the rate (and a cache of its capacity) for its part of the
  users.
* *What is fetched once for many.* A tile that u workers look for, and v of those followed, costs v/u of its bytes: its
  part where every tile has users that are followed, all of it where the users of one tile are all followed or all not.
  Users are those that find the tile where one of them has fetched it: how far apart depends on what the cache keeps.

What this leaves out: a few instances have fewer extremes than many, so that the last of them ends a little sooner; and
users of a tile are as many as they should be, but further apart, so that too few tiles are fetched again where a cache
is too small even for the tiles of those at work together: unless a number is given, all are followed there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lightbound.base.errors import LightboundError

from .program import Program, System, Task, Worker, resolved

Follow = int | Literal["auto", "all"]
WHOLE = 12_000_000  # tasks up to which all instances are followed, and
AIMED = 6_000_000  # how many tasks are aimed at beyond: a second or so
FEWEST = 16  # instances that stand for many,
VARIED = 2048  # and workers, where instances have not all the same to do
AHEAD = 2  # tiles that are fetched before they are used, and the one in use
SLACK = 1.25  # more instances than are needed, where their rounds are nearer to those of all


@dataclass(frozen=True)
class Followed:
    """Of a group, how many instances and workers were followed, and how many there are."""

    group: str
    instances: int
    of_instances: int
    workers: int
    of_workers: int

    def __str__(self) -> str:
        return (
            f"{self.instances} of {self.of_instances} instances, with {self.workers:,} of {self.of_workers:,} workers"
        )


def followed(system: System) -> Followed | None:
    """What of a system is followed; None where it is all there."""
    if system.whole is None:
        return None
    group = ", ".join(program.name for program in system.programs)
    whole = system.whole
    return Followed(group, system.instances, whole.instances, len(system.workers), len(whole.workers))


def checked(follow: str | int) -> Follow:
    """What is meant by a number or a word: LightboundError for any other."""
    if follow == "auto" or follow == "all":
        return follow
    try:
        number = int(follow)
    except ValueError:
        number = 0
    if number < 1:
        raise LightboundError("follow", follow, "is no number of instances", "Give 1 or more, or: auto, all.")
    return number


def some_of(system: System, follow: Follow = "auto") -> System:
    """The system of the instances that are followed: all, a given number, or as many as a long program needs.

    Systems whose workers are pinned to instances are followed whole.
    """
    if follow == "all" or any(worker.instance is not None for worker in system.workers):
        return system
    instances = _enough(system) if follow == "auto" else follow
    workers = _rounds(system, instances)
    if instances >= system.instances or workers >= len(system.workers):
        return system
    return _followed(system, instances, _chosen(system, workers))


def tasks_of(system: System) -> float:
    """About how many tasks a run has: those that run in some iterations only count by their share."""
    each: dict[tuple[str, int], float] = {}
    total = 0.0
    for worker in system.workers:
        program = system.program[worker.program]
        total += len(program.prologue) + len(program.epilogue)
        for trips in worker.trips:
            key = worker.program, trips
            if key not in each:
                each[key] = trips * sum(_share(task, trips) for task in program.body)
            total += each[key]
    return total


def _share(task: Task, trips: int) -> float:
    """Of all iterations, those in which a task runs, as if its conditions knew nothing of each other."""
    spans = [resolved(when, trips) for when in task.when] if trips else []
    return prod((min(end, period) - first) / period for period, first, end in spans)


def _enough(system: System) -> int:
    """How many instances a program is long enough to be followed on."""
    tasks = tasks_of(system)
    if tasks <= WHOLE or not _kept(system):
        return system.instances
    least = max(FEWEST, ceil(system.instances * AIMED / tasks))
    if _varied(system):
        least = max(least, ceil(system.instances * VARIED / len(system.workers)))
    if 2 * least > system.instances:
        return system.instances
    rounds = len(system.workers) / system.instances
    return min(
        range(least, int(SLACK * least) + 1),
        key=lambda count: (round(abs(_rounds(system, count) / count - rounds), 9), count),
    )


def _varied(system: System) -> bool:
    """Whether it matters which worker an instance gets, or, by chance, how many of the last ones."""
    if len({(worker.program, worker.trips, worker.marked) for worker in system.workers}) > 1:
        return True
    left = len(system.workers) % (system.instances * system.slots)
    return system.slots > 1 and left > 0 and any(program.jitter for program in system.programs)


def _kept(system: System) -> bool:
    """Whether caches have room for all tiles that workers at work at one time look for, so that none comes twice."""
    room = {resource.name: resource.cache for resource in system.resources if resource.cache}
    window = system.instances * system.slots
    for program in system.programs:
        mine = [worker for worker in system.workers if worker.program == program.name]
        for task in program.body:
            if task.key is None or task.resource not in room or not mine:
                continue
            together = _in_rounds(_users(system, program, task.key), window) * window
            room[task.resource] -= together * _spread(task, program, mine, window) * task.demand
    return all(left >= 0 for left in room.values())


def _spread(task: Task, program: Program, workers: Sequence[Worker], places: int) -> float:
    """Over how many of its tiles the workers of one key spread at most: where all make as many trips, as far as chance
    has led the last of them behind the first (three deviations on both sides of a walk in even steps).
    """
    tiles = _tiles(task, workers)
    trips = {trips for worker in workers for trips in worker.trips}
    if len(trips) > 1:
        return tiles
    steps = max(trips, default=0) * ceil(len(workers) / places)
    apart = 1 + 6 * program.jitter * sqrt(steps / 3)
    return min(tiles, max(len(worker.trips) for worker in workers) * (AHEAD + apart / task.turn))


def _tiles(task: Task, workers: Sequence[Worker]) -> int:
    """How many tiles one key of a task names at most."""
    return max(sum(task.round or ceil(trips / task.turn) for trips in worker.trips) for worker in workers)


def _rounds(system: System, instances: int) -> int:
    """Workers for so many instances that take as many rounds as all take on all."""
    whole, left = divmod(len(system.workers), system.instances * system.slots)
    return whole * instances * system.slots + ceil(left * instances / system.instances)


def _chosen(system: System, count: int) -> list[int]:
    """Which workers are followed: one of each stretch of the list."""
    work = _work(system)
    total = np.concatenate([[0.0], np.cumsum(work)]) * (count / len(work))
    made: list[int] = []
    done = 0.0
    for number in range(count):
        first, end = number * len(work) // count, (number + 1) * len(work) // count
        off = np.abs(done + work[first:end] - total[end])
        best = np.flatnonzero(off <= off.min() + 1e-9 * work[first:end].max())
        made.append(first + int(best[len(best) // 2]))
        done += work[made[-1]]
    return made


def _work(system: System) -> NDArray[np.float64]:
    """By worker, the time that it needs of all units together."""
    units = {resource.name: resource.rate for resource in system.resources if resource.kind in ("fifo", "sharing")}
    found = []
    each: dict[str, tuple[float, float, float]] = {}
    for program in system.programs:
        steady = [task for task in program.body if task.resource in units and not task.when]
        once = sum(task.demand for task in (*program.prologue, *program.epilogue))
        plain, more = (
            sum(amount / units[task.resource] for task, amount in zip(steady, amounts, strict=True))
            for amounts in ([task.demand for task in steady], [task.more for task in steady])
        )
        each[program.name] = once, plain or 1.0, more
    for worker in system.workers:
        once, plain, more = each[worker.program]
        found.append(once + plain * sum(worker.trips) + more * sum(worker.marked))
    return np.array(found)


def _followed(system: System, instances: int, chosen: Sequence[int]) -> System:
    workers = tuple(system.workers[number] for number in chosen)
    part = len(workers) / len(system.workers)
    resources = tuple(
        replace(resource, rate=resource.rate * part, cache=resource.cache * part)
        if resource.shared and resource.kind != "delay"
        else resource
        for resource in system.resources
    )
    programs = tuple(_sharing(program, system, chosen, instances) for program in system.programs)
    return replace(system, resources=resources, programs=programs, workers=workers, instances=instances, whole=system)


def _sharing(program: Program, system: System, chosen: Sequence[int], instances: int) -> Program:
    """The program in which a tile costs as much of its bytes as those who are followed are of its users: of all that it
    ever has where the cache keeps every tile; of those that follow each other where it keeps the tiles of a round; and
    otherwise of those of one round.
    """
    part = len(chosen) / len(system.workers)
    keyed = {task.name: _users(system, program, task.key) for task in program.body if task.key is not None}
    if not any(keyed.values()):
        return program
    at_once = system.instances * system.slots
    mine = [worker for worker in system.workers if worker.program == program.name]
    tiles = {task.name: _tiles(task, mine) * task.demand for task in program.body if task.key is not None}
    room = min(resource.cache for resource in system.resources if resource.name in _cached(program))
    reach: int | None = None
    if sum(len(set(users.values())) * tiles[name] for name, users in keyed.items()) <= room:
        reach = len(system.workers)
    elif sum(_in_rounds(users, at_once) * at_once * tiles[name] for name, users in keyed.items()) <= room:
        reach = at_once
    body = []
    for task in program.body:
        if task.name in keyed:
            users = keyed[task.name]
            followed = {number: users[number] for number in chosen if number in users}
            if reach is not None:
                share = part * _groups(users, reach) / max(1, _groups(followed, reach))
            else:
                share = _in_rounds(users, at_once) / (_in_rounds(followed, instances * system.slots) or 1)
            task = replace(task, demand=task.demand * share, more=task.more * share, cap=task.cap * share)
        body.append(task)
    return replace(program, body=tuple(body))


def _cached(program: Program) -> set[str]:
    return {task.resource for task in program.body if task.key is not None}


def _users(system: System, program: Program, place: int) -> dict[int, int]:
    """The key of every worker of a program, by its place in the launch."""
    workers = enumerate(system.workers)
    return {number: worker.keys[place] for number, worker in workers if worker.program == program.name}


def _groups(users: dict[int, int], reach: int) -> int:
    """How many groups of workers use one tile together: those of a group follow each other within `reach`."""
    last: dict[int, int] = {}
    groups = 0
    for number, key in users.items():
        groups += number - last.get(key, number - reach - 1) > reach
        last[key] = number
    return groups


def _in_rounds(users: dict[int, int], places: int) -> float:
    """Different keys among the workers of a round, for each of them."""
    keys = list(users.values())
    return sum(len(set(keys[first : first + places])) for first in range(0, len(keys), places)) / max(1, len(keys))
