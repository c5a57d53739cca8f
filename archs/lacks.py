"""What a machine does not state, as sentences: the simulator prints them beside what it predicts without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .machine import Level, Unit

if TYPE_CHECKING:
    from .schema import MachineFile


def lacks(levels: Iterable[Level], units: Mapping[str, Unit], file: MachineFile) -> tuple[str, ...]:
    """One sentence for each kind of number that is missing, with what follows from it."""
    levels = tuple(levels)
    missing = (
        (
            "no capacity",
            "what they hold is not bounded",
            [x.name for x in levels if x.capacity_bytes is None],
        ),
        (
            "no bandwidth",
            "their traffic takes no time",
            [x.name for x in levels if x.bandwidth_bytes_per_s is None],
        ),
        (
            "no energy per access",
            "their traffic costs no energy",
            [x.name for x in levels if x.read_energy_j is None or x.write_energy_j is None],
        ),
        (
            "no energy of operations",
            "their work costs no energy",
            [x.name for x in units.values() if not x.energy_j],
        ),
        (
            "no registers",
            "register accesses cost no energy",
            [x.name for x in units.values() if x.registers is None],
        ),
    )
    sentences = [
        f"{file.name} states {what} for {', '.join(names)}: {so}." for what, so, names in missing if names
    ]
    if file.launch_latency is None:
        sentences.append(f"{file.name} states no launch latency: starting a kernel takes no time.")
    return tuple(sentences)
