"""Reuse analysis of a loop nest: how many words of a tensor move, and how large its tile is.

All counts are exact for ragged tiles (the last tile of a rank is as long as what is left of it), and work on integers
and on float64 arrays alike. Two facts carry everything:

* a tensor is moved again only by loops at or above the innermost loop over one of its own ranks; loops below that
  reuse what is there;
* summed over all tiles of a nest, the tiles of a plain dimension cover it once, whatever their size, so that only the
  other ranks multiply.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from types import MappingProxyType

from lightbound.base.formula import Number, ceil_div, evaluate, is_array, maximum, minimum, times, where
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.expression import Access, Affine, Coefficient

MOST_POINTS = 1 << 56  # with a few operations and bytes each they still fit 64 bits
_NONE: Mapping[int, Number] = MappingProxyType({})
Sizes = Mapping[str, Number]
"""Sizes by rank (``m0``) and by symbol (``M0``): indices name ranks, their coefficients name symbols."""


def sizes_of(cascade: Cascade) -> dict[str, Number]:
    """Those of a cascade, all of them; as floats where points are more than an integer in an array can count."""
    sizes: dict[str, Number] = {**cascade.sizes, **{rank: cascade.size(rank) for rank in cascade.ranks}}
    if any(is_array(size) for size in sizes.values()):
        return sizes
    points = prod(sizes[rank] for rank in cascade.ranks)
    return {name: float(size) for name, size in sizes.items()} if points >= MOST_POINTS else sizes


@dataclass(frozen=True, slots=True)
class Step:
    """One loop of a nest with its tile as a number.

    A loop that a mapping writes asks for new tiles even if it makes a single trip. A step that is one only `if_split`
    does not: a rank that is longer than the lanes it lies along, a rank left to the unit, a loop written so.
    """

    rank: str
    tile: Number
    if_split: bool = False


def tiles(size: Number, extents: Collection[Number]) -> Number:
    """How many innermost tiles a rank of `size` has under nested tiles of these extents, the last ones ragged."""
    first, *rest = extents
    if not rest:
        return ceil_div(size, first)
    whole = size // first
    left = size - whole * first
    return whole * tiles(first, rest) + (0 if not is_array(left) and not left else tiles(left, rest))


class Nest:
    """Loops from outermost to innermost over ranks of known size; depth d means below the first d loops."""

    __slots__ = ("_counts", "_extents", "_of_rank", "_splits", "sizes", "steps")

    def __init__(self, steps: tuple[Step, ...], sizes: Sizes, around: Nest | None = None) -> None:
        """`around`: the nest that the steps lie in, if they are not all there is."""
        self.steps = steps if around is None else (*around.steps, *steps)
        self.sizes = sizes
        self._of_rank: dict[str, tuple[int, ...]] = {} if around is None else dict(around._of_rank)
        self._counts: list[Number] = [] if around is None else [*around._counts]  # tiles of the rank, below this loop
        self._extents: list[Number] = [] if around is None else [*around._extents]
        self._splits: dict[int, Number] = {}
        for step in steps:
            outer = self._of_rank.get(step.rank, ())
            chain = [self._extents[position] for position in outer]
            chain.append(minimum(step.tile, chain[-1] if chain else sizes[step.rank]))
            self._of_rank[step.rank] = (*outer, len(self._counts))
            self._counts.append(tiles(sizes[step.rank], chain))
            self._extents.append(chain[-1])

    def count(self, rank: str, depth: int) -> Number:
        """Tiles of the rank at this depth, summed over all outer tiles of the same rank."""
        result: Number = 1
        for position in self._of_rank.get(rank, ()):
            if position >= depth:
                break
            result = self._counts[position]
        return result

    def extent(self, rank: str, depth: int) -> Number:
        """The longest tile of the rank at this depth."""
        result = self.sizes[rank]
        for position in self._of_rank.get(rank, ()):
            if position >= depth:
                break
            result = self._extents[position]
        return result

    def trips(self, position: int) -> Number:
        """Iterations of the loop at this position, in the longest tile around it."""
        rank = self.steps[position].rank
        return ceil_div(self.extent(rank, position), self.extent(rank, position + 1))

    def visits(self, ranks: Collection[str], depth: int) -> Number:
        """How often the point at this depth is reached, counting only the loops over these ranks."""
        result: Number = 1
        for rank in self._of_rank:
            if rank in ranks:
                result = times(result, self.count(rank, depth))
        return result

    def moved(
        self,
        access: Access,
        depth: int,
        ranks: Collection[str],
        also: tuple[Access, ...] = (),
        rounds: Mapping[int, Number] = _NONE,
        apart: Mapping[int, Number] = _NONE,
    ) -> Number:
        """Words brought to this depth over the whole nest: the tile at each change of it.

        `ranks` are those of the Einsums that use the tensor: a loop over any other rank does not run for them. `also`
        are accesses that differ from the first in their offsets alone (`windows`) and move with it. `rounds` gives, by
        position, the part of a loop's iterations that come one after the other, where several run side by side on the
        same tile. `apart` gives, by position, how many run side by side that each bring what they need to a place of
        their own.
        """
        own = access.ranks
        covered = self._covered(access, 0, also)
        constant = not also and access.is_plain
        result = covered
        again: Number = 1  # visits of what is there, by loops over other ranks
        together: Number = 1
        places: Number = 1
        counted: dict[str, Number] = {}
        for position, step in enumerate(self.steps[:depth]):
            if step.rank in own:
                words = covered if constant else self._covered(access, position + 1, also)
                splits = self._does_split(position) if step.if_split else True
                result = where(splits, times(times(again, together), words), result)
                if is_array(places) or places != 1:
                    places = where(splits, 1, places)
            elif step.rank in ranks:
                if step.rank in counted:
                    again = again // counted[step.rank]
                counted[step.rank] = self._counts[position]
                again = times(again, self._counts[position])
                if position in rounds:
                    together = times(together, rounds[position])
                if position in apart:
                    places = times(places, apart[position])
        return times(result, places)

    def _does_split(self, position: int) -> Number:
        """Whether a loop makes more tiles of its rank than those outside of it."""
        known = self._splits.get(position)
        if known is None:
            known = self._splits[position] = self._counts[position] > self.count(self.steps[position].rank, position)
        return known

    def _covered(self, access: Access, depth: int, also: tuple[Access, ...]) -> Number:
        """Words of all tiles of a tensor at a depth together: a tile's halo counts again in each."""
        points: Number = 1 + len(also)  # a word counts no more often than there are points that need it
        for rank in access.ranks:
            points = times(points, self.sizes[rank])
        if not also and access.is_plain:
            return points
        reached: Number = 1
        for index, spread in zip(access.indices, self._spreads(access, also), strict=True):
            if isinstance(index, Affine):
                reached = times(reached, self._spanned(index, depth, spread))
            else:  # one row a gathered index, however often it repeats
                for rank in index.access.ranks:
                    reached = reached * self.sizes[rank]
        return minimum(points, reached)

    def _spanned(self, index: Affine, depth: int, spread: Number) -> Number:
        """The extents that an index spans, summed over all tiles of its ranks."""
        counts = [self.count(rank, depth) for _, rank in index.terms]
        every: Number = 1
        for count in counts:
            every = times(every, count)
        total = times(every, 1 + spread)
        for place, (coefficient, rank) in enumerate(index.terms):
            more = times(_stride(coefficient, self.sizes), self.sizes[rank] - counts[place])
            for other, count in enumerate(counts):
                more = more if other == place else times(more, count)
            total = total + more
        return total

    def _spreads(self, access: Access, also: tuple[Access, ...]) -> tuple[Number, ...]:
        """How far the offsets of accesses lie apart, for each of their indices."""
        if not also:
            return (0,) * len(access.indices)
        spreads: list[Number] = []
        for together in zip(*(one.indices for one in (access, *also)), strict=True):
            offsets = [evaluate(index.offset, self.sizes) for index in together if isinstance(index, Affine)]
            spreads.append(maximum(*offsets) - minimum(*offsets) if offsets else 0)
        return tuple(spreads)

    def footprint(
        self, access: Access, depth: int, live: Collection[str] = (), also: tuple[Access, ...] = ()
    ) -> Number:
        """Words of the largest tile of the tensor at this depth. Along a `live` rank only one iterate exists."""
        points: Number = 1 + len(also)
        for rank in access.ranks:
            if rank not in live:
                points = times(points, self.extent(rank, depth))
        if not also and access.is_plain:
            return points
        reached: Number = 1
        for index, spread in zip(access.indices, self._spreads(access, also), strict=True):
            if isinstance(index, Affine):
                span = 1 + spread
                for coefficient, rank in index.terms:
                    if rank not in live:
                        span = span + times(_stride(coefficient, self.sizes), self.extent(rank, depth) - 1)
                reached = times(reached, span)
            else:
                for rank in index.access.ranks:
                    reached = reached * self.extent(rank, depth)
        return minimum(points, reached)


@lru_cache(maxsize=4096)
def windows(accesses: tuple[Access, ...]) -> tuple[tuple[Access, ...], ...]:
    """Accesses of one tensor, those together that differ in offsets alone: X[t] beside X[t+1], apart from X[s]."""
    found: dict[object, dict[Access, None]] = {}
    for access in accesses:
        key = tuple(index.terms if isinstance(index, Affine) else index for index in access.indices)
        found.setdefault(key, {})[access] = None
    return tuple(tuple(window) for window in found.values())


def together(nest: Nest, depth: int, several: tuple[tuple[Access, ...], ...], words: list[Number]) -> Number:
    """Words of several windows together, from those of each. Where only ranks that no loop has split yet tell two of
    them apart (X[m1*M0+m0] beside X[m1*M0+n0] below a loop over m1), their tiles are the same words.
    """
    total = words[0]
    for position in range(1, len(several)):
        more = words[position]
        for earlier in range(position):
            same = _coincide(nest, depth, several[earlier][0], several[position][0])
            more = where(same, maximum(0, words[position] - words[earlier]), more)
        total = total + more
    return total


def _coincide(nest: Nest, depth: int, one: Access, other: Access) -> Number:
    same: Number = True
    for a, b in zip(one.indices, other.indices, strict=True):
        if isinstance(a, Affine) and isinstance(b, Affine):
            for _, rank in set(a.terms) ^ set(b.terms):
                same = same & (nest.count(rank, depth) <= 1)
        elif a != b:
            return False
    return same


def _stride(coefficient: Coefficient, sizes: Sizes) -> Number:
    value = evaluate(coefficient, sizes)
    return abs(value)
