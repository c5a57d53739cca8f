"""How Triton lays buffers out in a block's shared memory: first by gaps in time and space, then apart where they clash.

Buffers are placed from the largest; one that lives while no other gap is open takes the lowest gap, at its alignment.
Those that still overlap in time and space are moved up until none do. So what a block takes is more than the most
bytes that live at once: a small buffer below a large one that must begin at a multiple of a KiB costs the whole KiB.

After Triton 3.7, lib/Analysis/Allocation.cpp; the first step is of Gergov, Algorithms for Compile-Time Memory
Optimization, SODA 1999.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

FOREVER = 1 << 60


@dataclass(eq=False)
class Buffer:
    """Bytes that live from `first` until `end`, in the order of a program, and begin at a multiple of `alignment`."""

    size: int
    first: int
    end: int
    alignment: int = 16
    offset: int = field(default=0, init=False)

    def put(self, offset: int) -> int:
        """Place it at an offset or above; where it begins."""
        self.offset = -(-offset // self.alignment) * self.alignment
        return self.offset

    def lives_with(self, first: int, end: int) -> bool:
        """Whether it lives at a time in between."""
        return self.first < end and first < self.end

    def clashes(self, other: Buffer) -> bool:
        """Whether both are at the same place at the same time."""
        apart = self.offset >= other.offset + other.size or other.offset >= self.offset + self.size
        return self is not other and not apart and self.lives_with(other.first, other.end)


def allocated(buffers: Sequence[Buffer]) -> int:
    """Bytes that buffers take together; gives each its offset. Of equal ones the first in the program comes first."""
    ordered = sorted(buffers, key=lambda one: -one.size)
    _place(ordered)
    clashes = _clashes(ordered)
    while True:
        _move_apart(ordered, clashes)
        clashes = _clashes(ordered)
        if not any(clashes.values()):
            return max((one.offset + one.size for one in ordered), default=0)


def _place(ordered: Sequence[Buffer]) -> None:
    gaps = [(0, 0, FOREVER)]  # from this offset, between these times
    left = list(ordered)
    while left:
        gaps.sort(key=lambda gap: gap[0])
        offset, first, end = gaps.pop(0)
        chosen = next(
            (one for one in left if one.lives_with(first, end) and not any(one.lives_with(*gap[1:]) for gap in gaps)),
            None,
        )
        if chosen is None:
            continue
        top = chosen.put(offset) + chosen.size
        gaps.append((top, max(first, chosen.first), min(end, chosen.end)))
        if first < chosen.first:
            gaps.append((offset, first, chosen.end))
        if chosen.end < end:
            gaps.append((offset, chosen.first, end))
        left.remove(chosen)


def _clashes(ordered: Sequence[Buffer]) -> dict[Buffer, list[Buffer]]:
    return {one: [other for other in ordered if one.clashes(other)] for one in ordered}


def _move_apart(ordered: Sequence[Buffer], clashes: dict[Buffer, list[Buffer]]) -> None:
    colours = {one: 0 if one is ordered[0] else -1 for one in ordered}
    for one in ordered:
        taken = {colours[other] for other in clashes[one]}
        colours[one] = next(colour for colour in range(len(ordered)) if colour not in taken)
    for one in ordered:
        above = max((other.offset + other.size for other in clashes[one]), default=0)
        if colours[one]:
            one.put(above)
