"""At sizes that nobody published, the engine equals the article's closed forms, written by hand beside this file."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.base.errors import LightboundError
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import simulate
from lightbound.validate.configurations import artifact_energy_pj, predict_point
from lightbound.workloads.registry import workload

from . import fusemax_formulas as formulas
from .fusemax_formulas import Figures, Sizes

TOLERANCE = 1e-9
PE = st.sampled_from([8, 16, 32, 64, 128, 256, 512])
WIDTH = st.integers(1, 512)
TILES = st.integers(1, 96)
FEW = st.integers(1, 24)


@st.composite
def sizes(draw: st.DrawFn, pe: int, width: st.SearchStrategy[int] = WIDTH) -> Sizes:
    return Sizes(B=draw(FEW), H=draw(FEW), E=draw(width), F=draw(width), M=pe * draw(TILES), P=pe * draw(TILES))


@st.composite
def points(draw: st.DrawFn) -> tuple[Sizes, int, int]:
    """Sizes, lanes a side, and a buffer from one that holds a tile or two to one that holds everything."""
    pe = draw(PE)
    s = draw(sizes(pe))
    one_tile = 2 * pe * (2 * (s.E + s.F) + 2)
    return s, pe, draw(st.integers(one_tile, 40 * one_tile))


def predicted(name: str, machine_name: str, s: Sizes, pe: int, buffer: int) -> Prediction:
    hardware = machine(machine_name, pe_dim=pe, global_buffer=buffer)
    return simulate(workload("fusemax").with_sizes(**asdict(s)), hardware, name)


def assert_equal(prediction: Prediction, expected: Figures) -> None:
    assert prediction.traffic_bytes["dram"] == pytest.approx(expected.traffic_bytes, rel=TOLERANCE)
    assert prediction.latency_s == pytest.approx(expected.latency_s, rel=TOLERANCE)
    assert prediction.utilization["2d"] == pytest.approx(expected.util_2d, rel=TOLERANCE)
    assert prediction.utilization["1d"] == pytest.approx(expected.util_1d, rel=TOLERANCE)


@pytest.mark.parametrize("name", ["binding", "architecture"])
@given(points())
@example((Sizes(2, 3, 512, 4, 4096, 1024), 64, 1 << 20))
@example((Sizes(2, 3, 4, 512, 1024, 4096), 64, 1 << 20))
@example((Sizes(1, 1, 64, 64, 256, 65536), 256, 1 << 24))  # one tile of keys
@settings(deadline=None, max_examples=150)
def test_fusemax_equals_its_formula_at_any_size(name: str, point: tuple[Sizes, int, int]) -> None:
    s, pe, buffer = point
    expected = formulas.fusemax(s, pe, buffer, interleaved=name == "binding")
    assume(expected is not None)
    assert expected is not None
    assert_equal(predicted(name, "fusemax", s, pe, buffer), expected)


@pytest.mark.parametrize("name", ["binding", "architecture"])
@pytest.mark.parametrize(("e", "f"), [(512, 2), (384, 16), (2, 512), (16, 384)])
def test_slots_bind_where_one_head_dimension_is_far_larger(name: str, e: int, f: int) -> None:
    """There the schedule takes longer than the busier array alone: perfect overlap would be too fast. Interleaved, it
    is the running maximum that neither array can hide; with F the larger, the 1D array is never idle.
    """
    s = Sizes(B=4, H=2, E=e, F=f, M=8192, P=2048)
    expected = formulas.fusemax(s, 128, 1 << 22, interleaved=name == "binding")
    assert expected is not None and expected.compute_cycles is not None
    prediction = predicted(name, "fusemax", s, 128, 1 << 22)
    assert_equal(prediction, expected)
    busiest = max(prediction.busy_s["2d"], prediction.busy_s["1d"])
    if name == "architecture" or e > f:
        assert prediction.latency_s > busiest * (1.01 if name == "architecture" else 1.001)
    assert prediction.latency_s == pytest.approx(expected.compute_cycles / formulas.CLOCK)


@given(points())
@settings(deadline=None, max_examples=100)
def test_the_one_pass_cascade_on_flat_arrays_equals_its_formula(point: tuple[Sizes, int, int]) -> None:
    s, pe, _ = point
    buffer = 8 * pe * (2 * (s.E + s.F) + 2 + 2 * pe) * (1 + s.B)
    expected = formulas.cascade(s, pe, buffer)
    assume(expected is not None)
    assert expected is not None
    assert_equal(predicted("cascade", "flat_serial_exp", s, pe, buffer), expected)


@given(points(), st.sampled_from([8, 16, 64, 128]), st.integers(0, 20))
@settings(deadline=None, max_examples=100)
def test_three_phases_equal_their_formula(point: tuple[Sizes, int, int], e: int, grow: int) -> None:
    s, pe, _ = point
    s = Sizes(s.B, s.H, e, s.F, s.M, s.P * (e // 8))  # so that the reloads divide the queries
    least = max(4 * s.M, 2 * s.P * max(e, s.F) // (e // 8) + 2 * pe * max(e, s.F), 2 * s.P * s.F + 2 * pe * s.F)
    buffer = least * (20 + grow) // 20
    assert_equal(predicted("unfused", "flat", s, pe, buffer), formulas.unfused(s, pe, buffer))


@given(
    st.integers(1, 8),
    st.integers(1, 24),
    st.sampled_from([64, 128]),
    st.integers(1, 256),
    st.integers(1, 1024),
    st.sampled_from([256, 512, 1024, 4096, 16384, 65536, 262144]),
    st.integers(30, 60),
)
@settings(deadline=None, max_examples=150)
def test_flat_equals_its_formula_also_where_the_buffer_overflows(
    b: int, h: int, e: int, f: int, key_tiles: int, queries: int, mebibytes: int
) -> None:
    s = Sizes(b, h, e, f, 256 * key_tiles, queries)
    assert_equal(predicted("flat", "flat", s, 256, mebibytes << 20), formulas.flat(s, 256, mebibytes << 20))


@pytest.mark.parametrize("name", ["cascade", "architecture", "binding"])
@given(sizes(256, st.integers(4, 256)), st.integers(0, 6))
@example(Sizes(64, 12, 64, 64, 1 << 20, 1 << 20), 0)
@example(Sizes(64, 12, 64, 64, 1 << 18, 1 << 18), 0)  # a third of the running values wraps
@settings(deadline=None, max_examples=60)
def test_energy_under_the_artifact_s_accounting_equals_its_formula(name: str, s: Sizes, doublings: int) -> None:
    s = Sizes(s.B, s.H, s.E, s.F, s.M << doublings, s.P << doublings)
    prediction = predict_point(name, "BERT", s.M, asdict(s))
    expected = formulas.one_pass_energy_pj(name, s, int(prediction.params["P1"]), prediction.traffic_bytes["dram"])
    assert artifact_energy_pj(name, prediction) == pytest.approx(expected, rel=1e-3)


def test_a_buffer_that_holds_no_tile_is_an_error_with_a_remedy() -> None:
    s = Sizes(B=1, H=1, E=64, F=64, M=1024, P=1024)
    assert formulas.fusemax(s, 256, 1 << 16, interleaved=True) is None
    with pytest.raises(LightboundError, match=r"global_buffer.*too small.*Enlarge"):
        predicted("binding", "fusemax", s, 256, 1 << 16)


BERT_1K = Sizes(B=64, H=12, E=64, F=64, M=1024, P=1024)
XLM_256K = Sizes(B=64, H=16, E=128, F=128, M=262144, P=262144)


@pytest.mark.parametrize(
    ("name", "machine_name", "s", "cycles", "params"),
    [
        ("binding", "fusemax", BERT_1K, 1_892_352, {"P1": 4}),
        ("architecture", "fusemax", BERT_1K, 5_627_904, {"P1": 4}),
        ("cascade", "flat_serial_exp", BERT_1K, 14_413_824, {"P1": 4}),
        ("flat", "flat", BERT_1K, 12_582_912, {}),
        ("binding", "fusemax", XLM_256K, 285_749_542_912, {"P1": 64}),
        ("architecture", "fusemax", XLM_256K, 697_932_185_600, {"P1": 64}),
        ("cascade", "flat_serial_exp", XLM_256K, 1_379_892_461_568, {"P1": 32}),
    ],
)
def test_worked_points_take_the_cycles_of_the_article(
    name: str, machine_name: str, s: Sizes, cycles: int, params: dict[str, int]
) -> None:
    prediction = simulate(workload("fusemax").with_sizes(**asdict(s)), machine(machine_name), name)
    assert prediction.latency_s == pytest.approx(cycles / formulas.CLOCK, rel=TOLERANCE)
    assert {key: prediction.params[key] for key in params} == params


def test_worked_points_wait_for_what_the_article_says() -> None:
    at = {
        (name, s.M): simulate(workload("fusemax").with_sizes(**asdict(s)), machine(hardware), name)
        for name, hardware, s in (
            ("binding", "fusemax", BERT_1K),
            ("binding", "fusemax", XLM_256K),
            ("cascade", "flat_serial_exp", XLM_256K),
            ("flat", "flat", XLM_256K),
            ("unfused", "flat", XLM_256K),
        )
    }
    assert at["binding", 1024].busy_s["2d"] * formulas.CLOCK == pytest.approx(1_683_456)
    assert at["binding", 1024].busy_s["dram"] == pytest.approx(9.375e-4)
    assert at["binding", 262144].busy_s["dram"] == pytest.approx(5.44)
    assert at["cascade", 262144].busy_s["dram"] == pytest.approx(10.56)
    assert at["flat", 262144].latency_s == pytest.approx(1392.96)
    assert at["flat", 262144].traffic_bytes["dram"] == 598_271_764_463_616
    assert at["flat", 262144].bottleneck == "dram"
    assert at["unfused", 262144].latency_s == pytest.approx(1830.4932, abs=5e-5)
    assert {at["binding", length].bottleneck for length in (1024, 262144)} == {"1d"}
