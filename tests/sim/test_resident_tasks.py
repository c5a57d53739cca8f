"""Tasks dealt over instances: bounds that no schedule breaks, and instances that work on several tasks at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.sim.makespan import dealt, dealt_resident, shortest

TIMES = st.lists(st.integers(1, 50), min_size=1, max_size=40).map(lambda values: np.array(values, np.float64))


@given(TIMES, st.integers(1, 3), st.integers(1, 9))
def test_no_dealing_ends_before_the_bound(times: np.ndarray, copies: int, workers: int) -> None:
    assert dealt(times, copies, workers) >= shortest(times, copies, workers) * (1 - 1e-12)


@given(TIMES, st.integers(1, 3), st.integers(1, 9))
def test_one_task_at_a_time_is_dealing_to_workers(times: np.ndarray, copies: int, instances: int) -> None:
    assert dealt_resident(times, copies, instances, [1.0]) == dealt(times, copies, instances)


@given(TIMES, st.integers(1, 3), st.integers(2, 4))
def test_sharing_that_gains_nothing_takes_one_instance_as_long_as_all_tasks(
    times: np.ndarray, copies: int, resident: int
) -> None:
    speeds = [1 / tasks for tasks in range(1, resident + 1)]
    assert dealt_resident(times, copies, 1, speeds) == pytest.approx(times.sum() * copies)


@given(TIMES, st.integers(1, 3), st.integers(1, 9), st.integers(1, 4))
def test_tasks_that_do_not_hinder_each_other_are_as_if_dealt_to_more_workers(
    times: np.ndarray, copies: int, instances: int, resident: int
) -> None:
    found = dealt_resident(times, copies, instances, [1.0] * resident)
    assert found == pytest.approx(dealt(times, copies, instances * resident))


@given(TIMES, st.integers(1, 9), st.floats(0.5, 1.0))
def test_two_at_once_end_between_all_gained_and_nothing_gained(times: np.ndarray, instances: int, speed: float) -> None:
    found = dealt_resident(times, 1, instances, [1.0, speed])
    assert found >= max(times.max(), times.sum() / (2 * speed * instances)) * (1 - 1e-9)
    assert found <= times.sum() / speed


def test_the_last_task_alone_runs_at_its_own_speed() -> None:
    """Two tasks of 10 share an instance at half speed each, a third follows alone: 20, then 10."""
    assert dealt_resident(np.array([10.0, 10.0, 10.0]), 1, 1, [1.0, 0.5]) == pytest.approx(30)
    assert dealt_resident(np.array([10.0, 10.0, 10.0]), 1, 1, [0.5, 0.5]) == pytest.approx(40)
