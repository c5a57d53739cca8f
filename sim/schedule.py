"""When the Einsums of a group run: slots, drains, and contexts that contend for units. Cycles only; no bytes.

The compute schedule of a group is the sum of its slots, each as long as its busiest unit over the whole group, plus
what is waited for: drains that the pipeline depth does not hide, contention between contexts, and the start and end
of tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, evaluate, is_array, maximum, where

from .dealing import rounds, spread
from .nests import Nests
from .pace import Course, Pace, pace_of_contexts
from .plan import GroupPlan
from .ports import port_names, wanted_ports
from .slots import EinsumTime, slots_of, spent_in_slots


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
    slots = slots_of(plan, einsums)
    total: Number = sum((maximum(*busy.values()) for busy in slots if busy), 0)
    ranks = frozenset().union(*(site.ranks for site in plan.sites.values()))
    epochs = nests.below(plan.shared).visits(ranks, len(plan.shared))
    tasks, busiest, instances = _tasks(machine, plan, nests)
    mine = epochs * busiest / tasks
    group = plan.group
    _check_contexts(machine, plan, nests)
    overhead = evaluate(group.overhead, nests.environment)
    hidden = where(evaluate(group.resident, nests.environment) > 1, overhead, 0)
    overhead = overhead - hidden
    read = {level: seconds * clock / mine for level, seconds in read_s.items()}
    stored = {level: seconds * clock / mine for level, seconds in stored_s.items()}
    course = Course(machine, plan, nests, einsums, slots, mine, busiest, instances, read, stored, hidden)
    pace = pace_of_contexts(course, total) if group.contexts != 0 else _pace_of_one(course, total)
    drains = _drains(course, total)
    waits = {**drains, **pace.waits}
    spent = {"waiting": 0, **pace.spent}
    spent["waiting"] = spent["waiting"] + sum(drains.values(), 0)
    epoch_cycles = (pace.total + sum(waits.values(), 0)) / mine
    if np.any(np.asarray(pace.ramp) > 0):
        waits["ramp"] = pace.ramp
        spent["waiting"] = spent["waiting"] + pace.ramp
    if group.overhead != 0 and np.any(np.asarray(overhead) > 0):
        waits["overhead"] = busiest * overhead
        spent["overhead"] = spent.get("overhead", 0) + busiest * overhead
    return Schedule(
        slots=slots,
        waits=waits,
        cycles=pace.total + sum(waits.values(), 0),
        epochs=epochs,
        tasks=tasks,
        busiest=busiest,
        epoch_cycles=epoch_cycles,
        overhead_cycles=overhead,
        resident=evaluate(group.resident, nests.environment),
        spent=spent,
        instances=instances,
        waited=pace.waited,
        full_epoch_cycles=epoch_cycles - pace.tail / mine,
        delay_cycles=pace.delay,
    )


def _check_contexts(machine: Machine, plan: GroupPlan, nests: Nests) -> None:
    contexts = evaluate(plan.group.contexts, nests.environment)
    if plan.group.contexts != 0 and not is_array(contexts) and contexts < 1:
        raise LightboundError(
            f"contexts of {', '.join(plan.group.einsums)}",
            contexts,
            f"says that no block fits on an instance of {machine.name}",
            "Use smaller tiles, or more threads for them.",
        )


def _drains(course: Course, total: Number) -> dict[str, Number]:
    """Cycles by unit whose results are awaited, beyond what epochs that are under way at once hide."""
    depth = course.plan.group.depth
    found: dict[str, Number] = {}
    if depth != "full":
        hidden = (depth - 1) * (total / course.epochs)
        for _, unit in course.plan.draining:
            exposed = maximum(0, unit.drain_cycles - hidden) * course.epochs
            found[f"{unit.name} drain"] = found.get(f"{unit.name} drain", 0) + exposed
    return found


def _pace_of_one(course: Course, total: Number) -> Pace:
    """One context: it waits for ports, and for what it says it awaits of levels."""
    waits = _passing(course)
    for level, part in course.plan.group.awaits.items():
        if level in course.read:
            waits[f"{level} reads"] = course.read[level] * course.epochs * evaluate(part, course.nests.environment)
    awaited = {name.removesuffix(" reads"): cycles for name, cycles in waits.items()}
    return Pace(total, waits, {**spent_in_slots(course.slots), **awaited})


def _passing(course: Course) -> dict[str, Number]:
    """Cycles by port for which slots last longer than their longest unit, since that is what all instructions of one
    context take to pass the port; of several ports, what each takes longer than those before it.
    """
    longest = [maximum(0, *slot.values()) for slot in course.slots]
    wanted = wanted_ports(course.machine, course.plan, course.einsums, course.slots, course.epochs, True)
    found: dict[str, Number] = {}
    for name, port in zip(port_names(course.machine), wanted, strict=True):
        passing = [course.epochs * need for need in port.by_slot]
        beyond = sum((maximum(0, taken - most) for taken, most in zip(passing, longest, strict=True)), 0)
        longest = [maximum(taken, most) for taken, most in zip(passing, longest, strict=True)]
        if np.any(np.asarray(beyond) > 0):
            found[name] = beyond
    return found


def _tasks(machine: Machine, plan: GroupPlan, nests: Nests) -> tuple[Number, Number, Number]:
    """Iterations that are dealt over instances, in all and for the busiest one, and how many instances there are."""
    loops = nests.dealt(plan.shared)
    over = {axis for _, axis, _ in loops}
    innermost = next((axis for axis in reversed(tuple(machine.instances)) if axis in over), None)
    among = spread(machine.instances, over, innermost)
    instances = prod(apart for _, apart in among.values())
    return prod(trips for _, _, trips in loops), rounds(loops, among), instances
