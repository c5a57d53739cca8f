"""What must hold of any prediction for a GPU: more work takes no less time, and nobody beats a bound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.sim.simulate import simulate
from lightbound.workloads.masks.causal import Causal
from lightbound.workloads.masks.dense import Dense
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.masks.sliding_window import SlidingWindow

GPUS = st.sampled_from(["a100", "h100_sxm", "h200", "b200", "rtx4090"])
TILES = st.integers(1, 40)


def attention(length: int, head: int, mask: Mask | None = None) -> lb.Workload:
    work = lb.workload("attention", B=1, H=8, M=length, P=length, E=head, F=head)
    return work if mask is None else work.with_mask(mask)


def masks(length: int) -> tuple[Mask, ...]:
    return Dense((length,), (length,)), Causal(length), SlidingWindow(length, 500)


@given(GPUS, TILES, st.booleans(), st.sampled_from([64, 128]))
@settings(deadline=None, max_examples=20)
def test_a_longer_sequence_is_never_faster_where_blocks_are_equal(
    gpu: str, tiles: int, masked: bool, head: int
) -> None:
    """Blocks of unequal length (causal, windows) are dealt greedily in a kernel's order, which is not monotone."""
    short, long = (
        simulate(attention(128 * count, head, masks(128 * count)[0] if masked else None), gpu).latency_s
        for count in (tiles, tiles + 1)
    )
    assert short <= long * (1 + 1e-9)


@given(GPUS, TILES, st.sampled_from([None, 0, 1, 2]), st.sampled_from([64, 128]))
@settings(deadline=None, max_examples=20)
def test_traffic_is_at_least_compulsory(gpu: str, tiles: int, which: int | None, head: int) -> None:
    length = 128 * tiles
    mask = None if which is None else masks(length)[which]
    found = simulate(
        attention(length, head, mask), gpu, "flash" if gpu in ("h100_sxm", "h200", "b200") else "flash_sync"
    )
    assert found.traffic_bytes["dram"] >= found.compulsory_bytes * (1 - 1e-9)


@pytest.mark.parametrize("engine", ["analytical", "event"])
@given(GPUS, st.integers(1, 12), st.integers(0, 2), st.sampled_from([64, 128]))
@settings(deadline=None, max_examples=8)
def test_no_prediction_is_below_a_rung_that_claims_to_be_a_bound(
    engine: str, gpu: str, tiles: int, which: int, head: int
) -> None:
    length = 128 * tiles
    work = attention(length, head, masks(length)[which])
    found = simulate(work, gpu, engine=engine)
    assert found.plan is not None and found.plan.mapping.masked is not None
    names = {**found.params, **found.sizes}
    how = found.plan.mapping.masked
    ladder = lb.bound(work, gpu, int(names[how.q_tile]), int(names[how.kv_tile]))
    for rung in ladder.rungs:
        if rung.time_s is not None and rung.is_bound:
            assert rung.time_s <= found.latency_s * (1 + 1e-9), rung.name
