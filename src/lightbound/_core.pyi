"""Native code of lightbound (csrc/)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Indices = NDArray[np.int32] | NDArray[np.int64]
_Counts = NDArray[np.int64]

class MaskRows:
    """The keys that each query of a mask attends, as runs of consecutive keys."""

    @property
    def queries(self) -> int: ...
    @property
    def keys(self) -> int: ...
    def runs(self, query: int) -> NDArray[np.int32]: ...

def separable_rows(
    query_grid: Sequence[int],
    key_grid: Sequence[int],
    axes: Sequence[tuple[_Indices, _Indices, int]],
    extra_keys: int,
) -> MaskRows: ...
def table_rows(keys: int, row_of_query: _Indices, offsets: _Counts, first: _Indices, last: _Indices) -> MaskRows: ...
def block_rows(
    query_grid: Sequence[int],
    key_grid: Sequence[int],
    query_block: Sequence[int],
    key_block: Sequence[int],
    offsets: _Counts,
    columns: _Indices,
) -> MaskRows: ...
def both_rows(a: MaskRows, b: MaskRows) -> MaskRows: ...
def either_rows(a: MaskRows, b: MaskRows) -> MaskRows: ...
def permuted_rows(base: MaskRows, query_order: _Indices, key_position: _Indices) -> MaskRows: ...
def count_mask_tiles(
    mask: MaskRows,
    query_axes: Sequence[tuple[_Indices, _Counts]],
    key_axes: Sequence[tuple[_Indices, _Indices, _Indices, int]],
    extra_keys: int,
    extra_tile: int,
    dynamic: bool,
    list_tiles: bool,
) -> tuple[int, _Counts, _Counts, _Counts, _Counts]: ...
def count_flat_mask_tiles(
    mask: MaskRows, q_tile: int, kv_tile: int, dynamic: bool
) -> tuple[int, _Counts, _Counts, _Counts, _Counts]: ...
def run_events(
    flat: dict[str, NDArray[Any]],
    instances: int,
    slots: int,
    seed: int,
    max_slices: int,
    most_tasks: int,
    extrapolate: bool,
) -> dict[str, Any]: ...
