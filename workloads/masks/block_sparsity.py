"""Whether a neighbourhood mask is perfectly block-sparse: the rule that kernels go by, and the smallest stride that is.

The exact answer is `TileCount.block_sparse`. Kernels decide by a rule that is quick and safe but not complete: where it
says no to a mask that is block-sparse, the kernel masks without need.
"""

from __future__ import annotations

from typing import Literal

from lightbound.base.errors import LightboundError, choose_from

from .axis import count_axis
from .gna import GNA, NeighborhoodAxis
from .shape import ShapeLike
from .tiling import tiling

RULES: tuple[str, ...] = ("exact", "kernel")


def kernel_block_sparse(mask: GNA, q_tile: ShapeLike, kv_tile: ShapeLike, kv_tiling: str = "static") -> bool:
    """Whether a fused kernel takes the path without masks: no causal axis, and every axis passes its rule.

    Sources: the predicate of NATTEN's Blackwell and Hopper kernels (static), the rule of arXiv 2504.16922 (dynamic).
    """
    asked = tiling(len(mask.grid), q_tile, kv_tile, kv_tiling)
    if len(asked.q_tile) != len(mask.grid):
        raise LightboundError(
            "q_tile",
            asked.q_tile,
            "tiles the flattened tokens, which no such kernel does for several axes",
            f"Give {len(mask.grid)} values.",
        )
    tiles = zip(mask.axes, asked.q_tile, asked.kv_tile, strict=True)
    return all(_axis_rule(axis, q_extent, kv_extent, asked.dynamic) for axis, q_extent, kv_extent in tiles)


def minimum_block_sparse_stride(
    mask: GNA,
    q_tile: ShapeLike,
    kv_tile: ShapeLike,
    kv_tiling: str = "static",
    rule: Literal["exact", "kernel"] = "exact",
) -> tuple[int | None, ...]:
    """The smallest stride of each axis that makes the mask block-sparse; None where no legal stride does.

    Axes are independent, so the tuple is the answer for the mask if it holds no None. The mask's own stride is ignored.
    """
    if rule not in RULES:
        raise LightboundError("rule", rule, "is not known", choose_from(RULES, str(rule)))
    asked = tiling(len(mask.grid), q_tile, kv_tile, kv_tiling)
    if len(asked.q_tile) != len(mask.grid):
        raise LightboundError(
            "q_tile",
            asked.q_tile,
            "tiles the flattened tokens, where strides of single axes say nothing",
            f"Give {len(mask.grid)} values.",
        )

    def passes(axis: NeighborhoodAxis, q_extent: int, kv_extent: int) -> bool:
        if rule == "kernel":
            return _axis_rule(axis, q_extent, kv_extent, asked.dynamic)
        return count_axis(axis, q_extent, kv_extent, asked.dynamic).block_sparse

    def smallest(axis: NeighborhoodAxis, q_extent: int, kv_extent: int) -> int | None:
        strided = (
            NeighborhoodAxis(axis.extent, axis.window, stride, axis.dilation, axis.causal)
            for stride in range(1, axis.window + 1)
        )
        return next((each.stride for each in strided if passes(each, q_extent, kv_extent)), None)

    return tuple(smallest(*axis) for axis in zip(mask.axes, asked.q_tile, asked.kv_tile, strict=True))


def _axis_rule(axis: NeighborhoodAxis, q_tile: int, kv_tile: int, dynamic: bool) -> bool:
    if axis.causal:
        return False
    rule = _dynamic_rule if dynamic else _static_rule
    lengths = set(axis.query_layout.lengths)
    return all(axis.window == length or rule(axis, length, q_tile, kv_tile) for length in lengths)


def _dynamic_rule(axis: NeighborhoodAxis, length: int, q_tile: int, kv_tile: int) -> bool:
    return axis.window % kv_tile == 0 and axis.stride % q_tile == 0


def _static_rule(axis: NeighborhoodAxis, length: int, q_tile: int, kv_tile: int) -> bool:
    window, stride = axis.window, axis.stride
    if stride % q_tile or window % kv_tile:
        return False
    left, right = window // 2, (window + 1) // 2 - 1
    last_leader = min(length // stride * stride + stride // 2, length - 1)
    last_start = min(max(last_leader, left), length - 1 - right) - left
    if length % stride and last_start % kv_tile:
        return False
    # Either every window begins on a tile, or there are two stride groups and both windows are pushed to a border.
    # That later windows stay on tiles (stride % kv_tile) kernels leave unsaid: it follows for Q tiles of 2, 4, 8, ...
    steady = (left - stride // 2) % kv_tile == 0 and stride % kv_tile == 0
    pushed = -(-length // stride) == 2 and stride + stride // 2 >= length - window
    return steady or (length % kv_tile == 0 and pushed)
