"""Strides of a neighbourhood mask, swept and pruned: pure functions for a design search.

Axes are independent, so a sweep costs the sum of the axes' strides, and the whole grid of strides is an outer product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lightbound.base.errors import LightboundError, choose_from

from .axis import AxisCount, axis_pairs, count_axis
from .gna import GNA, NeighborhoodAxis
from .layout import Integers
from .shape import ShapeLike, shape
from .tiling import Tiling, tiling

Measure = Literal["visits_max", "visits_total"]
MEASURES: tuple[str, ...] = ("visits_max", "visits_total")


@dataclass(frozen=True)
class AxisStride:
    """One stride of one axis: KV tiles that its worst Q tile and all of them visit, and whether all are full."""

    stride: int
    visits_max: int
    visits_total: int
    block_sparse: bool


@dataclass(frozen=True)
class StrideSweep:
    """Counts of one mask under one tiling for every combination of strides; arrays have one dimension an axis."""

    strides: tuple[tuple[int, ...], ...]
    """Strides of each axis; index [i, j, k] of an array is strides[0][i], strides[1][j], strides[2][k]."""
    tiling: Tiling
    queries: int
    keys: int
    q_tiles: int
    dense_kv_tiles: int
    attended_pairs: Integers
    visits_max: Integers
    visits_total: Integers
    full_tiles: Integers

    @property
    def block_sparse(self) -> NDArray[np.bool_]:
        """Where no visit needs a mask."""
        return self.full_tiles == self.visits_total

    @property
    def worst_tile_speedup(self) -> NDArray[np.float64]:
        """Dense KV tiles over those of the worst Q tile."""
        return self.dense_kv_tiles / self.visits_max

    @property
    def total_visits_speedup(self) -> NDArray[np.float64]:
        """Visits of a dense kernel that tiles in one dimension over the visits of the mask."""
        dense = -(-self.queries // self.tiling.q_tile_size) * -(-self.keys // self.tiling.kv_tile_size)
        return dense / self.visits_total

    def combinations(self) -> list[tuple[int, ...]]:
        """Strides in the order of the flattened arrays."""
        return list(product(*self.strides))


def axis_strides(
    mask: GNA,
    axis: int,
    q_tile: ShapeLike,
    kv_tile: ShapeLike,
    kv_tiling: str = "static",
    strides: Sequence[int] | None = None,
) -> tuple[AxisStride, ...]:
    """Every stride of one axis (1 .. window, or those given), in ascending order; the mask's own stride is ignored."""
    asked = _multi_dimensional(mask, q_tile, kv_tile, kv_tiling)
    if not 0 <= axis < len(mask.grid):
        raise LightboundError("axis", axis, "is not an axis of the grid", f"Choose 0 to {len(mask.grid) - 1}.")
    chosen = _legal(mask, axis, strides)
    return tuple(
        AxisStride(stride, count.visits_max, count.visits_total, count.block_sparse)
        for stride, count in zip(chosen, _counts(mask, axis, chosen, asked), strict=True)
    )


def prune(strides: Sequence[AxisStride], by: Measure = "visits_max") -> tuple[AxisStride, ...]:
    """Those strides that need fewer visits than every smaller one: a larger stride must buy something."""
    if by not in MEASURES:
        raise LightboundError("by", by, "is not known", choose_from(MEASURES, str(by)))
    kept: list[AxisStride] = []
    for each in sorted(strides, key=lambda each: each.stride):
        if not kept or getattr(each, by) < getattr(kept[-1], by):
            kept.append(each)
    return tuple(kept)


def pruned_strides(
    mask: GNA, q_tile: ShapeLike, kv_tile: ShapeLike, kv_tiling: str = "static", by: Measure = "visits_max"
) -> tuple[tuple[int, ...], ...]:
    """Strides worth looking at: the product of the axes' strides that survive `prune`, smallest first.

    For causal axes `by` should be "visits_total": their worst Q tile sees the whole window whatever the stride.
    """
    axes = [
        [each.stride for each in prune(axis_strides(mask, axis, q_tile, kv_tile, kv_tiling), by)]
        for axis in range(len(mask.grid))
    ]
    return tuple(product(*axes))


def sweep_strides(
    mask: GNA,
    q_tile: ShapeLike,
    kv_tile: ShapeLike,
    kv_tiling: str = "static",
    strides: Sequence[Sequence[int]] | None = None,
) -> StrideSweep:
    """Counts for all combinations of strides: every legal one, or a list an axis. The mask's own stride is ignored."""
    asked = _multi_dimensional(mask, q_tile, kv_tile, kv_tiling)
    if strides is not None and len(strides) != len(mask.grid):
        raise LightboundError(
            "strides",
            strides,
            f"has {len(strides)} lists where the token grid has {len(mask.grid)} axes",
            "Give one list of strides an axis.",
        )
    chosen = [_legal(mask, axis, None if strides is None else strides[axis]) for axis in range(len(mask.grid))]
    counts = [_counts(mask, axis, each, asked) for axis, each in enumerate(chosen)]
    pairs = [[axis_pairs(_with_stride(mask.axes[axis], stride)) for stride in each] for axis, each in enumerate(chosen)]
    q_tiles = prod(each[0].q_tiles for each in counts)
    extra_tiles = -(-mask.extra_keys // asked.kv_tile_size)

    def outer(name: str) -> Integers:
        return _outer([[getattr(count, name) for count in each] for each in counts])

    return StrideSweep(
        strides=tuple(chosen),
        tiling=asked,
        queries=mask.queries,
        keys=mask.keys,
        q_tiles=q_tiles,
        dense_kv_tiles=prod(each[0].dense_kv_tiles for each in counts) + extra_tiles,
        attended_pairs=_outer(pairs) + mask.queries * mask.extra_keys,
        visits_max=outer("visits_max") + extra_tiles,
        visits_total=outer("visits_total") + q_tiles * extra_tiles,
        full_tiles=outer("full_total") + q_tiles * extra_tiles,
    )


def _multi_dimensional(mask: GNA, q_tile: ShapeLike, kv_tile: ShapeLike, kv_tiling: str) -> Tiling:
    asked = tiling(len(mask.grid), q_tile, kv_tile, kv_tiling)
    if len(asked.q_tile) != len(mask.grid):
        raise LightboundError(
            "q_tile",
            asked.q_tile,
            f"tiles flattened tokens where the sweep needs all {len(mask.grid)} axes",
            f"Give {len(mask.grid)} values.",
        )
    return asked


def _legal(mask: GNA, axis: int, strides: Sequence[int] | None) -> tuple[int, ...]:
    window = mask.window[axis]
    if strides is None:
        return tuple(range(1, window + 1))
    chosen = tuple(sorted(set(shape("strides", strides))))
    if chosen[-1] > window:
        raise LightboundError(
            "strides",
            chosen[-1],
            f"is larger than the window of {window} on axis {axis}",
            f"Choose 1 to {window}.",
        )
    return chosen


def _with_stride(axis: NeighborhoodAxis, stride: int) -> NeighborhoodAxis:
    return NeighborhoodAxis(axis.extent, axis.window, stride, axis.dilation, axis.causal)


def _counts(mask: GNA, axis: int, strides: Sequence[int], asked: Tiling) -> list[AxisCount]:
    relation, q_extent, kv_extent = mask.axes[axis], asked.q_tile[axis], asked.kv_tile[axis]
    return [count_axis(_with_stride(relation, stride), q_extent, kv_extent, asked.dynamic) for stride in strides]


def _outer(axes: list[list[int]]) -> Integers:
    return reduce(np.multiply.outer, [np.array(axis, np.int64) for axis in axes])
