"""What the epochs of a group want of ports: what units have in common, such as the issue slots of a scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lightbound.archs.machine import Machine
from lightbound.base.formula import Number, where

from .plan import GroupPlan
from .slots import EinsumTime, Slot, longest_of


def port_names(machine: Machine) -> list[str]:
    """Of all ports that units hold or need."""
    return list(dict.fromkeys(port for unit in machine.units.values() for port in (*unit.holds, *unit.needs)))


@dataclass(frozen=True)
class Wanted:
    """What an epoch wants of a port, by unit; and its needs by slot."""

    held: dict[str, Number]
    needed: dict[str, Number]
    by_slot: tuple[Number, ...]


def wanted_ports(
    machine: Machine,
    plan: GroupPlan,
    einsums: Mapping[str, EinsumTime],
    slots: tuple[Slot, ...],
    epochs: Number,
    ordered: bool,
) -> list[Wanted]:
    """What an epoch wants of every port that units of the machine hold or need. Where slots follow each other, as
    `ordered` says, all that a slot wants counts for its longest unit.
    """
    made: list[Wanted] = []
    longest = [longest_of(slot) for slot in slots]
    for name in port_names(machine):
        held: dict[str, Number] = dict.fromkeys(machine.units, 0)
        needed: dict[str, Number] = dict.fromkeys(machine.units, 0)
        by_slot: list[Number] = [0] * len(slots)

        def put(table: dict[str, Number], slot: int, unit: str, cycles: Number) -> None:
            for other, chosen in longest[slot].items() if ordered else ((unit, True),):
                table[other] = table.get(other, 0) + where(chosen, cycles / epochs, 0)

        for number, slot in enumerate(slots):
            for unit, cycles in slot.items():
                put(held, number, unit, machine.units[unit].holds.get(name, 0) * cycles)
        for einsum, time in einsums.items():
            for unit, cycles in time.needs.get(name, {}).items():
                put(needed, plan.sites[einsum].slot, unit, cycles)
                slot = plan.sites[einsum].slot
                by_slot[slot] = by_slot[slot] + cycles / epochs
        made.append(Wanted(held, needed, tuple(by_slot)))
    return made
