"""Generalized neighbourhood attention: windows with stride, dilation and causality, axis by axis, in 1 to 3 dimensions.

Source: Hassani et al., "Generalized Neighborhood Attention" (arXiv 2504.16922); the definition was checked against
NATTEN's own reference masks. Strided windows move in steps: queries of one stride group share the window of their
leader. Windows keep their size at the borders, where they are pushed inside; a causal window is cut there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lightbound.base.errors import LightboundError

from .axis import IntervalAxis
from .layout import Integers, Layout, interleaved
from .separable import Separable
from .shape import FlagsLike, Shape, ShapeLike, flags, shape, whole
from .tile_count import TileCount

MAX_RANK = 3


@dataclass(frozen=True)
class NeighborhoodAxis(IntervalAxis):
    """One axis of generalized neighbourhood attention; legal parameters are `GNA`'s business."""

    extent: int
    window: int
    stride: int = 1
    dilation: int = 1
    causal: bool = False

    @property
    def query_layout(self) -> Layout:
        return interleaved(self.extent, self.dilation)

    @property
    def key_layout(self) -> Layout:
        return interleaved(self.extent, self.dilation)

    @property
    def pairs(self) -> int:
        return super().pairs if self.causal else self.extent * self.window

    def bounds(self, group: Integers, local: Integers) -> tuple[Integers, Integers]:
        last = (self.extent - group + self.dilation - 1) // self.dilation - 1
        group_start = local // self.stride * self.stride
        if self.causal:
            leader = np.minimum(group_start + self.stride - 1, last)
            return np.maximum(leader - self.window + 1, 0), local + 1
        left = self.window // 2
        right = (self.window + 1) // 2 - 1
        leader = np.minimum(group_start + self.stride // 2, last)
        start = np.clip(leader, left, last - right) - left
        return start, start + self.window


@dataclass(frozen=True, init=False)
class GNA(Separable):
    """Self-attention on a grid of 1 to 3 axes, each with its own window, stride, dilation and causality.

    A single number (or flag) stands for every axis. Legal are windows of at least 2 tokens with window * dilation no
    larger than the axis, and strides from 1 to the window. Stride 1 is neighbourhood attention, stride = window is
    blocked attention, window = axis is dense. `extra_keys` stand behind the grid and are attended by every query.
    """

    grid: Shape
    window: Shape
    stride: Shape
    dilation: Shape
    causal: tuple[bool, ...]
    extra_keys: int

    def __init__(
        self,
        grid: ShapeLike,
        window: ShapeLike,
        stride: ShapeLike = 1,
        dilation: ShapeLike = 1,
        causal: FlagsLike = False,
        extra_keys: int = 0,
    ) -> None:
        extents = shape("grid", grid)
        rank = len(extents)
        if rank > MAX_RANK:
            raise LightboundError("grid", grid, f"has {rank} axes", f"Give a grid of 1 to {MAX_RANK} axes.")
        self._settle(
            grid=extents,
            key_grid=extents,
            window=shape("window", window, rank),
            stride=shape("stride", stride, rank),
            dilation=shape("dilation", dilation, rank),
            causal=flags("causal", causal, rank),
            extra_keys=whole("extra_keys", extra_keys),
        )
        for axis in range(rank):
            _check(self, axis)

    @property
    def axes(self) -> tuple[NeighborhoodAxis, ...]:
        return _axes(self.grid, self.window, self.stride, self.dilation, self.causal)

    @property
    def score_test(self) -> dict[str, int]:
        """On each axis the key's coordinate and both ends of the window, then the selection.

        Counted in the source of NATTEN's Blackwell and Hopper kernels (main at 8c8729f), not in their machine code.
        """
        axes = len(self.grid)
        return {"iadd": axes, "compare": 2 * axes, "select": 1}

    def tested_visits(self, count: TileCount) -> Integers:
        """Kernels of this mask test all visits or none, by the rule of `kernel_block_sparse`."""
        from .block_sparsity import kernel_block_sparse

        if len(count.q_tile) == len(self.grid) and kernel_block_sparse(
            self, count.q_tile, count.kv_tile, count.kv_tiling
        ):
            return np.zeros_like(count.visits)
        return count.visits

    def with_stride(self, stride: ShapeLike) -> GNA:
        """The same mask with another stride: what a design search varies."""
        return GNA(self.grid, self.window, stride, self.dilation, self.causal, self.extra_keys)


@lru_cache(maxsize=1024)
def _axes(*parameters: Any) -> tuple[NeighborhoodAxis, ...]:
    return tuple(NeighborhoodAxis(*axis) for axis in zip(*parameters, strict=True))


def _check(mask: GNA, axis: int) -> None:
    extent, window = mask.grid[axis], mask.window[axis]
    stride, dilation = mask.stride[axis], mask.dilation[axis]
    if window < 2:
        raise LightboundError(
            "window",
            mask.window,
            f"is {window} on axis {axis}; a window holds at least 2 tokens",
            f"Choose 2 to {extent} there.",
        )
    if window > extent:
        raise LightboundError(
            "window",
            mask.window,
            f"is {window} on axis {axis}, larger than the grid's {extent} tokens",
            f"Choose 2 to {extent} there; {extent} is dense attention.",
        )
    if window * dilation > extent:
        raise LightboundError(
            "dilation",
            mask.dilation,
            f"is {dilation} on axis {axis}, where a window of {window} spans {window * dilation} of {extent} tokens",
            f"Choose a dilation of at most {extent // window}, or a window of at most {extent // dilation}."
            if dilation * 2 <= extent
            else f"Choose a dilation of at most {extent // window}.",
        )
    if stride > window:
        raise LightboundError(
            "stride",
            mask.stride,
            f"is {stride} on axis {axis}, larger than the window of {window}",
            f"Choose 1 to {window} there; {window} is blocked attention.",
        )
