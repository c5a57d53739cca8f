"""Tasks dealt over workers: a schedule like any other, and the bound that none ends before."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.sim.makespan import dealt, dealt_resident, in_sections, shortest

TASKS = st.lists(st.integers(1, 30), min_size=1, max_size=6)


@given(TASKS, st.integers(1, 3))
def test_no_schedule_is_shorter_than_the_bound_and_dealing_is_a_schedule(tasks: list[int], workers: int) -> None:
    times = np.array(tasks, np.float64)
    best = min(
        max(
            sum(time for time, place in zip(tasks, places, strict=True) if place == worker) for worker in range(workers)
        )
        for places in product(range(workers), repeat=len(tasks))
    )
    assert shortest(times, 1, workers) <= best <= dealt(times, 1, workers) <= sum(tasks)


@given(st.integers(1, 50), st.integers(1, 200), st.integers(1, 20))
def test_equal_tasks_take_whole_waves(time: int, tasks: int, workers: int) -> None:
    waves = -(-tasks // workers)
    assert dealt(np.full(tasks, time), 1, workers) == pytest.approx(waves * time)
    assert shortest(np.full(tasks, time), 1, workers) == pytest.approx(waves * time)


@given(TASKS, st.integers(1, 7), st.integers(0, 9))
def test_sections_hold_every_task_of_every_copy(tasks: list[int], copies: int, section: int) -> None:
    row = np.array(sorted(tasks, reverse=True), np.float64)
    found = in_sections(row, copies, section)
    assert sorted(found) == sorted(tasks * copies)
    if section in (0, copies):
        assert list(found) == list(np.repeat(row, copies))
    elif section == 1:
        assert list(found) == list(np.tile(row, copies))


@given(TASKS, st.integers(2, 8))
def test_a_longest_task_alone_bounds_the_schedule(tasks: list[int], workers: int) -> None:
    longest = sum(tasks) + 1
    times = np.array([longest, *tasks], np.float64)
    assert shortest(times, 1, workers) == dealt(times, 1, workers) == longest


@given(TASKS, st.integers(1, 4), st.integers(1, 8))
def test_copies_are_tasks_like_any_other(tasks: list[int], copies: int, workers: int) -> None:
    times = np.array(tasks, np.float64)
    assert dealt(times, copies, workers) == dealt(np.tile(times, copies), 1, workers)
    assert shortest(times, copies, workers) == pytest.approx(shortest(np.tile(times, copies), 1, workers))


@pytest.mark.parametrize("heads", [1, 32])
def test_a_task_that_ends_within_rounding_of_another_one_ends(heads: int) -> None:
    """Times of 10^8 cycles and more are whole only to some 10^-8 of a cycle: less than that is no task."""
    times = np.linspace(1.0, 512.0, 512) * (1e5 / 3)
    end = dealt_resident(times[::-1], heads, 132, [0.6, 0.5])
    assert end >= times.sum() * heads / 132 / 2 / 0.6 and np.isfinite(end)
