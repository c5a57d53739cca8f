"""Tile counts of one axis in closed form: O(tiles), whatever the window.

A mask that is a product of axes needs nothing else: pairs, visits and full tiles of the product are products. Axes know
nothing of each other, of masks, or of native code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .layout import Integers, Layout, plain

Progressions = tuple[Integers, Integers, int]


@dataclass(frozen=True)
class AxisCount:
    """Tiles of one axis, Q tile by Q tile in the order of its layout."""

    visits: Integers
    full: Integers
    visits_max: int
    visits_total: int
    full_total: int
    q_tiles: int
    launched_q_tiles: int
    dense_kv_tiles: int

    @property
    def block_sparse(self) -> bool:
        """Whether every visited tile is full on this axis."""
        return self.full_total == self.visits_total


class Axis(ABC):
    """Which keys of one axis each query coordinate attends. Concrete axes are frozen dataclasses: counts are cached."""

    @property
    @abstractmethod
    def query_layout(self) -> Layout:
        """How queries are grouped before they are tiled."""

    @property
    @abstractmethod
    def key_layout(self) -> Layout:
        """How keys are grouped; queries of group g attend keys of group g alone."""

    @property
    @abstractmethod
    def pairs(self) -> int:
        """Attended pairs of the axis."""

    @abstractmethod
    def tile_visits(self, q_tile: int, kv_tile: int, dynamic: bool) -> tuple[Integers, Integers]:
        """Visited and full KV tiles of each Q tile."""

    @abstractmethod
    def progressions(self) -> Progressions:
        """Keys of each query coordinate as first, one past the last, and the step between them; shape (queries,)."""


@lru_cache(maxsize=8192)
def count_axis(axis: Axis, q_tile: int, kv_tile: int, dynamic: bool) -> AxisCount:
    """The counts of one axis; cached, since a sweep meets the same axis in many products."""
    visits, full = axis.tile_visits(q_tile, kv_tile, dynamic)
    return AxisCount(
        visits=visits,
        full=full,
        visits_max=int(visits.max()),
        visits_total=int(visits.sum()),
        full_total=int(full.sum()),
        q_tiles=len(visits),
        launched_q_tiles=axis.query_layout.launched_tiles(q_tile),
        dense_kv_tiles=-(-axis.key_layout.extent // kv_tile),
    )


@lru_cache(maxsize=8192)
def axis_pairs(axis: Axis) -> int:
    """The attended pairs of one axis, cached."""
    return axis.pairs


class IntervalAxis(Axis):
    """An axis on which every query attends one interval of its group, and intervals move right with the query.

    Both ends rise with the query and neighbouring intervals leave no gap, so what a Q tile attends at all runs from its
    first query's start to its last query's end, and what all of its queries attend from its last query's start to its
    first query's end.
    """

    @abstractmethod
    def bounds(self, group: Integers, local: Integers) -> tuple[Integers, Integers]:
        """Start and end (exclusive) of the keys of queries, both as locals of the same group."""

    @property
    def pairs(self) -> int:
        group, local = self.query_layout.numbering()
        start, end = self.bounds(group, local)
        return int((end - start).sum())

    def tile_visits(self, q_tile: int, kv_tile: int, dynamic: bool) -> tuple[Integers, Integers]:
        group, first, last = self.query_layout.tiles(q_tile)
        start, inner_end = self.bounds(group, first)
        inner_start, end = self.bounds(group, last - 1)
        length = np.asarray(self.key_layout.lengths, np.int64)[group]
        origin = start if dynamic else np.zeros_like(start)
        visits = np.where(end > start, _ceil(end - origin, kv_tile) - (start - origin) // kv_tile, 0)
        # A tile that only the end of the group cuts is whole.
        whole = np.where(inner_end == length, _ceil(length - origin, kv_tile), (inner_end - origin) // kv_tile)
        return visits, np.maximum(whole - _ceil(inner_start - origin, kv_tile), 0)

    def progressions(self) -> Progressions:
        group, local = self.query_layout.numbering()
        start, end = self.bounds(group, local)
        keys = self.key_layout
        base = np.asarray(keys.starts, np.int64)[group]
        empty = start >= end
        first = np.where(empty, 0, base + keys.step * start)
        last = np.where(empty, 0, base + keys.step * (end - 1) + 1)
        return first, last, keys.step


@dataclass(frozen=True)
class BandAxis(IntervalAxis):
    """Keys from `left` before the query to `right` behind it; None reaches the end of the axis on that side.

    Where there are more keys than queries, or fewer, the last query stands at the last key.
    """

    queries: int
    keys: int
    left: int | None
    right: int | None

    @property
    def query_layout(self) -> Layout:
        return plain(self.queries)

    @property
    def key_layout(self) -> Layout:
        return plain(self.keys)

    def bounds(self, group: Integers, local: Integers) -> tuple[Integers, Integers]:
        at = local + (self.keys - self.queries)
        start = np.zeros_like(at) if self.left is None else np.clip(at - self.left, 0, self.keys)
        end = np.full_like(at, self.keys) if self.right is None else np.clip(at + self.right + 1, 0, self.keys)
        return start, end


def _ceil(values: Integers, by: int) -> Integers:
    return -(-values // by)
