"""Strided attention: a token attends every stride-th token, counted from itself.

With a window beside it (``Strided(n, s) | SlidingWindow(n, s)``) it is the strided pattern of sparse transformers
(Child et al., arXiv 1904.10509). Tiles hold neighbouring tokens; to regroup tokens by residue, as a kernel with
dilation does, use ``GNA`` with dilation = stride.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .axis import Axis, Progressions
from .layout import Integers, Layout, plain
from .separable import Separable
from .shape import FlagsLike, Shape, ShapeLike, flags, shape

CHUNK = 1 << 20  # pairs of phase and KV tile looked at together


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
        # Q tiles of one phase (where they begin modulo the stride) attend the same keys, up to causality.
        phases, phase = np.unique(np.stack([first % self.stride, last - first]), axis=1, return_inverse=True)
        phase, columns = phase.ravel(), -(-self.extent // kv_tile)
        visits, full = np.zeros_like(first), np.zeros_like(first)
        step = max(1, CHUNK // columns)
        for low in range(0, phases.shape[1], step):
            begin, length = phases[:, low : low + step]
            origin = np.where(begin + length > self.stride, 0, begin) if dynamic else np.zeros_like(begin)
            pattern = self._tiles(begin, begin + length, origin, np.arange(columns)[None, :], kv_tile, False)
            of_chunk = np.flatnonzero((phase >= low) & (phase < low + step))
            row = phase[of_chunk] - low
            whole = np.full_like(row, columns)
            if self.causal:
                # KV tiles wholly behind the Q tile are the pattern's; those that it reaches into are looked at.
                start, end, from_key = first[of_chunk], last[of_chunk], origin[row]
                whole = np.clip((start + 1 - from_key) // kv_tile, 0, columns)
                near = whole[:, None] + np.arange(q_tile // kv_tile + 2)
                some, every = self._tiles(start, end, from_key, near, kv_tile, True)
                visits[of_chunk] += some.sum(axis=1)
                full[of_chunk] += every.sum(axis=1)
            for counts, marks in zip((visits, full), pattern, strict=True):
                before = np.pad(np.cumsum(marks, axis=1), ((0, 0), (1, 0)))
                counts[of_chunk] += before[row, whole]
        return visits, full

    def _tiles(
        self, first: Integers, last: Integers, origin: Integers, column: Integers, kv_tile: int, causal: bool
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which KV tiles hold some attended pair, and which none but attended pairs; shape (Q tiles, columns).

        Only differences i - j matter, and those of two tiles are one interval.
        """
        begin = origin[:, None] + column * kv_tile
        end = np.minimum(begin + kv_tile, self.extent)
        lowest, highest = first[:, None] - (end - 1), last[:, None] - 1 - begin
        exists = begin < end
        some = exists & (highest // self.stride * self.stride >= (np.maximum(lowest, 0) if causal else lowest))
        alike = (self.stride == 1) | ((lowest == highest) & (lowest % self.stride == 0))
        return some, exists & alike & (lowest >= 0 if causal else True)
