"""The shapes at which the host's kernels are compared: sizes of ranks, and options of the call.

They are chosen so that a call takes from microseconds to tens of milliseconds, and so that tensors fit a cache with
room to spare or not at all: what half fits is in no level for sure. Every kernel has two shapes on either side of the
split, or more: where the first few had not, more followed, with sizes doubled or halved, one after the other until it
had, whichever side they fell on.
"""

from __future__ import annotations

from math import prod
from typing import Any

Shape = tuple[dict[str, int], dict[str, Any]]


def _heads(heads: int, tokens: int, dim: int) -> dict[str, int]:
    return {"B": 1, "H": heads, "P": tokens, "M": tokens, "E": dim, "F": dim}


def _dense(*rows: tuple[int, int, int]) -> tuple[Shape, ...]:
    return tuple((_heads(*row), {}) for row in rows)


def _grid(extents: tuple[int, ...], window: tuple[int, ...], stride: tuple[int, ...] | int, dim: int = 64) -> Shape:
    return _heads(2, prod(extents), dim), {"grid": extents, "window": window, "stride": stride}


def _prefix(options: dict[str, Any], *rows: tuple[int, int, int]) -> tuple[Shape, ...]:
    return tuple(({"H": heads, "T": tokens, "F": dim}, options) for heads, tokens, dim in rows)


def _linear(*rows: tuple[int, int, int, int]) -> tuple[Shape, ...]:
    return tuple(({"H": heads, "T1": chunks, "T0": 64, "S": 64, "E": e, "F": f}, {}) for heads, chunks, e, f in rows)


def _products(*rows: tuple[int, int, int, int]) -> tuple[Shape, ...]:
    return tuple(({"B": batch, "M": m, "N": n, "K": k}, {}) for batch, m, n, k in rows)


SHAPES: dict[str, tuple[Shape, ...]] = {
    "attention": _dense(
        (1, 256, 64), (4, 512, 64), (2, 1024, 32), (2, 1024, 64), (2, 1024, 128), (1, 2048, 64), (1, 2048, 128),
        (1, 4096, 64), (3, 768, 96), (2, 1500, 80),
    ),
    "attention_causal": _dense(
        (4, 512, 64), (2, 1024, 64), (2, 1024, 128), (2, 2048, 64), (1, 4096, 64), (1, 2048, 64), (1, 2048, 128),
        (1, 1024, 64), (1, 1024, 128), (4, 1024, 64), (2, 512, 64), (2, 512, 128), (1, 4096, 128),
    ),
    "attention_window": (
        (_heads(2, 2048, 64), {"before": 255}),
        (_heads(2, 2048, 128), {"before": 511}),
        (_heads(2, 4096, 64), {"before": 127}),
        (_heads(1, 4096, 64), {"before": 1000}),
    ),
    "attention_gna": (
        _grid((16, 16, 16), (8, 8, 8), (4, 4, 4)),
        _grid((16, 16, 16), (8, 8, 8), 1),
        _grid((8, 24, 16), (4, 12, 8), (4, 4, 4)),
        _grid((64, 64), (16, 16), (8, 8)),
        _grid((64, 64), (24, 24), 1),
        _grid((48, 48), (16, 16), (16, 16), 128),
        _grid((4096,), (512,), (64,)),
    ),
    "attention_blocks": (
        (_heads(2, 2048, 64), {"share": 0.25}),
        (_heads(2, 2048, 128), {"share": 0.5}),
        (_heads(1, 4096, 64), {"share": 0.1}),
        (_heads(2, 2048, 64), {"share": 0.5}),
        (_heads(2, 2048, 128), {"share": 0.25}),
    ),
    "attention_three_pass": _dense((1, 256, 64), (2, 512, 64), (1, 1024, 64), (1, 1024, 128), (1, 1536, 64)),
    "linear_attention": _linear(
        (4, 16, 64, 64), (2, 32, 128, 128), (2, 64, 64, 64), (1, 64, 64, 128), (1, 128, 128, 64)
    ),
    "prefix_attention": _prefix(
        {}, (4, 1024, 64), (2, 4096, 64), (2, 2048, 128), (4, 4096, 64), (1, 4096, 256), (2, 1024, 64)
    ),
    "prefix_attention_parallel": _prefix(
        {"chunk": 512}, (4, 1024, 64), (2, 4096, 64), (2, 2048, 128), (4, 4096, 64), (2, 1024, 64), (2, 2048, 64)
    ),
    "gemm": _products(
        (1, 256, 256, 256), (1, 512, 512, 512), (1, 1024, 1024, 1024), (1, 512, 2048, 256), (1, 2048, 512, 128),
        (1, 96, 1024, 1024), (8, 256, 256, 64), (1, 1024, 64, 1024), (1, 700, 900, 500),
    ),
    "softmax": tuple(
        ({"R": rows, "N": columns}, {})
        for rows, columns in (
            (64, 512), (256, 1024), (64, 4096), (1024, 1024), (200, 3000), (4096, 8192), (1024, 32000),
        )
    ),
    "exp": tuple(({"N": count}, {}) for count in (16384, 65536, 262144, 2**20, 2**25, 32768, 131072, 524288)),
}  # fmt: skip
