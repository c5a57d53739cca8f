"""How long the port of each level is busy with the words of a group."""

from __future__ import annotations

from collections.abc import Mapping

from lightbound.archs.machine import Level
from lightbound.base.formula import Number, where

from .nests import Nests
from .plan import GroupPlan, Plan
from .traffic import READ, WRITE, Traffic, readers_at_once


def readers_alike(plan: Plan, group: GroupPlan, nests: Nests, traffic: Traffic) -> dict[str, Number]:
    """How many instances at once read the same words, by tensor that is read where that makes a difference."""
    apart = {number for number, level in enumerate(plan.machine.levels) if _tells_shared_reads_apart(level)}
    tensors = dict.fromkeys(tensor for level, action, tensor in traffic.words if action == READ and level in apart)
    return {tensor: readers_at_once(group, nests, tensor) for tensor in tensors}


def _tells_shared_reads_apart(level: Level) -> bool:
    stated = level.sustained_shared_bandwidth_bytes_per_s is not None
    return stated and level.scope is None and level.rate_bytes_per_s is not None


def level_seconds(
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
            rate = level.rate_bytes_per_s
            if _tells_shared_reads_apart(level):
                rate = where(alike[tensor] > 1, level.shared_rate_bytes_per_s, rate)
        if rate is not None:
            seconds = count * (word_bytes / (rate * level.apart if apart else rate))
            moved[number] = seconds if moved[number] is None else moved[number] + seconds
    return {level.name: seconds for level, seconds in zip(levels, moved, strict=True) if seconds is not None}
