from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.validate.statistics import error_statistics, rank_correlation

POSITIVE = st.floats(1e-6, 1e6)


def test_errors_of_a_worked_group() -> None:
    found = error_statistics("g", "latency_s", [1.1, 1.8, 3.0, 4.4], [1.0, 2.0, 3.0, 4.0])
    assert (found.group, found.metric, found.n) == ("g", "latency_s", 4)
    assert found.mape == pytest.approx((0.1 + 0.1 + 0 + 0.1) / 4)
    assert found.median == pytest.approx(0.1)
    assert found.max == pytest.approx(0.1)
    assert found.bias == pytest.approx((0.1 - 0.1 + 0 + 0.1) / 4)
    assert found.rank_correlation == 1


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=30))
def test_statistics_stand_in_their_order(pairs: list[tuple[float, float]]) -> None:
    predicted, reference = zip(*pairs, strict=True)
    found = error_statistics("g", "m", predicted, reference)
    assert abs(found.bias) <= found.mape * (1 + 1e-12)
    assert 0 <= found.median <= found.max
    assert found.mape <= found.max * (1 + 1e-12)


@given(st.lists(POSITIVE, min_size=1, max_size=30), st.floats(0.5, 2))
def test_a_constant_factor_is_all_bias_and_no_disorder(reference: list[float], factor: float) -> None:
    found = error_statistics("g", "m", [factor * value for value in reference], reference)
    assert found.bias == pytest.approx(factor - 1, abs=1e-9)
    assert found.max == pytest.approx(abs(factor - 1), abs=1e-9)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=30))
def test_rank_correlation_sees_order_alone(values: list[int]) -> None:
    found = rank_correlation(values, [math.exp(value / 10) for value in values])
    assert found is None if len(set(values)) == 1 else found == pytest.approx(1)
    backwards = rank_correlation(values, [-value for value in values])
    assert backwards is None if len(set(values)) == 1 else backwards == pytest.approx(-1)


def test_rank_correlation_of_a_worked_example_with_a_tie() -> None:
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: Pearson's correlation of these
    assert rank_correlation([1, 5, 5, 9], [10, 20, 30, 40]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_values_that_differ_by_rounding_make_no_order() -> None:
    assert rank_correlation([1.0, 1.0 + 2e-16, 2.0], [3.0, 3.0, 4.0]) == pytest.approx(1)
    assert rank_correlation([1.0, 1.0 + 2e-16], [1.0, 2.0]) is None
