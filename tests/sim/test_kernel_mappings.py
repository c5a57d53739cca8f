"""Mappings of backward passes, unfused attention and decoding on GPUs: what they move and launch, and their choice."""

from __future__ import annotations

from typing import Any

import pytest

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.kernel_choice import kernels
from lightbound.workloads.masks.causal import Causal
from lightbound.workloads.masks.dense import Dense

SIZES: dict[str, Any] = {"B": 2, "H": 16, "E": 128, "F": 128, "M": 2048, "P": 2048}


def test_a_backward_pass_keeps_sums_of_query_gradients_in_fp32_and_the_rest_in_two_bytes() -> None:
    found = lb.simulate(lb.workload("attention_backward", **SIZES), "a100", "flash_backward_sync")
    elements = 2 * 16 * 2048 * 128
    memory = found.traffic_by_tensor["dram"]
    assert len(found.groups) == 3
    assert memory["ZQ"] >= 2 * 4 * elements  # cleared, then read where the first part is added
    assert memory["DK"] == memory["DV"] == memory["DQ"] == 2 * elements
    assert found.traffic_by_tensor["l2"]["XQ"] >= 16 * 4 * elements  # 16 tiles of keys add their part to every sum


@pytest.mark.parametrize("machine", ["a100", "h100_sxm"])
def test_backward_takes_two_to_three_and_a_half_times_as_long_as_forward_and_causal_about_half(machine: str) -> None:
    work = lb.workload("attention_backward", **SIZES)
    full = lb.simulate(work.with_mask(Dense((2048,), (2048,))), machine).latency_s
    half = lb.simulate(work.with_mask(Causal(2048)), machine).latency_s
    forward = lb.simulate(lb.workload("attention", **SIZES), machine).latency_s
    assert 2 < full / forward < 3.5
    assert 0.45 < half / full < 0.75


def test_unfused_attention_launches_a_kernel_a_step_and_moves_every_score() -> None:
    work = lb.workload("attention_unfused", **SIZES)
    found = lb.simulate(work, "a100", "eager")
    assert len(found.groups) == 6  # three copies, two products, the softmax
    scores = 2 * 16 * 2048 * 2048 * 2
    assert found.traffic_by_tensor["dram"]["S"] >= 2 * scores
    assert found.traffic_by_tensor["dram"]["A"] >= 2 * scores
    masked = lb.simulate(work.with_variant("masked"), "a100", "eager_masked")
    assert masked.latency_s > found.latency_s  # nothing is skipped


@pytest.mark.parametrize("batch", [1, 64])
def test_decoding_splits_the_cache_only_where_sequences_do_not_fill_the_machine(batch: int) -> None:
    found = lb.simulate(lb.workload("attention_decode", B=batch, H=8, G=4, M=32768), "h100_sxm")
    cache = batch * 8 * 32768 * 256 * 2
    assert (found.sizes["M2"] > 1) == (batch == 1)
    assert found.traffic_by_tensor["dram"]["K"] == cache / 2
    assert cache / 3.35e12 < found.latency_s < 3 * cache / 3.35e12 + 30e-6


def test_the_default_on_a_gpu_is_the_fastest_of_the_kernels_there_are() -> None:
    work, machine = lb.workload("attention", **SIZES), lb.machine("h200")
    best = lb.simulate(work, machine).latency_s
    times = []
    for kernel in kernels(work, machine):
        try:
            times.append(lb.simulate(work, machine, kernel).latency_s)
        except LightboundError:
            continue  # tiles that do not fit
    assert best == pytest.approx(min(times))


def test_a_default_never_changes_what_is_computed() -> None:
    work = lb.workload("elementwise", variant="silu")
    assert lb.simulate(work, "a100").mapping == "silu"
    assert lb.simulate(lb.workload("matmul", word_bytes=4), "a100").mapping == "gemm_fp32"
