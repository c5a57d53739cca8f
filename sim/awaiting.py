"""What contexts await of what they move: loads before they go on, and stores before they end.

Levels that contexts contend for as for units are stations of one instance, as in the closed network (contention.py):
of a level that all instances share each has its part. What is awaited are steps of an epoch like any other. What is
left of a transfer loads the station while nobody waits for it: as an even flow, which leaves contexts the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from lightbound.archs.machine import Machine
from lightbound.base.formula import evaluate

from .coalescing import Stage
from .nests import Nests
from .plan import GroupPlan
from .program import Task
from .traffic import READ, WRITE
from .transfers import Transfer

Parts = dict[tuple[str, str], float]


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


def stages_around(
    machine: Machine, awaited: Sequence[Transfer], as_task: Callable[[Transfer], Task]
) -> tuple[list[Stage], list[Stage]]:
    """The stages of an epoch before its work and behind it, level after level."""
    before = [move for move in awaited if move.action == READ and move.purpose != "drain"]
    behind = [move for move in awaited if move not in before]

    def stages(moves: Iterable[Transfer]) -> list[Stage]:
        listed = list(moves)
        levels = (level.name for level in machine.levels)
        return [[[as_task(move) for move in listed if move.level == name]] for name in levels if _any(listed, name)]

    return stages(before), stages(behind)


def _any(moves: Iterable[Transfer], level: str) -> bool:
    return any(move.level == level for move in moves)
