"""Fused attention on GPUs: what an iteration asks of each unit, by hand, and how near published timings it comes."""

from __future__ import annotations

import pytest

import lightbound as lb


def per_32_scores(machine: str, mapping: str, head: int) -> dict[str, float]:
    """Cycles of each unit for 32 scores on a quarter of an SM, at a length where nothing else matters."""
    work = lb.workload("attention", B=1, H=16, M=16384, P=16384, E=head, F=head)
    schedule = lb.simulate(work, machine, mapping).groups[0].schedule
    scores = 16 * 16384 * 16384 / schedule.tasks * schedule.busiest
    return {unit: cycles * 128 / scores for unit, cycles in schedule.slots[0].items()}


@pytest.mark.parametrize(("head", "tensor"), [(128, 16), (64, 8)])
def test_an_iteration_on_hopper_asks_what_its_instructions_say(head: int, tensor: float) -> None:
    """4 D FLOP a score at 1024 a cycle; one exponential at 4 a cycle; a maximum at half rate, a multiply-add of scale
    and subtraction, an addition, a conversion, and the rescaled output shared by the keys of a tile.
    """
    found = per_32_scores("h100_sxm", "flash", head)
    assert found["tensor"] == pytest.approx(tensor)
    assert found["sfu"] == pytest.approx(8, rel=0.03)
    conversion = lb.machine("h100_sxm").unit("alu").cost["cast"]
    assert found["alu"] == pytest.approx(2 + 1 + 1 + conversion + head / 128, rel=0.04)


@pytest.mark.parametrize(("head", "tensor"), [(128, 38.7), (64, 18.6)])
def test_synchronous_matrix_instructions_wait_for_their_operands(head: int, tensor: float) -> None:
    """By hand from the steps of 16 along each sum, of which one is loaded ahead (docs/mapping.md, `wait`)."""
    assert per_32_scores("a100", "flash_sync", head)["tensor_sync"] == pytest.approx(tensor, rel=0.02)


@pytest.mark.parametrize(
    ("machine", "mapping", "head", "heads", "published"),
    [("h100_sxm", "flash", 128, 16, 648), ("h100_sxm", "flash", 64, 32, 497), ("a100", "flash_sync", 128, 32, 204)],
)
def test_long_sequences_come_within_ten_per_cent_of_published_rates(
    machine: str, mapping: str, head: int, heads: int, published: float
) -> None:
    """TFLOP/s without a mask at 16K (A100: 32K) tokens: FlashAttention-3's figure, and SageAttention's for A100."""
    length = 32768 if machine == "a100" else 16384
    work = lb.workload("attention", B=1, H=heads, M=length, P=length, E=head, F=head)
    rate = 4 * heads * length**2 * head / lb.simulate(work, machine, mapping).latency_s / 1e12
    assert rate == pytest.approx(published, rel=0.10)


def test_keys_are_fetched_once_for_all_blocks_that_run_at_once() -> None:
    """128 blocks of a head run on 132 SMs side by side: memory sees the keys once, the SMs 128 times."""
    work = lb.workload("attention", B=1, H=16, M=16384, P=16384)
    found = lb.simulate(work, "h100_sxm", "flash")
    assert found.traffic_by_tensor["dram"]["K"] == 16 * 16384 * 128 * 2
    assert found.traffic_by_tensor["shared"]["K"] >= 128 * 16 * 16384 * 128 * 2
