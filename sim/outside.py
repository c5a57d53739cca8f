"""What a masked kernel costs outside itself: tokens put in tile order and back, and what a run gains in the end.

Kernels that tile all axes of a token grid read it tile by tile. Where the tokens do not lie so, Q, K and V are copied
into that order before and O is copied back after it, each axis padded to whole tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.workloads.masks.layout import Layout, plain
from lightbound.workloads.masks.tile_count import TileCount

from .masked import Problem

COPY_SHARE = 0.5
"""Share of the memory bandwidth that a copy reaches: what the paper assumes of a good one. Framework copies reached a
seventh of it on B200 and two fifths on H100 (docs/bounds.md)."""


@dataclass(frozen=True)
class Permutation:
    """The copies of all heads: bytes read and written, and seconds at `share` of a machine's memory bandwidth.

    padded_queries and padded_keys are tokens after padding; nothing is copied (0 bytes) where the order is that of the
    tokens already.
    """

    bytes: int
    padded_queries: int
    padded_keys: int
    seconds: float | None = None
    share: float = COPY_SHARE


def permutation(
    problem: Problem, count: TileCount, machine: Machine | None = None, share: float = COPY_SHARE
) -> Permutation:
    """What it takes to put the tokens of a problem in tile order and its output back."""
    if not 0 < share <= 1:
        raise LightboundError("copy_share", share, "is no share of a bandwidth", "Write more than 0 and at most 1.")
    mask = problem.mask
    keys = prod(
        layout.launched_tiles(tile) * tile for layout, tile in zip(_layouts(problem, count), count.kv_tile, strict=True)
    )
    queries = count.padded_queries
    grid_keys = mask.keys - mask.extra_keys
    in_order = len(count.q_tile) == 1 and all(layout.plain for layout in _layouts(problem, count))
    dynamic = count.kv_tiling == "dynamic"  # such kernels gather their tiles themselves
    words = 0 if in_order or dynamic else 2 * (mask.queries + queries) + 2 * (grid_keys + keys)
    moved = words * (problem.head_dim * problem.work.word_bytes) * problem.copies
    bandwidth = machine.levels[0].bandwidth_bytes_per_s if machine is not None else None
    return Permutation(moved, queries, keys, moved / (bandwidth * share) if bandwidth is not None else None, share)


def _layouts(problem: Problem, count: TileCount) -> tuple[Layout, ...]:
    if len(count.kv_tile) == len(problem.mask.key_grid):
        return problem.mask.key_layouts
    return (plain(problem.mask.keys - problem.mask.extra_keys),)


def run_speedup(speedup: float, share: float, steps: int = 1, dense_steps: int = 0) -> float:
    """How much faster a run gets (Amdahl), if attention is `share` of it and `dense_steps` of `steps` stay dense."""
    if not 0 <= share <= 1:
        raise LightboundError("share", share, "is no share of a run", "Write a number from 0 to 1.")
    if not 0 <= dense_steps <= steps or steps < 1:
        raise LightboundError("dense_steps", dense_steps, f"is no part of {steps} steps", f"Choose 0 to {steps}.")
    sparse = share * (steps - dense_steps) / steps
    return 1 / (1 - sparse + sparse / speedup)
