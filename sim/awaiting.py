"""What contexts await of what they move: loads before they go on, and stores before they end.

Levels that contexts contend for as for units are stations of one instance, as in the closed network (contention.py):
of a level that all instances share each has its part. What is awaited are steps of an epoch like any other. What is
left of a transfer loads the station while nobody waits for it: as an even flow, which leaves contexts the rest.

Where all reads are under way at once (`at_once`), they are one step: at the levels that instances share, which all of
them fill together, and at the same time on the path of the instance to the cache in front of it, its only station.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from lightbound.archs.machine import Level, Machine
from lightbound.base.formula import evaluate

from .coalescing import Stage
from .nests import Nests
from .plan import GroupPlan
from .program import Task
from .traffic import READ, WRITE
from .transfers import Transfer

Parts = dict[tuple[str, str], float]
PATH = " path"  # behind the name of a cache: from it to one instance


def awaited_parts(group: GroupPlan, nests: Nests) -> Parts:
    """By level and action (a read or a write) the part that contexts await. Without contexts only reads are."""
    names = nests.environment
    parts = {(level, READ): float(evaluate(part, names)) for level, part in group.group.awaits.items()}
    if group.group.contexts != 0:
        parts |= {(level, WRITE): float(evaluate(part, names)) for level, part in group.group.settles.items()}
    return {key: min(1.0, part) for key, part in parts.items() if part > 0}


def divided(moves: Sequence[Transfer], parts: Parts) -> tuple[tuple[Transfer, ...], tuple[Transfer, ...]]:
    """What is awaited of transfers, and what is left of them. At a station of one instance nothing is looked for in a
    cache, and nobody waits for what is read beside; what is written beside leaves when it is made.
    """
    awaited, left = [], []
    stations = {level for level, _ in parts}
    for move in moves:
        part = parts.get((move.level, move.action), 0.0)
        mine = replace(move, tile_bytes=0.0) if move.level in stations else move
        if part > 0:
            awaited.append(replace(mine, name=f"await {move.name}", bytes=move.bytes * part))
        if part < 1:
            beside = move.level in stations and move.purpose in ("fill", "operand")
            left.append(replace(mine, bytes=move.bytes * (1 - part), beside=beside))
    return tuple(awaited), tuple(left)


def path_of(machine: Machine, group: GroupPlan, instances: int) -> Level | None:
    """The cache to which every instance has a path that its contexts contend for, where they read all at once."""
    if not group.group.at_once or group.group.contexts == 0 or instances < 2:
        return None
    return next((level for level in machine.levels if level.cache and level.bandwidth_bytes_per_s is not None), None)


def on_path(task: Task, path: Level) -> Task:
    """The same bytes, on the way from the cache to the instance."""
    return replace(task, name=f"{task.name} by{PATH}", resource=f"{path.name}{PATH}")


def stages_around(
    machine: Machine, awaited: Sequence[Transfer], as_task: Callable[[Transfer], Task], path: Level | None
) -> tuple[list[Stage], list[Stage]]:
    """The stages of an epoch before its work and behind it, level after level, or those that are shared at once."""
    before = [move for move in awaited if move.action == READ and move.purpose != "drain"]
    behind = [move for move in awaited if move not in before]

    def stages(moves: Iterable[Transfer]) -> list[Stage]:
        listed = list(moves)
        levels = (level.name for level in machine.levels)
        return [[[as_task(move) for move in listed if move.level == name]] for name in levels if _any(listed, name)]

    if path is None:
        return stages(before), stages(behind)
    shared = [as_task(move) for move in before if machine.level(move.level).scope is None]
    wide = [[[on_path(task, path)] for task in shared] + [[task] for task in shared]] if shared else []
    return wide + stages(move for move in before if machine.level(move.level).scope is not None), stages(behind)


def _any(moves: Iterable[Transfer], level: str) -> bool:
    return any(move.level == level for move in moves)
