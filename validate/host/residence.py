"""How much of what is walked through again and again a cache still holds when it is wanted again.

A cache that is too small for a walk, and in which any line may have to go for one that comes, holds a part h of it: a
line is wanted again after a whole walk of S bytes, of which (1 - h) S came from outside, and each line that came put
out one of C bytes by chance, so that h = exp(-(1 - h) S / C). That is 1 up to S = C, 0.63 at 1.25, 0.2 at 2 times and
0.02 at 4 times the room. (A strict order of age would hold nothing beyond S = C; walks through the second cache of a
Zen 5 found 0.6, 0.38 and 0.28 at 1, 1.25 and 1.5 times what it says it holds, as of four fifths of it.)
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

from lightbound.archs.machine import Machine

ROOM = 0.5  # of a cache is ours, where a probe does not say: the rest holds what passes through
LEAST = 0.02  # of a walk that a cache holds, where it counts


def held_part(crowded: float) -> float:
    """Of a walk through so many times the room of a cache, the part that it holds."""
    if crowded <= 1:
        return 1.0
    low, high = 0.0, 1 - 1e-9  # 1 is always a solution, and not the one that lasts
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if exp(crowded * (middle - 1)) > middle else (low, middle)
    return low


def crowding(part: float) -> float:
    """Through how many times the room of a cache a walk goes of which it holds this part, above 0 and below 1."""
    return -log(part) / (1 - part)


def homes(machine: Machine, held_bytes: float) -> list[tuple[float, Machine]]:
    """Where so many bytes lie that every call walks through: parts of the walk, and the machine from the level on that
    holds them, innermost first. In caches of their own cores have a share each.
    """
    found: list[tuple[float, Machine]] = []
    left = 1.0
    for number in range(len(machine.levels) - 1, 0, -1):
        level = machine.levels[number]
        if level.bandwidth_bytes_per_s is None or level.capacity_bytes is None:
            continue
        share = held_bytes if level.scope is None else held_bytes / machine.copies("core")
        known = machine.params.get(f"{level.name}_held")
        part = held_part(share / (float(known or ROOM) * level.capacity_bytes))
        if known is None and part < 1:  # how much of its room is ours is too little known
            continue
        part = 1.0 if part > 1 - LEAST else part
        if part > LEAST:
            found.append((left * part, replace(machine, levels=machine.levels[number:])))
            left *= 1 - part
        if left == 0:
            return found
    return [*found, (left, machine)]
