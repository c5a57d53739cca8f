"""How often the lanes of a unit are filled: ranks that lie along them, tiles inside tiles, ragged ones exactly."""

from __future__ import annotations

from lightbound.base.formula import Number

from .binding import Piece
from .flow import Site
from .reuse import Nest, tiles


def fillings(piece: Piece, rank: str, size: Number, nested: list[Number]) -> Number:
    """How often lanes are filled along a rank of this size under nested tiles, ragged tiles counted exactly.

    In time every coordinate is a step. Of ranks that lie side by side on one axis, every tile is.
    """
    axis = next((axis for axis, ranks in piece.space.items() if rank in ranks), None)
    if axis is None:
        return size
    if len(along(piece, axis)) == 1:
        return tiles(size, [*nested, piece.unit.shape[axis]])
    return tiles(size, nested) if nested else 1


def along(piece: Piece, axis: str) -> list[str]:
    """The ranks of a piece of work that lie along an axis of its unit."""
    return [rank for rank in piece.space[axis] if rank in piece.ranks]


def in_turn(site: Site) -> int:
    """Depth of the loops whose iterations fill lanes one after the other. Where a unit's own threads load, those of its
    branch over ranks in lanes are its warps, side by side.
    """
    return site.shared if site.loads else len(site.loops)


def tiles_of(nest: Nest, rank: str, depth: int, until: int) -> list[Number]:
    """The tiles of a rank that the loops from one depth to another one make."""
    return [step.tile for step in nest.steps[depth:until] if step.rank == rank]
