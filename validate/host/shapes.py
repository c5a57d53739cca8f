"""The shapes at which the host's kernels are compared: sizes of ranks, and options of the call.

Twenty of each kernel, so that it hardly matters which of them a hash holds out: sizes doubled or halved one after the
other, and some that divide nothing. They are chosen so that a call takes from a microsecond to tens of milliseconds,
and so that tensors of kernels that a cache's bandwidth bounds fit the second and third caches of most machines with
room to spare or not at all: what half fits is in no level for sure. Rows marked "first" were there while the mechanisms
of the model were chosen.
"""

from __future__ import annotations

from math import prod
from typing import Any

Shape = tuple[dict[str, int], dict[str, Any]]


def _heads(heads: int, tokens: int, dim: int) -> dict[str, int]:
    return {"B": 1, "H": heads, "P": tokens, "M": tokens, "E": dim, "F": dim}


def _dense(*rows: tuple[int, int, int]) -> tuple[Shape, ...]:
    return tuple((_heads(*row), {}) for row in rows)


def _windows(*rows: tuple[int, int, int, int]) -> tuple[Shape, ...]:
    return tuple((_heads(*row), {"before": before}) for *row, before in rows)


def _grid(extents: tuple[int, ...], window: tuple[int, ...], stride: tuple[int, ...] | int, dim: int = 64) -> Shape:
    return _heads(2, prod(extents), dim), {"grid": extents, "window": window, "stride": stride}


def _blocks(*rows: tuple[int, int, int, float]) -> tuple[Shape, ...]:
    return tuple((_heads(heads, tokens, dim), {"share": share}) for heads, tokens, dim, share in rows)


def _prefix(options: dict[str, Any], *rows: tuple[int, int, int]) -> tuple[Shape, ...]:
    return tuple(({"H": heads, "T": tokens, "F": dim}, options) for heads, tokens, dim in rows)


def _linear(*rows: tuple[int, int, int, int]) -> tuple[Shape, ...]:
    return tuple(({"H": heads, "T1": chunks, "T0": 64, "S": 64, "E": e, "F": f}, {}) for heads, chunks, e, f in rows)


def _products(*rows: tuple[int, int, int, int]) -> tuple[Shape, ...]:
    return tuple(({"B": batch, "M": m, "N": n, "K": k}, {}) for batch, m, n, k in rows)


def _rows(*rows: tuple[int, int]) -> tuple[Shape, ...]:
    return tuple(({"R": count, "N": columns}, {}) for count, columns in rows)


def _elements(*counts: int) -> tuple[Shape, ...]:
    return tuple(({"N": count}, {}) for count in counts)


SHAPES: dict[str, tuple[Shape, ...]] = {
    "attention": _dense(  # the first ten first
        (1, 256, 64), (4, 512, 64), (2, 1024, 32), (2, 1024, 64), (2, 1024, 128), (1, 2048, 64), (1, 2048, 128),
        (1, 4096, 64), (3, 768, 96), (2, 1500, 80),
        (1, 128, 64), (8, 256, 64), (8, 256, 128), (4, 512, 32), (4, 512, 128), (1, 1024, 256), (1, 2048, 32),
        (1, 4096, 128), (2, 2000, 72), (5, 333, 48),
    ),
    "attention_causal": _dense(  # the first thirteen first
        (4, 512, 64), (2, 1024, 64), (2, 1024, 128), (2, 2048, 64), (1, 4096, 64), (1, 2048, 64), (1, 2048, 128),
        (1, 1024, 64), (1, 1024, 128), (4, 1024, 64), (2, 512, 64), (2, 512, 128), (1, 4096, 128),
        (8, 256, 64), (2, 1024, 32), (1, 1024, 256), (1, 2048, 32), (3, 768, 96), (2, 1500, 80), (5, 333, 48),
    ),
    "attention_window": _windows(  # the first four first
        (2, 2048, 64, 255), (2, 2048, 128, 511), (2, 4096, 64, 127), (1, 4096, 64, 1000),
        (2, 1024, 64, 127), (2, 1024, 128, 127), (2, 1024, 32, 255), (2, 2048, 64, 63), (2, 2048, 64, 127),
        (2, 2048, 64, 511), (2, 2048, 128, 127), (2, 2048, 128, 255), (1, 4096, 64, 255), (1, 4096, 64, 511),
        (1, 4096, 64, 2047), (1, 4096, 128, 255), (1, 4096, 128, 1023), (1, 8192, 64, 511), (4, 1000, 64, 200),
        (2, 3000, 96, 300),
    ),
    "attention_gna": (  # the first seven first
        _grid((16, 16, 16), (8, 8, 8), (4, 4, 4)),
        _grid((16, 16, 16), (8, 8, 8), 1),
        _grid((8, 24, 16), (4, 12, 8), (4, 4, 4)),
        _grid((64, 64), (16, 16), (8, 8)),
        _grid((64, 64), (24, 24), 1),
        _grid((48, 48), (16, 16), (16, 16), 128),
        _grid((4096,), (512,), (64,)),
        _grid((16, 16, 16), (8, 8, 8), (8, 8, 8)),
        _grid((16, 16, 16), (4, 4, 4), (4, 4, 4)),
        _grid((16, 16, 16), (4, 8, 8), (2, 4, 4), 128),
        _grid((8, 16, 16), (4, 8, 8), 1),
        _grid((12, 24, 24), (4, 12, 12), (4, 4, 4)),
        _grid((6, 20, 20), (3, 10, 10), (1, 5, 5)),
        _grid((64, 64), (8, 8), (8, 8)),
        _grid((64, 64), (32, 32), (16, 16)),
        _grid((48, 48), (16, 16), 1, 128),
        _grid((32, 64), (16, 32), (8, 8)),
        _grid((50, 40), (15, 13), (5, 4)),
        _grid((4096,), (1024,), 1),
        _grid((2048,), (256,), (256,), 128),
    ),
    "attention_blocks": _blocks(  # the first five first
        (2, 2048, 64, 0.25), (2, 2048, 128, 0.5), (1, 4096, 64, 0.1), (2, 2048, 64, 0.5), (2, 2048, 128, 0.25),
        (2, 1024, 64, 0.25), (2, 1024, 64, 0.5), (4, 1024, 128, 0.25), (2, 2048, 32, 0.5), (2, 2048, 64, 0.1),
        (2, 2048, 64, 0.75), (2, 2048, 128, 0.1), (2, 2048, 128, 0.75), (1, 4096, 64, 0.25), (1, 4096, 64, 0.5),
        (1, 4096, 128, 0.1), (1, 4096, 128, 0.25), (1, 4096, 128, 0.5), (1, 8192, 64, 0.05), (3, 1500, 80, 0.3),
    ),
    "attention_three_pass": _dense(  # the first five first
        (1, 256, 64), (2, 512, 64), (1, 1024, 64), (1, 1024, 128), (1, 1536, 64),
        (1, 128, 64), (2, 256, 32), (4, 256, 64), (1, 256, 128), (1, 512, 64), (1, 512, 128), (2, 512, 32),
        (4, 512, 64), (1, 1024, 32), (2, 1024, 64), (1, 4096, 64), (1, 4096, 128), (2, 768, 96), (1, 1500, 80),
        (3, 600, 64),
    ),
    "linear_attention": _linear(  # the first five first
        (4, 16, 64, 64), (2, 32, 128, 128), (2, 64, 64, 64), (1, 64, 64, 128), (1, 128, 128, 64),
        (1, 8, 64, 64), (1, 16, 64, 64), (8, 16, 64, 64), (4, 32, 64, 64), (1, 256, 64, 64), (1, 16, 128, 128),
        (4, 16, 128, 128), (1, 64, 128, 128), (2, 16, 64, 128), (2, 16, 128, 64), (4, 32, 32, 32), (2, 64, 32, 64),
        (1, 64, 64, 32), (2, 32, 96, 96), (1, 32, 128, 256),
    ),
    "prefix_attention": _prefix(  # the first six first
        {}, (4, 1024, 64), (2, 4096, 64), (2, 2048, 128), (4, 4096, 64), (1, 4096, 256), (2, 1024, 64),
        (1, 512, 64), (2, 256, 64), (4, 128, 64), (1, 256, 128), (2, 128, 128), (1, 128, 256), (8, 1024, 64),
        (1, 8192, 64), (1, 16384, 64), (4, 1024, 128), (1, 4096, 128), (1, 8192, 128), (2, 2048, 256), (8, 1000, 96),
    ),
    "prefix_attention_parallel": (  # the first six first
        *_prefix(
            {"chunk": 512}, (4, 1024, 64), (2, 4096, 64), (2, 2048, 128), (4, 4096, 64), (2, 1024, 64), (2, 2048, 64),
            (8, 1024, 64), (1, 8192, 64), (1, 4096, 128), (1, 8192, 128), (2, 2048, 256), (8, 1000, 96),
        ),
        *_prefix({"chunk": 128}, (1, 512, 64), (2, 256, 64), (1, 256, 128), (1, 8192, 64)),
        *_prefix({"chunk": 2048}, (2, 4096, 64), (1, 8192, 64), (1, 16384, 64), (1, 4096, 256)),
    ),
    "gemm": _products(  # the first nine first
        (1, 256, 256, 256), (1, 512, 512, 512), (1, 1024, 1024, 1024), (1, 512, 2048, 256), (1, 2048, 512, 128),
        (1, 96, 1024, 1024), (8, 256, 256, 64), (1, 1024, 64, 1024), (1, 700, 900, 500),
        (1, 128, 128, 128), (1, 384, 384, 384), (1, 768, 768, 768), (1, 1536, 512, 512), (1, 512, 512, 1536),
        (1, 2048, 2048, 64), (1, 64, 2048, 1024), (4, 512, 512, 64), (16, 128, 128, 128), (1, 1000, 1000, 200),
        (1, 333, 777, 555),
    ),
    "softmax": _rows(  # the first seven first
        (64, 512), (256, 1024), (64, 4096), (1024, 1024), (200, 3000), (4096, 8192), (1024, 32000),
        (32, 512), (128, 256), (256, 128), (16, 1024), (8, 4096), (1024, 512), (512, 2048), (128, 4096), (64, 8192),
        (16, 32768), (1000, 1000), (300, 2500), (16384, 2048),
    ),
    "exp": _elements(  # the first eight first
        16384, 65536, 262144, 2**20, 2**25, 32768, 131072, 524288,
        20000, 24576, 40000, 49152, 393216, 600000, 700000, 786432, 900000, 3 * 2**22, 3 * 2**23, 3 * 2**24,
    ),
}  # fmt: skip
