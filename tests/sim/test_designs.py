"""The design search: it looks at all that is worth it, ranks honestly, and marks what is perfectly block-sparse."""

from __future__ import annotations

import json

import pytest

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.designs import bound_search
from lightbound.workloads.masks import GNA, Causal, offered_tiles, power_of_two_tiles, pruned_strides

HUNYUAN = lb.workload("gna", "hunyuan_video")


def test_every_tile_pair_of_the_backend_is_searched_with_the_strides_that_survive_pruning() -> None:
    found = bound_search(HUNYUAN, limit=1000)
    pairs = offered_tiles("blackwell-fna", 3)
    assert found.tile_pairs == len(pairs) == len({design.tiles for design in found.designs})
    mine = {design.stride for design in found.designs if design.tiles == "4x8x8/2x8x8"}
    assert mine == {(t, h, w) for t in (1, 2, 16) for h in (1, 8) for w in (1, 8)}
    assert found.counted == len(found.designs)


def test_designs_are_ranked_by_bound_and_the_first_is_the_published_choice() -> None:
    found = bound_search(HUNYUAN)
    speedups = [round(design.speedup, 9) for design in found.designs]
    assert speedups == sorted(speedups, reverse=True)
    assert found.best.stride == (16, 8, 8) and found.best.block_sparse and found.best.skips_tests
    assert found.best.worst_tile == pytest.approx(100 / 9)


def test_with_a_machine_designs_are_ranked_by_predicted_time_and_none_that_skips_tests_is_passed_over() -> None:
    found = bound_search(HUNYUAN, "b200", limit=5)
    times = [design.total_s for design in found.designs]
    assert None not in times and times == sorted(time for time in times if time is not None)
    assert found.best.skips_tests
    assert found.best.kernel_s is not None and found.best.total_s is not None
    assert found.best.kernel_s < found.best.total_s


def test_each_design_is_what_bound_says_of_it() -> None:
    for design in bound_search(HUNYUAN, "h100_sxm", limit=3).designs:
        ladder = lb.bound(HUNYUAN.with_options(stride=design.stride), "h100_sxm", design.q_tile, design.kv_tile)
        assert design.speedup == ladder.speedup
        assert ladder.estimate is not None and design.kernel_s == ladder.estimate.kernel_s
        assert design.worst_tile == ladder.rung("worst tile").speedup
        assert design.block_sparse == ladder.block_sparse and design.skips_tests == (not ladder.tested_visits)


def test_all_power_of_two_tiles_of_a_size_can_be_searched_and_processes_change_nothing() -> None:
    mask = GNA((16, 24), (8, 12))
    alone = bound_search(mask, tile_sizes=(32, 16), workers=1, limit=400)
    spread = bound_search(mask, tile_sizes=(32, 16), workers=2, limit=400)
    assert alone.tile_pairs == len(power_of_two_tiles(32, 2)) * len(power_of_two_tiles(16, 2))
    assert alone == spread


def test_a_small_stride_that_lets_kernels_skip_their_tests_is_kept_even_if_it_saves_no_visit() -> None:
    found = bound_search(lb.workload("gna", "demo_1d"), tiles=[((128,), (128,))])
    assert (256,) in {design.stride for design in found.designs if design.skips_tests}


def test_masks_without_strides_are_searched_over_tiles() -> None:
    found = bound_search(Causal(4096), "h100_sxm", backend="any", heads=8)
    assert found.tile_pairs > 1
    assert all(design.stride is None for design in found.designs)


def test_a_causal_axis_prunes_by_total_visits() -> None:
    mask = GNA((16, 32), (8, 16), causal=(True, False))
    strides = {design.stride for design in bound_search(mask, tiles=[((4, 8), (4, 8))], limit=100).designs}
    assert strides == set(pruned_strides(mask, (4, 8), (4, 8), by="visits_total"))
    assert strides != set(pruned_strides(mask, (4, 8), (4, 8), by="visits_max"))


def test_progress_counts_every_tile_pair_and_every_estimate() -> None:
    steps: list[int] = []
    found = bound_search(HUNYUAN, "h100_sxm", limit=4, progress=steps.append)
    assert sum(steps) >= found.tile_pairs + len(found.designs)


def test_a_search_is_plain_json() -> None:
    data = json.loads(json.dumps(bound_search(HUNYUAN, limit=2).to_dict()))
    assert data["designs"][0]["stride"] == "16x8x8" and len(data["designs"]) == 2


def test_what_cannot_be_searched_is_told() -> None:
    with pytest.raises(LightboundError, match="is not a way to choose strides"):
        bound_search(HUNYUAN, strides="some")
    with pytest.raises(LightboundError, match="is no number of designs"):
        bound_search(HUNYUAN, limit=0)
    with pytest.raises(LightboundError, match="is not a power of two"):
        bound_search(HUNYUAN, tile_sizes=(100, 128))
    with pytest.raises(LightboundError, match="is not known"):
        bound_search(HUNYUAN, backend="mine")
