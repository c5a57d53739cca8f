"""A loop nest walked one iteration at a time: what the closed forms of the reuse analysis must equal.

Nothing is shared with the engine but the description of the nest. A tile is the set of words that an access touches
for the intervals of ranks that are left, so that ragged tiles, halos and repeats count as they fall.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import product

from lightbound.base.formula import evaluate
from lightbound.sim.reuse import Step
from lightbound.workloads.expression import Access, Affine

Interval = tuple[int, int]
Tile = dict[str, Interval]
Word = tuple[object, ...]


def iterations(steps: tuple[Step, ...], sizes: Mapping[str, int], run: Collection[str]) -> Iterator[tuple[Tile, ...]]:
    """Every visit of the innermost body: the intervals of all ranks above the nest and below each of its loops.

    Loops over ranks that are not in `run` do not run at all.
    """

    def below(position: int, path: tuple[Tile, ...]) -> Iterator[tuple[Tile, ...]]:
        if position == len(steps):
            yield path
            return
        step, here = steps[position], path[-1]
        if step.rank not in run:
            yield from below(position + 1, (*path, here))
            return
        start, end = here[step.rank]
        for first in range(start, end, int(step.tile)):
            yield from below(position + 1, (*path, {**here, step.rank: (first, min(first + int(step.tile), end))}))

    ranks = [rank for rank in sizes if rank == rank.lower()]
    yield from below(0, ({rank: (0, sizes[rank]) for rank in ranks},))


def words(accesses: Collection[Access], tile: Tile, sizes: Mapping[str, int]) -> frozenset[Word]:
    """The words that accesses of one tensor touch within a tile. A gathered row counts once for each index read."""
    touched: set[Word] = set()
    for access in accesses:
        ranks = access.ranks
        for point in product(*(range(*tile[rank]) for rank in ranks)):
            at = dict(zip(ranks, point, strict=True))
            touched.add(tuple(_position(index, at, sizes) for index in access.indices))
    return frozenset(touched)


def _position(index: object, at: Mapping[str, int], sizes: Mapping[str, int]) -> object:
    if not isinstance(index, Affine):
        return tuple(at[rank] for rank in index.access.ranks)  # type: ignore[attr-defined]
    return evaluate(index.offset, sizes) + sum(evaluate(c, sizes) * at[rank] for c, rank in index.terms)


def moved_by_rule(
    accesses: Collection[Access], steps: tuple[Step, ...], sizes: Mapping[str, int], run: Collection[str]
) -> int:
    """Words brought in where a tile is asked for anew by the loops down to the innermost one over its own ranks.

    A loop that is one only `if_split` is none where it never makes a second trip.
    """
    own = {rank for access in accesses for rank in access.ranks}
    splits = [step.rank in run and (not step.if_split or _splits(steps, sizes, at)) for at, step in enumerate(steps)]
    innermost = max((at for at, step in enumerate(steps) if step.rank in own and splits[at]), default=-1)
    asked: set[tuple[tuple[int, Interval], ...]] = set()
    total = 0
    for path in iterations(steps, sizes, run):
        visit = tuple((at, path[at + 1][steps[at].rank]) for at in range(innermost + 1) if steps[at].rank in run)
        if visit not in asked:
            asked.add(visit)
            total += len(words(accesses, path[-1], sizes))
    return total


def moved_in_truth(
    accesses: Collection[Access], steps: tuple[Step, ...], sizes: Mapping[str, int], run: Collection[str]
) -> int:
    """Words brought in by a buffer that holds one tile, and another whenever the intervals of its ranks change."""
    own = sorted({rank for access in accesses for rank in access.ranks})
    total = 0
    before: tuple[Interval, ...] | None = None
    for path in iterations(steps, sizes, run):
        now = tuple(path[-1][rank] for rank in own)
        if now != before:
            before = now
            total += len(words(accesses, path[-1], sizes))
    return total


def largest_tile(accesses: Collection[Access], steps: tuple[Step, ...], sizes: Mapping[str, int]) -> int:
    """Words of the largest tile that occurs below the nest."""
    run = [rank for rank in sizes if rank == rank.lower()]
    return max(len(words(accesses, path[-1], sizes)) for path in iterations(steps, sizes, run))


def intervals(rank: str, steps: tuple[Step, ...], sizes: Mapping[str, int]) -> set[Interval]:
    """The distinct tiles of one rank below the nest."""
    return {path[-1][rank] for path in iterations(steps, sizes, [rank])}


def _splits(steps: tuple[Step, ...], sizes: Mapping[str, int], position: int) -> bool:
    rank = steps[position].rank
    above = intervals(rank, steps[:position], sizes)
    return len(intervals(rank, steps[: position + 1], sizes)) > len(above)
