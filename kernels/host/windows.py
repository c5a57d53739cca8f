"""Masks of the host's kernels as windows: for every coordinate of an axis, the keys it sees there.

A window is a range of quotients by the dilation within one residue, as the kernel tiles them. Rules of generalized
neighbourhood attention: Hassani et al., arXiv 2504.16922.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from lightbound._core import host
from lightbound.base.errors import LightboundError

QUERY_TILE, KEY_TILE = 64, 128  # the most tokens of a tile that the kernel takes
DEFAULT_KEYS = 64
TILES = {1: ((64,), (64,)), 2: ((8, 8), (8, 8)), 3: ((4, 4, 4), (4, 4, 4))}

Bounds = NDArray[np.int32]


@dataclass(frozen=True)
class Windows:
    """A mask as the kernel takes it: everything once an axis, and `extra` keys behind the grid that all queries see."""

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    step: tuple[int, ...]
    first: tuple[Bounds, ...]
    last: tuple[Bounds, ...]
    q_tile: tuple[int, ...]
    kv_tile: tuple[int, ...]
    extra: int = 0

    def visits(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tiles of keys visited by every tile of queries, the most first, and in how many scores are tested."""
        return host.plan_windows(
            self.queries, self.keys, self.step, self.first, self.last, self.q_tile, self.kv_tile, self.extra
        )


def line(queries: int, keys: int, causal: bool, before: int | None = None, kv_tile: int = DEFAULT_KEYS) -> Windows:
    """Queries in a row, the last one at the last key; `before`: keys from so many before its own on, all if None."""
    own = np.arange(queries) + keys - queries
    last = np.clip(own + 1, 0, keys) if causal else np.full(queries, keys)
    if before is None:
        first = np.zeros(queries)
    else:
        first = np.clip(own - before, 0, keys)
        last = last if causal else np.clip(own + before + 1, 0, keys)
    return Windows(
        (queries,), (keys,), (1,), (first.astype(np.int32),), (last.astype(np.int32),), (QUERY_TILE,), (kv_tile,)
    )


def neighbourhood(
    grid: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    causal: Sequence[bool],
    q_tile: Sequence[int] | None,
    kv_tile: Sequence[int] | None,
    extra: int,
) -> Windows:
    """Generalized neighbourhood attention on a grid of 1 to 3 axes."""
    axes = len(grid)
    tiles = TILES[axes]
    bounds = [_axis(*axis) for axis in zip(grid, window, stride, dilation, causal, strict=True)]
    return Windows(
        tuple(grid),
        tuple(grid),
        tuple(dilation),
        tuple(first for first, _ in bounds),
        tuple(last for _, last in bounds),
        _tile("q_tile", q_tile or tiles[0], axes, QUERY_TILE),
        _tile("kv_tile", kv_tile or tiles[1], axes, KEY_TILE),
        extra,
    )


def _axis(extent: int, window: int, stride: int, dilation: int, causal: bool) -> tuple[Bounds, Bounds]:
    """Queries of a stride group share their leader's window; at the borders it is pushed inside, or cut if causal."""
    coordinate = np.arange(extent)
    own, residue = coordinate // dilation, coordinate % dilation
    end = (extent - residue + dilation - 1) // dilation
    start = own // stride * stride
    if causal:
        leader = np.minimum(start + stride - 1, end - 1)
        return np.maximum(leader - window + 1, 0).astype(np.int32), (own + 1).astype(np.int32)
    leader = np.minimum(start + stride // 2, end - 1)
    first = np.clip(leader - window // 2, 0, end - window)
    return first.astype(np.int32), (first + window).astype(np.int32)


def _tile(name: str, tile: Sequence[int], axes: int, most: int) -> tuple[int, ...]:
    if len(tile) != axes or min(tile) < 1 or prod(tile) > most:
        raise LightboundError(
            name,
            tuple(tile),
            f"is not a tile of {axes} axes with at most {most} tokens",
            f"Give e.g. {TILES[axes][0]}.",
        )
    return tuple(tile)
