"""Block-sparse attention with the blocks given: chosen, routed or clustered elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from lightbound import _core
from lightbound.base.errors import LightboundError

from .layout import Integers
from .mask import Mask
from .shape import Shape, ShapeLike, shape, text
from .table import sparse_rows


@dataclass(frozen=True, init=False, eq=False)
class BlockSparse(Mask):
    """Queries of block a attend all keys of block b for the given pairs (a, b).

    Blocks are boxes of the grid, numbered row by row over the grid of blocks; the last one of an axis may be cut.
    `blocks` is a boolean array of shape (query blocks, key blocks), or whole numbers of shape (pairs, 2) in any order.
    Tiles need not be the blocks.
    """

    grid: Shape
    q_block: Shape
    kv_block: Shape
    blocks: Integers = field(repr=False)
    key_grid: Shape

    def __init__(
        self,
        grid: ShapeLike,
        q_block: ShapeLike,
        blocks: Any,
        kv_block: ShapeLike | None = None,
        key_grid: ShapeLike | None = None,
    ) -> None:
        queries = shape("grid", grid)
        keys = queries if key_grid is None else shape("key_grid", key_grid, len(queries))
        q_shape = shape("q_block", q_block, len(queries))
        kv_shape = q_shape if kv_block is None else shape("kv_block", kv_block, len(queries))
        self._settle(grid=queries, key_grid=keys, extra_keys=0, q_block=q_shape, kv_block=kv_shape)
        self._settle(blocks=_pairs(np.asarray(blocks), self.block_grid))

    @property
    def block_grid(self) -> tuple[int, int]:
        """Query blocks and key blocks."""
        return _blocks(self.grid, self.q_block), _blocks(self.key_grid, self.kv_block)

    def _rows(self) -> _core.MaskRows:
        rows = sparse_rows(self.blocks[:, 0], self.blocks[:, 1], *self.block_grid)
        return _core.block_rows(self.grid, self.key_grid, self.q_block, self.kv_block, rows.offsets, rows.columns)


def _blocks(grid: Shape, block: Shape) -> int:
    return prod(-(-extent // size) for extent, size in zip(grid, block, strict=True))


def _pairs(blocks: np.ndarray, block_grid: tuple[int, int]) -> Integers:
    wanted = f"whole numbers of shape (pairs, 2), or booleans of shape {text(block_grid)}"
    if blocks.dtype == np.bool_:
        if blocks.shape != block_grid:
            raise LightboundError(
                "blocks", blocks.shape, f"is not the shape of {text(block_grid)} blocks", f"Give {wanted}."
            )
        return np.argwhere(blocks)
    if blocks.size == 0:
        return np.empty((0, 2), np.int64)
    if blocks.ndim != 2 or blocks.shape[1] != 2 or not np.issubdtype(blocks.dtype, np.integer):
        raise LightboundError(
            "blocks",
            f"{blocks.dtype} of shape {blocks.shape}",
            "is not a list of block pairs",
            f"Give {wanted}.",
        )
    outside = (blocks < 0) | (blocks >= np.array(block_grid))
    if outside.any():
        worst = tuple(int(block) for block in blocks[outside.any(axis=1)][0])
        raise LightboundError(
            "blocks",
            worst,
            f"leaves the {text(block_grid)} blocks of the mask",
            "Number blocks from 0, row by row.",
        )
    return blocks.astype(np.int64)
