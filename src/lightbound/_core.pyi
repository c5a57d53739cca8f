"""Native code of lightbound (csrc/)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Indices = NDArray[np.int32] | NDArray[np.int64]
_Counts = NDArray[np.int64]
_Floats = NDArray[np.float32]

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

class host:  # noqa: N801
    """Kernels and probes of the host: a submodule. Kernels return the processor seconds of each of their threads."""

    class Room:
        """A buffer of so many bytes for each thread, full of zeros."""

        def __init__(self, bytes: int, threads: int, huge: bool) -> None: ...
        @property
        def bytes(self) -> int: ...

    class Chain:
        """Cache lines each of which names the next, in a buffer of so many bytes."""

        def __init__(self, bytes: int, huge: bool) -> None: ...
        def seconds(self, steps: int) -> float: ...

    @staticmethod
    def isa() -> dict[str, Any]: ...
    @staticmethod
    def isas() -> list[str]: ...
    @staticmethod
    def attention_windows(
        q: _Floats,
        k: _Floats,
        v: _Floats,
        out: _Floats,
        scale: float,
        queries: Sequence[int],
        keys: Sequence[int],
        step: Sequence[int],
        first: Sequence[NDArray[np.int32]],
        last: Sequence[NDArray[np.int32]],
        q_tile: Sequence[int],
        kv_tile: Sequence[int],
        extra: int,
        threads: int,
    ) -> list[float]: ...
    @staticmethod
    def plan_windows(
        queries: Sequence[int],
        keys: Sequence[int],
        step: Sequence[int],
        first: Sequence[NDArray[np.int32]],
        last: Sequence[NDArray[np.int32]],
        q_tile: Sequence[int],
        kv_tile: Sequence[int],
        extra: int,
    ) -> tuple[_Counts, _Counts]: ...
    @staticmethod
    def attention_blocks(
        q: _Floats,
        k: _Floats,
        v: _Floats,
        out: _Floats,
        scale: float,
        q_block: int,
        kv_block: int,
        offsets: _Counts,
        columns: _Counts,
        threads: int,
    ) -> list[float]: ...
    @staticmethod
    def attention_three_pass(
        q: _Floats, k: _Floats, v: _Floats, out: _Floats, scores: _Floats, scale: float, threads: int
    ) -> list[float]: ...
    @staticmethod
    def linear_attention(
        q: _Floats,
        k: _Floats,
        v: _Floats,
        decay: _Floats,
        state: _Floats,
        out: _Floats,
        chunk: int,
        scale: float,
        threads: int,
    ) -> list[float]: ...
    @staticmethod
    def prefix_attention(scores: _Floats, v: _Floats, out: _Floats, chunk: int, threads: int) -> list[float]: ...
    @staticmethod
    def product(a: _Floats, b: _Floats, c: _Floats, transposed: bool, scale: float, threads: int) -> list[float]: ...
    @staticmethod
    def softmax(in_: _Floats, out: _Floats, threads: int) -> list[float]: ...
    @staticmethod
    def exp(in_: _Floats, out: _Floats, threads: int) -> list[float]: ...
    @staticmethod
    def probe_loop(
        isa: str,
        loop: str,
        room: host.Room,
        rounds: int,
        offset: int,
        bytes: int,
        warm: bool = True,
    ) -> tuple[float, list[float], float, float]: ...
    @staticmethod
    def probe_additions(count: int) -> float: ...
    @staticmethod
    def probe_issue(count: int) -> float: ...
    @staticmethod
    def watch_begin(marks: int, instructions: int) -> None: ...
    @staticmethod
    def watch_end() -> list[tuple[float, float, int, float]]: ...
    @staticmethod
    def probe_thread_start() -> float: ...
