"""A mask under a tiling as matrices of shades: which pairs are attended, which tiles visited, which Q tile is worst.

Values only. Who draws them, on paper or on a page, is drawing.py's and the command line's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lightbound.sim.ladder import Ladder
from lightbound.workloads.masks.separable import Separable

TOKENS = 320  # a longer axis is shown tile by tile
LONGEST = 1024  # tokens of an axis: the pairs of a longer one are too many to look at one by one
TILES = 1200  # a larger matrix of tiles is thinned out
VISITED, ATTENDED = 0.8, 0.25  # shades of grey: white is what no tile visits
PARTLY = 0.55  # a whole tile of which some pairs are attended


class MaskPicture(NamedTuple):
    """A matrix of shades, rows for queries and columns for keys, with the lines between tiles and the worst Q tile."""

    shades: np.ndarray
    rows: list[float]
    columns: list[float]
    worst: tuple[float, float]
    title: str
    unit: str

    @property
    def keys(self) -> tuple[tuple[str, float], ...]:
        """What each shade means, from the darkest on."""
        if self.unit == "tile":
            return (("attended in full", ATTENDED), ("attended in part", PARTLY), ("not visited", 1.0))
        return (("attended", ATTENDED), ("visited, not attended", VISITED), ("not visited", 1.0))


def mask_pictures(ladder: Ladder, cells: int = TILES) -> list[MaskPicture]:
    """One an axis where the mask is a product of axes and all are tiled; else one of all tiles."""
    mask, count = ladder.mask, ladder.count
    if isinstance(mask, Separable) and len(count.q_tile) == len(mask.grid) and max(mask.grid) <= LONGEST:
        return [_axis_picture(ladder, axis, cells) for axis in range(len(mask.grid))]
    return [_tiles_picture(ladder, cells)]


def _axis_picture(ladder: Ladder, number: int, cells: int) -> MaskPicture:
    mask: Any = ladder.mask
    axis = mask.axes[number]
    q_tile, kv_tile = ladder.count.q_tile[number], ladder.count.kv_tile[number]
    visits = ladder.count.visits_by_axis[number]
    worst = int(visits.argmax())
    queries, keys = axis.query_layout, axis.key_layout
    _, q_first, q_last = queries.tiles(q_tile)
    first, last, step = axis.progressions()
    order = queries.order()
    attended = np.zeros((queries.extent, keys.extent), bool)
    for row, query in enumerate(order):
        attended[row, first[query] : last[query] : step] = True
    attended = attended[:, keys.order()]
    rows = np.concatenate(([0], np.cumsum(q_last - q_first)))
    _, kv_first, kv_last = keys.tiles(kv_tile)
    columns = np.concatenate(([0], np.cumsum(kv_last - kv_first)))
    pairs = np.add.reduceat(np.add.reduceat(attended.astype(np.int64), rows[:-1], axis=0), columns[:-1], axis=1)
    full = pairs == np.outer(np.diff(rows), np.diff(columns))
    title = f"axis {number + 1}: {queries.extent} tokens\nworst Q tile: {visits[worst]} of {len(columns) - 1} KV tiles"
    if max(attended.shape) > min(TOKENS, cells):
        shades = np.where(full, ATTENDED, np.where(pairs > 0, PARTLY, 1.0))
        return _thinned(shades, worst, title, cells)
    by_token = np.repeat(np.repeat(pairs > 0, np.diff(rows), axis=0), np.diff(columns), axis=1)
    shades = np.where(attended, ATTENDED, np.where(by_token, VISITED, 1.0))
    grouped = len(queries.lengths) > 1
    return MaskPicture(
        shades,
        rows.tolist(),
        columns.tolist(),
        (float(rows[worst]), float(rows[worst + 1])),
        title,
        "token, by dilation group" if grouped else "token",
    )


def _tiles_picture(ladder: Ladder, cells: int) -> MaskPicture:
    count = ladder.count
    listed = ladder.mask.visits(count.q_tile, count.kv_tile)
    q_tiles, kv_tiles = len(listed.offsets) - 1, count.dense_kv_tiles
    rows = np.repeat(np.arange(q_tiles), np.diff(listed.offsets))
    columns = max(kv_tiles, int(listed.kv_tile.max(initial=0)) + 1)
    down, right = -(-q_tiles // cells), -(-columns // cells)
    shades = np.ones((-(-q_tiles // down), -(-columns // right)))
    whole = listed.pairs >= count.tiling.q_tile_size * count.tiling.kv_tile_size
    np.minimum.at(shades, (rows // down, listed.kv_tile // right), np.where(whole, ATTENDED, PARTLY))
    worst = int(np.diff(listed.offsets).argmax())
    title = f"{q_tiles:,} Q tiles, {kv_tiles:,} KV tiles\nworst Q tile: {count.visits_max:,} of them"
    return MaskPicture(shades, [], [], (worst // down, worst // down + 1), title, "tile")


def _thinned(shades: np.ndarray, worst: int, title: str, cells: int) -> MaskPicture:
    """At most so many rows and columns, the darkest of those that fall together."""
    at = float(worst)
    for dimension in (0, 1):
        step = -(-shades.shape[dimension] // cells)
        if step > 1:
            starts = np.arange(0, shades.shape[dimension], step)
            shades = np.minimum.reduceat(shades, starts, axis=dimension)
            at = at if dimension else worst // step
    return MaskPicture(shades, [], [], (at, at + 1), title, "tile")
