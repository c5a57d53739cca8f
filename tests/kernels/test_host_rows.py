"""Products, softmax, exponentials and recurrences of the host against float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.kernels import host

from .host_references import TOLERANCE, apart, linear_attention, prefix_attention

EXAMPLES = settings(max_examples=25, deadline=None)


def softmax_of(x: np.ndarray) -> np.ndarray:
    exact = np.exp(x.astype(float) - x.max(axis=1, initial=-np.inf, keepdims=True).astype(float))
    return exact / exact.sum(axis=1, keepdims=True) if x.shape[1] else exact


@EXAMPLES
@given(
    seed=st.integers(0, 999), batch=st.integers(0, 2), m=st.integers(0, 300), n=st.integers(0, 150),
    k=st.integers(0, 600), transposed=st.booleans(), threads=st.integers(1, 3),
)  # fmt: skip
def test_a_product_is_a_product(seed: int, batch: int, m: int, n: int, k: int, transposed: bool, threads: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((batch, m, k)).astype(np.float32)
    b = rng.standard_normal((batch, k, n)).astype(np.float32)
    given_b = np.ascontiguousarray(np.swapaxes(b, 1, 2)) if transposed else b
    found = host.gemm(a, given_b, transposed, scale=0.5, threads=threads)
    exact = 0.5 * (a.astype(np.float64) @ b.astype(np.float64))
    terms = 0.5 * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64))
    assert apart(found, exact, terms) <= TOLERANCE


@EXAMPLES
@given(seed=st.integers(0, 999), rows=st.integers(0, 40), columns=st.integers(0, 400), spread=st.sampled_from([1, 40]))
def test_softmax_is_softmax(seed: int, rows: int, columns: int, spread: int) -> None:
    x = (spread * np.random.default_rng(seed).standard_normal((rows, columns))).astype(np.float32)
    assert apart(host.softmax(x, threads=2), softmax_of(x)) <= TOLERANCE


@EXAMPLES
@given(
    seed=st.integers(0, 999), rows=st.integers(1, 5), columns=st.integers(900, 9000),
    spread=st.sampled_from([0.1, 10, 1000]), slope=st.sampled_from([-200, 0, 200]),
)  # fmt: skip
def test_softmax_of_long_rows_is_softmax(seed: int, rows: int, columns: int, spread: float, slope: float) -> None:
    """Pieces of a row are counted from largest elements of their own, which may lie far apart."""
    x = (spread * np.random.default_rng(seed).standard_normal((rows, columns))).astype(np.float32)
    x += slope * np.linspace(0, 1, columns, dtype=np.float32)
    assert apart(host.softmax(x, threads=1), softmax_of(x)) <= TOLERANCE
    host.softmax(x, threads=1, out=(in_place := x.copy()))
    assert apart(in_place, softmax_of(x)) <= TOLERANCE


@pytest.mark.parametrize(
    ("rows", "columns", "by"), [(3000, 1536, 0), (70, 70_000, 0), (3000, 1530, 0), (3000, 1536, 3)]
)
def test_what_exceeds_all_caches_is_the_same_past_them(rows: int, columns: int, by: int) -> None:
    """In whole lines, in others, and at any address, by threads; beside what a call of few rows computes."""
    size, beside = rows * columns, np.float32(7)
    x = np.random.default_rng(1).standard_normal((rows, columns), dtype=np.float32)
    room = np.full(size + 64, beside, np.float32)
    first = -room.ctypes.data // 4 % 16 + by
    out = room[first : first + size].reshape(rows, columns)
    host.softmax(x, threads=2, out=out)
    for row in range(0, rows, rows // 7):
        assert np.allclose(out[row], host.softmax(x[row : row + 1])[0], rtol=1e-5)
    host.exp(x, threads=2, out=out)
    assert np.array_equal(out[::97], host.exp(np.ascontiguousarray(x[::97])))
    assert (room[:first] == beside).all() and (room[first + size :] == beside).all()


@pytest.mark.parametrize("columns", [1, 16, 500, 1500, 5000, 32769])
def test_softmax_at_the_ends_of_the_range(columns: int) -> None:
    for value in (-2.9e38, -1e38, -1e30, 1e30, 1e38, 3.4e38):
        assert np.allclose(host.softmax(np.full((2, columns), value, np.float32)), 1 / columns, rtol=1e-5)
    x = np.full((3, columns), -np.inf, np.float32)
    x[:, columns // 2] = 3
    assert np.array_equal(host.softmax(x), np.where(x == 3, 1, 0))
    for bad in (np.inf, np.nan):
        x[1, columns // 3] = bad
        found = host.softmax(x)
        assert np.isnan(found[1]).all() and np.isfinite(found[[0, 2]]).all()


def test_exponentials_are_exact_to_a_few_roundings_over_the_whole_range() -> None:
    x = np.linspace(-87.3, 88.7, 400_001).astype(np.float32)
    assert np.max(np.abs(host.exp(x) / np.exp(x.astype(float)) - 1)) < 1e-6
    ends = np.array([-np.inf, -200, -88, 0, 89, 1e30, np.inf, np.nan], np.float32)
    assert np.array_equal(host.exp(ends), np.array([0, 0, 0, 1, np.inf, np.inf, np.inf, np.nan]), equal_nan=True)


@EXAMPLES
@given(
    seed=st.integers(0, 999), heads=st.integers(0, 3), tokens=st.integers(0, 200), e=st.sampled_from([1, 5, 16, 70]),
    f=st.sampled_from([1, 6, 64, 67]), chunk=st.integers(1, 64), fades=st.booleans(),
)  # fmt: skip
def test_linear_attention_is_its_recurrence(
    seed: int, heads: int, tokens: int, e: int, f: int, chunk: int, fades: bool
) -> None:
    rng = np.random.default_rng(seed)
    q, k = (rng.standard_normal((heads, tokens, e)).astype(np.float32) for _ in range(2))
    v = rng.standard_normal((heads, tokens, f)).astype(np.float32)
    state = rng.standard_normal((heads, e, f)).astype(np.float32)
    decay = rng.uniform(0.5, 1, heads).astype(np.float32) if fades else None
    out, left = host.linear_attention(q, k, v, decay, chunk, 0.3, state, threads=2)
    fading = np.ones(heads) if decay is None else decay
    expected, state_left = linear_attention(q, k, v, fading, 0.3, state)
    terms, state_terms = linear_attention(np.abs(q), np.abs(k), np.abs(v), fading, 0.3, np.abs(state))
    assert apart(out, expected, terms) <= TOLERANCE
    assert apart(left, state_left, state_terms) <= TOLERANCE


@EXAMPLES
@given(
    seed=st.integers(0, 999), heads=st.integers(0, 3), tokens=st.integers(0, 300),
    dim=st.sampled_from([0, 1, 16, 21, 33, 96, 132, 176, 260, 300]) | st.integers(0, 150), chunk=st.integers(0, 100),
    spread=st.sampled_from([1, 30, 1000]),
    slope=st.sampled_from([-2000, 0, 20, 2000]),
)  # fmt: skip
def test_both_scans_average_every_prefix(
    seed: int, heads: int, tokens: int, dim: int, chunk: int, spread: int, slope: int
) -> None:
    """Scores are counted from an offset, which moves where they rise far above it: once in a while, or at every one."""
    rng = np.random.default_rng(seed)
    scores = (spread * rng.standard_normal((heads, tokens)) + slope * np.arange(tokens) / 300).astype(np.float32)
    v = rng.standard_normal((heads, tokens, dim)).astype(np.float32)
    assert apart(host.prefix_attention(scores, v, chunk, threads=2), prefix_attention(scores, v)) <= TOLERANCE
