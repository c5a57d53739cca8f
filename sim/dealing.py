"""How iterations are dealt over the instances of a machine: axis by axis, and on each the innermost loops first.

The axes of a machine go from outer to inner (the chips of a machine, the cores of a chip). Loops over one axis share
its instances: those of one instance of the next outer axis that loops are dealt over, or of the whole machine where
there is none. What an instance of some `scope` owns, such as the cache of a chip, sees at once what all instances
inside it do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lightbound.base.formula import Number, ceil_div, minimum

Spread = Mapping[str, tuple[Number, Number]]
"""For each axis that loops are dealt over, its instances, and among how many instances of a scope these are."""
Loops = Sequence[tuple[int, str, Number]]
"""Loops that are dealt, from outer to inner: position, axis, trips."""


@dataclass(frozen=True, slots=True)
class Dealt:
    """Of a loop its trips, how many of them run side by side, and at how many instances of a scope these are."""

    trips: Number
    at_once: Number
    apart: Number

    @property
    def together(self) -> Number:
        """How many run at once in one instance of the scope."""
        return ceil_div(self.at_once, self.apart)


def spread(axes: Mapping[str, Number], over: Collection[str], scope: str | None) -> Spread:
    """The instances for loops over these axes, on a machine with `axes` from outer to inner. What has no scope is one
    for the whole machine.
    """
    found: dict[str, tuple[Number, Number]] = {}
    count: Number = 1
    apart: Number = 1
    inside = scope is None
    for axis, copies in axes.items():
        count = count * copies
        apart = apart if inside else apart * copies
        inside = inside or axis == scope
        if axis in over:
            found[axis] = count, apart
            count = apart = 1
    return found


def side_by_side(loops: Loops, instances: Spread) -> dict[int, Dealt]:
    """By position what runs at once: first what one instance of the scope has room for, then at others."""
    left = {axis: (count // apart, apart) for axis, (count, apart) in instances.items()}
    found: dict[int, Dealt] = {}
    for position, axis, trips in reversed(loops):
        inside, beside = left[axis]
        together = minimum(trips, inside)
        apart = minimum(ceil_div(trips, together), beside)
        found[position] = Dealt(trips, minimum(trips, together * apart), apart)
        left[axis] = ceil_div(inside, together), ceil_div(beside, apart)
    return found


def tasks_by_axis(loops: Loops) -> dict[str, Number]:
    """Iterations of all loops over each axis."""
    found: dict[str, Number] = {}
    for _, axis, trips in loops:
        found[axis] = found.get(axis, 1) * trips
    return found


def rounds(loops: Loops, instances: Spread) -> Number:
    """How many iterations the busiest instance of the scope has."""
    result: Number = 1
    for axis, tasks in tasks_by_axis(loops).items():
        result = result * ceil_div(tasks, instances[axis][1])
    return result
