"""The blocks of a kernel that skips tiles under a mask: how many visits each makes, and the sizes of an even run.

A block keeps one tile of queries and walks tiles of keys, or keeps a tile of keys and walks queries, as its mapping
says (`masked.blocks`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightbound.base.errors import LightboundError
from lightbound.workloads.masks.by_keys import visits_by_keys
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.masks.tile_count import TileCount

from .mapping import Mapping


@dataclass(frozen=True, eq=False)
class Blocks:
    """Visits of each block of one copy of a mask, and in how many of them it tests scores; `empty` more are launched.

    `sizes` are those of a run in which every block makes `each` visits, the mean number, rounded; `tile` the
    queries and keys of a visit there, whole or the mean number, rounded.
    """

    visits: NDArray[np.float64]
    tested: NDArray[np.float64]
    empty: int
    each: int
    sizes: dict[str, int]
    tile: tuple[int, int]

    @property
    def launched(self) -> int:
        """Blocks in all, of one copy."""
        return len(self.visits) + self.empty


def blocks_of(mask: Mask, count: TileCount, mapping: Mapping, ranks: tuple[str, str]) -> Blocks:
    """The blocks of a mapping's kernel; `ranks` are those of queries and keys."""
    assert mapping.masked is not None
    query, key = (rank.upper() for rank in ranks)
    q_tile, kv_tile = count.tiling.q_tile_size, count.tiling.kv_tile_size
    if mapping.masked.blocks == "keys":
        visits, tested = visits_by_keys(mask, count)
        each = max(1, round(float(visits.mean())))
        sizes = {key: kv_tile * len(visits), query: q_tile * each}
        return Blocks(visits, tested, 0, each, sizes, (q_tile, kv_tile))
    if mapping.masked.ends == "short" and not count.tiling.dynamic:
        q_tile, kv_tile = (max(1, round(length)) for length in mask.mean_visit(count))
    partial = mapping.masked.tested == "partial"
    each = max(1, round(count.visits_mean))
    return Blocks(
        count.visits.astype(float),
        (count.visits - count.full_visits if partial else mask.tested_visits(count)).astype(float),
        count.launched_q_tiles - count.q_tiles,
        each,
        {query: q_tile * count.launched_q_tiles, key: kv_tile * each},
        (q_tile, kv_tile),
    )


def masked_group(mapping: Mapping) -> int:
    """Which group of a mapping is the kernel that skips tiles: the one that tests the mask."""
    assert mapping.masked is not None
    tested = set(mapping.masked.tests.einsums)
    for number, group in enumerate(mapping.groups):
        if tested <= set(group.einsums):
            return number
    where = f"mapping {mapping.name!r}: masked.tests.einsums"
    raise LightboundError(where, ", ".join(sorted(tested)), "are in no group together", "Test in one group.")
