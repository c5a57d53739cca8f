"""What a machine does not state, as sentences: the simulator prints them beside its predictions."""

from __future__ import annotations

from collections.abc import Mapping

from .machine import Level, Unit


def lacks(machine: str, levels: tuple[Level, ...], units: Mapping[str, Unit], states_launch: bool) -> tuple[str, ...]:
    """One sentence for each kind of number that is missing, with what follows from it."""
    missing = [
        ("capacity", [x.name for x in levels if x.capacity_bytes is None], "nothing bounds what is held there"),
        ("bandwidth", [x.name for x in levels if x.bandwidth_bytes_per_s is None], "traffic there takes no time"),
    ]
    costly = [x.name for x in levels if x.read_energy_j is None or x.write_energy_j is None]
    working = [f"{op} on {unit.name}" for unit in units.values() for op in _without_energy(unit)]
    if len(costly) == len(levels) and not any(unit.energy_j for unit in units.values()):
        missing.append(("energy", ["anything"], "none is predicted"))
    else:
        bare = [unit.name for unit in units.values() if unit.registers is None]
        missing += [
            ("energy per access", costly, "traffic there costs no energy"),
            ("energy", working, "such operations cost no energy"),
            ("register file", bare, "register accesses cost no energy"),
        ]
    if not states_launch:
        missing.append(("launch latency", ["kernels"], "starting one takes no time"))
    return tuple(f"{machine} states no {what} for {', '.join(of)}: {so}." for what, of, so in missing if of)


def _without_energy(unit: Unit) -> list[str]:
    return [ops for ops in unit.cost if unit.energy(ops.split("+")) is None]
