"""Attention on this machine: a mask, its bound by tiles, and what the kernel makes of it.

Run it: python examples/host_attention.py. Change grid, window and stride, and see which strides waste tiles.
"""

from __future__ import annotations

import time

import numpy as np

import lightbound as lb
from lightbound.kernels import host

GRID, WINDOW, STRIDES = (8, 16, 16), (4, 8, 8), ((1, 1, 1), (2, 4, 4), (4, 4, 4), (4, 8, 8))
TILE = (4, 4, 4)


def seconds(call) -> float:  # type: ignore[no-untyped-def]
    """The quickest of a few calls, in processor time of this thread."""
    taken = []
    for _ in range(5):
        start = time.thread_time()
        call()
        taken.append(time.thread_time() - start)
    return min(taken)


def main() -> None:
    """Dense attention once, then the same tokens in windows."""
    tokens = int(np.prod(GRID))
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 2, tokens, 64)).astype(np.float32) for _ in range(3))
    out = np.empty_like(q)
    dense = seconds(lambda: host.attention(q, k, v, threads=1, out=out))
    operations = 4 * 2 * tokens**2 * 64
    isa = host.instruction_set()["name"]
    print(f"{tokens} tokens, two heads of 64, {isa}: {dense * 1e3:.2f} ms, {operations / dense / 1e9:.0f} GFLOP/s")
    print("stride       fewer operations   fewer tiles   faster")
    for stride in STRIDES:
        mask = lb.masks.GNA(GRID, WINDOW, stride)
        count = mask.count(TILE, TILE)
        sparse = seconds(lambda s=stride: host.gna_attention(q, k, v, GRID, WINDOW, s, threads=1, out=out))
        tiles = count.q_tiles * count.dense_kv_tiles / count.visits_total
        print(f"{'x'.join(map(str, stride)):12s} {1 / mask.density:15.1f}x {tiles:12.1f}x {dense / sparse:7.1f}x")


if __name__ == "__main__":
    main()
