"""Sliding windows over a sequence, and attention sinks to go with them: ``SlidingWindow(n, 1023) | Sinks(n, 4)``.

These windows are cut at the ends of the sequence; neighbourhood attention (``gna.py``) pushes its own inside instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightbound.base.errors import LightboundError

from .axis import BandAxis, IntervalAxis
from .layout import Integers, Layout, plain
from .separable import Separable
from .shape import Shape, whole


@dataclass(frozen=True, init=False)
class SlidingWindow(Separable):
    """Query i attends keys i - left .. i + right, as far as they exist.

    With a different number of `keys` (a cache) the last query stands at the last key.
    """

    grid: Shape
    key_grid: Shape
    left: int
    right: int

    def __init__(self, queries: int, left: int, right: int = 0, keys: int | None = None) -> None:
        grid = (whole("queries", queries, 1),)
        key_grid = grid if keys is None else (whole("keys", keys, 1),)
        self._settle(grid=grid, key_grid=key_grid, extra_keys=0, left=whole("left", left), right=whole("right", right))

    @property
    def axes(self) -> tuple[BandAxis]:
        return (BandAxis(self.grid[0], self.key_grid[0], self.left, self.right),)

    @property
    def score_test(self) -> dict[str, int]:
        return {"compare": 2, "select": 1}  # both ends of the window


@dataclass(frozen=True, init=False)
class Sinks(Separable):
    """Every query attends the first `sinks` keys; if `causal`, as far as they do not lie ahead of it."""

    grid: Shape
    key_grid: Shape
    sinks: int
    causal: bool

    def __init__(self, queries: int, sinks: int, causal: bool = True, keys: int | None = None) -> None:
        grid = (whole("queries", queries, 1),)
        key_grid = grid if keys is None else (whole("keys", keys, 1),)
        if whole("sinks", sinks) > key_grid[0]:
            raise LightboundError(
                "sinks", sinks, f"is more than the {key_grid[0]} keys", f"Choose at most {key_grid[0]}."
            )
        self._settle(grid=grid, key_grid=key_grid, extra_keys=0, sinks=sinks, causal=bool(causal))

    @property
    def is_causal(self) -> bool:
        return False  # queries beyond the sinks attend all of them alike

    @property
    def axes(self) -> tuple[SinkAxis]:
        return (SinkAxis(self.grid[0], self.key_grid[0], self.sinks, self.causal),)


@dataclass(frozen=True)
class SinkAxis(IntervalAxis):
    """The first keys of an axis."""

    queries: int
    keys: int
    sinks: int
    causal: bool

    @property
    def query_layout(self) -> Layout:
        return plain(self.queries)

    @property
    def key_layout(self) -> Layout:
        return plain(self.keys)

    def bounds(self, group: Integers, local: Integers) -> tuple[Integers, Integers]:
        reach = local + (self.keys - self.queries) + 1 if self.causal else np.full_like(local, self.keys)
        return np.zeros_like(local), np.clip(reach, 0, self.sinks)
