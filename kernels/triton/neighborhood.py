"""Neighbourhoods on a grid of tokens, for kernels that walk tiles: windows, visited tiles, the order of tiles.

A grid of one or two axes is one of three with axes of one token in front. Only numpy is needed here. What a query
attends is defined by Hassani et al., "Generalized Neighborhood Attention" (arXiv 2504.16922).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Triple = tuple[int, int, int]


def in_three(values: Any, fill: int) -> Triple:
    """Values of one to three axes, `fill` in front."""
    given = [int(value) for value in values]
    first, second, third = [fill] * (3 - len(given)) + given
    return first, second, third


def tile_order(grid: Triple, tile: Triple) -> Integers:
    """The token at each place of the order of tiles, -1 where a tile leaves the grid; shape (places,).

    Tokens of one tile stand side by side, row by row, and so do tiles.
    """
    counts = [-(-extent // size) for extent, size in zip(grid, tile, strict=True)]
    axes = [np.arange(count * size) for count, size in zip(counts, tile, strict=True)]
    inside = [at < extent for at, extent in zip(axes, grid, strict=True)]
    token = (axes[0][:, None, None] * grid[1] + axes[1][None, :, None]) * grid[2] + axes[2][None, None, :]
    exists = inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]
    split = np.where(exists, token, -1).reshape(counts[0], tile[0], counts[1], tile[1], counts[2], tile[2])
    return split.transpose(0, 2, 4, 1, 3, 5).reshape(-1)


@dataclass(frozen=True)
class AxisTiles:
    """Of each tile of queries of an axis, the tiles of keys that it visits, and those that need no test of the mask."""

    low: Integers
    high: Integers
    whole: Integers

    @property
    def visits(self) -> Integers:
        """How many are visited."""
        return self.high - self.low


@dataclass(frozen=True)
class Neighborhood:
    """A mask on a grid: window, stride and causality by axis."""

    grid: Triple
    window: Triple
    stride: Triple
    causal: Triple

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Neighborhood:
        """The mask of a case's options: grid, window, stride (1), causal (0), one number an axis."""
        rank = len(options["grid"])
        return cls(
            in_three(options["grid"], 1),
            in_three(options["window"], 1),
            in_three(options.get("stride", [1] * rank), 1),
            in_three(options.get("causal", [0] * rank), 0),
        )

    @property
    def tokens(self) -> int:
        """Tokens of the grid."""
        return prod(self.grid)

    @cached_property
    def pairs(self) -> int:
        """Pairs of a query and a key that it attends."""
        ends = [self.ends(axis, np.arange(extent)) for axis, extent in enumerate(self.grid)]
        return prod(int((stop - start).sum()) for start, stop in ends)

    def ends(self, axis: int, at: Integers) -> tuple[Integers, Integers]:
        """First and one past the last key of queries at coordinates of an axis."""
        extent, window, stride = self.grid[axis], self.window[axis], self.stride[axis]
        group = at // stride * stride
        if self.causal[axis]:
            leader = np.minimum(group + stride - 1, extent - 1)
            return np.maximum(leader - window + 1, 0), at + 1
        leader = np.minimum(group + stride // 2, extent - 1)
        start = np.clip(leader - window // 2, 0, extent - window)
        return start, start + window

    def axis_tiles(self, axis: int, q_tile: int, kv_tile: int) -> AxisTiles:
        """What tiles of an axis visit. A tile that the end of the axis cuts has to be tested: padding stands there."""
        first = np.arange(0, self.grid[axis], q_tile)
        last = np.minimum(first + q_tile, self.grid[axis]) - 1
        start, stop_of_first = self.ends(axis, first)
        start_of_last, stop = self.ends(axis, last)
        begin = -(-start_of_last // kv_tile)
        return AxisTiles(start // kv_tile, -(-stop // kv_tile), np.maximum(stop_of_first // kv_tile - begin, 0))

    def visits(self, q_tile: Triple, kv_tile: Triple) -> Integers:
        """Tiles of keys that each tile of queries visits, row by row."""
        return _product([self.axis_tiles(axis, q_tile[axis], kv_tile[axis]).visits for axis in range(3)])

    def tested(self, q_tile: Triple, kv_tile: Triple) -> Integers:
        """In how many of those the kernel tests the mask."""
        whole = [self.axis_tiles(axis, q_tile[axis], kv_tile[axis]).whole for axis in range(3)]
        return self.visits(q_tile, kv_tile) - _product(whole)


def _product(axes: list[Integers]) -> Integers:
    return (axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]).reshape(-1)
