"""Contexts that contend for units: between one after the other and perfect overlap, and exact where it is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.sim.contention import Port, cycle_time, stretches

demands = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=4).filter(lambda values: sum(values) > 0.1)


@given(demands, st.floats(0.0, 50.0))
def test_one_context_goes_through_everything_one_after_the_other(times: list[float], delay: float) -> None:
    assert cycle_time(times, 1, delay) == pytest.approx(sum(times) + delay)


@given(demands, st.integers(1, 12), st.floats(0.0, 50.0))
def test_contention_lies_between_one_after_the_other_and_perfect_overlap(
    times: list[float], contexts: int, delay: float
) -> None:
    perfect = max(max(times), (sum(times) + delay) / contexts)
    assert perfect * (1 - 1e-9) <= cycle_time(times, contexts, delay) <= (sum(times) + delay) * (1 + 1e-9)


@given(demands, st.integers(1, 10), st.floats(0.0, 50.0))
def test_another_context_never_slows_an_epoch(times: list[float], contexts: int, delay: float) -> None:
    assert cycle_time(times, contexts + 1, delay) <= cycle_time(times, contexts, delay) * (1 + 1e-9)


@given(st.floats(0.1, 50.0), st.integers(2, 5), st.integers(1, 8))
def test_balanced_units_reach_the_textbook_share_of_perfect_overlap(demand: float, units: int, contexts: int) -> None:
    """A balanced closed network of M stations with N customers has throughput N / (D (N + M - 1))."""
    assert cycle_time([demand] * units, contexts) == pytest.approx(demand * (contexts + units - 1) / contexts)


@pytest.mark.parametrize(
    ("times", "delay", "expected"),
    [((16, 8, 5.7), 3.0, 21.7), ((8, 8, 5.5), 4.1, 15.9), ((48.7, 8, 2.3), 4.1, 50.9)],
)
def test_attention_tiles_take_what_a_second_implementation_found(
    times: tuple[float, ...], delay: float, expected: float
) -> None:
    """Cycles for 32 scores with two contexts; found by another program for the same network, to its printed digit.

    In order: warp-specialised attention on H100 for head dimensions of 128 and 64, and FlashAttention-2 on A100.
    """
    assert cycle_time(times, 2, delay) == pytest.approx(expected, abs=0.06)


@given(demands, st.integers(1, 8), st.floats(0.0, 50.0), st.floats(0.0, 100.0))
def test_work_that_nobody_awaits_slows_those_who_wait_and_never_fits_in_less_than_its_own_time(
    times: list[float], contexts: int, delay: float, load: float
) -> None:
    alone = cycle_time(times, contexts, delay)
    beside = cycle_time(times, contexts, delay, [load] + [0.0] * (len(times) - 1))
    assert beside >= alone * (1 - 1e-9)
    assert beside >= times[0] + load - 1e-9
    assert beside <= cycle_time([times[0] + load, *times[1:]], 1, delay) * (1 + 1e-6)  # waiting for it is worse


@given(st.integers(1, 8), st.floats(1.0, 50.0), st.floats(0.0, 1.0), st.floats(0.1, 50.0))
def test_a_port_slows_those_who_need_it_and_is_never_busy_for_more_than_all_of_the_time(
    contexts: int, work: float, part: float, other: float
) -> None:
    port = Port([part * work, 0.0], [0.0, other])
    alone, beside = (cycle_time([work, other], contexts, 0.0, None, ports) for ports in ([], [port]))
    assert beside >= alone * (1 - 1e-9)
    assert beside >= part * work + other - 1e-9
    if contexts == 1:
        assert beside == pytest.approx(work + other)  # nobody waits for himself


def test_what_a_port_leaves_is_what_the_probe_of_an_h200_measured() -> None:
    """Matrix instructions at their full rate hold 3/4 of the issue slots: FP32 work gets a quarter, and exponentials,
    which take 8 cycles and one slot, three quarters of their rate (measured: 0.245 and 0.757).
    """
    fp32, exponential = (stretches([1.0, each], 1e9, 1.0, [Port([0.75, 0.0], [0.0, 1.0])])[1] for each in (1.0, 8.0))
    assert 1 / fp32 == pytest.approx(0.245, abs=0.01)
    assert 1 / exponential == pytest.approx(0.757, abs=0.04)
