"""Dense attention: every query attends every key."""

from __future__ import annotations

from dataclasses import dataclass

from .axis import BandAxis
from .separable import Separable
from .shape import Shape, ShapeLike, shape


@dataclass(frozen=True, init=False)
class Dense(Separable):
    """Every query of `grid` attends every key of `key_grid` (by default the same grid: self-attention)."""

    grid: Shape
    key_grid: Shape

    def __init__(self, grid: ShapeLike, key_grid: ShapeLike | None = None) -> None:
        queries = shape("grid", grid)
        keys = queries if key_grid is None else shape("key_grid", key_grid, len(queries))
        self._settle(grid=queries, key_grid=keys, extra_keys=0)

    @property
    def axes(self) -> tuple[BandAxis, ...]:
        extents = zip(self.grid, self.key_grid, strict=True)
        return tuple(BandAxis(queries, keys, None, None) for queries, keys in extents)
