"""Blocked attention: tokens attend within their own block of the grid (windows of Swin, local attention).

The last block of an axis is short where blocks do not divide it; ``GNA`` with stride = window keeps it long instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .axis import IntervalAxis
from .layout import Integers, Layout, plain
from .separable import Separable
from .shape import Shape, ShapeLike, shape


@dataclass(frozen=True, init=False)
class Blocked(Separable):
    """Self-attention inside blocks of shape `block`; a single number stands for every axis."""

    grid: Shape
    block: Shape

    def __init__(self, grid: ShapeLike, block: ShapeLike) -> None:
        extents = shape("grid", grid)
        self._settle(grid=extents, key_grid=extents, extra_keys=0, block=shape("block", block, len(extents)))

    @property
    def axes(self) -> tuple[BlockAxis, ...]:
        return tuple(BlockAxis(extent, block) for extent, block in zip(self.grid, self.block, strict=True))


@dataclass(frozen=True)
class BlockAxis(IntervalAxis):
    """Blocks of one axis."""

    extent: int
    block: int

    @property
    def query_layout(self) -> Layout:
        return plain(self.extent)

    @property
    def key_layout(self) -> Layout:
        return plain(self.extent)

    def bounds(self, group: Integers, local: Integers) -> tuple[Integers, Integers]:
        start = local // self.block * self.block
        return start, np.minimum(start + self.block, self.extent)
