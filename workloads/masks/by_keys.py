"""A mask seen from its keys: how many tiles of queries visit each tile of keys.

Kernels that keep keys and walk queries (backward passes) are scheduled by these counts; visits in all are the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .axis import BandAxis, count_axis
from .mask import Mask
from .separable import Separable
from .tile_count import TileCount


def visits_by_keys(mask: Mask, count: TileCount) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Visits of each KV tile of a count, and in how many of them a kernel tests the mask; shape (kv_tiles,).

    Bands are counted in closed form. Of other masks every visit is listed, and the tests of a Q tile are spread evenly
    over its visits.
    """
    axes = mask.axes if isinstance(mask, Separable) else ()
    if len(axes) == 1 and isinstance(axes[0], BandAxis) and not mask.extra_keys:
        band = axes[0]
        seen = BandAxis(band.keys, band.queries, band.right, band.left)
        of_keys = count_axis(seen, count.tiling.kv_tile_size, count.tiling.q_tile_size, False)
        return of_keys.visits.astype(float), (of_keys.visits - of_keys.full).astype(float)
    listed = mask.visits(count.q_tile, count.kv_tile)
    each = np.diff(listed.offsets)
    share = mask.tested_visits(count) / np.maximum(each, 1)
    visits = np.bincount(listed.kv_tile, minlength=count.dense_kv_tiles).astype(np.float64)
    tested = np.bincount(listed.kv_tile, weights=np.repeat(share, each), minlength=count.dense_kv_tiles)
    return visits, tested.astype(np.float64)
