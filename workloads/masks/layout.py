"""How the tokens of one axis are laid out before they are tiled: in groups that no tile crosses.

A plain axis is one group. A dilated axis is one group a residue, as kernels regroup tokens so that a tile never mixes
independent sub-problems. Variable-length kernels make one group a document. Nothing here knows masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class AxisTiles(NamedTuple):
    """Tiles of a layout in launch order: tile k holds locals first[k] .. last[k] - 1 of group group[k]."""

    group: Integers
    first: Integers
    last: Integers


@dataclass(frozen=True)
class Layout:
    """Group g holds the coordinates starts[g], starts[g] + step, ..., lengths[g] of them: its locals 0, 1, ..."""

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    step: int = 1

    @property
    def extent(self) -> int:
        """Tokens on the axis."""
        return sum(self.lengths)

    @property
    def plain(self) -> bool:
        """Whether tokens are tiled in the order in which they stand."""
        return len(self.lengths) == 1

    def launched_tiles(self, tile: int) -> int:
        """Tiles that a kernel launches: groups are padded to the longest, so some tiles may hold no token."""
        return len(self.lengths) * -(-max(self.lengths) // tile)

    def tiles(self, tile: int) -> AxisTiles:
        """The tiles that hold tokens, group by group."""
        lengths = np.asarray(self.lengths, np.int64)
        counts = -(-lengths // tile)
        group = np.repeat(np.arange(len(counts)), counts)
        first = (np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)) * tile
        return AxisTiles(group, first, np.minimum(first + tile, lengths[group]))

    def order(self) -> Integers:
        """Coordinates, group by group and local by local."""
        return np.repeat(np.asarray(self.starts, np.int64), self.lengths) + self.step * self._grouped_locals()

    def numbering(self) -> tuple[Integers, Integers]:
        """Group and local number of each coordinate."""
        order = self.order()
        group, local = np.empty_like(order), np.empty_like(order)
        group[order] = np.repeat(np.arange(len(self.lengths)), self.lengths)
        local[order] = self._grouped_locals()
        return group, local

    def _grouped_locals(self) -> Integers:
        lengths = np.asarray(self.lengths, np.int64)
        return np.arange(self.extent) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def plain(extent: int) -> Layout:
    """Tokens in the order in which they stand."""
    return Layout((0,), (extent,))


@lru_cache(maxsize=1024)
def interleaved(extent: int, dilation: int) -> Layout:
    """One group a residue modulo `dilation`."""
    return Layout(
        tuple(range(dilation)),
        tuple(-(-(extent - residue) // dilation) for residue in range(dilation)),
        dilation,
    )


def consecutive(lengths: tuple[int, ...]) -> Layout:
    """Groups one behind the other: packed documents."""
    ends = np.cumsum(lengths)
    return Layout(tuple(int(end) - length for end, length in zip(ends, lengths, strict=True)), lengths)
