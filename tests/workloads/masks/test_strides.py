"""Strides, swept and pruned as the paper does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.base.errors import LightboundError
from lightbound.workloads.masks import GNA, axis_strides, pruned_strides, sweep_strides

HUNYUAN, COSMOS, FLUX = (30, 48, 80), (16, 44, 80), (256, 256)


@pytest.mark.parametrize(
    ("grid", "window", "q_tile", "kv_tile", "bounds"),
    [
        (
            HUNYUAN, (18, 24, 24), (4, 8, 8), (2, 8, 8),
            {
                (1, 1, 1): 3.273, (2, 1, 1): 3.6, (16, 1, 1): 4.0, (1, 1, 8): 5.455, (1, 8, 1): 5.455,
                (2, 1, 8): 6.0, (2, 8, 1): 6.0, (16, 1, 8): 6.667, (16, 8, 1): 6.667,
                (1, 8, 8): 9.091, (2, 8, 8): 10.0, (16, 8, 8): 11.111,
            },
        ),
        (
            HUNYUAN, (30, 40, 40), (2, 16, 8), (2, 8, 8),
            {(1, 1, 1): 1.429, (1, 32, 1): 1.714, (1, 1, 8): 2.0, (1, 32, 8): 2.4},
        ),
        (
            COSMOS, (16, 24, 16), (8, 4, 8), (4, 4, 8),
            {(1, 1, 1): 5.238, (1, 8, 1): 6.111, (1, 1, 16): 7.857, (1, 8, 16): 9.167},
        ),
        (
            COSMOS, (16, 32, 48), (8, 4, 8), (4, 4, 8),
            {(1, 1, 1): 1.746, (1, 8, 1): 1.964, (1, 1, 16): 2.037, (1, 8, 16): 2.292},
        ),
        (
            FLUX, (80, 80), (16, 16), (16, 8),
            {(1, 1): 6.095, (1, 16): 7.314, (16, 1): 8.533, (16, 16): 10.24},
        ),
        ((32768,), (2048,), (256,), (128,), {(1,): 14.222, (256,): 16.0}),
        ((32768,), (2048,), (128,), (128,), {(1,): 15.059, (256,): 16.0}),
    ],
)  # fmt: skip
def test_the_strides_that_survive_are_those_that_the_paper_tabulates(
    grid: tuple[int, ...],
    window: tuple[int, ...],
    q_tile: tuple[int, ...],
    kv_tile: tuple[int, ...],
    bounds: dict[tuple[int, ...], float],
) -> None:
    mask = GNA(grid, window)
    survivors = pruned_strides(mask, q_tile, kv_tile)
    assert set(survivors) == set(bounds)
    for stride in survivors:
        assert round(mask.with_stride(stride).count(q_tile, kv_tile).worst_tile_speedup, 3) == bounds[stride]


@pytest.mark.parametrize(
    ("grid", "window", "stride", "q_tile", "kv_tile", "bound"),
    [
        (HUNYUAN, (18, 24, 24), 1, (4, 8, 8), (2, 8, 8), 5.114),
        (HUNYUAN, (30, 40, 40), 1, (2, 16, 8), (2, 8, 8), 1.667),
        (FLUX, (80, 80), 1, (16, 16), (16, 8), 7.111),
        (COSMOS, (16, 24, 16), 1, (8, 4, 8), (4, 4, 8), 5.238),
        (HUNYUAN, (18, 24, 24), (18, 24, 24), (4, 8, 8), (2, 8, 8), 6.667),
    ],
)
def test_dynamic_tiles_bound_neighborhood_attention_as_computed_elsewhere(
    grid: tuple[int, ...],
    window: tuple[int, ...],
    stride: int | tuple[int, ...],
    q_tile: tuple[int, ...],
    kv_tile: tuple[int, ...],
    bound: float,
) -> None:
    assert round(GNA(grid, window, stride).count(q_tile, kv_tile, "dynamic").worst_tile_speedup, 3) == bound


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_sweep_says_what_counting_each_stride_says(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    grid = tuple(data.draw(st.integers(4, 20)) for _ in range(rank))
    window = tuple(data.draw(st.integers(2, min(5, extent))) for extent in grid)
    causal = tuple(data.draw(st.booleans()) for _ in grid)
    q_tile, kv_tile = (tuple(data.draw(st.integers(1, 6)) for _ in grid) for _ in range(2))
    kv_tiling = data.draw(st.sampled_from(["static", "dynamic"]))
    mask = GNA(grid, window, 1, 1, causal, data.draw(st.sampled_from([0, 5])))
    sweep = sweep_strides(mask, q_tile, kv_tile, kv_tiling)
    assert sweep.visits_max.shape == window
    for at, stride in enumerate(sweep.combinations()):
        count = mask.with_stride(stride).count(q_tile, kv_tile, kv_tiling)
        assert (sweep.q_tiles, sweep.dense_kv_tiles) == (count.q_tiles, count.dense_kv_tiles)
        for name in ("attended_pairs", "visits_max", "visits_total", "full_tiles", "block_sparse"):
            assert getattr(sweep, name).flat[at] == getattr(count, name)
        for name in ("worst_tile_speedup", "total_visits_speedup"):
            assert getattr(sweep, name).flat[at] == pytest.approx(getattr(count, name))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_pruned_stride_beats_a_smaller_survivor(data: st.DataObject) -> None:
    extent = data.draw(st.integers(4, 64))
    mask = GNA(extent, data.draw(st.integers(2, extent)))
    q_tile, kv_tile = data.draw(st.integers(1, 16)), data.draw(st.integers(1, 16))
    survivors = {stride for (stride,) in pruned_strides(mask, q_tile, kv_tile)}
    assert 1 in survivors
    every = axis_strides(mask, 0, q_tile, kv_tile)
    for each in every:
        smaller = [other.visits_max for other in every if other.stride < each.stride]
        assert (each.stride in survivors) == all(each.visits_max < visits for visits in smaller)


def test_a_causal_axis_is_pruned_by_its_total_since_its_worst_tile_never_changes() -> None:
    mask = GNA(256, 256, causal=True)
    assert pruned_strides(mask, 16, 16) == ((1,),)
    assert mask.count(16, 16).worst_tile_speedup == 1.0
    assert mask.count(16, 16).total_visits_speedup == pytest.approx(1.88, abs=0.01)


def test_chosen_strides_are_swept_in_ascending_order() -> None:
    sweep = sweep_strides(GNA((30, 48), (18, 24)), (4, 8), (2, 8), strides=[[16, 1, 2], [8]])
    assert sweep.strides == ((1, 2, 16), (8,))
    assert sweep.block_sparse.tolist() == [[False], [False], [True]]
    assert np.all(np.diff(sweep.visits_max, axis=0) < 0)


def test_bad_sweeps_name_the_remedy() -> None:
    mask = GNA((30, 48), (18, 24))
    with pytest.raises(LightboundError, match="strides = 19: is larger than the window of 18 on axis 0"):
        axis_strides(mask, 0, (4, 8), (2, 8), strides=[1, 19])
    with pytest.raises(LightboundError, match="Choose 0 to 1"):
        axis_strides(mask, 2, (4, 8), (2, 8))
    with pytest.raises(LightboundError, match="one list of strides an axis"):
        sweep_strides(mask, (4, 8), (2, 8), strides=[[1]])
    with pytest.raises(LightboundError, match="Give 2 values"):
        sweep_strides(mask, 32, 16)
    with pytest.raises(LightboundError, match="Choose from: visits_max, visits_total"):
        pruned_strides(mask, (4, 8), (2, 8), by="visits")  # type: ignore[arg-type]
