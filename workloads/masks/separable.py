"""Masks that are a product of axes: counted in closed form, axis by axis.

Under one-dimensional tiles of a multi-dimensional grid the product is lost, and native code counts instead.
"""

from __future__ import annotations

from abc import abstractmethod
from math import prod

from lightbound import _core

from .axis import Axis, axis_pairs, count_axis
from .layout import Layout
from .mask import Mask, NativeCount
from .shape import ShapeLike
from .tile_count import TileCount
from .tiling import Tiling, tiling


class Separable(Mask):
    """A query attends a key if it does on every axis."""

    @property
    @abstractmethod
    def axes(self) -> tuple[Axis, ...]:
        """One relation an axis of the grid."""

    @property
    def query_layouts(self) -> tuple[Layout, ...]:
        return tuple(axis.query_layout for axis in self.axes)

    @property
    def key_layouts(self) -> tuple[Layout, ...]:
        return tuple(axis.key_layout for axis in self.axes)

    def _rows(self) -> _core.MaskRows:
        progressions = [axis.progressions() for axis in self.axes]
        return _core.separable_rows(self.grid, self.key_grid, progressions, self.extra_keys)

    @property
    def attended_pairs(self) -> int:
        return prod([axis_pairs(axis) for axis in self.axes]) + self.queries * self.extra_keys

    def count(self, q_tile: ShapeLike, kv_tile: ShapeLike, kv_tiling: str = "static") -> TileCount:
        asked = tiling(len(self.grid), q_tile, kv_tile, kv_tiling)
        if len(asked.q_tile) != len(self.grid):
            return super().count(q_tile, kv_tile, kv_tiling)
        parts = [
            count_axis(axis, q_extent, kv_extent, asked.dynamic)
            for axis, q_extent, kv_extent in zip(self.axes, asked.q_tile, asked.kv_tile, strict=True)
        ]
        q_tiles = prod([part.q_tiles for part in parts])
        extra_tiles = -(-self.extra_keys // asked.kv_tile_size)
        return TileCount(
            tiling=asked,
            queries=self.queries,
            keys=self.keys,
            attended_pairs=self.attended_pairs,
            q_tiles=q_tiles,
            launched_q_tiles=prod([part.launched_q_tiles for part in parts]),
            dense_kv_tiles=prod([part.dense_kv_tiles for part in parts]) + extra_tiles,
            visits_max=prod([part.visits_max for part in parts]) + extra_tiles,
            visits_total=prod([part.visits_total for part in parts]) + q_tiles * extra_tiles,
            full_tiles=prod([part.full_total for part in parts]) + q_tiles * extra_tiles,
            visits_by_axis=tuple([part.visits for part in parts]),
            full_by_axis=tuple([part.full for part in parts]),
            extra_kv_tiles=extra_tiles,
        )

    def _native(self, asked: Tiling, list_tiles: bool) -> NativeCount:
        if list_tiles or len(asked.q_tile) == len(self.grid):
            return super()._native(asked, list_tiles)
        pairs, visits, full, kv_tiles, tile_pairs = _core.count_flat_mask_tiles(
            self.rows, min(asked.q_tile_size, self.queries), min(asked.kv_tile_size, self.keys), asked.dynamic
        )
        extra_tiles = -(-self.extra_keys // asked.kv_tile_size)
        pairs += self.queries * self.extra_keys
        return pairs, visits + extra_tiles, full + extra_tiles, kv_tiles, tile_pairs
