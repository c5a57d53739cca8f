"""Masks in the event engine: every block makes the visits of its tile of queries, and tests where the kernel tests."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.archs.library import machine
from lightbound.base.errors import LightboundError
from lightbound.sim.blocks import masked_group
from lightbound.sim.masked_events import masked_systems
from lightbound.sim.masked_prediction import counted, kernel
from lightbound.sim.overrides import in_order
from lightbound.sim.program import System
from lightbound.sim.simulate import resolve_mapping, simulate
from lightbound.workloads.masks.causal import Causal
from lightbound.workloads.masks.dense import Dense
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.masks.sliding_window import SlidingWindow
from lightbound.workloads.masks.tile_count import TileCount


def attention(length: int, mask: Mask | None = None, heads: int = 4, head: int = 128) -> lb.Workload:
    work = lb.workload("attention", B=1, H=heads, M=length, P=length, E=head, F=head)
    return work if mask is None else work.with_mask(mask)


def system_of(work: lb.Workload, gpu: str, name: str | None = None) -> tuple[System, TileCount]:
    hardware = machine(gpu)
    found = kernel(work, hardware, name, strict=True)
    assert found is not None
    count = counted(found[0], hardware, found[1])
    made = masked_systems(found[0], hardware, found[1], count, "counted")
    return made[masked_group(found[1])], count


GRID = lb.workload("gna", B=1, H=2, grid=(8, 32, 32), window=(8, 24, 24), stride=(2, 4, 4))
MASKED = [
    (attention(2048, Causal(2048)), "h100_sxm", "flash"),
    (attention(2048, Causal(2048), head=64), "a100", "flash_sync"),
    (attention(4096, SlidingWindow(4096, 1500), heads=16), "h100_sxm", "flash"),
    (GRID, "h200", None),
]


@pytest.mark.parametrize(("work", "gpu", "name"), MASKED)
def test_every_block_makes_the_visits_of_its_tile_of_queries(work: lb.Workload, gpu: str, name: str | None) -> None:
    system, count = system_of(work, gpu, name)
    copies = len(system.workers) // count.launched_q_tiles
    made = Counter((worker.trips[0], worker.marked[0]) for worker in system.workers)
    assert work.mask is not None
    tested = work.mask.tested_visits(count).tolist()
    wanted = Counter(zip(count.visits.tolist(), tested, strict=True))
    wanted[0, 0] += count.launched_q_tiles - count.q_tiles
    assert made == Counter({pair: copies * times for pair, times in wanted.items() if times})
    assert any(task.more > 0 for task in system.programs[0].body) == bool(sum(tested))


@pytest.mark.parametrize(("work", "gpu", "name"), MASKED)
def test_the_two_engines_agree_on_masked_kernels(work: lb.Workload, gpu: str, name: str | None) -> None:
    closed = simulate(work, gpu, name)
    events = simulate(work, gpu, name, engine="event")
    assert events.engine == "event" and events.mapping == closed.mapping
    assert events.latency_s == pytest.approx(closed.latency_s, rel=0.12)
    assert "every query attends" not in " ".join(events.assumptions)


def test_tests_of_scores_cost_what_the_code_of_the_mask_costs() -> None:
    """A window that cuts through every visited tile is tested everywhere: each visit asks the lanes for more."""
    mask = SlidingWindow(2048, 100)
    system, _ = system_of(attention(2048, mask), "h100_sxm")
    (lanes,) = [task for task in system.programs[0].body if task.more]
    alu = machine("h100_sxm").unit("alu")
    each = sum(times * alu.cost[op] for op, times in mask.score_test.items())
    assert lanes.resource == "alu"
    assert lanes.more == pytest.approx(64 * 128 * each / alu.lanes)


def test_the_longest_first_ends_sooner_where_the_last_block_is_the_longest() -> None:
    work, mapping = resolve_mapping(attention(4096, Causal(4096), heads=16), machine("h100_sxm"), "flash")
    ascending, descending = (
        simulate(work, "h100_sxm", in_order(mapping, order), engine="event").latency_s
        for order in ("launch", "longest")
    )
    assert descending < ascending


@settings(max_examples=10, deadline=None)
@given(st.integers(4, 24), st.sampled_from(["flash", "flash_sync"]))
def test_a_mask_that_leaves_more_out_is_never_slower(tiles: int, name: str) -> None:
    length = 128 * tiles
    half, full = (
        simulate(attention(length, mask), "h100_sxm", name, engine="event").latency_s
        for mask in (Causal(length), Dense((length,), (length,)))
    )
    assert half <= full * 1.03  # chance, and tests of the last tiles


def test_a_mapping_that_cannot_skip_tiles_is_refused_rather_than_run_dense() -> None:
    work = attention(1024, Causal(1024))
    _, mapping = resolve_mapping(work, machine("h100_sxm"), "flash")
    with pytest.raises(LightboundError, match="masked"):
        simulate(work, "h100_sxm", mapping.model_copy(update={"masked": None}), engine="event")
