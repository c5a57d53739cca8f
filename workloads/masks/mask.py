"""What every mask is: which keys each query of a token grid attends, counted exactly under any tiling.

A mask says its rows (`rows`, native, produced on demand) and the native counter does the rest; masks with a closed form
replace `count`. No mask ever holds a query-by-key array.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property, reduce
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from lightbound import _core
from lightbound.base.errors import LightboundError

from .layout import Integers, Layout, plain
from .shape import Shape, ShapeLike, tokens
from .tile_count import TileCount, Visits
from .tiling import Tiling, tiling

if TYPE_CHECKING:
    from .composition import Intersection, Union
    from .permutation import Permuted


NativeCount = tuple[int, Integers, Integers, Integers, Integers]
"""Pairs; visits and full visits by Q tile; KV tile and pairs by visit."""


class Mask(ABC):
    """Attention from a grid of queries to a grid of keys; tokens are numbered row by row.

    `extra_keys` stand behind the key grid and are attended by every query (text tokens beside a video).
    """

    grid: Shape
    key_grid: Shape
    extra_keys: int

    @property
    def queries(self) -> int:
        """Number of queries."""
        return prod(self.grid)

    @property
    def keys(self) -> int:
        """Number of keys, extra ones included."""
        return prod(self.key_grid) + self.extra_keys

    @property
    def query_layouts(self) -> tuple[Layout, ...]:
        """How the queries of each axis are grouped before they are tiled in all dimensions."""
        return tuple(plain(extent) for extent in self.grid)

    @property
    def key_layouts(self) -> tuple[Layout, ...]:
        """How the keys of each axis are grouped."""
        return tuple(plain(extent) for extent in self.key_grid)

    @cached_property
    def rows(self) -> _core.MaskRows:
        """The keys of each query, as native runs."""
        return self._rows()

    @abstractmethod
    def _rows(self) -> _core.MaskRows: ...

    @property
    def attended_pairs(self) -> int:
        """Exact number of (query, key) pairs attended; no tiling enters."""
        return self.count(1024, 1024).attended_pairs

    @property
    def density(self) -> float:
        """Attended share of all (query, key) pairs."""
        return self.attended_pairs / (self.queries * self.keys)

    def row(self, query: int) -> Integers:
        """The keys that a query attends, ascending."""
        if not 0 <= query < self.queries:
            raise LightboundError(
                "query", query, "is not a query of the mask", f"Choose one from 0 to {self.queries - 1}."
            )
        runs = self.rows.runs(query)
        return np.concatenate([np.arange(first, last) for first, last in runs] or [np.empty(0, np.int64)])

    def count(self, q_tile: ShapeLike, kv_tile: ShapeLike, kv_tiling: str = "static") -> TileCount:
        """Exact pairs, tiles and visits.

        `q_tile` and `kv_tile` are shapes with one entry an axis, or one number to tile the flattened tokens in one
        dimension. With dilation, tiles hold tokens of one dilation group. `kv_tiling` is "static" (one grid of KV
        tiles) or "dynamic" (the grid of each Q tile begins at its first attended key).
        """
        asked = tiling(len(self.grid), q_tile, kv_tile, kv_tiling)
        pairs, visits, full, _, _ = self._native(asked, list_tiles=False)
        queries, keys = self._tiled_layouts(asked)
        extra_tiles = -(-self.extra_keys // asked.kv_tile_size)
        return TileCount(
            tiling=asked,
            queries=self.queries,
            keys=self.keys,
            attended_pairs=pairs,
            q_tiles=len(visits),
            launched_q_tiles=prod(
                layout.launched_tiles(tile) for layout, tile in zip(queries, asked.q_tile, strict=True)
            ),
            dense_kv_tiles=extra_tiles
            + prod(-(-layout.extent // tile) for layout, tile in zip(keys, asked.kv_tile, strict=True)),
            visits_max=int(visits.max()),
            visits_total=int(visits.sum()),
            full_tiles=int(full.sum()),
            visits_by_axis=(visits,),
            full_by_axis=(full,),
        )

    def visits(self, q_tile: ShapeLike, kv_tile: ShapeLike) -> Visits:
        """Every visit under static KV tiling: which Q tile, which KV tile, how many attended pairs."""
        asked = tiling(len(self.grid), q_tile, kv_tile)
        _, visits, _, kv_tiles, pairs = self._native(asked, list_tiles=True)
        return Visits(np.concatenate(([0], np.cumsum(visits))), kv_tiles, pairs)

    def mean_visit(self, count: TileCount) -> tuple[float, float]:
        """Queries and keys of a visit of static tiles on average, where tiles at the end of an axis are as short as
        they are: their product is the mean number of pairs.
        """
        offsets, kv_tile, _ = self.visits(count.q_tile, count.kv_tile)
        queries, keys = self._tiled_layouts(count.tiling)
        q_lengths = _lengths(queries, count.q_tile)
        extra = np.full(-(-self.extra_keys // count.tiling.kv_tile_size), count.tiling.kv_tile_size)
        if len(extra):
            extra[-1] -= extra.sum() - self.extra_keys
        seen = np.concatenate([_lengths(keys, count.kv_tile), extra])[kv_tile]
        pairs = float((np.repeat(q_lengths, np.diff(offsets)) * seen).sum())
        return pairs / max(float(seen.sum()), 1.0), float(seen.sum()) / max(len(seen), 1)

    @property
    def is_causal(self) -> bool:
        """Whether some axis is causal: later queries attend more keys, so the worst Q tile says little of others."""
        return bool(np.any(getattr(self, "causal", False)))

    @property
    def score_test(self) -> dict[str, int]:
        """Operations on one score that a kernel spends where it tests this mask: here one comparison and a selection.

        ``iadd`` is an addition of whole numbers.
        """
        return {"compare": 1, "select": 1}

    def tested_visits(self, count: TileCount) -> Integers:
        """Visits of each Q tile in which a kernel tests the mask: here those that are not full."""
        return count.visits - count.full_visits

    def permuted(self, order: object, key_order: object = None) -> Permuted:
        """This mask with its tokens in a new order: position i holds token order[i]."""
        from .permutation import Permuted

        return Permuted(self, order, key_order)

    def __and__(self, other: Mask) -> Intersection:
        from .composition import Intersection

        return Intersection(self, other)

    def __or__(self, other: Mask) -> Union:
        from .composition import Union

        return Union(self, other)

    def __getstate__(self) -> dict[str, Any]:
        # Native rows are rebuilt where they are needed: workers of a search receive masks by pickling.
        return {name: value for name, value in self.__dict__.items() if name != "rows"}

    def _settle(self, **values: object) -> None:
        """Sets the fields of a frozen mask; only constructors call it."""
        for name, value in values.items():
            object.__setattr__(self, name, value)
        tokens("grid", self.grid)
        tokens("key_grid", self.key_grid)

    def _tiled_layouts(self, asked: Tiling) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        if len(asked.q_tile) == len(self.grid):
            return self.query_layouts, self.key_layouts
        return (plain(self.queries),), (plain(self.keys - self.extra_keys),)

    def _native(self, asked: Tiling, list_tiles: bool) -> NativeCount:
        queries, keys = self._tiled_layouts(asked)
        query_axes = []
        for layout, tile in zip(queries, asked.q_tile, strict=True):
            _, first, last = layout.tiles(tile)
            query_axes.append((layout.order(), np.concatenate(([0], np.cumsum(last - first)))))
        key_axes = [
            (*layout.numbering(), np.asarray(layout.lengths), min(tile, layout.extent))
            for layout, tile in zip(keys, asked.kv_tile, strict=True)
        ]
        extra_tile = min(asked.kv_tile_size, max(self.extra_keys, 1))
        return _core.count_mask_tiles(
            self.rows, query_axes, key_axes, self.extra_keys, extra_tile, asked.dynamic, list_tiles
        )


def _lengths(layouts: tuple[Layout, ...], tile: Shape) -> Integers:
    """Tokens of each tile, row by row over the tile grid."""
    axes = (layout.tiles(length) for layout, length in zip(layouts, tile, strict=True))
    return reduce(np.multiply.outer, (last - first for _, first, last in axes)).ravel()
