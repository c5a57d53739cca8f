"""Contexts that go through slots in order: a slot takes its longest unit, and blocks fill what others leave idle."""

from __future__ import annotations

from typing import Any

import pytest

from lightbound import simulate, workload

SLOTS = [["S", "LO"], ["LM", "RM"], ["N", "LD", "C", "RD", "RO", "O"]]


def kernel(blocks: int, slots: list[list[str]] | None, delay: int = 0, chain: int = 0) -> dict[str, Any]:
    """Fused attention of 128 queries by 64 keys, `blocks` of them on an SM."""
    rows, scores, output = ({"lanes": ranks} for ranks in (["p"], ["p", "m0"], ["p", "f"]))
    return {
        "variant": "1-pass",
        "sizes": {"M0": 64},
        "bind": [
            {"einsums": ["S"], "unit": "tensor", "space": scores},
            {"einsums": ["LO"], "unit": "tensor", "space": output},
            {"einsums": ["LM", "LD"], "unit": "alu", "space": scores},
            {"einsums": ["N"], "unit": "sfu", "space": scores},
            {"einsums": ["RM", "RD"], "unit": "alu", "space": rows},
            {"einsums": ["C"], "unit": "sfu", "space": rows},
            {"einsums": ["RO"], "unit": "alu", "space": output},
            {"einsums": ["O"], "unit": "sfu", "space": output},
        ],
        "groups": [
            {
                "einsums": [name for slot in SLOTS for name in slot],
                "nest": [
                    {"for": "b", "over": "sm"},
                    {"for": "h", "over": "sm"},
                    {"for": "p", "tile": 128, "over": "sm"},
                    {"hold": ["Q"], "in": "shared"},
                    {"hold": ["RM", "RD", "RO"], "in": "registers"},
                    {"for": "m1"},
                    {"hold": ["K", "V"], "in": "shared"},
                ],
                "contexts": blocks,
                "delay": delay,
                "chain": chain,
                **({"slots": slots} if slots else {}),
            }
        ],
    }


WORK = workload("attention", B=1, H=132, E=128, F=128, P=1024, M=4096)


def epoch(blocks: int, slots: list[list[str]] | None, delay: int = 0, chain: int = 0) -> float:
    return float(simulate(WORK, "h100_sxm", kernel(blocks, slots, delay, chain)).groups[0].schedule.epoch_cycles)


def test_one_context_takes_the_longest_unit_of_every_slot_and_its_delay() -> None:
    products, maxima = 2 * 128 * 64 * 128 / 2048, 2 * 128 * 64 / 128
    exponentials = 128 * 64 / 16 + 128 / 16  # and one of each row; sums, scales and additions go on beside them
    assert epoch(1, SLOTS, 100) == pytest.approx(products + maxima + exponentials + 100, rel=0.02)


def test_without_slots_one_context_is_at_one_unit_at_a_time() -> None:
    assert epoch(1, None) > epoch(1, SLOTS) * 1.1


@pytest.mark.parametrize("delay", [0, 300])
def test_more_blocks_hide_what_one_waits_for_and_never_beat_the_tensor_cores(delay: int) -> None:
    taken = [epoch(blocks, SLOTS, delay) for blocks in (1, 2, 3, 8)]
    assert taken == sorted(taken, reverse=True)
    assert taken[-1] >= 2 * 128 * 64 * 128 / 2048
    assert taken[1] < 0.9 * taken[0]


@pytest.mark.parametrize("slots", [SLOTS, None])
def test_a_chain_is_what_one_context_takes_unless_its_work_takes_longer(slots: list[list[str]] | None) -> None:
    work = epoch(1, slots)
    assert epoch(1, slots, chain=round(work / 2)) == pytest.approx(work)
    assert epoch(1, slots, chain=9000) == pytest.approx(9000)
    assert epoch(1, slots, delay=500, chain=9000) == pytest.approx(9500)
    assert epoch(2, slots, chain=9000) == pytest.approx(epoch(2, slots, delay=round(9000 - work)), rel=1e-3)


@pytest.mark.parametrize("engine", ["analytical", "event"])
def test_either_engine_takes_what_work_leaves_of_a_chain_for_a_delay(engine: str) -> None:
    left = round(9000 - epoch(1, None))
    chain, delay = (
        float(simulate(WORK, "h100_sxm", kernel(2, None, **one), engine=engine).latency_s)
        for one in ({"chain": 9000}, {"delay": left})
    )
    assert chain == pytest.approx(delay, rel=1e-3)
