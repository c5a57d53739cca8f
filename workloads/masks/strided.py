"""Strided attention: a token attends every stride-th token, counted from itself.

With a window beside it (``Strided(n, s) | SlidingWindow(n, s)``) it is the strided pattern of sparse transformers
(Child et al., arXiv 1904.10509). Tiles hold neighbouring tokens; to regroup tokens by residue, as a kernel with
dilation does, use ``GNA`` with dilation = stride.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .axis import Axis, Progressions
from .layout import Integers, Layout, plain
from .separable import Separable
from .shape import FlagsLike, Shape, ShapeLike, flags, shape

CHUNK = 1 << 20  # (Q tile, KV tile) pairs looked at together


@dataclass(frozen=True, init=False)
class Strided(Separable):
    """Token i attends tokens j with (i - j) divisible by the stride, on every axis; a causal axis keeps j <= i."""

    grid: Shape
    stride: Shape
    causal: tuple[bool, ...]

    def __init__(self, grid: ShapeLike, stride: ShapeLike, causal: FlagsLike = False) -> None:
        extents = shape("grid", grid)
        self._settle(
            grid=extents,
            key_grid=extents,
            extra_keys=0,
            stride=shape("stride", stride, len(extents)),
            causal=flags("causal", causal, len(extents)),
        )

    @property
    def axes(self) -> tuple[StridedAxis, ...]:
        return tuple(StridedAxis(*axis) for axis in zip(self.grid, self.stride, self.causal, strict=True))


@dataclass(frozen=True)
class StridedAxis(Axis):
    """Tokens of one residue modulo the stride attend each other."""

    extent: int
    stride: int
    causal: bool

    @property
    def query_layout(self) -> Layout:
        return plain(self.extent)

    @property
    def key_layout(self) -> Layout:
        return plain(self.extent)

    @property
    def pairs(self) -> int:
        size, longer = divmod(self.extent, self.stride)
        sizes = ((size + 1, longer), (size, self.stride - longer))
        return sum(count * (n * (n + 1) // 2 if self.causal else n * n) for n, count in sizes)

    def progressions(self) -> Progressions:
        at = np.arange(self.extent)
        return at % self.stride, at + 1 if self.causal else np.full_like(at, self.extent), self.stride

    def tile_visits(self, q_tile: int, kv_tile: int, dynamic: bool) -> tuple[Integers, Integers]:
        _, first, last = self.query_layout.tiles(q_tile)
        wraps = (last - 1) // self.stride > (first - 1) // self.stride
        origin = np.where(wraps, 0, first % self.stride) if dynamic else np.zeros_like(first)
        columns = -(-self.extent // kv_tile)
        visits, full = np.empty_like(first), np.empty_like(first)
        step = max(1, CHUNK // columns)
        for low in range(0, len(first), step):
            part = slice(low, low + step)
            some, every = self._classify(first[part], last[part], origin[part], kv_tile, columns)
            visits[part], full[part] = some.sum(axis=1), every.sum(axis=1)
        return visits, full

    def _classify(
        self, first: Integers, last: Integers, origin: Integers, kv_tile: int, columns: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which KV tiles hold some, and which only attended pairs; shape (Q tiles, columns).

        The differences i - j of a tile pair are one interval, and only differences matter.
        """
        begin = origin[:, None] + np.arange(columns) * kv_tile
        end = np.minimum(begin + kv_tile, self.extent)
        lowest, highest = first[:, None] - (end - 1), last[:, None] - 1 - begin
        exists = begin < end
        least = np.maximum(lowest, 0) if self.causal else lowest
        some = exists & (highest // self.stride * self.stride >= least)
        single = (lowest == highest) & (lowest % self.stride == 0) | (self.stride == 1)
        return some, exists & single & ((lowest >= 0) if self.causal else True)
