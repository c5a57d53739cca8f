"""Cascades compute what PyTorch and plain numpy compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lightbound.base.errors import LightboundError
from lightbound.workloads.cascade import Cascade

THREE_PASS = Cascade.parse("""
    QK[b,h,m,p] = sum(Q[b,h,p,e] * K[b,h,m,e], e)
    GM[b,h,p] = max(QK[b,h,m,p], m)
    SN[b,h,m,p] = exp(QK[b,h,m,p] - GM[b,h,p])
    SD[b,h,p] = sum(SN[b,h,m,p], m)
    A[b,h,m,p] = SN[b,h,m,p] / SD[b,h,p]
    AV[b,h,p,f] = sum(A[b,h,m,p] * V[b,h,m,f], m)
""")
TWO_PASS = Cascade.parse("""
    BQK[b,h,m1,m0,p] = sum(Q[b,h,p,e] * K[b,h,m1*M0+m0,e], e)
    LM[b,h,m1,p] = max(BQK[b,h,m1,m0,p], m0)
    GM[b,h,p] = max(LM[b,h,m1,p], m1)
    SLN[b,h,m1,m0,p] = exp(BQK[b,h,m1,m0,p] - LM[b,h,m1,p])
    SLD[b,h,m1,p] = sum(SLN[b,h,m1,m0,p], m0)
    CF[b,h,m1,p] = exp(LM[b,h,m1,p] - GM[b,h,p])
    SD[b,h,p] = sum(SLD[b,h,m1,p] * CF[b,h,m1,p], m1)
    A[b,h,m1,m0,p] = SLN[b,h,m1,m0,p] * (CF[b,h,m1,p] / SD[b,h,p])
    AV[b,h,p,f] = sum(A[b,h,m1,m0,p] * V[b,h,m1*M0+m0,f], m1, m0)
""")
ONE_PASS = Cascade.parse("""
    BQK[b,h,m1,m0,p] = sum(Q[b,h,p,e] * K[b,h,m1*M0+m0,e], e)
    LM[b,h,m1,p] = max(BQK[b,h,m1,m0,p], m0)
    RM[b,h,0,p] = -inf
    RM[b,h,m1+1,p] = max(RM[b,h,m1,p], LM[b,h,m1,p])
    SLN[b,h,m1,m0,p] = exp(BQK[b,h,m1,m0,p] - RM[b,h,m1+1,p])
    SLD[b,h,m1,p] = sum(SLN[b,h,m1,m0,p], m0)
    SLNV[b,h,f,m1,p] = sum(SLN[b,h,m1,m0,p] * V[b,h,m1*M0+m0,f], m0)
    PRM[b,h,m1,p] = exp(RM[b,h,m1,p] - RM[b,h,m1+1,p])
    RD[b,h,0,p] = 0
    SPD[b,h,m1,p] = RD[b,h,m1,p] * PRM[b,h,m1,p]
    RD[b,h,m1+1,p] = SLD[b,h,m1,p] + SPD[b,h,m1,p]
    RNV[b,h,f,0,p] = 0
    SPNV[b,h,f,m1,p] = RNV[b,h,f,m1,p] * PRM[b,h,m1,p]
    RNV[b,h,f,m1+1,p] = SLNV[b,h,f,m1,p] + SPNV[b,h,f,m1,p]
    AV[b,h,p,f] = RNV[b,h,f,M1,p] / RD[b,h,M1,p]
""")
size = st.integers(1, 7)
seeds = st.integers(0, 2**32 - 1)


def normal(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=shape) for shape in shapes]


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, **options: object) -> np.ndarray:
    """PyTorch's attention in float64."""
    tensors = (torch.from_numpy(array) for array in (q, k, v))
    return functional.scaled_dot_product_attention(*tensors, scale=1.0, **options).numpy()  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(b=size, h=size, p=size, e=size, f=size, m1=size, m0=size, seed=seeds)
def test_all_three_published_attention_cascades_are_attention(
    b: int, h: int, p: int, e: int, f: int, m1: int, m0: int, seed: int
) -> None:
    q, k, v = normal(seed, (b, h, p, e), (b, h, m1 * m0, e), (b, h, m1 * m0, f))
    expected = attention(q, k, v)
    inputs = {"Q": q, "K": k, "V": v}
    assert np.abs(THREE_PASS.evaluate(inputs)["AV"] - expected).max() <= 1e-12
    assert np.abs(TWO_PASS.evaluate(inputs, M0=m0)["AV"] - expected).max() <= 1e-12
    assert np.abs(ONE_PASS.evaluate(inputs, M0=m0)["AV"] - expected).max() <= 1e-12


def test_the_iterates_of_a_running_tensor_are_kept_with_its_first_value() -> None:
    q, k, v = normal(1, (1, 1, 2, 3), (1, 1, 6, 3), (1, 1, 6, 4))
    tensors = ONE_PASS.evaluate({"Q": q, "K": k, "V": v}, keep="all", M0=2)
    scores = (q @ k.swapaxes(2, 3)).reshape(2, 3, 2)
    assert tensors["RM"].shape == (1, 1, 4, 2)
    assert np.all(tensors["RM"][:, :, 0] == -np.inf)
    assert np.array_equal(tensors["RM"][0, 0, 1:].T, np.maximum.accumulate(scores.max(2), axis=1))
    assert set(tensors) == set(ONE_PASS.tensors)


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_independent_lines_of_a_recurrence_changes_nothing(random: Any) -> None:
    names = nx.lexicographical_topological_sort(ONE_PASS.graph, key=lambda _: random.random())
    shuffled = Cascade("shuffled", tuple(map(ONE_PASS.einsum, names)), ONE_PASS.initial)
    q, k, v = normal(10, (1, 2, 3, 4), (1, 2, 6, 4), (1, 2, 6, 5))
    inputs = {"Q": q, "K": k, "V": v}
    assert np.array_equal(shuffled.evaluate(inputs, M0=2)["AV"], ONE_PASS.evaluate(inputs, M0=2)["AV"])
    assert shuffled.outputs == ONE_PASS.outputs and set(shuffled.graph.edges) == set(ONE_PASS.graph.edges)


def test_a_condition_on_indices_is_a_causal_mask() -> None:
    cascade = Cascade.parse("""
        S[p,m] = sum(Q[p,e] * K[m,e], e)
        Z[p,m] = where(m <= p, S[p,m], -inf)
        G[p] = max(Z[p,m], m)
        N[p,m] = exp(Z[p,m] - G[p])
        O[p,f] = sum(N[p,m] * V[m,f], m) / sum(N[p,m], m)
    """)
    q, k, v = normal(2, (6, 4), (6, 4), (6, 3))
    expected = attention(q, k, v, is_causal=True)
    assert np.abs(cascade.evaluate({"Q": q, "K": k, "V": v})["O"] - expected).max() <= 1e-12


def test_a_window_a_block_and_a_document_are_conditions_too() -> None:
    cascade = Cascade.parse("""
        W: size
        A[p,m] = where(p - W < m <= p, 1, 0)
        B[p,m] = where(p // W == m // W and p % W >= m % W, 1, 0)
        C[p,m] = where(D[p] == D[m] or not m != 0, 1, 0)
    """)
    documents = np.array([0, 0, 1, 1, 1, 2])
    found = cascade.evaluate({"D": documents}, W=2)
    p, m = np.mgrid[:6, :6]
    assert np.array_equal(found["A"], (m <= p) & (m > p - 2))
    assert np.array_equal(found["B"], (p // 2 == m // 2) & (p % 2 >= m % 2))
    assert np.array_equal(found["C"], (documents[:, None] == documents) | (m == 0))


@pytest.mark.parametrize(
    ("op", "prefix"),
    [("sum", np.cumsum), ("prod", np.cumprod), ("max", np.maximum.accumulate), ("min", np.minimum.accumulate)],
)
def test_a_scan_is_an_inclusive_prefix(op: str, prefix: Callable[..., np.ndarray]) -> None:
    cascade = Cascade.parse(f"Y[d,t] = 2 * scan({op}, X[t,d] + 1, t)")
    (x,) = normal(3, (5, 3))
    assert np.array_equal(cascade.evaluate({"X": x})["Y"], 2 * prefix(x + 1, axis=0).T)


def test_gathered_attention_over_the_largest_scores_is_attention_under_that_mask() -> None:
    cascade = Cascade.parse("""
        S[p,m] = sum(Q[p,e] * K[m,e], e)
        I[p,k] = topk(S[p,m], m)
        T[p,k] = sum(Q[p,e] * K[I[p,k],e], e)
        G[p] = max(T[p,k], k)
        N[p,k] = exp(T[p,k] - G[p])
        O[p,f] = sum(N[p,k] * V[I[p,k],f], k) / sum(N[p,k], k)
        V: [M, F]
    """)
    q, k, v = normal(4, (5, 4), (9, 4), (9, 3))
    scores = torch.from_numpy(q @ k.T)
    chosen = torch.zeros_like(scores, dtype=torch.bool).scatter(1, scores.topk(3).indices, True)
    tensors = cascade.evaluate({"Q": q, "K": k, "V": v}, K=3, keep="all")
    assert np.array_equal(tensors["I"], scores.topk(3).indices.numpy())
    assert np.abs(tensors["O"] - attention(q, k, v, attn_mask=chosen)).max() <= 1e-12


def test_equal_values_are_chosen_lowest_position_first_and_no_more_than_there_are() -> None:
    cascade = Cascade.parse("I[k] = topk(X[m], m)")
    assert cascade.evaluate({"X": [1, 3, 3, 2]}, K=3)["I"].tolist() == [1, 2, 3]
    with pytest.raises(LightboundError, match=r"sizes\.K = 5: is more than the 4"):
        cascade.evaluate({"X": [1, 3, 3, 2]}, K=5)


def test_a_three_by_three_convolution_pads_with_zeros_and_strides() -> None:
    x, w = normal(5, (2, 8, 9, 3), (5, 3, 3, 3))
    images, filters = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(w).permute(0, 3, 1, 2)
    same = Cascade.parse("""
        X: [N, Y, Z, C]
        O[n,y,z,k] = sum(X[n,y+r-1,z+s-1,c] * W[k,r,s,c], r, s, c)
    """)
    expected = functional.conv2d(images, filters, padding=1).permute(0, 2, 3, 1).numpy()
    assert np.abs(same.evaluate({"X": x, "W": w})["O"] - expected).max() <= 1e-12
    strided = Cascade.parse("O[n,y,z,k] = sum(X[n,y*2+r,z*2+s,c] * W[k,r,s,c], r, s, c)")
    expected = functional.conv2d(images[:, :, :7], filters, stride=2).permute(0, 2, 3, 1).numpy()
    assert np.abs(strided.evaluate({"X": x[:, :7], "W": w}, Y=3, Z=4)["O"] - expected).max() <= 1e-12


@settings(max_examples=15, deadline=None)
@given(c=size, i=size, d=size, e=size, seed=seeds)
def test_chunked_linear_attention_with_decay_is_its_direct_form(c: int, i: int, d: int, e: int, seed: int) -> None:
    cascade = Cascade.parse("""
        P[c,i,j] = sum(Q[c,i,d] * K[c,j,d], d)
        OI[c,i,e] = sum(where(j <= i, P[c,i,j] * L ** (i - j), 0) * V[c,j,e], j)
        OX[c,i,e] = L ** (i + 1) * sum(Q[c,i,d] * S[c,d,e], d)
        S[0,d,e] = 0
        S[c+1,d,e] = L ** I * S[c,d,e] + sum(L ** (I - 1 - i) * K[c,i,d] * V[c,i,e], i)
        O[c,i,e] = OI[c,i,e] + OX[c,i,e]
        L: []
    """)
    q, k, v = normal(seed, (c, i, d), (c, i, d), (c, i, e))
    decay = 0.9
    n = c * i
    weight = (q.reshape(n, d) @ k.reshape(n, d).T) * np.tril(decay ** np.subtract.outer(np.arange(n), np.arange(n)))
    # The rank j runs over the same chunk as i, so that its size has to be said.
    found = cascade.evaluate({"Q": q, "K": k, "V": v, "L": decay}, J=i)["O"]
    assert np.abs(found.reshape(n, e) - weight @ v.reshape(n, e)).max() <= 1e-10


def test_a_prefix_of_softmax_states_is_causal_attention_with_one_query() -> None:
    cascade = Cascade.parse("""
        S[t] = sum(Q[e] * K[t,e], e)
        R[0] = -inf
        R[t+1] = max(R[t], S[t])
        U[0] = 0
        U[t+1] = U[t] * exp(R[t] - R[t+1]) + exp(S[t] - R[t+1])
        W[0,f] = 0
        W[t+1,f] = W[t,f] * exp(R[t] - R[t+1]) + exp(S[t] - R[t+1]) * V[t,f]
        O[t,f] = W[t+1,f] / U[t+1]
    """)
    q, k, v = normal(6, (4,), (7, 4), (7, 3))
    expected = attention(np.tile(q, (7, 1)), k, v, is_causal=True)
    assert np.abs(cascade.evaluate({"Q": q, "K": k, "V": v})["O"] - expected).max() <= 1e-12


def test_a_recurrence_may_run_inside_another() -> None:
    """A slow state moves once a chunk; a fast one starts from it in each chunk and moves once a token."""
    cascade = Cascade.parse("""
        W[0] = 0
        S[n,0] = W[n]
        S[n,t+1] = 0.5 * S[n,t] + X[n,t]
        W[n+1] = W[n] + S[n,T]
        Y[n,t] = S[n,t+1]
    """)
    (x,) = normal(7, (3, 4))
    slow, expected = 0.0, np.empty((3, 4))
    for n in range(3):
        fast = slow
        for t in range(4):
            fast = expected[n, t] = 0.5 * fast + x[n, t]
        slow += fast
    assert np.abs(cascade.evaluate({"X": x})["Y"] - expected).max() <= 1e-12


def test_a_table_may_be_filled_along_two_ranks() -> None:
    """The cheapest way through a grid, right or down: both ranks are iterated."""
    cascade = Cascade.parse("""
        D[0,j+1] = inf
        D[i+1,0] = where(i == 0, 0, inf)
        D[i+1,j+1] = min(D[i,j+1], D[i+1,j]) + C[i,j]
        Y = D[I,J]
    """)
    (cost,) = normal(8, (4, 5))
    best = np.full((5, 6), np.inf)
    best[1, 0] = 0
    for i in range(4):
        for j in range(5):
            best[i + 1, j + 1] = min(best[i, j + 1], best[i + 1, j]) + cost[i, j]
    assert cascade.evaluate({"C": cost})["Y"] == pytest.approx(best[4, 5], abs=1e-12)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("exp", torch.exp), ("log", torch.log), ("sqrt", torch.sqrt), ("rsqrt", torch.rsqrt), ("tanh", torch.tanh),
        ("sigmoid", torch.sigmoid), ("relu", torch.relu), ("gelu", functional.gelu), ("silu", functional.silu),
        ("abs", torch.abs), ("sin", torch.sin), ("cos", torch.cos), ("softplus", functional.softplus),
        ("erf", torch.erf),
    ],
)  # fmt: skip
def test_every_function_is_the_one_of_the_same_name(name: str, function: Callable[..., torch.Tensor]) -> None:
    positive = name in ("log", "sqrt", "rsqrt")
    x = np.array([1e-3, 0.5, 1.0, 7.0, 30.0] if positive else [-800.0, -3.0, -0.5, 0.0, 0.5, 3.0, 19.0])
    expected = function(torch.from_numpy(x)).numpy()
    found = Cascade.parse(f"Y[p] = {name}(X[p])").evaluate({"X": x})["Y"]
    assert np.allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_constants_are_numbers_sizes_and_pi() -> None:
    cascade = Cascade.parse("Y[p] = X[p] * sqrt(2 * P) - pi / P + min(P, 2) ** 2 + max(X[p], -inf)")
    assert np.allclose(cascade.evaluate({"X": [1.0, 2.0]})["Y"], np.array([1, 2]) * 2 - np.pi / 2 + 4 + [1, 2])


def test_a_fraction_beside_a_rank_stays_a_fraction() -> None:
    found = Cascade.parse("Y[p] = X[p] + (p + sqrt(P)) + (p * P / 4) - (P / 4 - p)").evaluate({"X": [0.0, 0.0, 0.0]})
    assert np.allclose(found["Y"], np.arange(3) * 2.75 + np.sqrt(3) - 0.75)


def test_index_tensors_may_hold_what_is_outside_and_read_zero_there() -> None:
    cascade = Cascade.parse("X: [N]\nY[p] = X[I[p]]")
    assert cascade.evaluate({"X": [5.0, 6.0], "I": [1, -1, 0, 2]})["Y"].tolist() == [6, 0, 5, 0]


def test_a_split_rank_on_the_left_joins_what_was_apart() -> None:
    (x,) = normal(9, (3, 4))
    joined = Cascade.parse("Y[h*E+e] = X[h,e] * 1\nZ[c] = Y[C-1-c]")
    assert np.array_equal(joined.evaluate({"X": x}, C=12)["Z"], x.reshape(12)[::-1])


def test_sizes_come_from_the_inputs_or_from_the_caller() -> None:
    cascade = Cascade.parse("Y[m1] = sum(X[m1*M0+m0], m0)")
    assert cascade.evaluate({"X": np.ones(6)}, M0=3)["Y"].tolist() == [3, 3]
    assert cascade.evaluate({"X": np.ones(6)}, M1=3)["Y"].tolist() == [2, 2, 2]
    with pytest.raises(LightboundError, match=r"sizes\.M0: cannot be told from the inputs"):
        cascade.evaluate({"X": np.ones(6)})
    with pytest.raises(LightboundError, match="does not divide M=6"):
        cascade.evaluate({"X": np.ones(6)}, M0=4)


@pytest.mark.parametrize(
    ("inputs", "options", "problem"),
    [
        ({"A": np.ones((2, 3))}, {}, r"inputs\.B: is missing.*A, B"),
        ({"A": np.ones((2, 3)), "B": np.ones(3), "C": 1}, {}, r"inputs\.C: is not an input"),
        ({"A": np.ones((2, 3)), "B": np.ones(4)}, {}, r"inputs\.B = \(4,\): does not have the shape \(3,\)"),
        ({"A": np.ones((2, 3)), "B": np.ones((3, 1))}, {}, r"inputs\.B = \(3, 1\): does not have the shape"),
        ({"A": np.ones((2, 3)), "B": np.ones(3)}, {"P": 4}, r"inputs\.A = \(2, 3\): does not have the shape \(4, 3\)"),
        ({"A": np.ones((2, 3)), "B": "three"}, {}, r"inputs\.B = str: is no array"),
        ({"A": np.ones((2, 0)), "B": np.ones(0)}, {}, r"sizes\.K: cannot be told"),
        ({"A": np.ones((2, 3)), "B": np.ones(3)}, {"keep": "some"}, "keep = some: is not known"),
        ({"A": np.ones((2, 3)), "B": np.ones(3)}, {"P": np.array([2, 3])}, r"is a sweep"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict, options: dict, problem: str) -> None:
    cascade = Cascade.parse("Y[p] = sum(A[p,k] * B[k], k)")
    with pytest.raises(LightboundError, match=problem):
        cascade.evaluate(inputs, **options)
