"""One call over arrays of sizes or machine fields answers what a call for each point answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.base.errors import LightboundError
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import simulate
from lightbound.workloads.registry import workload

NAMED = {"binding": "fusemax", "architecture": "fusemax", "cascade": "flat_serial_exp", "unfused": "flat"}
POINTS = st.fixed_dictionaries(
    {
        "B": st.integers(1, 9),
        "H": st.integers(1, 9),
        "E": st.integers(1, 300),
        "F": st.integers(1, 300),
        "M": st.integers(1, 12).map(lambda tiles: 256 * tiles),
        "P": st.integers(1, 5000),
    }
)


def assert_same(swept: Prediction, number: int, point: Prediction) -> None:
    """Every number of a sweep at one place equals that of the point."""

    def at(found: Any) -> Any:
        return found[number] if isinstance(found, np.ndarray) and found.shape else found

    for name in ("latency_s", "compulsory_bytes", "energy_j"):
        assert at(getattr(swept, name)) == pytest.approx(getattr(point, name), rel=1e-12)
    for name in ("traffic_bytes", "utilization", "busy_s", "energy_by_component", "occupancy_bytes", "params"):
        for key, found in getattr(point, name).items():
            assert at(getattr(swept, name)[key]) == pytest.approx(found, rel=1e-12), (name, key)
    for key, seconds in swept.decomposition_s.items():
        assert at(seconds) == pytest.approx(point.decomposition_s.get(key, 0), rel=1e-9, abs=1e-18)
    assert at(swept.bottleneck) == point.bottleneck


@pytest.mark.parametrize("name", NAMED)
@given(points=st.lists(POINTS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=25)
def test_a_sweep_over_sizes_equals_its_points(name: str, points: list[dict[str, int]]) -> None:
    hardware = machine(NAMED[name], global_buffer="512 MiB")
    arrays: dict[str, Any] = {symbol: np.array([float(point[symbol]) for point in points]) for symbol in points[0]}
    swept = simulate(workload("fusemax").with_sizes(**arrays), hardware, name)
    for number, point in enumerate(points):
        assert_same(swept, number, simulate(workload("fusemax").with_sizes(**point), hardware, name))


@given(
    st.lists(st.sampled_from([8, 16, 32, 64, 128]), min_size=1, max_size=4),
    st.sampled_from([("E", "F"), ("M",), ("B",)]),
)
@settings(deadline=None, max_examples=25)
def test_sizes_may_be_swept_beside_plain_ones(values: list[int], symbols: tuple[str, ...]) -> None:
    plain = {"B": 2, "H": 3, "E": 64, "F": 64, "M": 4096, "P": 512}
    arrays: Any = {symbol: np.array([256.0 * v if symbol == "M" else float(v) for v in values]) for symbol in symbols}
    swept = simulate(workload("fusemax").with_sizes(**{**plain, **arrays}), "fusemax", "binding")
    for number in range(len(values)):
        point = {symbol: int(array[number]) for symbol, array in arrays.items()}
        assert_same(swept, number, simulate(workload("fusemax").with_sizes(**{**plain, **point}), "fusemax", "binding"))


@given(st.lists(st.floats(1e9, 1e13), min_size=1, max_size=5))
@settings(deadline=None, max_examples=25)
def test_a_machine_may_be_swept_too(bandwidths: list[float]) -> None:
    work = workload("fusemax", preset="bert", M=4096, P=4096)
    swept = simulate(work, machine("fusemax", **{"dram.bandwidth": np.array(bandwidths)}), "binding")
    for number, bandwidth in enumerate(bandwidths):
        point = simulate(work, machine("fusemax", **{"dram.bandwidth": bandwidth}), "binding")
        latency = np.broadcast_to(swept.latency_s, (len(bandwidths),))[number]
        assert latency == pytest.approx(point.latency_s, rel=1e-12)


@given(st.lists(st.integers(1 << 18, 1 << 26), min_size=1, max_size=5))
@settings(deadline=None, max_examples=25)
def test_a_fit_follows_a_swept_capacity(capacities: list[int]) -> None:
    work = workload("fusemax", preset="bert", M=4096, P=4096)
    hardware = machine("fusemax")
    levels = [replace(one, capacity_bytes=np.array([float(c) for c in capacities])) if one.name == "global_buffer"
              else one for one in hardware.levels]  # fmt: skip
    swept = simulate(work, replace(hardware, levels=tuple(levels)), "binding")
    for number, capacity in enumerate(capacities):
        point = simulate(work, machine("fusemax", global_buffer=capacity), "binding")
        assert swept.params["P1"][number] == point.params["P1"]
        assert swept.traffic_bytes["dram"][number] == pytest.approx(point.traffic_bytes["dram"])


def test_a_mapping_that_differs_from_size_to_size_cannot_be_swept() -> None:
    work = workload("fusemax").with_sizes(B=1, H=1, E=64, F=64, P=1024, M=np.array([1024.0, 2048.0]))  # type: ignore[arg-type]
    with pytest.raises(LightboundError, match=r"arrays of sizes.*point by point"):
        simulate(work, "flat", "flat")
    with pytest.raises(LightboundError, match=r"arrays.*point by point"):
        simulate(work, "fusemax")
