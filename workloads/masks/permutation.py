"""Masks whose tokens are put in another order: clustered, sorted, or laid out tile by tile."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np

from lightbound import _core
from lightbound.base.errors import LightboundError

from .layout import Integers, interleaved
from .mask import Mask
from .shape import Shape, ShapeLike, shape


@dataclass(frozen=True, init=False, eq=False)
class Permuted(Mask):
    """`mask` with position i holding its query order[i], and key position j its key key_order[j].

    Without a `key_order`, keys follow the queries (self-attention) and extra keys stay behind. Positions form one axis.
    """

    mask: Mask
    order: Integers = field(repr=False)
    key_order: Integers = field(repr=False)
    grid: Shape
    key_grid: Shape

    def __init__(self, mask: Mask, order: object, key_order: object = None) -> None:
        grid_keys = prod(mask.key_grid)
        if key_order is None and grid_keys != mask.queries:
            raise LightboundError(
                "key_order",
                None,
                f"is needed, as {mask.queries} queries attend {grid_keys} keys",
                "Give an order of the keys too.",
            )
        queries = _order("order", order, mask.queries)
        keys = queries if key_order is None else _order("key_order", key_order, grid_keys)
        self._settle(
            grid=(mask.queries,),
            key_grid=(grid_keys,),
            extra_keys=mask.extra_keys,
            mask=mask,
            order=queries,
            key_order=keys,
        )

    @property
    def is_causal(self) -> bool:
        return self.mask.is_causal

    def _rows(self) -> _core.MaskRows:
        position = np.arange(self.keys)
        position[self.key_order] = np.arange(len(self.key_order))
        return _core.permuted_rows(self.mask.rows, self.order, position)


def tile_order(grid: ShapeLike, tile: ShapeLike, dilation: ShapeLike = 1) -> Integers:
    """The order in which a kernel that permutes tokens lays out a grid, shape (tokens,).

    By dilation group, in a group by tile, in a tile row by row. Tiles at the end of an axis are short (kernels pad).
    """
    extents = shape("grid", grid)
    tiles = shape("tile", tile, len(extents))
    steps = shape("dilation", dilation, len(extents))
    keys: list[list[Integers]] = [[], [], []]
    for axis, (extent, size, step) in enumerate(zip(extents, tiles, steps, strict=True)):
        group, local = interleaved(extent, min(step, extent)).numbering()
        spread = (-1,) + (1,) * (len(extents) - axis - 1)
        for level, values in zip(keys, (group, local // size, local % size), strict=True):
            level.append(np.broadcast_to(values.reshape(spread), extents).ravel())
    major_first = [values for level in keys for values in level]
    return np.lexsort(major_first[::-1])


def _order(field_name: str, order: object, tokens: int) -> Integers:
    given = np.asarray(order)
    if given.shape != (tokens,) or not np.array_equal(np.sort(given), np.arange(tokens)):
        raise LightboundError(
            field_name,
            f"array of shape {given.shape}",
            f"is not an order of {tokens} tokens",
            f"Name each of 0 to {tokens - 1} once.",
        )
    return given.astype(np.int64)
