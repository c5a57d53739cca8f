"""Perfect block sparsity: the exact answer, the kernels' rule, and the smallest stride."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.base.errors import LightboundError
from lightbound.workloads.masks import GNA, kernel_block_sparse, minimum_block_sparse_stride


@st.composite
def problems(draw: st.DrawFn) -> tuple[GNA, tuple[int, ...], tuple[int, ...]]:
    """Sizes that are multiples of small tiles often enough for block sparsity to occur."""
    rank = draw(st.integers(1, 2))
    parameters = []
    for _ in range(rank):
        q_tile, kv_tile = draw(st.sampled_from([1, 2, 4, 8])), draw(st.sampled_from([1, 2, 4, 8]))
        dilation = draw(st.integers(1, 3))
        extent = draw(st.integers(2, 96)) * draw(st.sampled_from([1, dilation]))
        dilation = min(dilation, extent // 2)
        most = extent // dilation
        window = draw(st.one_of(st.integers(2, most), st.sampled_from(range(min(8, most), most + 1, 8) or [2])))
        window = min(max(window, 2), most)
        stride = draw(st.one_of(st.integers(1, window), st.sampled_from([s for s in (1, 2, 4, 8) if s <= window])))
        parameters.append((extent, window, stride, dilation, draw(st.integers(0, 9)) == 0, q_tile, kv_tile))
    extent, window, stride, dilation, causal, q_tile, kv_tile = zip(*parameters, strict=True)
    return GNA(extent, window, stride, dilation, causal), q_tile, kv_tile


@settings(max_examples=1000, deadline=None)
@given(problem=problems(), kv_tiling=st.sampled_from(["static", "dynamic"]))
def test_what_the_kernels_rule_calls_block_sparse_is(
    problem: tuple[GNA, tuple[int, ...], tuple[int, ...]], kv_tiling: str
) -> None:
    mask, q_tile, kv_tile = problem
    if kernel_block_sparse(mask, q_tile, kv_tile, kv_tiling):
        assert mask.count(q_tile, kv_tile, kv_tiling).block_sparse


def test_the_rule_says_no_to_windows_that_only_clamping_aligns() -> None:
    missed = [
        (extent, window, stride)
        for extent in range(8, 65, 4)
        for window in range(8, extent, 4)
        for stride in range(4, window + 1, 4)
        if GNA(extent, window, stride).count(4, 4).block_sparse
        and not kernel_block_sparse(GNA(extent, window, stride), 4, 4)
    ]
    assert missed, "the rule is conservative, so some block-sparse masks must fail it"


def test_no_causal_axis_takes_the_kernels_path_without_masks() -> None:
    assert kernel_block_sparse(GNA((16, 16), (8, 16), (8, 1)), (8, 8), (8, 8))
    assert not kernel_block_sparse(GNA((16, 16), (8, 16), (8, 1), 1, (False, True)), (8, 8), (8, 8))


@pytest.mark.parametrize("rule", ["exact", "kernel"])
@pytest.mark.parametrize("q_tile", [128, 256])
def test_a_window_of_2048_is_block_sparse_from_stride_256(q_tile: int, rule: str) -> None:
    mask = GNA(32768, 2048)
    assert minimum_block_sparse_stride(mask, q_tile, 128, rule=rule) == (256,)  # type: ignore[arg-type]


def test_the_smallest_block_sparse_stride_of_hunyuan_video_is_what_the_paper_uses() -> None:
    mask = GNA((30, 48, 80), (18, 24, 24))
    assert minimum_block_sparse_stride(mask, (4, 8, 8), (2, 8, 8)) == (16, 8, 8)
    assert mask.with_stride((16, 8, 8)).count((4, 8, 8), (2, 8, 8)).block_sparse


def test_a_full_axis_is_block_sparse_at_stride_1_and_an_unaligned_window_at_none() -> None:
    assert minimum_block_sparse_stride(GNA((16, 40), (16, 9)), (8, 8), (4, 8)) == (1, None)


@settings(max_examples=200, deadline=None)
@given(problem=problems())
def test_the_smallest_block_sparse_stride_is_block_sparse_and_no_smaller_one_is(
    problem: tuple[GNA, tuple[int, ...], tuple[int, ...]],
) -> None:
    mask, q_tile, kv_tile = problem
    for axis, smallest in enumerate(minimum_block_sparse_stride(mask, q_tile, kv_tile)):
        window = mask.window[axis]
        for stride in range(1, window + 1 if smallest is None else smallest + 1):
            alone = GNA(mask.grid[axis], window, stride, mask.dilation[axis], mask.causal[axis])
            assert alone.count(q_tile[axis], kv_tile[axis]).block_sparse == (stride == smallest)


@pytest.mark.parametrize("q_tile", [(8, 4, 8), (4, 4, 8)])
@pytest.mark.parametrize("frames", [16, 24])
@pytest.mark.parametrize(
    ("window", "stride", "dilation", "sparsity", "speedup"),
    [
        ((4, 16), (1, 1), (11, 5), 98, 55.0),
        ((12, 16), (4, 1), (1, 5), 95, 18.333),
        ((12, 24), (4, 8), (1, 1), 92, 12.222),
        ((20, 40), (4, 8), (1, 1), 77, 4.4),
        ((28, 56), (4, 8), (1, 1), 55, 2.245),
    ],
)
def test_the_published_sparse_settings_of_cosmos_predict2_are_block_sparse(
    frames: int,
    q_tile: tuple[int, ...],
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    sparsity: int,
    speedup: float,
) -> None:
    mask = GNA((frames, 44, 80), (frames, *window), (1, *stride), (1, *dilation))
    count = mask.count(q_tile, (4, 4, 8))
    assert count.block_sparse
    assert round(count.worst_tile_speedup, 3) == speedup
    assert 100 * (1 - mask.density) == pytest.approx(sparsity, abs=0.6)


def test_flattened_tiles_have_no_rule_of_their_own() -> None:
    with pytest.raises(LightboundError, match="Give 2 values"):
        kernel_block_sparse(GNA((8, 8), 4), 16, 16)
    with pytest.raises(LightboundError, match="Give 2 values"):
        minimum_block_sparse_stride(GNA((8, 8), 4), 16, 16)
    with pytest.raises(LightboundError, match="Choose from: exact, kernel"):
        minimum_block_sparse_stride(GNA(8, 4), 4, 4, rule="fast")  # type: ignore[arg-type]
