"""Causal attention: no query looks ahead."""

from __future__ import annotations

from dataclasses import dataclass

from .axis import BandAxis
from .separable import Separable
from .shape import Shape, whole


@dataclass(frozen=True, init=False)
class Causal(Separable):
    """Query i attends keys up to its own.

    With a different number of `keys` (decoding or chunked prefill against a cache) the last query stands at the last
    key: query i attends keys j <= i + keys - queries.
    """

    grid: Shape
    key_grid: Shape

    def __init__(self, queries: int, keys: int | None = None) -> None:
        count = whole("queries", queries, 1)
        self._settle(grid=(count,), key_grid=(count if keys is None else whole("keys", keys, 1),), extra_keys=0)

    @property
    def is_causal(self) -> bool:
        return True

    @property
    def axes(self) -> tuple[BandAxis]:
        return (BandAxis(self.grid[0], self.key_grid[0], None, 0),)
