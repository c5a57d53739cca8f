"""The tile sizes that a search tries for a group: a grid, along one axis for every rank that is tiled."""

from __future__ import annotations

import numpy as np

from lightbound.base.formula import Number
from lightbound.workloads.cascade import Cascade

from .candidates import BLOCK, Shape, tile_name

# Octaves between the tile sizes that are tried, for each rank from the outermost loop, where 1, 2, 3... are tiled.
COARSE = ((1 / 4,), (1 / 2, 1 / 2), (1, 1, 1), (2, 2, 2, 2), (3,), (4,), (6,), (12,))
FINE = ((1 / 16,), (1 / 12, 1 / 12), (1 / 12, 1 / 12, 2), (1, 1, 1, 2), (2,))  # for sizing buffers, one Einsum
FINE_FUSED = ((1 / 8,), (1 / 4, 1 / 4), (1 / 2, 1 / 2, 2), (1, 1, 2, 2), (2,))  # and several in one group
BLOCKS = 1 / 2  # between outer tiles
ALONE = 3.0  # for ranks that one of several Einsums walks alone: few sizes are enough
MOST_ALONE = 3  # of those, whose tiles are tried in every combination; more of them are as long as each other


class Grid:
    """Tile sizes in every combination, `tiles` by the names they have in a group of the shape: float arrays along an
    axis each, so that what depends on one rank alone is computed once for each of its tiles, not for each combination.
    How dense they are depends on how many ranks are tiled; fine ones on the order of the loops too. If `blocked`, the
    outer tiles have an axis of their own, the last.
    """

    def __init__(
        self, cascade: Cascade, shape: Shape, order: tuple[str, ...], fine: bool, blocked: bool = False
    ) -> None:
        self._shape = shape
        ranks = shape.tiled(order)
        main = [rank for rank in ranks if rank not in shape.private]
        octaves = dict.fromkeys(shape.private, ALONE) | dict(
            zip(main, _spacing(len(main), len(shape.einsums) > 1, fine), strict=False)
        )
        together = shape.private if len(shape.private) > MOST_ALONE else ()
        self._axis = {rank: axis for axis, rank in enumerate(rank for rank in ranks if rank not in together)}
        axes = [(rank,) for rank in self._axis] + ([together] if together else [])
        self.tiles: dict[str, np.ndarray] = {}
        for axis, here in enumerate(axes):
            sizes = {rank: int(cascade.size(rank)) for rank in here}
            tiles = _tiles(max(sizes.values()), octaves[here[0]])
            along = [-1 if axis == other else 1 for other in range(len(axes))]
            for rank, size in sizes.items():
                own = np.minimum(tiles, size)
                if fine:  # the least tile of every trip count takes the least room
                    own = np.ceil(size / np.ceil(size / own))
                    own = np.unique(own) if len(sizes) == 1 else own
                self.tiles[tile_name(rank)] = own.reshape(along)
        if blocked and shape.sums is not None:
            longest = max(int(cascade.size(rank)) for rank in shape.sums[0])
            self.tiles = {name: values[..., None] for name, values in self.tiles.items()}
            self.tiles[BLOCK] = _tiles(longest, BLOCKS)
        self._points = np.broadcast_shapes(*(values.shape for values in self.tiles.values()))

    def points(self, value: Number, order: tuple[str, ...]) -> np.ndarray:
        """A value at all points in turn, the tiles of the innermost of shared loops in this order changing first, after
        those of ranks that are walked alone.
        """
        whole = np.empty(self._points, dtype=np.asarray(value).dtype)
        whole[...] = value
        axes = [self._axis[rank] for rank in self._shape.tiled(order) if rank in self._axis]
        return whole.transpose(*axes, *range(len(axes), whole.ndim)).reshape(-1)


def _spacing(count: int, fused: bool, fine: bool) -> tuple[float, ...]:
    """Octaves between the tiles of so many ranks, from the outermost."""
    table = (FINE_FUSED if fused else FINE) if fine else COARSE
    spacing = table[min(count, len(table)) - 1]
    return (*spacing, *[spacing[-1]] * count)


def _tiles(size: int, octaves: float) -> np.ndarray:
    """Whole numbers `octaves` apart from 1 to the size, the size among them. A longer rank only adds to them."""
    steps = np.arange(0, 64, octaves)
    tiles = np.unique(np.floor(2.0**steps))
    return np.append(tiles[tiles < size], size).astype(float)
