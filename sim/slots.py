"""Slots of a group: Einsums of one slot run at once, each slot as long as its busiest unit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lightbound.base.formula import Number, maximum, where

from .plan import GroupPlan

Slot = dict[str, Number]  # cycles by unit, over the whole group


@dataclass(frozen=True)
class EinsumTime:
    """Busy time of one Einsum by unit: cycles of the busiest instance, and lane-cycles of useful work in all.

    loads: of the cycles of a unit those that its threads take to load, beyond what their work hides, by level.
    needs: cycles for which the work on a unit needs a port, by port and unit (`Unit.needs`).
    """

    cycles: dict[str, Number]
    lane_cycles: dict[str, Number]
    loads: dict[str, dict[str, Number]] = field(default_factory=dict)
    needs: dict[str, dict[str, Number]] = field(default_factory=dict)


def slots_of(plan: GroupPlan, einsums: dict[str, EinsumTime]) -> tuple[Slot, ...]:
    """Of each slot the cycles of its Einsums by unit."""
    slots: list[Slot] = [{} for _ in range(1 + max(site.slot for site in plan.sites.values()))]
    for name, site in plan.sites.items():
        busy = slots[site.slot]
        for unit, cycles in einsums[name].cycles.items():
            busy[unit] = busy.get(unit, 0) + cycles
    return tuple(slots)


def longest_of(slot: Slot) -> dict[str, Number]:
    """Of the units of a slot, whether each is the one that the slot waits for: the first of the longest."""
    most = maximum(0, *slot.values())
    taken: Number = False
    found: dict[str, Number] = {}
    for unit, cycles in slot.items():
        found[unit] = (cycles >= most) & np.logical_not(taken)
        taken = taken | found[unit]
    return found


def spent_in_slots(slots: tuple[Slot, ...]) -> dict[str, Number]:
    """The cycles of slots by the unit that each waits for."""
    spent: dict[str, Number] = {}
    for slot in slots:
        for unit, chosen in longest_of(slot).items():
            spent[unit] = spent.get(unit, 0) + where(chosen, slot[unit], 0)
    return spent
