"""When the Einsums of a group run: slots, drains, and contexts that contend for units. Cycles only; no bytes.

The compute schedule of a group is the sum of its slots, each as long as its busiest unit over the whole group, plus
what is waited for: drains that the pipeline depth does not hide, contention between contexts, and the start and end
of tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, ceil_div, evaluate, is_array, maximum, where

from .contention import Port, rounds, stretches
from .mapping import Group
from .nests import Nests
from .plan import GroupPlan


@dataclass(frozen=True)
class EinsumTime:
    """Busy time of one Einsum by unit: cycles of the busiest instance, and lane-cycles of useful work in all.

    loads: of the cycles of a unit those that its threads take to load, beyond what their work hides, by level.
    needs: cycles for which the work on a unit needs a port, by port and unit (`Unit.needs`).
    """

    cycles: dict[str, Number]
    lane_cycles: dict[str, Number]
    loads: dict[str, dict[str, Number]] = field(default_factory=dict)
    needs: dict[str, dict[str, Number]] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """The cycles of a group on its busiest instance.

    slots: for each slot, cycles by unit. waits: by what is waited for (``2d drain``, ``contention``, ``l2 reads``,
    ``overhead``).
    epochs: iterations of the shared loops in all; tasks: iterations that are dealt over instances, `busiest` of them
    to the busiest one. An epoch takes `epoch_cycles` there, a task `overhead_cycles` beside its epochs. An
    instance has `resident` tasks at once. spent: `cycles` by what a context spends them on, at units and otherwise
    (accounts.py). instances: among which the tasks are dealt.
    waited: how many times longer the work on a unit takes since a port that it needs is held (1 where none is).
    full_epoch_cycles: `epoch_cycles` while an instance has all the tasks that it can have at once. delay_cycles: of an
    epoch of a context, at no unit.
    """

    slots: tuple[dict[str, Number], ...]
    waits: dict[str, Number]
    cycles: Number
    epochs: Number
    tasks: Number
    busiest: Number
    epoch_cycles: Number
    overhead_cycles: Number
    resident: Number = 1
    spent: dict[str, Number] = field(default_factory=dict)
    instances: Number = 1
    waited: dict[str, Number] = field(default_factory=dict)
    full_epoch_cycles: Number = 0
    delay_cycles: Number = 0

    @property
    def busy(self) -> dict[str, Number]:
        """Cycles by unit over all slots."""
        total: dict[str, Number] = {}
        for slot in self.slots:
            for unit, cycles in slot.items():
                total[unit] = total.get(unit, 0) + cycles
        return total


def make_schedule(
    machine: Machine,
    plan: GroupPlan,
    nests: Nests,
    einsums: dict[str, EinsumTime],
    read_s: Mapping[str, Number],
    stored_s: Mapping[str, Number],
    clock_hz: Number | None = None,
) -> Schedule:
    """The schedule of a group whose Einsums take these times, at a clock: the machine's, if none is given.

    `read_s`, `stored_s`: seconds of each level for what is read and for what is written, where contexts contend for it.
    """
    clock = machine.clock_hz if clock_hz is None else clock_hz
    slots = _slots(plan, einsums)
    total: Number = sum((maximum(*busy.values()) for busy in slots if busy), 0)
    shared = nests.below(plan.shared)
    ranks = frozenset().union(*(site.ranks for site in plan.sites.values()))
    epochs = shared.visits(ranks, len(plan.shared))
    tasks, busiest, instances = _tasks(machine, plan, nests)
    mine = epochs * busiest / tasks
    group = plan.group
    waits: dict[str, Number] = {}
    if group.depth != "full":
        hidden = (group.depth - 1) * (total / mine)
        for _, unit in plan.draining:
            exposed = maximum(0, unit.drain_cycles - hidden) * mine
            waits[f"{unit.name} drain"] = waits.get(f"{unit.name} drain", 0) + exposed
    contexts = evaluate(group.contexts, nests.environment)
    if group.contexts != 0 and not is_array(contexts) and contexts < 1:
        raise LightboundError(
            f"contexts of {', '.join(group.einsums)}",
            contexts,
            f"says that no block fits on an instance of {machine.name}",
            "Use smaller tiles, or more threads for them.",
        )
    overhead = evaluate(group.overhead, nests.environment)
    resident = evaluate(group.resident, nests.environment)
    hidden = where(resident > 1, overhead, 0)
    overhead = overhead - hidden
    spent = _spent_in_slots(slots)
    waited: dict[str, Number] = {}
    ramp: Number = 0
    tail: Number = 0
    delay: Number = 0
    spent["waiting"] = sum(waits.values(), 0)
    if group.contexts != 0:
        at_once = _demands(machine, slots, mine)
        ordered = group.slots is not None
        ports = _ports(machine, plan, einsums, slots, mine, ordered)
        demands = _in_order(slots, ports, mine) if ordered else at_once
        chain = evaluate(group.chain, nests.environment)
        delay = evaluate(group.delay, nests.environment) + maximum(0, chain - sum(demands.values(), 0))
        behind = hidden * tasks / epochs
        read = {level: seconds * clock / mine for level, seconds in read_s.items()}
        stored = {level: seconds * clock / mine for level, seconds in stored_s.items()}
        beside, flows = _at_levels(machine, group, nests, demands, read, stored, instances)
        least = maximum(evaluate(group.least, nests.environment), *at_once.values(), *flows)
        total = mine * least if ordered else total  # several contexts are in different slots at once
        wanted = [Port(_padded(port.held, demands), _padded(port.needed, demands), ordered) for port in ports]
        turn = partial(
            rounds, list(demands.values()), delay=delay + behind, beside=list(beside.values()), ports=wanted,
            least=least,
        )  # fmt: skip
        cycle, stays = turn(contexts=contexts)
        waited = dict(zip(demands, stretches(list(demands.values()), contexts, cycle, wanted), strict=True))
        # tasks that do not fill the last round of an instance run among fewer
        full = cycle
        last = where(resident > 1, busiest % maximum(resident, 1), 0)
        if np.any(np.asarray(last) > 0):
            fewer, _ = turn(contexts=maximum(1, contexts * last / maximum(resident, 1)))
            cycle = where(last > 0, ((busiest - last) * cycle + last * fewer) / busiest, cycle)
        waits["contention"] = maximum(0, mine * cycle - total)
        tail = waits["contention"] - maximum(0, mine * full - total)
        own = maximum(0, *(demand + other for demand, other in zip(demands.values(), beside.values(), strict=True)))
        steady = maximum(own, least)
        alone = sum(demands.values(), 0) + delay + behind
        ramp = maximum(0, alone - where(own >= least, own, 0) - contexts * (cycle - steady))
        at_units = sum(stays, 0.0)
        scale = maximum(total, mine * cycle) / maximum(cycle, at_units)
        spent = {name: stay * scale for name, stay in zip(demands, stays, strict=True)}
        rest = maximum(0, cycle - at_units) * scale
        spent["waiting"] = rest * where(delay + behind > 0, delay / maximum(delay + behind, 1e-30), 1)
        spent["overhead"] = rest - spent["waiting"]
    else:
        for name, cycles in _passing(machine, plan, einsums, slots, mine).items():
            waits[name] = spent[name] = cycles
        for level, part in group.awaits.items():
            if level in read_s:
                reads = read_s[level] * clock * evaluate(part, nests.environment)
                waits[f"{level} reads"] = spent[level] = reads
    epoch_cycles = (total + sum(waits.values(), 0)) / mine
    full_epoch_cycles = epoch_cycles - tail / mine
    if np.any(np.asarray(ramp) > 0):
        waits["ramp"] = ramp
        spent["waiting"] = spent.get("waiting", 0) + ramp
    if group.overhead != 0 and np.any(np.asarray(overhead) > 0):
        waits["overhead"] = busiest * overhead
        spent["overhead"] = spent.get("overhead", 0) + busiest * overhead
    cycles = total + sum(waits.values(), 0)
    return Schedule(
        slots, waits, cycles, epochs, tasks, busiest, epoch_cycles, overhead, resident, spent, instances, waited,
        full_epoch_cycles, delay,
    )  # fmt: skip


def _spent_in_slots(slots: tuple[dict[str, Number], ...]) -> dict[str, Number]:
    """The cycles of slots by the unit that each waits for."""
    spent: dict[str, Number] = {}
    for slot in slots:
        for unit, chosen in _longest(slot).items():
            spent[unit] = spent.get(unit, 0) + where(chosen, slot[unit], 0)
    return spent


def _demands(machine: Machine, slots: tuple[dict[str, Number], ...], epochs: Number) -> dict[str, Number]:
    """Cycles of one epoch on each unit. What a unit blocks of another one's work counts as its own."""
    demands = {unit: sum((busy.get(unit, 0) for busy in slots), 0) / epochs for unit in machine.units}
    for name, unit in machine.units.items():
        for other, part in unit.blocks.items():
            blocked = where(demands[name] > 0, part * demands[other], 0)
            demands[name] = demands[name] + blocked
            demands[other] = demands[other] - blocked
    return demands


def _in_order(slots: tuple[dict[str, Number], ...], ports: Sequence[_Wanted], epochs: Number) -> dict[str, Number]:
    """Cycles of one epoch by unit, where a context goes through its slots in order: each takes as long as its longest
    unit, or as the instructions of all of them take to pass a port.
    """
    found: dict[str, Number] = {unit: 0 for port in ports for unit in port.needed}
    for number, (slot, longest) in enumerate(zip(slots, map(_longest, slots), strict=True)):
        least = maximum(0, *(port.by_slot[number] for port in ports)) if ports else 0
        for unit, chosen in longest.items():
            cycles = maximum(slot[unit] / epochs, least)
            found[unit] = found.get(unit, 0) + where(chosen, cycles, 0)
    return found


def _passing(
    machine: Machine,
    plan: GroupPlan,
    einsums: dict[str, EinsumTime],
    slots: tuple[dict[str, Number], ...],
    mine: Number,
) -> dict[str, Number]:
    """Cycles by port for which slots last longer than their longest unit, since that is what all instructions of one
    context take to pass the port; of several ports, what each takes longer than those before it.
    """
    longest = [maximum(0, *slot.values()) for slot in slots]
    found: dict[str, Number] = {}
    for name, port in zip(_port_names(machine), _ports(machine, plan, einsums, slots, mine, True), strict=True):
        passing = [mine * need for need in port.by_slot]
        beyond = sum((maximum(0, taken - most) for taken, most in zip(passing, longest, strict=True)), 0)
        longest = [maximum(taken, most) for taken, most in zip(passing, longest, strict=True)]
        if np.any(np.asarray(beyond) > 0):
            found[name] = beyond
    return found


def _port_names(machine: Machine) -> list[str]:
    return list(dict.fromkeys(port for unit in machine.units.values() for port in (*unit.holds, *unit.needs)))


@dataclass(frozen=True)
class _Wanted:
    """What an epoch wants of a port, by unit; and its needs by slot."""

    held: dict[str, Number]
    needed: dict[str, Number]
    by_slot: tuple[Number, ...]


def _ports(
    machine: Machine,
    plan: GroupPlan,
    einsums: dict[str, EinsumTime],
    slots: tuple[dict[str, Number], ...],
    epochs: Number,
    ordered: bool,
) -> list[_Wanted]:
    """What an epoch wants of every port that units of the machine hold or need. Where slots follow each other, as
    `ordered` says, all that a slot wants counts for its longest unit.
    """
    made: list[_Wanted] = []
    longest = [_longest(slot) for slot in slots]
    for name in _port_names(machine):
        held: dict[str, Number] = dict.fromkeys(machine.units, 0)
        needed: dict[str, Number] = dict.fromkeys(machine.units, 0)
        by_slot: list[Number] = [0] * len(slots)

        def put(table: dict[str, Number], slot: int, unit: str, cycles: Number) -> None:
            for other, chosen in longest[slot].items() if ordered else ((unit, True),):
                table[other] = table.get(other, 0) + where(chosen, cycles / epochs, 0)

        for number, slot in enumerate(slots):
            for unit, cycles in slot.items():
                put(held, number, unit, machine.units[unit].holds.get(name, 0) * cycles)
        for einsum, time in einsums.items():
            for unit, cycles in time.needs.get(name, {}).items():
                put(needed, plan.sites[einsum].slot, unit, cycles)
                slot = plan.sites[einsum].slot
                by_slot[slot] = by_slot[slot] + cycles / epochs
        made.append(_Wanted(held, needed, tuple(by_slot)))
    return made


def _at_levels(
    machine: Machine,
    group: Group,
    nests: Nests,
    demands: dict[str, Number],
    read: Mapping[str, Number],
    stored: Mapping[str, Number],
    instances: Number,
) -> tuple[dict[str, Number], list[Number]]:
    """What an epoch moves at levels: adds to `demands` what contexts await there, and returns what loads a station
    beside that, and the flows through levels that bound all instances together. `read`, `stored`: cycles by level.
    """
    beside: dict[str, Number] = dict.fromkeys(demands, 0)
    part = {level: evaluate(share, nests.environment) for level, share in group.awaits.items()}
    for level in dict.fromkeys((*group.awaits, *group.settles)):
        reads, stores = read.get(level, 0), stored.get(level, 0)
        awaited = reads * part.get(level, 0) + stores * evaluate(group.settles.get(level, 0), nests.environment)
        demands[level] = awaited
        beside[level] = reads + stores - awaited
    wide = _shared_levels(machine, demands, instances) if group.at_once else []
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


def _longest(slot: dict[str, Number]) -> dict[str, Number]:
    """Of the units of a slot, whether each is the one that the slot waits for: the first of the longest."""
    most = maximum(0, *slot.values())
    taken: Number = False
    found: dict[str, Number] = {}
    for unit, cycles in slot.items():
        found[unit] = (cycles >= most) & np.logical_not(taken)
        taken = taken | found[unit]
    return found


def _slots(plan: GroupPlan, einsums: dict[str, EinsumTime]) -> tuple[dict[str, Number], ...]:
    slots: list[dict[str, Number]] = [{} for _ in range(1 + max(site.slot for site in plan.sites.values()))]
    for name, site in plan.sites.items():
        busy = slots[site.slot]
        for unit, cycles in einsums[name].cycles.items():
            busy[unit] = busy.get(unit, 0) + cycles
    return tuple(slots)


def _tasks(machine: Machine, plan: GroupPlan, nests: Nests) -> tuple[Number, Number, Number]:
    """Iterations that are dealt over instances, in all and for the busiest one, and how many instances there are."""
    shared = nests.below(plan.shared)
    tasks: Number = 1
    instances: Number = 1
    for depth, loop in enumerate(plan.shared):
        if loop.over is not None:
            tasks = tasks * ceil_div(shared.extent(loop.rank, depth), shared.extent(loop.rank, depth + 1))
            instances = machine.copies(loop.over)
    return tasks, ceil_div(tasks, instances), instances
