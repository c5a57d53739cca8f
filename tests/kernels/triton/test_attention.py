"""Attention for GPUs beyond its tiny cases: any shape and mask, sums for the backward pass, work, and predictions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.kernels.triton.attention_backward_mapping import _from_memory
from lightbound.kernels.triton.attention_shapes import Shape, backward_work, case_of, forward_work, shape_of
from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.check import check
from lightbound.kernels.triton.kernel import Case, Tile
from lightbound.validate.gpu.predict import predict_kernel

NAMES = ("attention", "attention_backward")
HOPPER = machine("h200")


@st.composite
def shapes(draw: st.DrawFn, kernel: str, windows: bool) -> Case:
    """Up to a few tiles, with a mask or without, and shared heads."""
    mask = draw(st.sampled_from(("dense", "causal", "window") if windows else ("dense", "causal")))
    options: dict[str, object] = {} if mask == "dense" else {"mask": mask}
    if mask == "window":
        options["before"] = draw(st.integers(0, 150))
    shared = draw(st.sampled_from((1, 3)))
    length, keys = draw(st.integers(2, 150)), draw(st.integers(2, 150))
    return case_of(kernel, 1, shared, length, 64, draw(st.sampled_from(("fp16", "fp32"))), keys, shared, **options)


@settings(max_examples=5, deadline=None)
@given(case=shapes("attention", windows=True))
def test_any_mask_and_shape_gives_what_float64_gives(case: Case) -> None:
    pytest.importorskip("triton")
    assert _error(case) <= find_kernel("attention").tolerance[case.dtype]


@settings(max_examples=4, deadline=None)
@given(case=shapes("attention_backward", windows=False))
def test_gradients_of_any_shape_are_those_of_float64(case: Case) -> None:
    pytest.importorskip("triton")
    assert _error(case) <= find_kernel("attention_backward").tolerance[case.dtype]


def test_pointers_and_descriptors_give_the_same(device: str) -> None:
    kernel = find_kernel("attention")
    case = case_of("attention", 1, 2, 100, 64, "fp16", 150, mask="causal", lse=1)
    for tma in (0, 1):
        tile = Tile({"BQ": 64, "BK": 32, "TMA": tma}, 4, 2)
        assert check(kernel, case, tile, device) <= kernel.tolerance["fp16"]


@given(
    queries=st.integers(1, 40),
    keys=st.integers(1, 40),
    before=st.integers(0, 40),
    mask=st.sampled_from(("causal", "window")),
)
def test_pairs_are_those_that_a_mask_leaves(queries: int, keys: int, before: int, mask: str) -> None:
    shape = shape_of(case_of("attention", 1, 1, queries, 64, "fp16", keys, mask=mask, before=before))
    assert shape.pairs == sum(_sees(shape, query, key) for query in range(queries) for key in range(keys))


def _sees(shape: Shape, query: int, key: int) -> bool:
    ahead = query + shape.keys - shape.queries - key
    return ahead >= 0 and (not shape.window or ahead <= shape.before)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_cases_differ_and_a_third_is_held_out(name: str) -> None:
    cases = find_kernel(name).cases
    assert len({case.name for case in cases}) == len(cases)
    assert 0.15 < sum(case.held_out for case in cases) / len(cases) < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_cases_fit_the_memory_and_the_time_of_a_campaign(name: str) -> None:
    kernel = find_kernel(name)
    for case in kernel.cases:
        work = kernel.work(case)
        assert work.bytes < 4e9
        assert work.macs / 200e12 < 30e-3  # 400 TFLOP/s


@pytest.mark.parametrize("name", NAMES)
def test_predictions_lie_above_their_bounds_at_every_tile(name: str) -> None:
    kernel = find_kernel(name)
    for case in kernel.cases[::5]:
        for tile in (None, *kernel.tiles(case, 90)):
            found = predict_kernel(case, HOPPER, tile, run_s=0.05)
            assert found.launches == (1 if name == "attention" else 3)
            assert found.bound_s < found.latency_s < math.inf


@pytest.mark.parametrize("other", ["a100", "b200", "mi300x"])
def test_every_kernel_is_predicted_on_other_machines(other: str) -> None:
    for name in NAMES:
        for case in find_kernel(name).cases[:4]:
            assert predict_kernel(case, machine(other), run_s=0.05).kernel_s > 0


def test_a_backward_pass_takes_two_and_a_half_times_the_products_of_a_forward_pass() -> None:
    shape = shape_of(case_of("attention", 1, 2, 100, 64, mask="causal"))
    assert backward_work(shape).macs == 2.5 * forward_work(shape).macs


def _error(case: Case) -> float:
    import torch

    return check(find_kernel(case.kernel), case, device="cuda" if torch.cuda.is_available() else "cpu")


def test_scores_by_narrow_matrix_instructions_wait_for_shared_memory() -> None:
    """64 x 64 x 16 at its full rate; 64 x 32 x 16 takes 24 cycles instead of 16; eight warps on 64 rows repeat the work
    of four, by instructions of half the columns.
    """
    full = 64 * 64 * 128 / 2048
    assert _from_memory(64, 64, 128, 4) == full
    assert _from_memory(64, 32, 128, 4) == 1.5 * full / 2
    assert _from_memory(128, 64, 128, 8) == 2 * full
    assert _from_memory(64, 32, 256, 8) == 2 * 2 * 16 * 20
