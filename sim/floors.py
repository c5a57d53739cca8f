"""Floors: times and bytes that no mapping of a run of Einsums can beat, without evaluating one.

The arithmetic fills lanes at best as if nothing were tiled, and is dealt evenly over as many instances as there are
points along the ranks that can be dealt; every word comes once, at the highest rate of memory. A search looks only at
what a floor does not rule out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Mapping as Dictionary
from functools import reduce
from math import ceil
from operator import mul

from lightbound.archs.machine import Machine
from lightbound.base.formula import Number, maximum
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.counts import footprint, points
from lightbound.workloads.expression import Access

from .binding import Piece, pieces_of
from .clock import clock_hz
from .mapping import Bind


def compute_floor_s(
    cascade: Cascade,
    machine: Machine,
    segment: Iterable[str],
    binds: Dictionary[str, tuple[Bind, ...]],
    dealt: Collection[str],
) -> float:
    """Seconds that the busiest unit works at least, under the binds of each Einsum (`binding.bindings`), where no other
    ranks than `dealt` are. A run that takes longer, for whatever reason, gains less by a higher clock than it loses.
    """
    busy: dict[str, float] = {}
    for name in segment:
        for piece in pieces_of(cascade.einsum(name), binds[name], machine):
            cost = piece.unit.cycles(piece.ops)
            if cost is not None:
                tasks = float(points(cascade, (rank for rank in piece.ranks if rank in dealt)))
                instances = min(float(machine.copies(piece.unit.scope)), tasks)
                cycles = _fillings(cascade, piece) * float(cost) / instances
                busy[piece.unit.name] = busy.get(piece.unit.name, 0.0) + cycles
    return float(busy_s(machine, busy))


def busy_s(machine: Machine, busy: Dictionary[str, Number]) -> Number:
    """Seconds of the busiest unit, at the clock that their cycles allow where nothing else takes longer."""
    cycles = maximum(0, *busy.values())
    return cycles / clock_hz(machine, busy, cycles)


def _fillings(cascade: Cascade, piece: Piece) -> float:
    """How often the lanes of a unit are filled at least."""
    along: set[str] = set()
    count = 1.0
    for axis, ranks in piece.space.items():
        here = [rank for rank in ranks if rank in piece.ranks]
        if here:
            share = float(points(cascade, here)) / float(piece.unit.shape[axis])
            count *= ceil(share) if len(here) == 1 else max(1.0, share)
        along.update(here)
    return reduce(mul, (float(cascade.size(rank)) for rank in piece.ranks if rank not in along), count)


def words_floor(
    cascade: Cascade, segment: tuple[str, ...], spilled: Collection[str] = ()
) -> tuple[dict[Access, float], float]:
    """Words that pass the outermost level at least: by access of a tensor that comes from outside of the run what is
    read, and what is written, for others or because it is `spilled`.

    As in `counts.compulsory_traffic`, no more words than there are places at which they are read.
    """
    inside = set(segment) - set(spilled)
    read: dict[str, dict[Access, float]] = {}
    written = 0.0
    for name in segment:
        for access in cascade.einsum(name).reads:
            if access.tensor not in inside:
                read.setdefault(access.tensor, {})[access] = float(points(cascade, access.ranks))
        if name in cascade.outputs:
            written += float(footprint(cascade, name))
            continue
        others = [access for reader in cascade.readers(name) if reader.name not in inside for access in reader.reads]
        places = sum(float(points(cascade, access.ranks)) for access in others if access.tensor == name)
        written += min(_elements(cascade, name), places)
    found: dict[Access, float] = {}
    for tensor, places in read.items():
        share = min(1.0, _elements(cascade, tensor) / sum(places.values()))
        found.update({access: count * share for access, count in places.items()})
    return found, written


def _elements(cascade: Cascade, tensor: str) -> float:
    """Elements of a tensor, those of all iterates but the first value."""
    writer, stepped = cascade.writer(tensor), cascade.iterative.get(tensor, frozenset())
    count = 1.0
    for place, length in enumerate(cascade.shape(tensor)):
        iterates = writer is not None and stepped.intersection(writer.output.indices[place].ranks)
        count *= float(length) - bool(iterates)
    return count


def transfer_floor_s(
    machine: Machine, read: Dictionary[Access, float], written: float, word_bytes: float, dealt: Collection[str]
) -> float:
    """Seconds for these words at the outermost level: what is the same for several of the tasks that are dealt at the
    rate of words that several instances read at once, where that is higher.
    """
    level = machine.levels[0]
    alone, together = level.rate_bytes_per_s, level.shared_rate_bytes_per_s
    if alone is None or level.write_rate_bytes_per_s is None:
        return 0.0
    shared = max(float(alone), float(together or alone))
    seconds = written / float(level.write_rate_bytes_per_s)
    for access, words in read.items():
        seconds += words / (float(alone) if set(dealt) <= set(access.ranks) else shared)
    return seconds * word_bytes
