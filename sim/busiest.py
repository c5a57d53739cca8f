"""What part of an Einsum's work the busiest instance does, where iterations are dealt over instances."""

from __future__ import annotations

from collections.abc import Collection

from lightbound.base.formula import Number, ceil_div, minimum, where

from .binding import Piece
from .dealing import rounds, spread, tasks_by_axis
from .flow import Site
from .lanes import fillings, in_turn, tiles_of
from .nests import Nests


def repeats(site: Site, nests: Nests) -> Number:
    """How often an Einsum does its work over, in loops of others that say so."""
    outer = nests.below(site.loops)
    times: Number = 1
    for depth in site.again:
        times = times * outer.trips(depth)
    return times


def busiest_share(
    site: Site, scope: str | None, ranks: Collection[str], nests: Nests, piece: Piece | None = None
) -> Number:
    """The part of the work over these ranks that the busiest instance of a scope does: its tasks over all of them.

    Loops that are not dealt go through the same instances again, in or around those that are. A last task that is
    ragged counts by its length where the last round has no other. Work is measured in points, that of a `piece` in
    fillings of its lanes.
    """
    if scope is None or not site.over:
        return 1
    whole: Number = 1  # tasks of full length that all of the work comes to
    again: Number = 1  # how often loops that are not dealt come back to those that are
    last: Number = 1  # the length of the last task, in full ones
    for rank in ranks:
        dealt = [depth for depth, loop in enumerate(site.loops) if loop.over is not None and loop.rank == rank]
        if dealt:
            size, length, left = _lengths(site, rank, dealt, nests, piece)
            whole = whole * (size / length)
            last = last * (left / length)
            again = again * _trips_around(site, rank, dealt[-1], nests)
    loops = nests.dealt(site.loops, {*ranks, *(site.loops[depth].rank for depth in site.again)})
    for depth, _, trips in loops:
        whole = whole * (trips if depth in site.again else 1)
    instances = spread(site.axes, site.over, scope)
    mine = rounds(loops, instances)
    tasks = tasks_by_axis(loops)
    if len(tasks) == 1 and isinstance(again, int) and again == 1:
        ((axis, count),) = tasks.items()
        copies = instances[axis][1]
        alone = (copies > 1) & (mine > 1) & (count % copies == 1)  # all others have one task less
        mine = where(alone, mine - 1 + last, mine)
    return minimum(1, mine * again / whole)


def _lengths(
    site: Site, rank: str, dealt: list[int], nests: Nests, piece: Piece | None
) -> tuple[Number, Number, Number]:
    """Of a rank that loops at these depths deal, all of it, what a task has of it, and what the last one has."""
    outer, inside = nests.below(site.loops), dealt[-1] + 1
    size, length = nests.sizes[rank], outer.extent(rank, inside)
    left = size - (ceil_div(size, length) - 1) * length if len(dealt) == 1 else length
    if piece is None:
        return size, length, left
    until = in_turn(site)
    inner = tiles_of(outer, rank, inside, until)
    return (
        fillings(piece, rank, size, tiles_of(outer, rank, 0, until)),
        fillings(piece, rank, length, inner),
        fillings(piece, rank, left, inner),
    )


def _trips_around(site: Site, rank: str, until: int, nests: Nests) -> Number:
    """Iterations of the loops over a rank that stand outside of one that deals it and are not dealt."""
    outer = nests.below(site.loops)
    trips: Number = 1
    for depth, loop in enumerate(site.loops[:until]):
        if loop.over is None and loop.rank == rank:
            trips = trips * outer.trips(depth)
    return trips
