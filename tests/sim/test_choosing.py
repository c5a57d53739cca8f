"""Decisions of a mapping taken by prediction, and matrix products on GPUs under the tiles of libraries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.choosing import settings as settings_of
from lightbound.sim.choosing import settled
from lightbound.sim.mapping import Mapping
from lightbound.workloads.mappings.products import MAPPINGS

GEMM = Mapping.from_data({"name": "gemm", **MAPPINGS["gemm"]})
SIZES = st.integers(1, 5000)


@given(SIZES, SIZES, SIZES)
@settings(max_examples=15, deadline=None)
def test_no_tile_of_the_list_is_predicted_faster_than_the_chosen_one(m: int, n: int, k: int) -> None:
    work = lb.workload("matmul", M=m, N=n, K=k)
    best = lb.simulate(work, "a100", GEMM).latency_s
    for setting in settings_of(GEMM):
        try:
            one = lb.simulate(work, "a100", settled(GEMM, setting)).latency_s
        except LightboundError as error:
            assert "capacity" in error.field
            continue
        assert best <= one * (1 + 1e-12)


@given(SIZES, SIZES, SIZES, st.sampled_from(["a100", "v100_pcie", "t4"]))
@settings(max_examples=30, deadline=None)
def test_a_product_is_never_faster_than_its_roofline(m: int, n: int, k: int, name: str) -> None:
    machine = lb.machine(name)
    prediction = lb.simulate(lb.workload("matmul", M=m, N=n, K=k), machine, "gemm")
    bandwidth = machine.level("dram").bandwidth_bytes_per_s
    assert bandwidth is not None
    roofline = max(m * n * k / machine.peak_per_s("mac"), 2 * (m * k + k * n + m * n) / bandwidth)
    assert prediction.latency_s >= roofline


def test_time_rises_in_steps_where_tiles_fill_every_multiprocessor_once_more() -> None:
    tile = settled(GEMM, {"BM": 128, "BN": 128, "WM": 64, "WN": 64, "SPLIT": 1})

    def seconds(tiles: int) -> float:
        return lb.simulate(lb.workload("matmul", M=128 * tiles, N=128, K=4096), "a100", tile).groups[0].compute_s

    one = seconds(1)
    assert seconds(54) == pytest.approx(one) == pytest.approx(seconds(108))
    assert seconds(109) == pytest.approx(2 * one) == pytest.approx(seconds(216))
    assert seconds(217) == pytest.approx(3 * one)


def test_a_ragged_tile_takes_as_long_as_a_full_one() -> None:
    tile = settled(GEMM, {"BM": 128, "BN": 128, "WM": 64, "WN": 64, "SPLIT": 1})
    times = [
        lb.simulate(lb.workload("matmul", M=m, N=128, K=8192), "a100", tile).groups[0].compute_s for m in (1, 65, 128)
    ]
    assert times[0] == pytest.approx(times[2], rel=0.01) and times[1] == pytest.approx(times[2], rel=0.01)


def test_the_sum_is_split_where_tiles_leave_multiprocessors_idle() -> None:
    chosen = lb.simulate(lb.workload("matmul", M=128, N=128, K=65536), "a100", "gemm").params
    assert chosen["SPLIT"] > 1
    assert lb.simulate(lb.workload("matmul"), "a100", "gemm").params["PARTS"] == 1


def test_a_level_that_is_sustained_at_less_than_its_bandwidth_takes_longer() -> None:
    stated = lb.machine("a100")
    whole = lb.machine("a100", **{"levels.dram.sustained_bandwidth": "2039 GB/s"})
    work = lb.workload("elementwise", variant="add", R=65536, N=4096)
    slow, fast = (lb.simulate(work, one, "add").groups[0].memory_s["dram"] for one in (stated, whole))
    assert slow == pytest.approx(fast / 0.852)


def test_a_row_that_is_read_again_costs_more_than_one_that_is_kept() -> None:
    work = lb.workload("softmax", R=4096, N=1024)
    kept, again = (lb.simulate(work, "a100", name) for name in ("on_chip", "reread"))
    assert kept.traffic_bytes["l2"] < again.traffic_bytes["l2"]
    assert kept.latency_s < again.latency_s


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        ({"tile": []}, "offers no setting"),
        ({"tile": [{"BM": 64}, {"BN": 64}]}, "does not set the same params"),
        ({"tile": [{"BM": 1 << 20, "BN": 1 << 20}]}, "fit a100 in none"),
    ],
)
def test_a_decision_that_cannot_be_taken_is_refused(choose: dict[str, Any], message: str) -> None:
    data = {**MAPPINGS["gemm"], "choose": choose}
    with pytest.raises(LightboundError, match=message):
        lb.simulate(lb.workload("matmul", M=1 << 21, N=1 << 21), "a100", data)
