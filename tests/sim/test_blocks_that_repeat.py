"""Blocks that share an intermediate each make it for themselves: `again` in a loop, and mappings that rest on it."""

from __future__ import annotations

from typing import Any

import pytest

import lightbound as lb

TWO_STEPS = "S[h,p]   = sum(Q[h,p,d] * K[h,d], d)\nO[h,p,e] = S[h,p] * V[h,e]\n"


def _busy(again: bool, slices: int, heads: int = 132, engine: str = "analytical") -> lb.Prediction:
    """Heads whose values are cut into slices, one block each; every block needs the scores of its head."""
    cascade = lb.Cascade.parse(TWO_STEPS, {"H": heads, "P": 1024, "D": 64, "E": 64})
    mapping = {
        "bind": [
            {"einsums": ["S"], "unit": "tensor", "space": {"lanes": ["p"]}},
            {"einsums": ["O"], "unit": "alu", "space": {"lanes": ["e", "p"]}},
        ],
        "groups": [
            {
                "einsums": ["S", "O"],
                "nest": [
                    {"for": "h", "over": "sm"},
                    {"for": "e", "tile": 64 // slices, "over": "sm", "again": again},
                    {"hold": ["Q"], "in": "l2"},
                    {"hold": ["Q"], "in": "shared"},
                ],
            }
        ],
    }
    return lb.simulate(cascade, "h200", mapping, engine=engine)


@pytest.mark.parametrize("slices", [1, 2, 4])
def test_what_every_slice_repeats_is_done_as_often_as_there_are_slices(slices: int) -> None:
    once, again = _busy(False, slices), _busy(True, slices)
    assert again.busy_s["tensor"] == pytest.approx(slices * once.busy_s["tensor"])
    assert again.busy_s["alu"] == pytest.approx(once.busy_s["alu"])


def test_slices_of_few_heads_repeat_side_by_side() -> None:
    one, four = _busy(True, 1, heads=33), _busy(True, 4, heads=33)
    assert four.busy_s["tensor"] == pytest.approx(one.busy_s["tensor"])  # each on an instance that had nothing to do
    assert four.busy_s["alu"] < one.busy_s["alu"] / 3


def test_what_is_repeated_is_read_again_from_the_level_that_all_share() -> None:
    once, again = _busy(False, 4), _busy(True, 4)
    assert again.traffic_by_tensor["l2"]["Q"] > once.traffic_by_tensor["l2"]["Q"]
    assert again.traffic_bytes["dram"] == pytest.approx(once.traffic_bytes["dram"], rel=0.01)


@pytest.mark.parametrize("mapping", ["walk_tensor", "walk_tensor_sync"])
def test_linear_attention_takes_the_same_time_a_token_at_every_length(mapping: str) -> None:
    short, long = (
        lb.simulate(lb.workload("lightning_attention", preset="bench", N=tokens), "h200", mapping)
        for tokens in (8192, 65536)
    )
    each = [float(one.latency_s - 4e-6) / tokens for one, tokens in ((short, 8192), (long, 65536))]
    assert each[1] == pytest.approx(each[0], rel=0.05)


def test_a_walk_of_few_heads_is_as_long_as_its_chain_and_segments_cut_it() -> None:
    def seconds(heads: int, tokens: int) -> float:
        sizes: dict[str, Any] = {"B": 1, "H": heads, "D": 128, "E": 128, "N0": 64, "J": 64, "N": tokens}
        return float(
            lb.simulate(lb.workload("lightning_attention", **sizes), "h200", "walk_tensor").groups[0].compute_s
        )

    assert seconds(8, 65536) == pytest.approx(seconds(32, 65536), rel=0.12)  # 64 blocks fit as 16 do
    assert seconds(8 * 8, 65536 // 8) < seconds(8, 65536) / 6


def test_chunks_that_are_loaded_ahead_spare_a_scan_the_wait_for_them() -> None:
    work = lb.workload("prefix_attention", B=32, H=8, N=8192, E=64, N0=64, I=64)
    stated = work.method.mappings["walk_tensor"]

    def seconds(stages: int) -> float:
        mapping = {**stated, "params": {**stated["params"], "STAGES": stages}}
        return float(lb.simulate(work, "h200", mapping).latency_s)

    chunks = 8192 // 64
    assert seconds(2) - seconds(3) > chunks * 348e-9  # of memory, for each chunk of a block's chain


@pytest.mark.parametrize("name", ["softmax", "layernorm", "rmsnorm"])
def test_rows_that_are_kept_are_read_once_and_walked_ones_as_the_cache_holds_them(name: str) -> None:
    def read(mapping: str, columns: int) -> float:
        prediction = lb.simulate(lb.workload(name, R=4096, N=columns), "h200", mapping)
        return float(prediction.traffic_bytes["dram"] / prediction.compulsory_bytes)

    assert read("kept", 8192) == pytest.approx(1, rel=0.01)
    assert 1 < read("walked", 1024) < 1.1 < read("walked", 65536) < 1.5  # of a row, read twice and written once


def test_products_by_groups_of_warps_are_faster_than_by_single_warps_and_below_the_peak() -> None:
    work = lb.workload("matmul", preset="square_8k")
    macs = 8192**3
    group, single = (float(lb.simulate(work, "h200", name).latency_s) for name in ("tiled_tensor", "tiled_tensor_sync"))
    assert 2 * macs / 989e12 < group < single


def test_parts_of_a_sum_pay_only_where_tiles_do_not_fill_the_machine() -> None:
    def both(m: int) -> tuple[float, float]:
        whole = lb.simulate(lb.workload("matmul", M=m, N=4096, K=4096), "h200", "tiled_tensor")
        parts = lb.simulate(lb.workload("split_matmul", M=m, N=4096, K=4096), "h200", "tiled_tensor")
        return float(whole.latency_s), float(parts.latency_s)

    whole, parts = both(64)
    assert parts < whole
    whole, parts = both(4096)
    assert whole < parts
