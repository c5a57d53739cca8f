"""Cases that no kernel computes are refused before anything is made of them, in words that say what to give instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from lightbound.base.errors import LightboundError
from lightbound.kernels.triton.attention_shapes import case_of
from lightbound.kernels.triton.campaign.fresh import seen_cases
from lightbound.kernels.triton.catalogue import find_kernel, kernels
from lightbound.kernels.triton.kernel import Case

HEADS = {"B": 1, "H": 2}


def gna(**options: Any) -> Case:
    return Case("gna", {**HEADS, "E": 64}, "fp16", {"grid": [8, 8], "window": [4, 4], **options})


def sparse(**options: Any) -> Case:
    return Case("block_sparse", {**HEADS, "N": 100, "E": 64}, "fp16", {"block": 64, "density": 0.5, **options})


def attention(name: str = "attention", **options: Any) -> Case:
    return case_of(name, 1, 4, 100, 64, **options)


def sized(case: Case, **sizes: int) -> Case:
    return replace(case, sizes={**case.sizes, **sizes})


REFUSED = [
    (replace(attention(), dtype="fp8"), "dtype = fp8", "bf16, fp16, fp32"),
    (sized(attention(), KV=3), "sizes.KV = 3: does not divide H, which is 4", "divisor"),
    (sized(attention(), E=80), "sizes.E = 80: is no power of two", "64"),
    (sized(attention(), P=0), "sizes.P = 0: is no whole number from 1 on", "1 or more"),
    (sized(attention(), X=5), "sizes.X = 5: is no size of attention", "Choose from: B, E, H"),
    (attention(mask="windw"), "options.mask = windw", "Did you mean 'window'"),
    (attention(mask="window", before=-1), "options.before = -1: is no whole number from 0 on", "0 or more"),
    (attention(mask="window"), "options.before: is missing", "mask=window needs it"),
    (attention(mask="causal", before=3), "options.before = 3: says nothing without mask=window", "Leave it out"),
    (attention("attention_backward", mask="window", before=9), "options.mask = window", "Choose from: causal"),
    (attention("attention_backward", lse=1), "options.lse = 1: is no option of attention_backward", "mask"),
    (gna(dilation=[2, 2]), "options.dilation = [2, 2]: is no option of gna", "Choose from: causal, grid"),
    (gna(window=[9, 4]), "options.window = [9, 4]: is more than grid on an axis", "no more than grid"),
    (gna(stride=[4, 5]), "options.stride = [4, 5]: is more than window on an axis", "no more than window"),
    (gna(stride=[0, 1]), "options.stride = [0, 1]: is no whole number from 1 on", "1 or more"),
    (gna(causal=[1]), "options.causal = [1]: does not have the 2 axes of grid", "one value an axis"),
    (gna(grid=[4] * 4), "options.grid = [4, 4, 4, 4]: is no list of one to 3 numbers", "an axis"),
    (Case("gna", {**HEADS, "E": 64}, options={"grid": [8]}), "options.window: is missing", "grid, window"),
    (sparse(block=48), "options.block = 48: is no power of two", "64"),
    (sparse(density=0), "options.density = 0: is no share", "at most 1"),
    (sparse(segment=96), "options.segment = 96: is no multiple of block, which is 64", "Give one"),
    (Case("decode", {**HEADS, "G": 2, "M": 64, "E": 64}, options={"new": 0}), "options.new = 0", "1 or more"),
    (Case("decode", {**HEADS, "M": 64, "E": 64}), "sizes.G: is missing", "B, H, G, M, E"),
    (Case("elementwise", {"R": 1, "N": 1}, options={"op": "relu"}), "options.op = relu", "add, gelu, silu_mul"),
    (Case("token_order", {**HEADS, "E": 64}, options={"grid": [8], "tile": [6]}), "options.tile = [6]", "64"),
    (Case("segment_sort", {**HEADS, "N": 9, "E": 64}), "options.segment: is missing", "segment"),
    (Case("softmax", {"R": 1, "N": 1}, options={"axis": 0}), "options.axis = 0: is no option of softmax", "(none)"),
]


@pytest.mark.parametrize(("case", "told", "remedy"), REFUSED, ids=[told for _, told, _ in REFUSED])
def test_a_case_that_is_not_computed_is_refused_with_its_field_and_a_remedy(case: Case, told: str, remedy: str) -> None:
    kernel = find_kernel(case.kernel)
    tile = kernel.tile(kernel.cases[0], 90)
    with pytest.raises(LightboundError) as caught:
        kernel.prepare(case, tile, "cpu", 0)
    assert str(caught.value).startswith(told) and remedy in caught.value.remedy
    works: list[Callable[[], object]] = [
        partial(kernel.compiled, case, tile),
        partial(kernel.launches, case, tile, 90),
        partial(kernel.work, case),
        partial(kernel.tile, case, 90),
        partial(kernel.tiles, case, 90),
    ]
    for work in works:
        with pytest.raises(LightboundError):
            work()
    assert not kernel.takes(case)


@pytest.mark.parametrize(
    "name", ["gna", "block_sparse", "decode", "token_order", "segment_sort", "linear_attention", "aaren_scan"]
)
def test_more_heads_than_cuda_starts_blocks_along_an_axis_are_refused(name: str) -> None:
    kernel = find_kernel(name)
    fits = sized(kernel.tiny[0], B=5 * 17 * 257, H=3)
    kernel.check_case(fits)
    with pytest.raises(LightboundError, match=r"sizes.B \* sizes.H = 65536: is more than 65535") as caught:
        kernel.check_case(sized(fits, B=2**14, H=4))
    assert "several calls" in caught.value.remedy


def test_every_case_that_lightbound_has_or_has_measured_is_taken() -> None:
    for kernel in kernels().values():
        for case in (*kernel.on_record, *kernel.tiny):
            kernel.check_case(case)
    for case in seen_cases():
        find_kernel(case.kernel).check_case(case)


def test_a_kernel_without_rules_takes_any_case_of_a_known_type() -> None:
    kernel = replace(find_kernel("softmax"), rules=())
    kernel.check_case(Case("softmax", {"Z": 3}))
    with pytest.raises(LightboundError, match="dtype"):
        kernel.check_case(Case("softmax", {"Z": 3}, "int4"))
