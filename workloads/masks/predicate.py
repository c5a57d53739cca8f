"""Any mask that can be written as a function of query and key coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lightbound import _core
from lightbound.base.errors import LightboundError

from .layout import Integers
from .mask import Mask
from .shape import Shape, ShapeLike, shape
from .table import true_runs

CHUNK = 1 << 22  # pairs evaluated together


@dataclass(frozen=True, init=False, eq=False)
class Predicate(Mask):
    """Query q attends key k where ``attends(q, k)`` is true.

    `attends` receives integer arrays that broadcast against each other and returns a boolean array: on a grid of one
    axis the token numbers, on more axes one tuple of coordinate arrays for the queries and one for the keys. It is
    evaluated once at every pair, some rows at a time: it costs the time of queries x keys, never that memory.
    """

    grid: Shape
    attends: Callable[[Any, Any], Any] = field(repr=False)
    key_grid: Shape

    def __init__(self, grid: ShapeLike, attends: Callable[[Any, Any], Any], key_grid: ShapeLike | None = None) -> None:
        queries = shape("grid", grid)
        keys = queries if key_grid is None else shape("key_grid", key_grid, len(queries))
        self._settle(grid=queries, key_grid=keys, extra_keys=0, attends=attends)

    def _rows(self) -> _core.MaskRows:
        keys = self._coordinates(self.key_grid, np.arange(self.keys)[None, :])
        counts, firsts, lasts = [], [], []
        step = max(1, CHUNK // self.keys)
        for low in range(0, self.queries, step):
            high = min(self.queries, low + step)
            queries = self._coordinates(self.grid, np.arange(low, high)[:, None])
            rows, first, last = true_runs(self._evaluate(queries, keys, (high - low, self.keys)))
            counts.append(np.bincount(rows, minlength=high - low))
            firsts.append(first)
            lasts.append(last)
        offsets = np.concatenate(([0], np.cumsum(np.concatenate(counts))))
        every = np.arange(self.queries)
        return _core.table_rows(self.keys, every, offsets, np.concatenate(firsts), np.concatenate(lasts))

    def _evaluate(self, queries: Any, keys: Any, wanted: tuple[int, int]) -> np.ndarray:
        attended = np.asarray(self.attends(queries, keys))
        remedy = "Return a boolean array made from both arguments with comparisons, & and |."
        if attended.dtype != np.bool_:
            raise LightboundError("attends", str(attended.dtype), "is what the predicate returns, not booleans", remedy)
        try:
            return np.broadcast_to(attended, wanted)
        except ValueError as error:
            raise LightboundError(
                "attends", attended.shape, f"is the shape that the predicate returns, not {wanted}", remedy
            ) from error

    @staticmethod
    def _coordinates(grid: Shape, tokens: Integers) -> Any:
        return tokens if len(grid) == 1 else np.unravel_index(tokens, grid)
