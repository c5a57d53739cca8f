"""The ladder: rungs that tighten, claims that hold, and what stands beside them."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.bound import bound
from lightbound.workloads.masks import GNA, BlockSparse, Causal, Dense, SlidingWindow

HUNYUAN = lb.workload("gna", "hunyuan_video")
TILES = (4, 8, 8), (2, 8, 8)


@st.composite
def masks(draw: st.DrawFn) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """A neighbourhood mask of one to three axes with tiles that need not divide anything."""
    rank = draw(st.integers(1, 3))
    grid, window, stride, dilation = [], [], [], []
    for _ in range(rank):
        extent = draw(st.integers(2, 40))
        size = draw(st.integers(2, extent))
        grid.append(extent)
        window.append(size)
        stride.append(draw(st.integers(1, size)))
        dilation.append(draw(st.integers(1, extent // size)))
    causal = draw(st.lists(st.booleans(), min_size=rank, max_size=rank))
    tile = st.tuples(*[st.sampled_from([1, 2, 4, 8])] * rank)
    return GNA(grid, window, stride, dilation, causal), draw(tile), draw(tile)


@settings(deadline=None, max_examples=60)
@given(masks(), st.integers(1, 6), st.sampled_from([None, "h100_sxm", "b200", "fusemax"]))
def test_every_bound_is_at_least_as_tight_as_the_bounds_above_it(
    case: tuple[Any, Any, Any], heads: int, machine: str | None
) -> None:
    mask, q_tile, kv_tile = case
    ladder = bound(mask, machine, q_tile, kv_tile, heads=heads)
    claimed = [rung for rung in ladder.rungs if rung.is_bound]
    for above, below in itertools.pairwise(claimed):
        assert below.speedup <= above.speedup * (1 + 1e-9)
        assert below.lost == pytest.approx(1 - below.speedup / above.speedup)
    times = [rung.time_s for rung in ladder.rungs if rung.time_s is not None]
    assert times == sorted(times)
    assert claimed[-1] is ladder.rungs[-1]
    json.dumps(ladder.to_dict())
    assert ladder.explain().count("\n") >= len(ladder.rungs)


@settings(deadline=None, max_examples=40)
@given(masks(), st.integers(1, 40), st.sampled_from(["h100_sxm", "b200"]))
def test_no_estimate_is_below_the_least_time(case: tuple[Any, Any, Any], heads: int, machine: str) -> None:
    ladder = bound(*case[:1], machine, *case[1:], heads=heads)
    if ladder.estimate is None:  # the tiles do not fit, or their threads do not
        assert re.search(r"machine\.levels\.shared\.capacity|no block fits", ladder.no_estimate)
        return
    assert ladder.time_s is not None and ladder.estimate.kernel_s >= ladder.time_s
    assert ladder.estimate.tax >= 1


@pytest.mark.parametrize(
    ("stride", "rungs"),
    [((1, 1, 1), (11.111, 3.273, 4.917)), ((16, 8, 8), (11.111, 11.111, 10.417))],
)
def test_the_rungs_of_hunyuan_video_are_those_of_the_literature(
    stride: tuple[int, ...], rungs: tuple[float, ...]
) -> None:
    ladder = bound(HUNYUAN.with_options(stride=stride), None, *TILES)
    assert [round(rung.speedup, 3) for rung in ladder.rungs] == list(rungs)


def test_only_the_worst_tile_claims_nothing_and_a_causal_axis_makes_it_uninformative() -> None:
    plain = bound(HUNYUAN, None, *TILES)
    causal = bound(HUNYUAN.with_options(causal=(True, False, False), stride=1), None, (2, 8, 8), (2, 8, 8))
    assert [rung.name for rung in plain.rungs if not rung.is_bound] == ["worst tile"]
    assert plain.rung("worst tile").informative
    assert not causal.rung("worst tile").informative
    assert "Not informative" in causal.rung("worst tile").why


def test_dense_attention_is_its_own_bound() -> None:
    ladder = bound(Dense((4096,)), "h100_sxm", 128, 128, heads=8)
    assert [rung.speedup for rung in ladder.rungs[:4]] == [1, 1, 1, 1]
    assert ladder.speedup == pytest.approx(1)
    assert ladder.estimated_speedup == pytest.approx(1)


def test_few_tiles_lose_to_waves_and_dense_attention_loses_them_too() -> None:
    ladder = bound(lb.workload("gna", "demo_1d"), "b200")
    assert ladder.dense_loss == pytest.approx(148 / 128 - 1)
    assert ladder.rung("schedule").speedup == pytest.approx(16 * 128 / 148)
    assert ladder.speedup == pytest.approx(16)


def test_memory_bounds_what_is_sparse_enough() -> None:
    slow = lb.machine("h100_sxm", dram="80 GB", **{"dram.bandwidth": "20 GB/s"})
    ladder = bound(lb.workload("gna", "cosmos_predict2_98"), slow, backend="hopper-fna")
    assert "dram is busy" in ladder.rung("roofline").why
    assert ladder.rung("roofline").speedup < ladder.rung("total visits").speedup


def test_keys_that_nobody_attends_need_not_be_read() -> None:
    blocks = np.zeros((64, 64), bool)
    blocks[:, 0] = True
    sparse = bound(BlockSparse(8192, 128, blocks), "h100_sxm", 128, 128)
    everything = bound(SlidingWindow(8192, 64), "h100_sxm", 128, 128)
    few, all_keys = sparse.rung("roofline").time_s, everything.rung("roofline").time_s
    assert few is not None and all_keys is not None and few < all_keys


def test_padding_and_extra_keys_are_counted() -> None:
    padded = bound(GNA((30, 48, 80), (18, 24, 24), (16, 8, 8)), None, *TILES)
    text = bound(GNA((30, 48, 80), (18, 24, 24), (16, 8, 8), extra_keys=256), None, *TILES)
    assert padded.rung("total visits").speedup < padded.rung("operations").speedup
    assert text.count.visits_max == padded.count.visits_max + 2
    assert padded.permutation.padded_queries == 480 * 256


def test_a_kernel_tests_all_tiles_or_none_of_a_neighbourhood_and_the_cut_ones_of_other_masks() -> None:
    sparse = bound(HUNYUAN, "b200", *TILES)
    tested = bound(HUNYUAN.with_options(stride=1), "b200", *TILES)
    triangle = bound(Causal(4096), "h100_sxm", 128, 128)
    assert sparse.tested_visits == 0 and sparse.estimate is not None and sparse.estimate.tax == 1
    assert tested.tested_visits == tested.count.visits_total
    assert tested.estimate is not None and 1.3 < tested.estimate.tax < 2.1
    assert triangle.tested_visits == 32


def test_the_best_tiles_of_the_machine_s_kernels_are_taken_if_none_are_given() -> None:
    assert bound(HUNYUAN, "h100_sxm").backends == ("hopper-fna",)
    assert bound(HUNYUAN, "b200").backends == ("blackwell-fna",)
    assert bound(HUNYUAN, "a100").count.kv_tiling == "dynamic"
    assert bound(HUNYUAN, backend="flex-fna").count.q_tile in ((4, 4, 4), (2, 4, 8))


def test_permuting_tokens_costs_bytes_where_their_order_is_not_that_of_the_tiles() -> None:
    ladder = bound(HUNYUAN, "b200", *TILES)
    tokens, words = 115200, 24 * 128 * 2
    assert ladder.permutation.bytes == (2 * (tokens + 480 * 256) + 4 * tokens) * words
    assert ladder.permutation.seconds == pytest.approx(ladder.permutation.bytes / (7.67e12 * 0.5))
    assert ladder.estimated_total_speedup is not None and ladder.estimated_speedup is not None
    assert ladder.estimated_total_speedup < ladder.estimated_speedup
    assert bound(lb.workload("gna", "demo_1d"), "b200").permutation.bytes == 0
    assert bound(HUNYUAN, "a100", kv_tiling="dynamic").permutation.bytes == 0


def test_a_run_gains_by_amdahl_and_less_with_a_dense_warm_up() -> None:
    ladder = bound(HUNYUAN, None, *TILES)
    assert ladder.run_speedup(100 / 9) == pytest.approx(2.234, abs=1e-3)
    assert ladder.run_speedup(100 / 9, dense_steps=15) == pytest.approx(1.630, abs=1e-3)
    assert ladder.run_speedup(1) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"q_tile": (5, 5, 5), "kv_tile": (2, 8, 8), "backend": "any"}, "is a tile pair that no backend offers"),
        (
            {"q_tile": (4, 8, 8), "kv_tile": (2, 8, 8), "backend": "hopper-fna"},
            "not a tile pair that hopper-fna offers",
        ),
        ({"q_tile": (4, 8), "kv_tile": (2, 8)}, "has 2 axes where the token grid has 3"),
        ({"q_tile": (3, 3, 3)}, "is in no tile pair of blackwell-fna"),
        ({"backend": "mine"}, "is not known"),
        ({"heads": 3}, "goes with a mask"),
        ({"copy_share": 0}, "is no share of a bandwidth"),
        ({"kv_tiling": "moving"}, "is not known"),
        ({"machine": "b200", "mapping": "mine"}, "does not exist"),
    ],
)
def test_what_cannot_be_bound_is_told_with_a_remedy(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LightboundError, match=message) as caught:
        bound(HUNYUAN, **arguments)
    assert caught.value.remedy.endswith(".")


def test_a_rung_or_a_share_that_is_not_there_is_told() -> None:
    ladder = bound(Causal(1024))
    with pytest.raises(LightboundError, match="is not on this ladder"):
        ladder.rung("roof")
    with pytest.raises(LightboundError, match="is not known"):
        ladder.run_speedup(2)
    with pytest.raises(LightboundError, match="is no part of 50 steps"):
        bound(HUNYUAN).run_speedup(2, dense_steps=51)


def test_a_machine_without_such_a_kernel_still_bounds_and_says_why_it_estimates_nothing() -> None:
    ladder = bound("attention", "fusemax")
    assert ladder.estimate is None and "tensor" in ladder.no_estimate
    assert [rung.name for rung in ladder.rungs][-1] == "schedule"
