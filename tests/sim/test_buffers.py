"""Buffer sizing: frontiers that fall, known optima, what grows with what, and the mapping behind every point."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import sqrt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.base.errors import LightboundError
from lightbound.sim.buffers import BufferPoint, BufferSizing, growing_by, size_buffers, with_capacity
from lightbound.sim.search import Objective
from lightbound.sim.simulate import predict, simulate
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.registry import as_workload, workload

from .cascades import cascades

WORD = 2
PRODUCT = Cascade.parse("Z[m,n] = sum(A[m,k] * B[k,n], k)")


@cache
def product_frontier(m: int, n: int, k: int) -> BufferSizing:
    return size_buffers(PRODUCT.with_sizes(M=m, N=n, K=k), "fusemax", growth=False)


def at(sizing: BufferSizing, capacity: float) -> BufferPoint:
    """The point of the frontier at a capacity: the largest that is not above it."""
    return [point for point in sizing.points if point.capacity_bytes <= capacity][-1]


# ---- a single matrix product -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "n", "k"), [(1000, 1000, 1000), (2048, 1024, 4096), (777, 1500, 3000)])
def test_a_matrix_product_meets_the_known_optimum_within_a_tenth(m: int, n: int, k: int) -> None:
    """2 MNK / sqrt(S) + MN words with S words of buffer: a square tile of results stays, strips of operands stream by.

    Below a thousand words the strips (two copies each, to fill one while the other is used) take a share of the buffer
    that the bound leaves out. From where three or fewer tiles cover a side, whole trips are far from the bound's
    fractions of a trip, and other tensors than the result may stay.
    """
    sizing = product_frontier(m, n, k)
    words = 1024.0
    while min(m, n) / sqrt(words) > 4:
        bound = max(2 * m * n * k / sqrt(words) + m * n, m * n + m * k + k * n)
        assert bound <= at(sizing, WORD * words).traffic_bytes / WORD * (1 + 1e-9), words
        assert at(sizing, WORD * words).traffic_bytes / WORD <= 1.1 * bound, words
        words *= 2**0.25


def test_a_matrix_product_reaches_compulsory_traffic_with_one_operand_on_chip() -> None:
    """Of 700 x 800 x 900, A is the smallest tensor: it stays with one column of B and one element of Z at a time."""
    sizing = product_frontier(700, 900, 800)
    assert sizing.compulsory_bytes == WORD * (700 * 800 + 800 * 900 + 700 * 900)
    assert sizing.smallest_compulsory_bytes is not None
    assert WORD * 700 * 800 < sizing.smallest_compulsory_bytes <= WORD * (700 * 800 + 2 * 800 + 700)
    assert sizing.points[-1].traffic_bytes == sizing.compulsory_bytes


# ---- any cascade -----------------------------------------------------------------------------------------------------


@given(cascades(most=2, size=st.integers(1, 60)), st.sampled_from([("fusemax", None), ("tpu_v4i", "cmem")]))
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_a_frontier_falls_and_never_below_what_is_compulsory(cascade: Cascade, where: tuple[str, str | None]) -> None:
    sizing = size_buffers(cascade, where[0], where[1], growth=False)
    assert sizing.smallest_bytes == sizing.points[0].capacity_bytes
    for smaller, larger in zip(sizing.points, sizing.points[1:], strict=False):
        assert smaller.capacity_bytes < larger.capacity_bytes
        assert smaller.traffic_bytes >= larger.traffic_bytes
        assert smaller.latency_s >= larger.latency_s
        assert (smaller.traffic_bytes, smaller.latency_s) != (larger.traffic_bytes, larger.latency_s)
    assert all(point.traffic_bytes >= sizing.compulsory_bytes * (1 - 1e-9) for point in sizing.points)
    if sizing.smallest_compulsory_bytes is not None:
        assert at(sizing, sizing.smallest_compulsory_bytes).traffic_bytes == pytest.approx(sizing.compulsory_bytes)


@given(cascades(most=2, size=st.integers(1, 60)), st.data())
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_every_point_has_a_mapping_that_reaches_it(cascade: Cascade, data: st.DataObject) -> None:
    sizing = size_buffers(cascade, "fusemax", growth=False)
    point = data.draw(st.sampled_from(sizing.points))
    room = with_capacity(sizing.machine, sizing.level, point.capacity_bytes)
    for objective in ("traffic", "latency"):
        found = predict(sizing.workload, room, sizing.best_mapping(point.capacity_bytes, objective))
        if objective == "traffic":
            assert found.traffic_bytes["dram"] == pytest.approx(point.traffic_bytes, rel=1e-9)
        else:
            assert found.latency_s == pytest.approx(point.latency_s, rel=1e-9)


@given(cascades(most=2, size=st.integers(1, 60)))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_less_than_the_smallest_buffer_runs_nothing(cascade: Cascade) -> None:
    sizing = size_buffers(cascade, "fusemax", growth=False)
    if sizing.smallest_bytes > 1:
        with pytest.raises(LightboundError, match="too small for any mapping"):
            sizing.best_mapping(sizing.smallest_bytes - 1)


# ---- passes decide what grows ----------------------------------------------------------------------------------------


def attention(variant: str) -> BufferSizing:
    work = workload("fusemax", variant=variant, B=1, H=1, E=32, F=32, M=1024, P=256)
    return size_buffers(work, "fusemax")


def test_one_pass_needs_a_buffer_that_is_independent_of_the_keys() -> None:
    sizing = attention("1-pass")
    assert sizing.smallest_compulsory_bytes is not None
    assert sizing.grows_with["M"] == pytest.approx(0, abs=0.01)
    assert sizing.grows_with["B"] == sizing.grows_with["H"] == 0
    assert sizing.grows_with["P"] == pytest.approx(1, abs=0.05)
    assert "independent of" in sizing.explain() and "M" in sizing.explain()


def test_three_passes_need_a_buffer_that_is_linear_in_the_keys() -> None:
    sizing = attention("3-pass")
    assert sizing.smallest_compulsory_bytes is not None
    assert sizing.grows_with["M"] == pytest.approx(1, abs=0.01)
    assert sizing.grows_with["P"] == pytest.approx(0, abs=0.01)


def test_the_frontier_of_a_named_mapping_follows_its_own_fit() -> None:
    work = workload("fusemax", preset="bert", M=4096, P=4096)
    sizing = size_buffers(work, "fusemax", mapping="binding")
    queries, keys = 256 * (64 + 1 + 1 + 64), 256 * (64 + 64)  # Q, RM, RD, RNV of a tile of queries; K, V of one of keys
    assert sizing.mapping == "binding"
    assert sizing.smallest_bytes == WORD * (queries + keys)
    assert sizing.points[-1].traffic_bytes == sizing.compulsory_bytes
    for point in sizing.points:
        room = with_capacity(sizing.machine, "global_buffer", point.capacity_bytes)
        found = simulate(work, room, sizing.best_mapping(point.capacity_bytes))
        assert found.traffic_bytes["dram"] == pytest.approx(point.traffic_bytes)
        assert found.latency_s == pytest.approx(point.latency_s)


# ---- bad input -------------------------------------------------------------------------------------------------------


def test_a_level_that_does_not_exist_is_an_error_with_those_there_are() -> None:
    with pytest.raises(LightboundError, match=r"level = buffer: is not a level.*global_buffer"):
        size_buffers("matmul", "fusemax", "buffer")
    with pytest.raises(LightboundError, match=r"level = dram: is not a level of fusemax to size"):
        size_buffers("matmul", "fusemax", "dram")


def test_a_machine_of_one_level_has_nothing_to_size_and_still_runs() -> None:
    hardware = machine("fusemax")
    bare = replace(hardware, levels=hardware.levels[:1])
    with pytest.raises(LightboundError, match="is not a level of fusemax to size"):
        size_buffers("matmul", bare)
    cascade = PRODUCT.with_sizes(M=64, N=64, K=64)
    assert simulate(cascade, bare).traffic_bytes["dram"] >= 3 * 64 * 64 * WORD


def test_where_another_level_is_too_small_no_capacity_helps() -> None:
    hardware = machine("tpu_v4i")
    starved = replace(hardware, levels=tuple(
        replace(level, capacity_bytes=1.0) if level.name == "vmem" else level for level in hardware.levels
    ))  # fmt: skip
    work = as_workload(PRODUCT.with_sizes(M=64, N=64, K=64))
    with pytest.raises(LightboundError, match=r"lets no mapping of .* run, however large it is"):
        size_buffers(work, starved, "cmem")


def test_a_sizing_is_plain_data() -> None:
    objectives: tuple[Objective, ...] = ("traffic", "latency")
    sizing = product_frontier(1000, 1000, 1000)
    data = sizing.to_dict()
    assert data["smallest_bytes"] == sizing.points[0].capacity_bytes
    assert data["points"][-1] == vars(sizing.points[-1])
    assert all(sizing.best_mapping(1 << 16, objective).groups for objective in objectives)


@pytest.mark.parametrize("name", ["h100_sxm", "mi300x", "tpu_v4i", "cpu_example", "fusemax"])
def test_any_machine_can_be_sized_and_a_gpu_says_which_kernel_it_would_run(name: str) -> None:
    found = size_buffers(workload("attention", B=1, H=2, M=256, P=256), name)
    assert all(point.capacity_bytes % 1 == 0 for point in found.points)
    assert ("instead" in found.explain()) == (machine(name).occupancy is not None)


@pytest.mark.parametrize(
    ("needs", "power"),
    [([8, 16, 32], 1.0), ([8, 8, 8], 0.0), ([0, 0, 0], 0.0), ([10, 10, 40960], None), ([0, 8, 16], None),
     ([8, None, 32], None), ([8, 33, 128], 2.0)],
)  # fmt: skip
def test_a_growth_that_two_doublings_do_not_agree_on_is_none(needs: list[float | None], power: float | None) -> None:
    assert growing_by(needs) == (None if power is None else pytest.approx(power, abs=1e-3))
