"""A tiling of queries and keys: tile shapes, and where the grid of KV tiles begins. Not which tiles are visited."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Literal

from lightbound.base.errors import LightboundError, choose_from

from .shape import Shape, ShapeLike, shape

KvTiling = Literal["static", "dynamic"]
KV_TILINGS: tuple[str, ...] = ("static", "dynamic")


@dataclass(frozen=True)
class Tiling:
    """`q_tile` and `kv_tile` have one entry an axis of the token grid, or one entry over flattened tokens.

    With static KV tiling one grid of KV tiles serves every Q tile; with dynamic KV tiling the grid of each Q tile
    begins, axis by axis, at the first key that the Q tile attends.
    """

    q_tile: Shape
    kv_tile: Shape
    kv_tiling: KvTiling = "static"

    @cached_property
    def q_tile_size(self) -> int:
        """Queries in a whole Q tile."""
        return prod(self.q_tile)

    @cached_property
    def kv_tile_size(self) -> int:
        """Keys in a whole KV tile."""
        return prod(self.kv_tile)

    @property
    def dynamic(self) -> bool:
        return self.kv_tiling == "dynamic"


def tiling(rank: int, q_tile: ShapeLike, kv_tile: ShapeLike, kv_tiling: str = "static") -> Tiling:
    """A checked tiling for a token grid of `rank` axes."""
    q_shape = q_tile if type(q_tile) is tuple else shape("q_tile", q_tile)
    kv_shape = kv_tile if type(kv_tile) is tuple else shape("kv_tile", kv_tile)
    return _tiling(rank, q_shape, kv_shape, kv_tiling)


@lru_cache(maxsize=4096)
def _tiling(rank: int, q_tile: Shape, kv_tile: Shape, kv_tiling: str) -> Tiling:
    q_shape, kv_shape = shape("q_tile", q_tile), shape("kv_tile", kv_tile)
    for field, given in (("q_tile", q_shape), ("kv_tile", kv_shape)):
        if len(given) not in (1, rank):
            raise LightboundError(
                field,
                given,
                f"has {len(given)} axes where the token grid has {rank}",
                f"Give {rank} {'value' if rank == 1 else 'values'}"
                + ("." if rank == 1 else ", or one to tile the flattened tokens in one dimension."),
            )
    if len(q_shape) != len(kv_shape):
        raise LightboundError(
            "kv_tile",
            kv_shape,
            f"has {len(kv_shape)} axes where q_tile has {len(q_shape)}",
            "Tile queries and keys in the same number of dimensions.",
        )
    if kv_tiling not in KV_TILINGS:
        raise LightboundError("kv_tiling", kv_tiling, "is not known", choose_from(KV_TILINGS, str(kv_tiling)))
    return Tiling(q_shape, kv_shape, "dynamic" if kv_tiling == "dynamic" else "static")
