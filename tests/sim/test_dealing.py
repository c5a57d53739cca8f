"""Iterations dealt over instances on one axis or several, below loops that are not dealt, by hand and as invariants."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.dealing import rounds, side_by_side, spread
from lightbound.sim.prediction import Prediction

MACHINE = """
name: cores
source: "by hand"
clock: 1 GHz
instances: {chip: 2, core: 4}
levels:
  dram: {bandwidth: 10 TB/s}
  l2: {scope: chip, capacity: 1 MiB, bandwidth: 32 TB/s}
  l1: {scope: core, capacity: 64 KiB, bandwidth: 64 GB/s}
units:
  array:
    scope: core
    shape: {rows: 8, cols: 8}
    cost: {mac: 1}
"""
PRODUCT = lb.Cascade.parse("Z[m,n] = sum(A[m,k] * B[k,n], k)")


@pytest.fixture(scope="module")
def cores(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("machines") / "cores.yaml"
    path.write_text(MACHINE)
    return str(path)


def run(machine: lb.Machine, sizes: tuple[int, int, int], nest: list[Any], engine: str = "analytical") -> Prediction:
    m, n, k = sizes
    mapping = {
        "bind": [{"einsums": "Z", "unit": "array", "space": {"rows": "m", "cols": "n"}}],
        "groups": [{"einsums": "Z", "nest": nest}],
    }
    return lb.simulate(PRODUCT.with_sizes(M=m, N=n, K=k), machine, mapping, engine=engine)


def loop(rank: str, tile: int, over: str | None = None) -> dict[str, Any]:
    return {"for": rank, "tile": tile, **({} if over is None else {"over": over})}


@pytest.mark.parametrize(
    ("nest", "cycles"),
    [
        ([loop("n", 8, "core")], 1024),
        ([loop("n", 32), loop("n", 8, "core")], 1024),
        ([loop("n", 256), loop("n", 64), loop("n", 8, "core")], 1024),
        ([loop("n", 16), loop("n", 8, "core")], 2048),  # two of four cores have work at a time
    ],
)
def test_a_loop_around_dealt_ones_goes_through_the_same_cores_again(cores: str, nest: list[Any], cycles: int) -> None:
    machine = lb.machine(cores, chip=1)
    for engine in ("analytical", "event"):
        found = run(machine, (8, 1024, 32), nest, engine)
        assert found.latency_s == pytest.approx(cycles * 1e-9, rel=0.01)
        assert found.utilization["array"] <= 1 + 1e-9


@pytest.mark.parametrize(("over", "cycles"), [("chip", 4 * 32), ("core", 32)])
def test_iterations_are_dealt_over_the_axis_that_is_named(cores: str, over: str, cycles: int) -> None:
    found = run(lb.machine(cores), (64, 8, 32), [loop("m", 8, over)])
    assert found.latency_s == pytest.approx(cycles * 1e-9)


def test_each_chip_fetches_what_its_own_cores_need(cores: str) -> None:
    """Tiles of m lie on chips, those of n on cores of each: a chip needs half of A, and all of B."""
    both, near = {"hold": ["A", "B"], "in": "l2"}, {"hold": ["A", "B"], "in": "l1"}
    found = run(lb.machine(cores), (16, 32, 32), [loop("m", 8, "chip"), both, loop("n", 8, "core"), near])
    assert found.traffic_by_tensor["dram"] == {"A": 2 * 16 * 32, "B": 2 * 2 * 32 * 32, "Z": 2 * 16 * 32}
    outside = run(lb.machine(cores), (16, 32, 32), [{"hold": ["B"], "in": "l2"}, loop("m", 8, "chip"), near])
    assert outside.traffic_by_tensor["dram"]["B"] == 2 * 2 * 32 * 32


def test_the_cache_of_a_chip_has_room_for_the_tiles_of_all_its_cores(cores: str) -> None:
    nest = [loop("n", 8, "core"), {"hold": ["B"], "in": "l2"}]
    held = run(lb.machine(cores), (8, 64, 32), nest).occupancy_bytes["l2"]
    assert held == 2 * 4 * 8 * 32


def test_sums_that_cores_share_are_read_back_by_all_but_the_first(cores: str) -> None:
    """Of 64 cubed with k over four cores, one that is not the first moves 108,544 B through its own memory."""
    holds = [{"hold": [tensor], "in": "l1"} for tensor in "ABZ"]
    nest = [loop("k", 8, "core"), loop("m", 16), holds[0], loop("n", 16), holds[1], holds[2]]
    found = run(lb.machine(cores, chip=1), (64, 64, 64), nest)
    assert found.busy_s["l1"] == pytest.approx(108544 / 64e9)


def test_a_last_round_of_one_ragged_task_takes_as_long_as_that_task(cores: str) -> None:
    found = run(lb.machine(cores, chip=1), (70, 50, 33), [loop("m", 16, "core")])
    assert found.busy_s["array"] == pytest.approx((2 * 7 * 33 + 1 * 7 * 33) * 1e-9)


def test_the_event_engine_refuses_what_only_some_instances_share(cores: str) -> None:
    nest = [loop("n", 8, "core"), {"hold": ["B"], "in": "l2"}]
    with pytest.raises(LightboundError, match="belongs to a chip"):
        run(lb.machine(cores), (8, 64, 32), nest, "event")


SIZES = st.tuples(st.integers(1, 64), st.integers(1, 64), st.integers(1, 32))
LOOPS = st.lists(
    st.tuples(st.sampled_from("mnk"), st.integers(1, 32), st.sampled_from([None, "chip", "core"])), max_size=5
)


@given(SIZES, LOOPS, st.integers(0, 5))
@settings(deadline=None, max_examples=150)
def test_no_instance_is_busier_than_there_is_time_nor_less_than_the_mean(
    cores: str, sizes: tuple[int, int, int], loops: list[tuple[str, int, str | None]], place: int
) -> None:
    left = dict(zip("mnk", sizes, strict=True))
    nest: list[Any] = []
    for rank, tile, over in loops:
        left[rank] = min(left[rank], tile)
        nest.append(loop(rank, left[rank], over))
    nest.insert(min(place, len(nest)), {"hold": ["A", "B", "Z"], "in": "l1"})
    found = run(lb.machine(cores, l1="1 GiB"), sizes, nest)
    assert found.utilization["array"] <= 1 + 1e-9
    words = sum(count for (level, _, _), count in found.groups[0].words.items() if level == 2)
    assert found.busy_s["l1"] >= words * 2 / 8 / 64e9 * (1 - 1e-9)
    assert found.busy_s["l1"] <= words * 2 / 64e9 * (1 + 1e-9)


@given(
    st.lists(st.tuples(st.sampled_from(["chip", "core"]), st.integers(1, 12)), max_size=4),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sampled_from([None, "chip", "core"]),
)
@settings(deadline=None, max_examples=200)
def test_no_more_run_at_once_than_there_are_instances(
    loops: list[tuple[str, int]], chips: int, each: int, scope: str | None
) -> None:
    numbered = [(at, axis, trips) for at, (axis, trips) in enumerate(loops)]
    instances = spread({"chip": chips, "core": each}, {axis for axis, _ in loops}, scope)
    found = side_by_side(numbered, instances)
    copies = {None: 1, "chip": chips, "core": chips * each}[scope]
    assert all(1 <= dealt.apart <= dealt.at_once <= dealt.trips for dealt in found.values())
    assert rounds(numbered, instances) * copies >= prod(trips for _, trips in loops)
