"""The clock under power: only where a machine says so, only for long runs, and never above its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lightbound as lb
from lightbound.sim.clock import clock_hz

H100 = lb.machine("h100_sxm")
CYCLES = 1e9  # half a second


def test_at_the_stated_load_the_clock_is_the_sustained_one() -> None:
    assert clock_hz(H100, {"tensor": 0.76 * CYCLES}, CYCLES) == pytest.approx(1.6e9, rel=1e-3)


def test_the_clock_falls_bit_by_bit_as_runs_become_longer_than_they_may_be_fast() -> None:
    cycles = np.geomspace(1e6, 1e8, 400)
    clocks = clock_hz(H100, {"tensor": 0.9 * cycles}, cycles)
    assert np.all(np.diff(clocks) <= 1e-9 * clocks[1:]) and np.all(-np.diff(clocks) < 0.01 * clocks[:-1])


def test_a_short_run_keeps_the_clock() -> None:
    assert clock_hz(H100, {"alu": 1e6}, 1e6) == H100.clock_hz
    assert clock_hz(H100, {"tensor": 1e6}, 1e6) == H100.unit("tensor").clock_hz < H100.clock_hz


def test_a_machine_that_states_no_load_keeps_its_clock() -> None:
    for name in ("fusemax", "a100", "b200", "h20"):
        machine = lb.machine(name)
        assert clock_hz(machine, {"alu": CYCLES}, CYCLES) == machine.clock_hz
        if "tensor" in machine.units:
            assert clock_hz(machine, {"tensor": CYCLES}, CYCLES) == machine.clock_of(machine.unit("tensor"))


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_busier_unit_never_raises_the_clock(a: float, b: float) -> None:
    low, high = sorted((a, b))
    fast, slow = (clock_hz(H100, {"tensor": share * CYCLES}, CYCLES) for share in (low, high))
    assert slow <= fast <= H100.clock_hz


def test_arrays_give_one_clock_each() -> None:
    shares = np.array([0.1, 0.76, 1.0])
    clocks = clock_hz(H100, {"tensor": shares * CYCLES}, np.full(3, CYCLES))
    assert clocks.tolist() == [clock_hz(H100, {"tensor": share * CYCLES}, CYCLES) for share in shares]


def test_a_long_kernel_is_predicted_at_the_lower_clock_and_its_parts_still_add_up() -> None:
    work = lb.workload("attention", H=24, P=65536, M=65536)
    limited = lb.simulate(work, H100, "flash")
    free = lb.simulate(work, lb.machine("h100_sxm", **{"sustained_load.after": "1000 s"}), "flash")
    assert limited.latency_s > 1.05 * free.latency_s
    assert sum(limited.decomposition_s.values()) == pytest.approx(limited.latency_s)
    assert limited.utilization["tensor"] == pytest.approx(free.utilization["tensor"], rel=1e-4)


def test_a_run_has_its_first_clock_before_power_is_looked_at_and_units_have_theirs_at_any_time() -> None:
    h200 = lb.machine("h200")
    load, ceiling = h200.sustained_load, h200.unit("tensor").sustained_clock_hz
    assert load is not None and ceiling is not None
    short, long = 0.5 * load.after_s * ceiling, 1000 * load.after_s * ceiling
    assert clock_hz(h200, {"tensor": 0.1 * short}, short) == ceiling < h200.clock_of(h200.unit("tensor"))
    first = load.first_clock_hz * (load.utilization / 1.0) ** (1 / load.exponent)
    assert clock_hz(h200, {"tensor": short}, short) == pytest.approx(first)
    later = h200.sustained_clock_hz * (load.utilization / 1.0) ** (1 / load.exponent)
    assert clock_hz(h200, {"tensor": long}, long) == pytest.approx(later, rel=1e-3)
    assert clock_hz(h200.in_run_of(1.0), {"tensor": short}, short) == pytest.approx(later)
    assert clock_hz(h200.in_run_of(0.01), {"tensor": short}, short) == pytest.approx(first)


def test_another_class_of_instructions_counts_by_the_work_it_does() -> None:
    work = H100.unit("tensor").cost["mac"] / H100.unit("tensor_sync").cost["mac"]
    for share in (0.9, 1.0):
        same = clock_hz(H100, {"tensor": share * work * CYCLES}, CYCLES)
        assert clock_hz(H100, {"tensor_sync": share * CYCLES}, CYCLES) == pytest.approx(same)


def test_memory_keeps_its_pace_where_the_clock_falls_and_caches_do_not() -> None:
    full = lb.machine("h100_sxm")
    assert {level.name for level in full.levels if level.clocked} == {"shared", "registers"}
    work = lb.workload("attention", H=24, P=65536, M=65536)
    slow = lb.simulate(work, full, "flash")
    fast = lb.simulate(
        work, lb.machine("h100_sxm", **{"sustained_load.after": "1000 s", "tensor.clock": "1.98 GHz"}), "flash"
    )
    clock = float(slow.groups[0].clock_hz)
    assert slow.busy_s["dram"] == pytest.approx(fast.busy_s["dram"])
    assert slow.busy_s["l2"] == pytest.approx(fast.busy_s["l2"])
    assert slow.busy_s["shared"] == pytest.approx(fast.busy_s["shared"] * 1.98e9 / clock)
