"""Cases of neighbourhood attention: the published ones at fewer heads, strides in between, small edges for tests."""

from __future__ import annotations

from .kernel import Case


def _case(
    heads: int, grid: list[int], window: list[int], stride: list[int], causal: list[int] | None = None,
    dtype: str = "bf16", dim: int = 128, batch: int = 1,
) -> Case:  # fmt: skip
    options = {"grid": grid, "window": window, "stride": stride}
    if causal is not None:
        options["causal"] = causal
    return Case("gna", {"B": batch, "H": heads, "E": dim}, dtype, options)


VIDEO, WORLD, IMAGE, LINE = [30, 48, 80], [16, 44, 80], [256, 256], [32768]

# HunyuanVideo, Cosmos-Predict, FLUX at 4K, and the one-dimensional case of "Generalized Neighborhood Attention" (arXiv
# 2504.16922) and of NATTEN's profiler; heads are fewer, so that a case takes some milliseconds.
CAMPAIGN = (
    _case(8, VIDEO, [18, 24, 24], [16, 8, 8]),
    _case(3, VIDEO, [18, 24, 24], [1, 1, 1]),
    _case(4, VIDEO, [18, 24, 24], [2, 8, 8]),
    _case(6, VIDEO, [18, 24, 24], [18, 24, 24]),
    _case(1, VIDEO, [30, 40, 40], [1, 1, 1]),
    _case(1, VIDEO, [30, 40, 40], [1, 8, 8]),
    _case(2, VIDEO, [18, 24, 24], [1, 1, 1], [1, 0, 0]),
    _case(16, WORLD, [16, 12, 16], [1, 1, 1]),
    _case(16, WORLD, [16, 12, 24], [1, 4, 8]),
    _case(6, WORLD, [16, 28, 56], [1, 4, 8]),
    _case(8, WORLD, [16, 24, 16], [1, 1, 1]),
    _case(12, WORLD, [8, 12, 24], [1, 4, 8], [1, 0, 0]),
    _case(16, IMAGE, [80, 80], [16, 16]),
    _case(12, IMAGE, [80, 80], [1, 1]),
    _case(16, IMAGE, [80, 80], [16, 1]),
    _case(24, IMAGE, [80, 80], [16, 16], None, "fp16", 64),
    _case(24, [128, 128], [13, 13], [1, 1]),
    _case(24, [128, 128], [32, 32], [16, 16], None, "fp16"),
    _case(16, LINE, [2048], [1]),
    _case(16, LINE, [2048], [256]),
    _case(16, LINE, [2048], [1], [1]),
    _case(24, [56, 56], [7, 7], [1, 1], None, "fp16", 64, 4),
    _case(24, [16, 16, 16], [8, 8, 8], [4, 4, 4], None, "fp16", 64, 2),
    _case(8, [50, 60, 37], [9, 13, 11], [3, 4, 2]),
)

TINY = (
    _case(2, [100], [17], [1], None, "fp32", 64),
    _case(1, [100], [16], [4], [1], "fp32", 64),
    _case(1, [128], [64], [64], None, "fp16", 64),
    _case(1, [300], [130], [3], None, "fp16", 64),
    _case(1, [13, 10], [9, 4], [4, 3], None, "fp32", 64),
    _case(1, [21, 10], [13, 8], [1, 3], [1, 0], "fp16", 64),
    _case(1, [32, 16], [16, 8], [16, 8], None, "fp16", 64),
    _case(1, [5, 7, 6], [3, 5, 4], [2, 3, 4], [0, 0, 1], "fp32", 64),
    _case(1, [3, 12, 9], [2, 5, 8], [1, 1, 1], None, "fp16", 64),
    _case(1, [4, 16, 16], [2, 8, 8], [2, 8, 8], None, "fp16", 128),
    _case(1, [5], [5], [1], None, "fp16", 64),
    _case(1, [5, 9, 9], [2, 2, 2], [1, 2, 1], None, "bf16", 64),
)
