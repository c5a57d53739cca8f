"""The analytical engine: closed forms for traffic, busy time, buffers and latency of a plan at given sizes.

Groups follow each other and their times add. Within a group everything overlaps that the mapping lets overlap: the
time is that of the busiest of the compute schedule (slots and drains) and of each level's bandwidth. Pipeline fill is
amortised. Sizes may be arrays: then every number of the result is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from lightbound.archs.machine import Level, Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, ceil_div, evaluate, is_array, maximum, minimum, where
from lightbound.base.points import Pick, refuse

from .binding import Piece
from .clock import clock_hz
from .flow import Site
from .loading import loaded_from, with_loading
from .mapping import For
from .nests import Nests
from .plan import GroupPlan, Plan
from .reuse import Nest, Sizes, tiles
from .schedule import EinsumTime, Schedule, make_schedule
from .sizing import environment
from .traffic import READ, WRITE, Traffic, footprints, group_traffic, readers_at_once


@dataclass(frozen=True)
class GroupResult:
    """What one group takes. Times in seconds, footprints in bytes of one copy of the level, words as counted."""

    einsums: dict[str, EinsumTime]
    schedule: Schedule
    clock_hz: Number  # that it runs at
    compute_s: Number
    memory_s: dict[str, Number]  # by level
    launch_s: Number
    latency_s: Number
    words: dict[tuple[int, str, str], Number]
    occupancy_bytes: dict[str, Number]
    spilled: dict[str, Number]
    read_s: dict[str, Number] = field(default_factory=dict)
    stored_s: dict[str, Number] = field(default_factory=dict)


def run(plan: Plan, sizes: Sizes, word_bytes: int) -> tuple[dict[str, Number], tuple[GroupResult, ...]]:
    """The environment in which formulas were evaluated, and the result of every group."""
    names = environment(plan, sizes, word_bytes)
    checked: set[For] = set()
    for group in plan.groups:
        for loop in {loop: None for site in group.sites.values() for loop in site.loops}:
            if loop not in checked:
                _check_tile(plan, loop, sizes, names)
                checked.add(loop)
    return names, tuple(run_group(plan, group, Nests(sizes, names), word_bytes) for group in plan.groups)


def _check_tile(plan: Plan, loop: For, sizes: Sizes, names: dict[str, Number]) -> None:
    tile = evaluate(loop.tile, names)
    where = f"mapping {plan.mapping.name!r}: tile of {loop.rank}"
    larger, rounded = "Choose a larger tile or a larger rank.", "Round it: ceil_div(a, b) or a // b."
    refuse(np.asarray(tile) < 1, lambda _: LightboundError(where, f"{loop.tile}", "is below 1", larger))
    refuse(np.asarray(tile % 1) != 0, lambda _: LightboundError(where, f"{loop.tile}", "is no whole number", rounded))
    if isinstance(loop.tile, int):
        size = sizes[loop.rank]
        refuse(
            np.asarray(tile > size),
            lambda at: LightboundError(
                where,
                loop.tile,
                f"is larger than the rank, which has {at(size)}",
                f"Write at most {at(size)}, or a formula such as min({loop.tile}, {loop.rank.upper()}).",
            ),
        )


def run_group(plan: Plan, group: GroupPlan, nests: Nests, word_bytes: int, strict: bool = True) -> GroupResult:
    """One group. Unless `strict`, what is held may exceed a level, for a caller that compares it itself."""
    machine = plan.machine
    taken, spilled = _capacity(plan, group, nests, word_bytes, strict)
    traffic = group_traffic(group, nests, spilled)
    shared = nests.below(group.shared)
    arrived: set[int] = set()

    def time(site: Site) -> EinsumTime:
        return _einsum_time(plan, site, nests, shared.visits(site.ranks, len(group.shared)), word_bytes, arrived)

    einsums = {  # what a unit's threads load depends on what others of them loaded before
        name: time(site) if site.loads else nests.once(("time", site.key or site), partial(time, site))
        for name, site in group.sites.items()
    }
    alike = {
        tensor: readers_at_once(group, nests, tensor)
        for tensor in (
            dict.fromkeys(tensor for _, _, tensor in traffic.words) if _tells_shared_reads_apart(machine.levels) else ()
        )
    }
    times = partial(_memory_time, plan, traffic, word_bytes, alike, group.group.apart)
    memory_s = times()
    contended = bool(group.group.awaits or group.group.settles)
    read_s = times((READ,)) if contended else {}
    stored_s = times((WRITE,)) if contended else {}
    schedule = make_schedule(machine, group, nests, einsums, read_s, stored_s)
    lasts = maximum(schedule.cycles, *(seconds * machine.clock_hz for seconds in memory_s.values()))
    clock = clock_hz(machine, schedule.busy, lasts)
    if np.any(np.asarray(clock) < machine.clock_hz):  # what an SM owns slows down, memory does not
        slower = machine.clock_hz / clock
        memory_s, read_s, stored_s = (_slowed(machine, times, slower) for times in (memory_s, read_s, stored_s))
        if contended:
            schedule = make_schedule(machine, group, nests, einsums, read_s, stored_s, clock)
    compute_s = schedule.cycles / clock
    latency = maximum(compute_s, *memory_s.values()) + machine.launch_latency_s
    names = {number: level.name for number, level in enumerate(machine.levels)}
    return GroupResult(
        einsums,
        schedule,
        clock,
        compute_s,
        memory_s,
        machine.launch_latency_s,
        latency,
        traffic.words,
        {names[number]: value for number, value in taken.items()},
        {names[number]: value for number, value in spilled.items()},
        read_s,
        stored_s,
    )


def _slowed(machine: Machine, times: dict[str, Number], slower: Number) -> dict[str, Number]:
    """The seconds of levels where the clock is so many times lower."""
    return {name: seconds * slower if machine.level(name).clocked else seconds for name, seconds in times.items()}


def _capacity(
    plan: Plan, group: GroupPlan, nests: Nests, word_bytes: int, strict: bool
) -> tuple[dict[int, Number], dict[int, Number]]:
    taken: dict[int, Number] = {}
    spilled: dict[int, Number] = {}
    held = footprints(group, nests)
    for number, level in enumerate(plan.machine.levels):
        need: Number = sum((words for words, _ in held.get(number, {}).values()), 0) * word_bytes
        for where_, stage in group.stages:
            if where_ == number:
                need = need + evaluate(stage.size, nests.environment)
        if not (is_array(need) or need):
            continue
        taken[number] = need
        if not strict or level.capacity_bytes is None:
            continue
        if group.group.overbook and level.cache:
            spilled[number] = _missed(need / level.capacity_bytes, _turned_over(group, nests, number))
            continue
        if np.all(need <= level.capacity_bytes):
            continue
        if not group.group.overbook:
            refuse(np.asarray(need > level.capacity_bytes), partial(_too_small, plan, level, need, held[number]))
        spilled[number] = maximum(0, 1 - level.capacity_bytes / need)
    return taken, spilled


def _turned_over(group: GroupPlan, nests: Nests, number: int) -> Number:
    """Words that come into a cache, or go out through it, between two uses of one that it holds, over what it holds.

    A tensor that units read so many times as often as it is brought is replaced once in all its uses but one.
    """
    traffic = group_traffic(group, nests, {})
    out, came = (
        sum(count for (at, what, _), count in traffic.words.items() if at == 0 and what == action)
        for action in (WRITE, READ)
    )
    uses = [
        traffic.words.get((number, READ, tensor), 0) / maximum(filled, 1)
        for (at, tensor), filled in traffic.fills.items()
        if at == number
    ]
    return (1 + out / maximum(came, 1)) / maximum(minimum(*uses, np.inf) - 1, 1e-3)


def _missed(held: Number, turned: Number) -> Number:
    """The part of what a cache holds for another use that is gone by then, where it replaces lines at random.

    held: what is to be kept, over the capacity. Between two uses `turned` times as much comes in or is written, and
    what was missed comes once more; of C lines each one that comes leaves a given one with 1 - 1/C.
    """
    missed: Number = 0.0
    for _ in range(40):
        missed = (missed + 1 - np.exp(-held * (turned + missed))) / 2
    return missed


def _too_small(
    plan: Plan, level: Level, need: Number, held: Mapping[int, tuple[Number, tuple[str, ...]]], at: Pick
) -> LightboundError:
    largest = max(held.values(), key=lambda entry: at(entry[0]))
    return LightboundError(
        f"machine.levels.{level.name}.capacity",
        f"{at(level.capacity_bytes):,.0f} B",
        f"is too small for mapping {plan.mapping.name!r}, which holds {at(need):,.0f} B there "
        f"(the largest part is {', '.join(largest[1])})",
        f"Enlarge {level.name}, use smaller tiles, or let the group overbook.",
    )


def _einsum_time(
    plan: Plan, site: Site, nests: Nests, epochs: Number, word_bytes: int, arrived: set[int]
) -> EinsumTime:
    cycles: dict[str, Number] = {}
    useful: dict[str, Number] = {}
    needs: dict[str, dict[str, Number]] = {}
    for piece in site.pieces:
        cost = _cost(plan, site, piece) * evaluate(piece.times, nests.environment)
        points, steps = _points_and_steps(site, piece, nests)
        share = _busiest_share(plan, site, piece.ranks, nests, piece)
        name = piece.unit.name
        cycles[name] = cycles.get(name, 0) + steps * cost * share
        for port in piece.unit.needs:
            needed = piece.unit.needed(port, piece.ops) * evaluate(piece.times, nests.environment)
            _add(needs, port, name, steps * needed * share)
        useful[name] = useful.get(name, 0) + points * cost
        for other, extra in piece.unit.also.get("+".join(piece.ops), {}).items():
            lanes = plan.machine.units[other].lanes
            cycles[other] = cycles.get(other, 0) + ceil_div(points * share, lanes) * extra
            useful[other] = useful.get(other, 0) + points * extra
            for port in plan.machine.units[other].needs:  # one instruction a cycle
                _add(needs, port, other, ceil_div(points * share, lanes) * extra)
    loads: dict[str, dict[str, Number]] = {}
    if site.loads:
        name, share = site.unit.name, _busiest_share(plan, site, site.einsum.ranks, nests)
        work = cycles.get(name, 0)
        cycles[name] = with_loading(plan.machine, site, nests, epochs, work, share, word_bytes, arrived)
        loads[name] = {loaded_from(plan.machine, site): cycles[name] - work}
    return EinsumTime(cycles, useful, loads, needs)


def _add(table: dict[str, dict[str, Number]], first: str, second: str, more: Number) -> None:
    row = table.setdefault(first, {})
    row[second] = row.get(second, 0) + more


def _cost(plan: Plan, site: Site, piece: Piece) -> Number:
    cost = piece.unit.cycles(piece.ops)
    if cost is None:
        unable = next((op for op in piece.ops if piece.unit.cycles((op,)) is None), "+".join(piece.ops))
        able = [name for name, unit in plan.machine.units.items() if unit.cycles((unable,)) is not None]
        raise LightboundError(
            f"mapping {plan.mapping.name!r}: bind",
            site.einsum.name,
            f"needs {unable!r}, which unit {piece.unit.name!r} of {plan.machine.name} does not do",
            f"Bind {unable!r} to {' or '.join(able)} (ops: [{unable}])."
            if able
            else f"Give a unit of the machine a cost for {unable!r}.",
        )
    return cost


def _points_and_steps(site: Site, piece: Piece, nests: Nests) -> tuple[Number, Number]:
    """Points of the work, and cycles at one cycle a point: lanes share the ranks that lie along them."""
    outer = nests.below(site.loops)
    inside = _in_turn(site)
    points: Number = 1
    steps: Number = 1
    for rank in piece.ranks:
        points = points * nests.sizes[rank]
        steps = steps * _fillings(piece, rank, nests.sizes[rank], _tiles_of(outer, rank, 0, inside))
    for axis in piece.space:
        here = _along(piece, axis)
        if len(here) > 1:
            extent: Number = 1
            for rank in here:
                extent = extent * outer.extent(rank, inside)
            steps = steps * ceil_div(extent, piece.unit.shape[axis])
    return points, steps * repeats(site, nests)


def repeats(site: Site, nests: Nests, dealt: bool = False) -> Number:
    """How often an Einsum does its work over, in loops of others that say so; of these only those that are `dealt`."""
    outer = nests.below(site.loops)
    times: Number = 1
    for depth in site.again:
        loop = site.loops[depth]
        if loop.over is not None or not dealt:
            times = times * ceil_div(outer.extent(loop.rank, depth), outer.extent(loop.rank, depth + 1))
    return times


def _fillings(piece: Piece, rank: str, size: Number, nested: list[Number]) -> Number:
    """How often lanes are filled along a rank of this size under nested tiles, ragged tiles counted exactly.

    In time every coordinate is a step. Of ranks that lie side by side on one axis, every tile is.
    """
    axis = next((axis for axis, ranks in piece.space.items() if rank in ranks), None)
    if axis is None:
        return size
    if len(_along(piece, axis)) == 1:
        return tiles(size, [*nested, piece.unit.shape[axis]])
    return tiles(size, nested) if nested else 1


def _along(piece: Piece, axis: str) -> list[str]:
    return [rank for rank in piece.space[axis] if rank in piece.ranks]


def _in_turn(site: Site) -> int:
    """Depth of the loops whose iterations fill lanes one after the other. Where a unit's own threads load, those of its
    branch over ranks in lanes are its warps, side by side.
    """
    return site.shared if site.loads else len(site.loops)


def _tiles_of(nest: Nest, rank: str, depth: int, until: int) -> list[Number]:
    return [step.tile for step in nest.steps[depth:until] if step.rank == rank]


def _busiest_share(plan: Plan, site: Site, ranks: tuple[str, ...], nests: Nests, piece: Piece | None = None) -> Number:
    """The part of the work that the busiest instance does, when iterations are dealt over instances of the unit.

    Its tasks have full length: a ragged one is shorter, but then others are not. Work is measured in points, that of a
    `piece` in fillings of its lanes.
    """
    if site.unit.scope is None:
        return 1
    outer = nests.below(site.loops)
    tasks: Number = 1
    whole: Number = 1  # the work in tasks of full length
    for rank in ranks:
        dealt = [depth for depth, loop in enumerate(site.loops) if loop.over is not None and loop.rank == rank]
        if not dealt:
            continue
        for depth in dealt:
            tasks = tasks * ceil_div(outer.extent(rank, depth), outer.extent(rank, depth + 1))
        inside = dealt[-1] + 1
        size, length = nests.sizes[rank], outer.extent(rank, inside)
        if piece is not None:
            size = _fillings(piece, rank, size, _tiles_of(outer, rank, 0, _in_turn(site)))
            length = _fillings(piece, rank, length, _tiles_of(outer, rank, inside, _in_turn(site)))
        whole = whole * (size / length)
    dealt_again = repeats(site, nests, dealt=True)
    tasks, whole = tasks * dealt_again, whole * dealt_again
    return minimum(1, ceil_div(tasks, plan.machine.copies(site.unit.scope)) / whole)


def _tells_shared_reads_apart(levels: Iterable[Level]) -> bool:
    return any(level.sustained_shared_bandwidth_bytes_per_s is not None for level in levels)


def _memory_time(
    plan: Plan,
    traffic: Traffic,
    word_bytes: int,
    alike: Mapping[str, Number],
    apart: bool,
    actions: tuple[str, ...] = (READ, WRITE),
) -> dict[str, Number]:
    """Seconds that each level's port is busy; of a level that every instance owns, the port of the busiest one.

    alike: how many instances at once read the same words of a tensor. apart: whether they copy parts that lie far from
    each other.
    """
    levels = plan.machine.levels
    moved: list[Number] = [None] * len(levels)
    for key, count in traffic.words.items():
        number, action, tensor = key
        level = levels[number]
        if action not in actions:
            continue
        if level.scope is not None:
            count = traffic.busiest[key]
        if action == WRITE and level.cache:
            count = count - traffic.fills.get((number, tensor), 0)
        rate = level.write_rate_bytes_per_s
        if action == READ:
            alone, together = level.rate_bytes_per_s, level.shared_rate_bytes_per_s
            shared = level.scope is None and tensor in alike and together is not None and alone is not None
            rate = where(alike[tensor] > 1, together, alone) if shared else alone
        if rate is not None:
            seconds = count * word_bytes / (rate * level.apart if apart else rate)
            moved[number] = seconds if moved[number] is None else moved[number] + seconds
    return {level.name: seconds for level, seconds in zip(levels, moved, strict=True) if seconds is not None}
