"""Fronts of points that no other point beats."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lightbound.sim.sweep.pareto import front

COSTS = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 5), min_size=width, max_size=width), min_size=1, max_size=40)
)


@given(COSTS)
def test_a_front_is_what_comparing_all_pairs_finds(costs: list[list[int]]) -> None:
    table = np.array(costs, dtype=float)

    def beaten(row: list[int]) -> bool:
        return any(other != row and all(a <= b for a, b in zip(other, row, strict=True)) for other in costs)

    wanted = [at for at, row in enumerate(costs) if row not in costs[:at] and not beaten(row)]
    assert front(table).tolist() == wanted


def test_points_without_an_answer_are_on_no_front() -> None:
    assert front(np.array([[np.nan, 0.0], [1.0, 1.0], [0.0, np.nan]])).tolist() == [1]


def test_the_front_of_many_points_takes_no_time() -> None:
    random = np.random.default_rng(0)
    table = random.random((200_000, 3))
    chosen = front(table)
    assert 10 < len(chosen) < 1000
    assert not (table[:, None] < table[chosen[:20]]).all(axis=2).any()
