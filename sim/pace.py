"""How a group goes on while several contexts share an instance: what each epoch asks of units and levels, and how long
a round takes where contexts contend for them (contention.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.formula import Number, evaluate, maximum, where

from .contention import Port, rounds, stretches
from .nests import Nests
from .plan import GroupPlan
from .ports import Wanted, wanted_ports
from .slots import EinsumTime, Slot, longest_of


@dataclass(frozen=True)
class Course:
    """What the busiest instance does of a group: so many `epochs` in so many `tasks`, each with Einsums in `slots`.

    read, stored: cycles of an epoch that levels take for what is read and for what is written, where contexts contend
    for it. hidden: cycles of a task beside its epochs, in which other tasks of the instance go on. instances: among
    which tasks are dealt.
    """

    machine: Machine
    plan: GroupPlan
    nests: Nests
    einsums: Mapping[str, EinsumTime]
    slots: tuple[Slot, ...]
    epochs: Number
    tasks: Number
    instances: Number
    read: Mapping[str, Number]
    stored: Mapping[str, Number]
    hidden: Number


@dataclass(frozen=True)
class Pace:
    """The cycles of a group in its slots (`total`), and beyond: `waits` by what is waited for.

    spent: all of them by what a context spends them on. waited: how many times longer the work on a unit takes since a
    port that it needs is held. ramp: cycles until contexts have fallen out of step. tail: cycles that tasks take longer
    or less since they do not fill the last round of an instance. delay: cycles of an epoch of a context at no unit.
    """

    total: Number
    waits: dict[str, Number]
    spent: dict[str, Number]
    waited: dict[str, Number] = field(default_factory=dict)
    ramp: Number = 0
    tail: Number = 0
    delay: Number = 0


@dataclass(frozen=True)
class _Round:
    """What contexts go round through, in cycles of an epoch: `demands` on units and levels, by name, and what loads
    each `beside`; `delay` at none of them; `behind` at the start and end of tasks. No epoch is shorter than `least`.
    """

    demands: dict[str, Number]
    beside: dict[str, Number]
    ports: list[Port]
    delay: Number
    behind: Number
    least: Number

    @property
    def alone(self) -> Number:
        """Cycles of an epoch of a context that shares nothing."""
        return sum(self.demands.values(), 0) + self.delay + self.behind


def pace_of_contexts(course: Course, total: Number) -> Pace:
    """How contexts of an instance pace each other, where its slots one after the other take `total` cycles."""
    group, environment = course.plan.group, course.nests.environment
    contexts, resident = evaluate(group.contexts, environment), evaluate(group.resident, environment)
    asked = _round(course)
    epochs = course.epochs
    if group.slots is not None:  # several contexts are in different slots at once
        total = epochs * asked.least
    turn = partial(
        rounds, list(asked.demands.values()), delay=asked.delay + asked.behind, beside=list(asked.beside.values()),
        ports=asked.ports, least=asked.least,
    )  # fmt: skip
    full, stays = turn(contexts=contexts)
    stretched = stretches(list(asked.demands.values()), contexts, full, asked.ports)
    cycle = full
    last = where(resident > 1, course.tasks % maximum(resident, 1), 0)
    if np.any(np.asarray(last) > 0):  # tasks that do not fill the last round of an instance run among fewer
        fewer, _ = turn(contexts=maximum(1, contexts * last / maximum(resident, 1)))
        cycle = where(last > 0, ((course.tasks - last) * full + last * fewer) / course.tasks, full)
    contention = maximum(0, epochs * cycle - total)
    return Pace(
        total=total,
        waits={"contention": contention},
        spent=_spent(asked, stays, cycle, maximum(total, epochs * cycle)),
        waited=dict(zip(asked.demands, stretched, strict=True)),
        ramp=_ramp(asked, contexts, cycle),
        tail=contention - maximum(0, epochs * full - total),
        delay=asked.delay,
    )


def _round(course: Course) -> _Round:
    group, environment = course.plan.group, course.nests.environment
    ordered = group.slots is not None
    at_once = _demands(course)
    wanted = wanted_ports(course.machine, course.plan, course.einsums, course.slots, course.epochs, ordered)
    demands = _in_order(course.slots, wanted, course.epochs) if ordered else dict(at_once)
    chain = evaluate(group.chain, environment)
    delay = evaluate(group.delay, environment) + maximum(0, chain - sum(demands.values(), 0))
    beside, flows = _at_levels(course, demands)
    least = maximum(evaluate(group.least, environment), *at_once.values(), *flows)
    ports = [Port(_padded(port.held, demands), _padded(port.needed, demands), ordered) for port in wanted]
    return _Round(demands, beside, ports, delay, course.hidden * course.tasks / course.epochs, least)


def _ramp(asked: _Round, contexts: Number, cycle: Number) -> Number:
    """Cycles until contexts that start in step have spread over what they go round through."""
    own = maximum(0, *(one + other for one, other in zip(asked.demands.values(), asked.beside.values(), strict=True)))
    steady = maximum(own, asked.least)
    return maximum(0, asked.alone - where(own >= asked.least, own, 0) - contexts * (cycle - steady))


def _spent(asked: _Round, stays: Sequence[Number], cycle: Number, cycles: Number) -> dict[str, Number]:
    """All `cycles` by what a context spends a round of `cycle` on: `stays` at units and levels, and the rest."""
    at_units = sum(stays, 0.0)
    scale = cycles / maximum(cycle, at_units)
    rest = maximum(0, cycle - at_units) * scale
    idle = asked.delay + asked.behind
    waiting = rest * where(idle > 0, asked.delay / maximum(idle, 1e-30), 1)
    spent = {name: stay * scale for name, stay in zip(asked.demands, stays, strict=True)}
    return {**spent, "waiting": waiting, "overhead": rest - waiting}


def _demands(course: Course) -> dict[str, Number]:
    """Cycles of one epoch on each unit. What a unit blocks of another one's work counts as its own."""
    units = course.machine.units
    demands = {unit: sum((busy.get(unit, 0) for busy in course.slots), 0) / course.epochs for unit in units}
    for name, unit in units.items():
        for other, part in unit.blocks.items():
            blocked = where(demands[name] > 0, part * demands[other], 0)
            demands[name] = demands[name] + blocked
            demands[other] = demands[other] - blocked
    return demands


def _in_order(slots: tuple[Slot, ...], ports: Sequence[Wanted], epochs: Number) -> dict[str, Number]:
    """Cycles of one epoch by unit, where a context goes through its slots in order: each takes as long as its longest
    unit, or as the instructions of all of them take to pass a port.
    """
    found: dict[str, Number] = {unit: 0 for port in ports for unit in port.needed}
    for number, (slot, longest) in enumerate(zip(slots, map(longest_of, slots), strict=True)):
        least = maximum(0, *(port.by_slot[number] for port in ports)) if ports else 0
        for unit, chosen in longest.items():
            cycles = maximum(slot[unit] / epochs, least)
            found[unit] = found.get(unit, 0) + where(chosen, cycles, 0)
    return found


def _at_levels(course: Course, demands: dict[str, Number]) -> tuple[dict[str, Number], list[Number]]:
    """What an epoch moves at levels: adds to `demands` what contexts await there, and returns what loads a station
    beside that, and the flows through levels that bound all instances together.
    """
    machine, group, nests, read, stored = course.machine, course.plan.group, course.nests, course.read, course.stored
    beside: dict[str, Number] = dict.fromkeys(demands, 0)
    part = {level: evaluate(share, nests.environment) for level, share in group.awaits.items()}
    for level in dict.fromkeys((*group.awaits, *group.settles)):
        reads, stores = read.get(level, 0), stored.get(level, 0)
        awaited = reads * part.get(level, 0) + stores * evaluate(group.settles.get(level, 0), nests.environment)
        demands[level] = awaited
        beside[level] = reads + stores - awaited
    wide = _shared_levels(machine, demands, course.instances) if group.at_once else []
    flows = [demands[name] + beside[name] for name in wide]
    if not wide:
        return beside, flows
    path, rate = _path(machine)
    asked = {name: read.get(name, 0) * machine.level(name).shared_rate_bytes_per_s / rate for name in wide}
    for name in wide:  # what blocks write at their end they write together: each has its share of the level
        demands[name] = demands[name] - read.get(name, 0) * part.get(name, 0)
        beside[name] = 0 * demands[name]
    demands[path] = demands.get(path, 0) + sum((asked[name] * part.get(name, 0) for name in wide), 0)
    beside[path] = sum((asked[name] * (1 - part.get(name, 0)) for name in wide), 0)
    return beside, flows


def _path(machine: Machine) -> tuple[str, Number]:
    """The cache in front of the instances, and the bandwidth of all their paths to it."""
    cache = next(level for level in machine.levels if level.cache)
    assert cache.bandwidth_bytes_per_s is not None
    return cache.name, cache.bandwidth_bytes_per_s


def _shared_levels(machine: Machine, demands: Mapping[str, Number], instances: Number) -> list[str]:
    """Levels that all instances share, through a cache to which each has a path of its own. With many instances none of
    them waits for another one at a level until it is full: it bounds the flow, and contexts contend for the path.
    """
    if not any(level.cache and level.bandwidth_bytes_per_s is not None for level in machine.levels):
        return []
    if not np.all(np.asarray(instances) > 1):
        return []
    return [level.name for level in machine.levels if level.scope is None and level.name in demands]


def _padded(part: Mapping[str, Number], demands: Mapping[str, Number]) -> list[Number]:
    return [part.get(name, 0) for name in demands]
