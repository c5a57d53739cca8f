"""An independent reference for masks: every pair in one boolean array, and tiles counted by looking at each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

Grouping = list[tuple[int, int]]
"""Group and local number of each coordinate of an axis."""


@dataclass(frozen=True)
class Reference:
    """Counts of one case under one tiling."""

    pairs: int
    visits: list[int]
    full: list[int]
    dense_kv_tiles: int
    listed: list[tuple[int, int]]
    """Q tile and pairs of each visit, Q tile by Q tile, in the order of KV tiles."""


def count(
    attended: np.ndarray,
    query_axes: list[Grouping],
    key_axes: list[Grouping],
    extra_keys: int,
    q_tile: tuple[int, ...],
    kv_tile: tuple[int, ...],
    dynamic: bool,
) -> Reference:
    """Counts of the pairs in `attended`, whose tokens are grouped axis by axis before they are tiled."""
    tile_of_query: dict[tuple, list[int]] = {}
    for query, coordinates in enumerate(product(*query_axes)):
        name = tuple((g, local // size) for (g, local), size in zip(coordinates, q_tile, strict=True))
        tile_of_query.setdefault(name, []).append(query)
    groups = np.array([[g for g, _ in coordinates] for coordinates in product(*key_axes)])
    locals_ = np.array([[local for _, local in coordinates] for coordinates in product(*key_axes)])
    in_grid = len(groups)
    visits, full, listed = [], [], []
    for at, name in enumerate(sorted(tile_of_query)):
        rows = attended[tile_of_query[name]]
        some, every, pairs = _look(rows, groups, locals_, kv_tile, dynamic)
        for first in range(in_grid, in_grid + extra_keys, int(np.prod(kv_tile))):
            part = rows[:, first : first + int(np.prod(kv_tile))]
            some, every = some + bool(part.any()), every + bool(part.all())
            pairs += [int(part.sum())] * bool(part.any())
        visits.append(some)
        full.append(every)
        listed += [(at, each) for each in pairs]
    grid_tiles = int(np.prod([-(-len(axis) // size) for axis, size in zip(key_axes, kv_tile, strict=True)]))
    extra_tiles = -(-extra_keys // int(np.prod(kv_tile)))
    return Reference(int(attended.sum()), visits, full, grid_tiles + extra_tiles, listed)


def _look(
    rows: np.ndarray, groups: np.ndarray, locals_: np.ndarray, kv_tile: tuple[int, ...], dynamic: bool
) -> tuple[int, int, list[int]]:
    """Visited tiles, full tiles, and pairs of each visited tile over the key grid."""
    seen = rows[:, : len(groups)].any(axis=0)
    cells = np.zeros((len(groups), 2 * len(kv_tile)), int)
    exists = np.ones(len(groups), bool)
    for axis, size in enumerate(kv_tile):
        for group in np.unique(groups[:, axis]):
            members = groups[:, axis] == group
            attended = locals_[members & seen, axis]
            origin = attended.min() if dynamic and len(attended) else 0
            exists[members] &= locals_[members, axis] >= origin
            cells[members, 2 * axis] = group
            cells[members, 2 * axis + 1] = (locals_[members, axis] - origin) // size
    _, tile = np.unique(cells, axis=0, return_inverse=True)
    tile = tile.ravel()
    size_of = np.bincount(tile[exists], minlength=tile.max() + 1)
    pairs = np.bincount(tile, weights=rows[:, : len(groups)].sum(axis=0), minlength=tile.max() + 1)
    visited = pairs > 0
    full = visited & (pairs == size_of * len(rows))
    return int(visited.sum()), int(full.sum()), pairs[visited].astype(int).tolist()


@pytest.fixture(scope="session")
def brute_force() -> Callable[..., Reference]:
    """Counts by looking at every pair."""
    return count
