"""Masks out of plain data, as kernels for GPUs state them: a `kind` and its fields.

========  ==================================================================================================
causal    none
window    before, after: keys before and after a query's own that it attends beside it (numbers of tokens)
gna       grid, window; stride, dilation, causal (1, 1, False); the tiles of the kernel: q_tile, kv_tile
blocks    q_block, kv_block, table: (query block, key block) pairs, a 0/1 matrix, or of each query block its
          key blocks
========  ==================================================================================================

Beside any kind may stand what is the kernel's rather than the mask's: `q_tile` and `kv_tile`, where its tiles are not
those of its mapping; `tested`, of each tile of queries the visits in which it tests scores; and `test`, the operations
that such a test takes on one score (``{"select": 1}``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lightbound.base.errors import LightboundError, choose_from
from lightbound.workloads.masks.block_sparse import BlockSparse
from lightbound.workloads.masks.causal import Causal
from lightbound.workloads.masks.dense import Dense
from lightbound.workloads.masks.gna import GNA
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.masks.shape import ShapeLike
from lightbound.workloads.masks.sliding_window import SlidingWindow
from lightbound.workloads.masks.tile_count import TileCount

TILES = ("q_tile", "kv_tile")
OWN = ("tested", "test")


def mask_of(data: Mapping[str, Any] | None, queries: int, keys: int) -> Mask:
    """The mask of so many queries and keys; where there is no data, every query attends every key.

    Raises LightboundError for an unknown kind, and for a field that is missing or that the kind does not have.
    """
    if data is None:
        return Dense((queries,), (keys,))
    kind = data.get("kind")
    if kind not in _KINDS:
        raise LightboundError("mask.kind", kind, "is not a kind of mask", choose_from(_KINDS, str(kind)))
    make, needed, others = _KINDS[kind]
    given = {name: value for name, value in data.items() if name not in ("kind", *TILES, *OWN)}
    for name in needed:
        if name not in given:
            raise LightboundError(f"mask.{name}", None, f"is missing: {kind!r} has {', '.join(needed)}", "State it.")
    for name in given:
        if name not in (*needed, *others):
            problem = f"is no field of {kind!r}"
            raise LightboundError(f"mask.{name}", given[name], problem, choose_from((*needed, *others), name))
    mask = make(queries, keys, **given)
    return _AsTested(mask, data.get("tested"), data.get("test")) if any(name in data for name in OWN) else mask


class _AsTested(Mask):
    """A mask whose kernel tests scores in other visits, or by other operations, than kernels of the mask do."""

    def __init__(self, mask: Mask, tested: Sequence[int] | None, test: Mapping[str, int] | None) -> None:
        self._settle(mask=mask, grid=mask.grid, key_grid=mask.key_grid, extra_keys=mask.extra_keys)
        self._settle(tested=tested, test=mask.score_test if test is None else dict(test))

    mask: Mask
    tested: Sequence[int] | None
    test: dict[str, int]

    def _rows(self) -> Any:
        return self.mask.rows

    def count(self, q_tile: ShapeLike, kv_tile: ShapeLike, kv_tiling: str = "static") -> TileCount:
        return self.mask.count(q_tile, kv_tile, kv_tiling)

    @property
    def attended_pairs(self) -> int:
        return self.mask.attended_pairs

    @property
    def score_test(self) -> dict[str, int]:
        return self.test

    def tested_visits(self, count: TileCount) -> Any:
        if self.tested is None:
            return self.mask.tested_visits(count)
        if len(self.tested) != len(count.visits):
            problem = f"has {len(self.tested)} entries for {len(count.visits)} tiles of queries"
            raise LightboundError("mask.tested", None, problem, "Give one for each, in the order of the tiles.")
        return np.asarray(self.tested)


def _causal(queries: int, keys: int) -> Mask:
    return Causal(queries, keys)


def _window(queries: int, keys: int, before: int, after: int) -> Mask:
    return SlidingWindow(queries, before, after, keys)


def _gna(queries: int, keys: int, grid: Any, window: Any, **others: Any) -> Mask:
    named: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in others.items()}
    return GNA(tuple(grid), tuple(window), **named)


def _blocks(queries: int, keys: int, q_block: int, kv_block: int, table: Sequence[Any]) -> Mask:
    return BlockSparse((queries,), (q_block,), _table(table, queries, keys, q_block, kv_block), (kv_block,), (keys,))


def _table(table: Any, queries: int, keys: int, q_block: int, kv_block: int) -> np.ndarray:
    """Pairs, or a boolean matrix; a matrix is one where its shape is that of the blocks."""
    rows = -(-queries // q_block), -(-keys // kv_block)
    if not isinstance(table, np.ndarray):
        lengths = {len(row) for row in table}
        if len(lengths) > 1 or (len(table) == rows[0] and lengths not in ({2}, {rows[1]})):
            return np.array([(block, key) for block, keys_of in enumerate(table) for key in keys_of]).reshape(-1, 2)
        table = np.array(table)
    return table.astype(bool) if table.shape == rows and set(np.unique(table)) <= {0, 1} else table


_KINDS: dict[str, tuple[Callable[..., Mask], tuple[str, ...], tuple[str, ...]]] = {
    "causal": (_causal, (), ()),
    "window": (_window, ("before", "after"), ()),
    "gna": (_gna, ("grid", "window"), ("stride", "dilation", "causal", "extra_keys")),
    "blocks": (_blocks, ("q_block", "kv_block", "table"), ()),
}
