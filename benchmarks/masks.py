"""How fast masks are counted, beside the bars they are held to. Figures of one machine at one moment.

Run it with `python benchmarks/masks.py`; it counts on one core.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from itertools import product
from math import prod
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import lightbound as lb
from lightbound.workloads.masks import (
    GNA,
    BlockSparse,
    Causal,
    Documents,
    Sinks,
    SlidingWindow,
    Strided,
    offered_tiles,
    power_of_two_tiles,
    sweep_strides,
)
from lightbound.workloads.masks.axis import axis_pairs, count_axis

HUNYUAN = GNA((30, 48, 80), (18, 24, 24))
MILLION = GNA((100, 100, 100), (18, 24, 24), (2, 8, 8))


def hopper_and_blackwell_tiles() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every 3-D tile shape of the two backends' kernels, any of them for queries with any of them for keys."""
    cases = [("blackwell-fna", 128, False), ("blackwell-fna", 128, True), ("hopper-fna", 256, False)]
    cases += [("hopper-fna", head_dim, backward) for head_dim in (64, 128) for backward in (False, True)]
    pairs = [
        pair
        for name, head_dim, backward in cases
        for pair in offered_tiles(name, 3, head_dim=head_dim, backward=backward)
    ]
    shapes = sorted({shape for pair in pairs for shape in pair})
    return list(product(shapes, shapes))


def strides() -> list[list[int]]:
    """Strides that divide HunyuanVideo's window, axis by axis."""
    return [[stride for stride in range(1, window + 1) if window % stride == 0] for window in HUNYUAN.window]


def count_each(tiles: list[Any]) -> None:
    """One `count` call for every tile pair and stride."""
    for q_tile, kv_tile in tiles:
        for stride in product(*strides()):
            HUNYUAN.with_stride(stride).count(q_tile, kv_tile)


def sweep_each(tiles: list[Any], chosen: list[list[int]] | None) -> None:
    """One sweep for every tile pair."""
    for q_tile, kv_tile in tiles:
        sweep_strides(HUNYUAN, q_tile, kv_tile, strides=chosen)


def block_sparse(blocks: int) -> None:
    """A random block-sparse mask of that many blocks, made and counted."""
    rows = 8192
    random = np.random.default_rng(0)
    pairs = np.stack([random.integers(0, rows, blocks), random.integers(0, rows, blocks)], axis=1)
    BlockSparse(rows * 128, 128, pairs).count(128, 128)


def seconds(work: Callable[[], Any]) -> float:
    """The best of three calls, each with empty caches."""
    times = []
    for _ in range(3):
        count_axis.cache_clear()
        axis_pairs.cache_clear()
        begin = perf_counter()
        work()
        times.append(perf_counter() - begin)
    return min(times)


def main() -> None:
    tiles = hopper_and_blackwell_tiles()
    every = list(product(power_of_two_tiles(256, 3), power_of_two_tiles(128, 3)))
    divisors, all_strides = prod(map(len, strides())), prod(HUNYUAN.window)
    million = 1_000_000
    documents = Documents([2000] * 500, causal=True)
    rows: list[tuple[str, float | None, Callable[[], Any]]] = [
        (f"HunyuanVideo, {len(tiles)} tile pairs x {divisors} strides, one count each", 5, lambda: count_each(tiles)),
        ("the same, one sweep a pair", 5, lambda: sweep_each(tiles, strides())),
        (
            f"{len(every):,} power-of-two pairs x all {all_strides:,} strides, sweeps",
            None,
            lambda: sweep_each(every, None),
        ),
        ("10^6 tokens in 3-D, 3-D tiles", 1, lambda: MILLION.count((4, 8, 8), (2, 8, 8))),
        (
            "10^6 tokens in 3-D, 3-D tiles, causal in time",
            1,
            lambda: GNA(MILLION.grid, 24, causal=(True, False, False)).count((4, 8, 8), (2, 8, 8)),
        ),
        ("10^6 tokens in 3-D, flattened tiles", 1, lambda: GNA(*_parameters(MILLION)).count(256, 128)),
        ("10^6 blocks of 128 x 128, given outright", 1, lambda: block_sparse(million)),
        ("10^6 tokens, causal", 1, lambda: Causal(million).count(128, 128)),
        ("10^6 tokens, strided", 1, lambda: Strided(million, 128, True).count(64, 64)),
        (
            "10^6 tokens, window and sinks, from rows",
            1,
            lambda: (SlidingWindow(million, 4095) | Sinks(million, 4)).count(128, 128),
        ),
        (
            "10^6 tokens, causal documents and a window, from rows",
            1,
            lambda: (documents & SlidingWindow(million, 511)).count(128, 128),
        ),
        (
            "HunyuanVideo and documents, 3-D tiles, from rows",
            None,
            lambda: (HUNYUAN & Documents([28800] * 4)).count((4, 8, 8), (2, 8, 8)),
        ),
    ]
    table = Table(title=f"lightbound {lb.__version__}, Python {platform.python_version()}, {platform.machine()}")
    for title in ("what", "bar (s)", "measured (s)"):
        table.add_column(title, justify="left" if title == "what" else "right")
    for what, bar, work in rows:
        table.add_row(what, "" if bar is None else f"{bar:g}", f"{seconds(work):.3f}")
    Console().print(table)


def _parameters(mask: GNA) -> tuple[Any, ...]:
    return mask.grid, mask.window, mask.stride


if __name__ == "__main__":
    main()
