"""From sizes and parameters to numbers: tile sizes that a mapping chooses, and what its buffers then take.

A parameter is a number, a formula, or a `Fit`: the largest whole number with which everything held in a level still
fits. What is held grows with the parameter, almost always linearly, so that a linear guess is checked and then, if it
missed, bisected; no closed form is written for any mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, evaluate, is_array, minimum, where
from lightbound.base.points import refuse

from .footprints import footprints
from .mapping import Fit
from .nests import Nests
from .plan import GroupPlan, Plan
from .reuse import Sizes

LARGEST = 1 << 40  # no tile is longer


def environment(plan: Plan, sizes: Sizes, word_bytes: int) -> dict[str, Number]:
    """Everything formulas of the plan may name: size symbols, machine quantities, params (fits solved)."""
    names: dict[str, Number] = {**plan.machine.quantities, "word_bytes": word_bytes}
    names.update(sizes)
    for name, value in plan.mapping.params.items():
        names[name] = (
            _fit(plan, sizes, names, name, value, word_bytes) if isinstance(value, Fit) else evaluate(value, names)
        )
    return names


def level_bytes(plan: GroupPlan, nests: Nests, level: int, word_bytes: int) -> Number:
    """Bytes that a group takes of one copy of a level."""
    held = footprints(plan, nests).get(level, {})
    total: Number = sum(words for words, _ in held.values()) * word_bytes
    for where_, stage in plan.stages:
        if where_ == level:
            total = total + evaluate(stage.size, nests.environment)
    return total


def _fit(plan: Plan, sizes: Sizes, names: Mapping[str, Number], name: str, fit: Fit, word_bytes: int) -> Number:
    number = next((n for n, level in enumerate(plan.machine.levels) if level.name == fit.fit), None)
    if number is None:
        plan.machine.level(fit.fit)  # raises with the names there are
        raise AssertionError
    capacity = plan.machine.levels[number].capacity_bytes
    whole = None if fit.divides is None else evaluate(fit.divides, names)
    if whole is not None and not np.all(np.isfinite(whole) & (np.asarray(whole) % 1 == 0) & (np.asarray(whole) >= 1)):
        raise LightboundError(
            f"mapping {plan.mapping.name!r}: params.{name}.divides",
            fit.divides,
            "is no whole number above 0",
            "Write the count of inner tiles, such as ceil_div(P, P0).",
        )
    cap: Number = LARGEST if fit.at_most is None else evaluate(fit.at_most, names)
    cap = cap if whole is None else minimum(cap, whole)
    if capacity is None:
        largest = cap
    else:
        room = capacity * evaluate(fit.share, names)
        groups = [group for group in plan.groups if any(held.level == number for held in group.holds)]

        def need(value: Number) -> Number:
            environment_ = {**names, name: value}
            total: Number = 0
            for group in groups:
                taken = level_bytes(group, Nests(sizes, environment_), number, word_bytes)
                total = np.maximum(total, taken) if is_array(taken) else max(total, taken)
            return total

        largest = _largest(need, room, cap)
        least = need(1)
        refuse(
            np.asarray(largest) < 1,
            lambda at: LightboundError(
                f"machine.levels.{fit.fit}.capacity",
                at(room),
                f"is too small for mapping {plan.mapping.name!r}, which needs {at(least)} bytes there at least",
                f"Enlarge {fit.fit}, choose smaller ranks, or use another mapping.",
            ),
        )
    return largest if whole is None else _largest_divisor(whole, largest)


def _largest(need: Callable[[Number], Number], room: Number, cap: Number) -> Number:
    """The largest whole number up to `cap` whose need is within the room; 0 where 1 is too much."""
    one, two = need(1), need(2)
    slope = two - one
    guess = where(slope > 0, 1 + (room - one) // where(slope > 0, slope, 1), cap)
    guess = minimum(guess, cap)
    guess = where(one > room, 0, guess) if is_array(guess) or is_array(one) else (0 if one > room else guess)
    guess = guess if is_array(guess) else int(guess)
    fits = need(where(guess > 0, guess, 1)) <= room
    tight = (guess >= cap) | (need(guess + 1) > room)
    if np.all((guess == 0) | (fits & tight)):
        return guess
    low, high = where(one > room, 0, guess * 0 + 1), cap + guess * 0
    while np.any(low < high):  # the need is not linear in the parameter
        middle = (low + high + 1) // 2
        good = need(where(middle > 0, middle, 1)) <= room
        low, high = where(good, middle, low), where(good, high, middle - 1)
    return low


@lru_cache(maxsize=65536)
def _divisor(whole: int, cap: int) -> int:
    for pieces in range(-(-whole // cap), isqrt(whole) + 1):
        if whole % pieces == 0:
            return whole // pieces
    return next(divisor for divisor in range(min(cap, isqrt(whole)), 0, -1) if whole % divisor == 0)


def _largest_divisor(whole: Number, cap: Number) -> Number:
    """The largest divisor of `whole` that is at most `cap`."""
    if not is_array(whole) and not is_array(cap):
        return _divisor(int(whole), int(cap))
    wholes, caps = (side.reshape(-1) for side in np.broadcast_arrays(whole, cap))
    order = np.argsort(wholes, kind="stable")
    edges = np.flatnonzero(np.diff(wholes[order])) + 1
    found = np.empty(len(wholes))
    for alike in np.split(order, edges):
        first = int(alike[0])
        if len(alike) == 1:
            found[first] = _divisor(int(wholes[first]), int(caps[first]))
            continue
        divisors = _divisors(int(wholes[first]))
        found[alike] = divisors[np.searchsorted(divisors, caps[alike], side="right") - 1]
    return found.reshape(np.broadcast(whole, cap).shape)


@lru_cache(maxsize=4096)
def _divisors(whole: int) -> NDArray[np.float64]:
    small = np.arange(1, isqrt(whole) + 1)
    small = small[whole % small == 0]
    return np.unique(np.concatenate((small, whole // small))).astype(float)
