"""From a plan and its closed forms to programs: how any group of any mapping becomes tasks on resources.

One lowering for all. What an Einsum needs of each unit, and what each level moves for each tensor, are those of the
analytical engine, so that both engines do the same work and move the same bytes; here it is cut into epochs, put on
resources, and ordered:

* A *stage* is what runs side by side: the Einsums of one slot, one after the other on each unit. A context goes through
  its Einsums one by one: each is a stage. Stages follow each other; the first waits for the last of the epoch before.
* An Einsum without the rank of a loop runs in the first iteration of that loop, or in the last where it reads what the
  loop makes.
* A held tile is fetched as soon as `copies` leave room for it, and what reads it waits; results leave when their tile
  is done. What units read beside that runs with their work.
* Of levels that contexts await, what they read is a step before their work and what they write one behind it, in the
  part that they await (awaiting.py).
* At a finite depth, a unit that feeds a later slot drains, and what it feeds waits.

With the fill ``amortised`` all is spread evenly over the epochs and nothing waits for memory, as in the closed forms.
Times are in cycles, bandwidths in bytes a cycle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

from lightbound.archs.machine import Level, Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import evaluate

from .analytical import GroupResult
from .awaiting import PATH, awaited_parts, divided, on_path, path_of, stages_around
from .coalescing import Chain, Stage, coalesced, einsums_of, gathered, inside
from .epochs import Epochs, epochs_of
from .flow import Site
from .nests import Nests
from .plan import GroupPlan, Plan
from .program import Program, Resource, System, Task, When, Worker
from .transfers import Transfer, transfers

Fill = Literal["counted", "amortised"]
FILLS: tuple[Fill, ...] = get_args(Fill)
JITTER = 0.5  # assumed; the mean over many epochs does not depend on it, only how soon contexts fall out of step
WAITING = "latency"  # the delay resource
_OPENING = ""  # stands for the end of the epoch before


@dataclass(frozen=True)
class _Lowering:
    """What all parts of a lowering look at."""

    plan: Plan
    group: GroupPlan
    result: GroupResult
    epochs: Epochs
    amortised: bool
    reuse: bool
    tested: GroupResult | None
    path: Level | None

    @property
    def cascade_order(self) -> list[list[Site]]:
        """Sites by stage."""
        slots: list[list[Site]] = [[] for _ in range(1 + max(site.slot for site in self.group.sites.values()))]
        for site in self.group.sites.values():
            slots[site.slot].append(site)
        return [[site] for slot in slots for site in slot] if self.epochs.contexts else [slot for slot in slots if slot]


def lower(
    plan: Plan,
    group: GroupPlan,
    result: GroupResult,
    nests: Nests,
    word_bytes: int,
    fill: Fill,
    reuse: bool = True,
    tested: GroupResult | None = None,
) -> System:
    """The system of one group, as the analytical engine sized it.

    reuse: what instances fetch is looked for in the level that they share, and fetched again if it is gone; otherwise
    they fetch what the closed forms say. tested: the group where it does more, in iterations that workers mark.
    """
    _check_scopes(plan.machine, group, result)
    epochs = epochs_of(plan, group, result, nests)
    path = path_of(plan.machine, group, epochs.instances)
    this = _Lowering(plan, group, result, epochs, fill == "amortised", reuse and fill != "amortised", tested, path)
    parts = awaited_parts(group, nests)
    awaited, moves = divided(transfers(plan.machine, group, result, nests, epochs, word_bytes), parts)
    if epochs.contexts and not this.amortised:
        moves = gathered(moves)
    stages = [_stage(this, sites, moves) for sites in this.cascade_order]
    drains = _add_drains(this, stages)
    before, behind = stages_around(plan.machine, awaited, partial(_in_turn, this), path)
    stages = [*before, *stages, *behind]
    if epochs.contexts:
        stages = coalesced(stages)
    if delay := float(result.schedule.delay_cycles):
        stages.append([[Task("delay", WAITING, delay)]])
    steps = _sequence(stages)
    body = [*steps, *drains, *_memory(this, moves, steps[:1])]
    body = _connected(this, body, moves)
    alone = sum(task.demand for task in body if task.resource in (*plan.machine.units, WAITING) and not task.when)
    overhead = float(evaluate(group.group.overhead, nests.environment))
    program = Program(
        name=", ".join(group.sites),
        body=tuple(body),
        prologue=(Task("overhead", WAITING, overhead),) if overhead else (),
        jitter=JITTER if epochs.contexts > 1 else 0.0,
        stagger=alone if epochs.contexts > 1 else 0.0,
    )
    slots = max(1, epochs.contexts // epochs.split)
    keyed = [move for move in moves if _keyed(this, move)]
    kept_bytes = _kept_bytes(plan, group) if keyed else 0.0
    awaits = {level for level, _ in parts}
    resources = _resources(plan.machine, result, epochs, body, kept_bytes, set() if path else awaits, path)
    columns = [epochs.keys(move.apart) for move in keyed]
    trips = (epochs.trips,) * epochs.split
    workers = (
        tuple(Worker(program.name, trips, keys=keys) for keys in zip(*columns, strict=True))
        if keyed
        else (Worker(program.name, trips),) * epochs.tasks
    )
    return System(resources, (program,), workers, epochs.instances, slots)


def _check_scopes(machine: Machine, group: GroupPlan, result: GroupResult) -> None:
    """Instances of this engine share what the machine has once, and nothing else with some of the others."""
    order = list(machine.instances)
    over = {axis for site in group.sites.values() for axis in site.over}
    levels = {machine.levels[number].name: scope for number, scope in group.scopes.items()}
    units = {site.unit.name: site.unit.scope for site in group.sites.values()}
    moved = {machine.levels[number].name for number, _, _ in result.words}
    for name, scope in {**{name: levels[name] for name in levels if name in moved}, **units}.items():
        if scope is not None and any(order.index(axis) > order.index(scope) for axis in over):
            inner = ", ".join(axis for axis in order if axis in over)
            raise LightboundError(
                f"mapping: over {inner}",
                name,
                f"belongs to a {scope}, whose instances inside it share it: this engine does not follow that",
                "Ask for engine='analytical', which does.",
            )


def _keyed(this: _Lowering, move: Transfer) -> bool:
    """Whether instances look for what they fetch in a level that they share."""
    return this.reuse and this.epochs.instances > 1 and move.tile_bytes > 0


def _kept_bytes(plan: Plan, group: GroupPlan) -> float:
    """What the first level behind the outermost one keeps for all instances: its capacity."""
    held = min(held.level for held in group.holds if held.level and plan.machine.levels[held.level].scope is None)
    return float(plan.machine.levels[held].capacity_bytes or 0.0)


def _resources(
    machine: Machine,
    result: GroupResult,
    epochs: Epochs,
    body: list[Task],
    kept_bytes: float,
    awaited: set[str],
    path: Level | None,
) -> tuple[Resource, ...]:
    """Units, levels, paths and the delay. Of a level that contexts await every instance at work has its part."""
    used = {task.resource for task in body}
    kind = "sharing" if epochs.contexts else "fifo"
    units = [Resource(unit.name, kind, 1.0, unit.scope is None) for unit in machine.units.values() if unit.name in used]
    levels = [
        Resource(
            level.name,
            "bandwidth",
            float(level.rate_bytes_per_s / (machine.clock_hz if level.clocked else result.clock_hz))
            * (epochs.busiest / epochs.tasks if level.scope is None and level.name in awaited else 1.0),
            level.scope is None and level.name not in awaited,
            0.0 if number else kept_bytes,
        )
        for number, level in enumerate(machine.levels)
        if level.name in used and level.rate_bytes_per_s is not None
    ]
    paths = []
    if path is not None and f"{path.name}{PATH}" in used:
        rate = float(path.bandwidth_bytes_per_s / result.clock_hz) * epochs.busiest / epochs.tasks
        paths = [Resource(f"{path.name}{PATH}", "bandwidth", rate)]
    return (*units, *levels, *paths, Resource(WAITING, "delay"))


def _stage(this: _Lowering, sites: list[Site], moves: tuple[Transfer, ...]) -> Stage:
    """The work of some Einsums in one epoch: a chain for each unit, and beside them what their units read."""
    late = _late(this.group)
    chains: dict[str, Chain] = {}
    for site in sites:
        name = site.einsum.name
        when = () if this.amortised else this.epochs.when(site.ranks, late[name])
        visits = this.epochs.trips if this.amortised else this.epochs.visits(site.ranks)
        demands = _demands(this, this.result, name)
        tested = demands if this.tested is None else _demands(this, this.tested, name)
        for number, unit in enumerate(dict.fromkeys((*demands, *tested))):
            cycles = demands.get(unit, 0.0)
            more = max(0.0, tested.get(unit, 0.0) - cycles) / visits
            task = Task(name if not number else f"{name} on {unit}", unit, cycles / visits, when=when, more=more)
            while any(task.name == other.name for chain in chains.values() for other in chain):
                task = replace(task, name=f"{task.name}'")
            chains.setdefault(name if this.epochs.contexts else unit, []).append(task)
        for move in moves if not this.amortised else ():
            if move.purpose == "operand" and not move.beside and name == _first_user(this.group, move):
                task = Task(move.name, move.level, move.bytes / visits, when=when)
                chains.setdefault(f"port {move.level}", []).append(task)
    return list(chains.values())


def _first_user(group: GroupPlan, move: Transfer) -> str:
    return next(name for name in group.sites if name in move.users)


def _late(group: GroupPlan) -> dict[str, set[str]]:
    """For each Einsum the ranks whose loops it follows: it has them not, but reads what was made over them."""
    late: dict[str, set[str]] = {}
    for name, site in group.sites.items():
        late[name] = set()
        for access in site.einsum.reads:
            writer = group.sites.get(access.tensor)
            if writer is not None and access.tensor in late:
                late[name] |= (writer.ranks | late[access.tensor]) - site.ranks
    return late


def _demands(this: _Lowering, result: GroupResult, name: str) -> dict[str, float]:
    """Cycles of one Einsum in one context of a task, by unit in the order of its operations. What a unit blocks of
    another one's work counts as its own, as in the closed form, and waits for ports are as long on average as there.
    """
    units = this.plan.machine.units
    busy = result.schedule.busy
    made: dict[str, float] = {}
    for unit, cycles in result.einsums[name].cycles.items():
        tasks = this.epochs.tasks if units[unit].scope is None else this.epochs.busiest
        left = float(cycles) / tasks / this.epochs.split
        whole = left
        for other in units.values() if this.epochs.contexts else ():
            part = float(other.blocks.get(unit, 0)) * whole if busy.get(other.name, 0) > 0 else 0.0
            made[other.name] = made.get(other.name, 0.0) + part
            left -= part
        made[unit] = made.get(unit, 0.0) + left * float(result.schedule.waited.get(unit, 1.0))
    return {unit: cycles for unit, cycles in made.items() if cycles > 0}


def _add_drains(this: _Lowering, stages: list[Stage]) -> list[Task]:
    """Drains of units that feed a later slot: a stage of their own where all wait for them, as in the closed form, or
    tasks that what they feed waits for.
    """
    depth = this.group.group.depth
    if depth == "full" or this.epochs.contexts:
        return []
    made: list[Task] = []
    sites = this.cascade_order
    for slot, unit in reversed(this.group.draining):
        place = next(number for number, stage in enumerate(sites) if stage[0].slot == slot)
        drain = Task(f"{unit.name} drain of slot {slot + 1}", WAITING, float(unit.drain_cycles))
        if not drain.demand:
            continue
        if this.amortised and depth == 1:
            stages.insert(place + 1, [[drain]])
            sites.insert(place + 1, sites[place])
            continue
        mine = [task for chain in stages[place] for task in chain if task.resource == unit.name]
        made.append(replace(drain, after=tuple((task.name, 0) for task in mine)))
        fed = _fed(this, slot, unit.name)
        for number, stage in enumerate(stages):
            stages[number] = [[_after_drain(task, drain, depth - 1, fed) for task in chain] for chain in stage]
    return made


def _after_drain(task: Task, drain: Task, distance: int, fed: set[str]) -> Task:
    return replace(task, after=(*task.after, (drain.name, distance))) if fed.intersection(einsums_of(task)) else task


def _fed(this: _Lowering, slot: int, unit: str) -> set[str]:
    """Einsums of later slots on other units that read what this unit makes in this slot."""
    sites = this.group.sites
    return {
        consumer
        for producer, consumer in this.plan.cascade.graph.edges
        if producer in sites and consumer in sites
        if sites[producer].slot == slot < sites[consumer].slot
        if sites[producer].unit.name == unit != sites[consumer].unit.name
    }


def _sequence(stages: list[Stage]) -> list[Task]:
    """The tasks of all stages, each after those before it. Where a task does not run in every epoch, what follows it
    waits for what came before it too.
    """
    made: list[Task] = []
    before = [_OPENING]
    for stage in stages:
        tails: list[str] = []
        always = False
        for chain in stage:
            waits = before
            for task in chain:
                made.append(replace(task, after=(*task.after, *((name, 0) for name in waits))))
                waits = [*waits, task.name] if task.when else [task.name]
                always = always or not task.when
            tails += [name for name in waits if name not in before]
        before = tails if always else [*before, *tails]
    closing = tuple((name, 1) for name in before if name != _OPENING)
    return [
        replace(task, after=tuple(_opened(task.after, closing))) if (_OPENING, 0) in task.after else task
        for task in made
    ]


def _opened(after: Iterable[tuple[str, int]], closing: tuple[tuple[str, int], ...]) -> list[tuple[str, int]]:
    return [*(entry for entry in after if entry[0] != _OPENING), *closing]


def _memory(this: _Lowering, moves: tuple[Transfer, ...], first: list[Task]) -> list[Task]:
    """Transfers as tasks: on their own where fill is amortised, otherwise with the tiles that they belong to. What is
    moved beside contexts that contend for its level flows evenly, an epoch's share in each, after its `first` task.
    """
    trips = this.epochs.trips
    turn = float(this.result.schedule.full_epoch_cycles) * max(1, this.epochs.contexts)

    def even(move: Transfer, task: Task) -> Task:
        after = tuple((one.name, 1) for one in first)
        sooner = 2 if task.when or trips == 1 else 1  # what comes once in a while does not end last
        return replace(task, after=after, cap=max(sooner * move.bytes / trips / turn, 1e-30), ahead=True)

    if this.amortised:
        tasks = [(move, Task(move.name, move.level, move.bytes / trips, ahead=True)) for move in moves]
        return [even(move, task) if move.beside else task for move, task in tasks]
    flows = [even(move, _in_turn(this, move)) for move in moves if move.beside]
    flows += [
        on_path(task, this.path) for task in flows if this.path and this.plan.machine.level(task.resource).scope is None
    ]
    moves = tuple(move for move in moves if not move.beside)
    made = []
    keys: list[str] = []
    for move in moves:
        if move.purpose == "post":
            site = this.group.sites[move.tensor]
            when = this.epochs.when(site.ranks, _late(this.group)[move.tensor])
            made.append(Task(move.name, move.level, move.bytes / this.epochs.visits(site.ranks), when=when, ahead=True))
        elif move.purpose != "operand":
            when = _turning(move, trips)
            task = Task(move.name, move.level, move.bytes * move.period / trips, when=when, ahead=True)
            if _keyed(this, move):
                task = replace(task, demand=move.tile_bytes, key=len(keys), turn=move.period, round=move.round)
                keys.append(move.name)
            made.append(task)
    return [*made, *flows]


def _in_turn(this: _Lowering, move: Transfer) -> Task:
    """A transfer that a context awaits, in the epochs in which it has one."""
    trips = this.epochs.trips
    if this.amortised:
        return Task(move.name, move.level, move.bytes / trips)
    if move.purpose in ("fill", "drain"):
        return Task(move.name, move.level, move.bytes * move.period / trips, when=_turning(move, trips))
    site = this.group.sites[move.tensor if move.purpose == "post" else _first_user(this.group, move)]
    when = this.epochs.when(site.ranks, _late(this.group)[site.einsum.name])
    return Task(move.name, move.level, move.bytes / this.epochs.visits(site.ranks), when=when)


def _turning(move: Transfer, trips: int) -> tuple[When, ...]:
    """The epochs in which a tile is filled, the first of each, or drained, the last."""
    if move.period <= 1:
        return ()
    if move.period == trips:  # one tile for the whole task, whatever its trips
        return (When(0, -1, 0) if move.purpose == "drain" else When(0, 0, 1),)
    first = move.period - 1 if move.purpose == "drain" else 0
    return (When(move.period, first, first + 1),)


def _connected(this: _Lowering, body: list[Task], moves: tuple[Transfer, ...]) -> list[Task]:
    """Who waits for which transfer, and which transfer for room in its hold."""
    if this.amortised:
        return body
    after: dict[str, list[tuple[str, int]]] = {task.name: list(task.after) for task in body}
    working = {name: [task.name for task in body if name in einsums_of(task)] for name in this.group.sites}
    for move in moves:
        if move.beside:
            continue
        again = (move.copies - 1) * move.period + 1
        users = [task for name in move.users for task in working[name]]
        if move.purpose == "fill":
            inner = [other.name for other in moves if inside(other, move) and not other.beside]
            for task in (*inner, *users):
                after[task].append((move.name, 0))
            for task in inner or users:  # what has been passed on needs no room
                after[move.name].append((task, again))
        elif move.purpose in ("drain", "post"):
            for task in working.get(move.tensor, ()):
                after[move.name].append((task, 0))
                if move.purpose == "drain":
                    after[task].append((move.name, again))
    return [replace(task, after=tuple(dict.fromkeys(after[task.name]))) for task in body]
