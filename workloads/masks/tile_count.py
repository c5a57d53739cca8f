"""What a mask costs under a tiling: pairs, tiles and visits, and the speedups that follow from counting alone.

Machines, roofline and schedules stand above this (they read `visits`, `padded_queries` and `padded_keys`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from .layout import Integers
from .shape import Shape
from .tiling import KvTiling, Tiling


class Visits(NamedTuple):
    """Each visit of a static tiling. Q tile q visits the KV tiles kv_tile[offsets[q]:offsets[q + 1]].

    KV tiles are numbered row by row over the tile grid (groups of dilation in turn on each axis), those of extra keys
    last. `pairs` are the attended pairs of each visit.
    """

    offsets: Integers
    kv_tile: Integers
    pairs: Integers


@dataclass(frozen=True)
class TileCount:
    """Counts of one mask under one tiling, for one head of one sequence.

    A *visit* is a KV tile that holds at least one key attended by the Q tile; it is *full* if every query of the Q tile
    attends every key of the KV tile (of those that exist: tiles cut by the end of the array may be full), else partial.
    """

    tiling: Tiling
    queries: int
    keys: int
    attended_pairs: int
    q_tiles: int
    """Q tiles that hold a query."""
    launched_q_tiles: int
    """Q tiles that a kernel launches: dilation groups are padded to one length, so a few may hold no query."""
    dense_kv_tiles: int
    """KV tiles that a Q tile of dense attention visits under this tiling, padding included."""
    visits_max: int
    """Visits of the Q tile that has most."""
    visits_total: int
    full_tiles: int
    """Visits that need no mask."""
    visits_by_axis: tuple[Integers, ...] = field(repr=False, compare=False)
    full_by_axis: tuple[Integers, ...] = field(repr=False, compare=False)
    extra_kv_tiles: int = 0
    """Tiles of extra dense keys that every Q tile visits on top of `visits_by_axis`."""

    @property
    def q_tile(self) -> Shape:
        """Queries of a Q tile, one entry an axis."""
        return self.tiling.q_tile

    @property
    def kv_tile(self) -> Shape:
        """Keys of a KV tile, one entry an axis."""
        return self.tiling.kv_tile

    @property
    def kv_tiling(self) -> KvTiling:
        """Whether KV tiles are static or dynamic."""
        return self.tiling.kv_tiling

    @property
    def partial_tiles(self) -> int:
        """Visits in which some pair is not attended: the kernel masks."""
        return self.visits_total - self.full_tiles

    @property
    def block_sparse(self) -> bool:
        """Whether no visit needs a mask: tiles save exactly what operations save, up to padding."""
        return self.full_tiles == self.visits_total

    @property
    def density(self) -> float:
        """Attended share of all (query, key) pairs."""
        return self.attended_pairs / (self.queries * self.keys)

    @property
    def visits_mean(self) -> float:
        """Visits of a Q tile on average."""
        return self.visits_total / self.q_tiles

    @property
    def padded_queries(self) -> int:
        """Queries with padding, over the launched Q tiles."""
        return self.launched_q_tiles * self.tiling.q_tile_size

    @property
    def padded_keys(self) -> int:
        """Keys with padding, over the KV tiles of dense attention."""
        return self.dense_kv_tiles * self.tiling.kv_tile_size

    @property
    def dense_visits(self) -> int:
        """Visits of dense attention whose tokens are tiled in one dimension, with tiles of the same sizes."""
        return -(-self.queries // self.tiling.q_tile_size) * -(-self.keys // self.tiling.kv_tile_size)

    @property
    def operations_speedup(self) -> float:
        """Dense operations over attended ones: no tile, no padding."""
        return _ratio(self.queries * self.keys, self.attended_pairs)

    @property
    def worst_tile_speedup(self) -> float:
        """Dense KV tiles over those of the worst Q tile: the published bound.

        It says nothing for causal axes, whose last Q tiles see the whole window.
        """
        return _ratio(self.dense_kv_tiles, self.visits_max)

    @property
    def total_visits_speedup(self) -> float:
        """Visits of a dense kernel that tiles in one dimension over the visits of the mask."""
        return _ratio(self.dense_visits, self.visits_total)

    @property
    def visits(self) -> Integers:
        """Visits of each Q tile, row by row over the tile grid; shape (q_tiles,). Computed on demand."""
        return _outer(self.visits_by_axis) + self.extra_kv_tiles

    @property
    def full_visits(self) -> Integers:
        """Full visits of each Q tile, in the same order."""
        return _outer(self.full_by_axis) + self.extra_kv_tiles

    @property
    def visits_histogram(self) -> dict[int, int]:
        """How many Q tiles have how many visits, ascending; Q tiles without any included."""
        histogram = {1: 1}
        for axis in self.visits_by_axis:
            values, counts = np.unique(axis, return_counts=True)
            product: dict[int, int] = {}
            for visits, q_tiles in histogram.items():
                for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                    product[visits * value] = product.get(visits * value, 0) + q_tiles * count
            histogram = product
        return {visits + self.extra_kv_tiles: histogram[visits] for visits in sorted(histogram)}

    def to_dict(self) -> dict[str, Any]:
        """Everything that has a number, as plain data."""
        values = {name: getattr(self, name) for name in _NUMBERS}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


_NUMBERS = (
    *("q_tile", "kv_tile", "kv_tiling", "queries", "keys", "attended_pairs", "density"),
    *("q_tiles", "launched_q_tiles", "padded_queries", "dense_kv_tiles", "padded_keys"),
    *("visits_max", "visits_mean", "visits_total", "visits_histogram"),
    *("full_tiles", "partial_tiles", "block_sparse"),
    *("operations_speedup", "worst_tile_speedup", "total_visits_speedup"),
)


def _outer(axes: tuple[Integers, ...]) -> Integers:
    return reduce(np.multiply.outer, axes).ravel()


def _ratio(dense: int, sparse: int) -> float:
    return dense / sparse if sparse else float("inf")
