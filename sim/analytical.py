"""The analytical engine: closed forms for traffic, busy time, buffers and latency of a plan at given sizes.

Groups follow each other and their times add. Within a group everything overlaps that the mapping lets overlap: the
time is that of the busiest of the compute schedule (slots and drains) and of each level's bandwidth. Pipeline fill is
amortised. Sizes may be arrays: then every number of the result is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from lightbound.archs.machine import Level, Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, evaluate, is_array, maximum, minimum
from lightbound.base.points import Pick, refuse

from .clock import clock_hz
from .footprints import footprints
from .level_time import level_seconds, readers_alike
from .mapping import For
from .nests import Nests
from .plan import GroupPlan, Plan
from .reuse import Sizes
from .schedule import Schedule, make_schedule
from .sizing import environment
from .slots import EinsumTime
from .traffic import READ, WRITE, Traffic, group_traffic
from .work_time import work_times


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


def run_group(
    plan: Plan, group: GroupPlan, nests: Nests, word_bytes: int, strict: bool = True, whole: Traffic | None = None
) -> GroupResult:
    """One group. Unless `strict`, what is held may exceed a level, for a caller that compares it itself. `whole`: the
    words that it moves, where they are known.
    """
    machine = plan.machine
    taken, spilled = capacity(plan, group, nests, word_bytes, strict)
    traffic = group_traffic(group, nests, spilled, whole)
    einsums = work_times(plan, group, nests, word_bytes)
    alike = readers_alike(plan, group, nests, traffic)
    times = partial(level_seconds, plan, traffic, word_bytes, alike, group.group.apart)
    memory_s = times()
    contended = bool(group.group.awaits or group.group.settles)
    read_s = times((READ,)) if contended else {}
    stored_s = times((WRITE,)) if contended else {}
    schedule = make_schedule(machine, group, nests, einsums, read_s, stored_s)
    near = (seconds for name, seconds in memory_s.items() if machine.level(name).clocked)
    lasts = maximum(schedule.cycles, *(seconds * machine.clock_hz for seconds in near))  # what follows the clock
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


def capacity(
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
