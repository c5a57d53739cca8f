"""Sizes: what is legal, what follows, what is missing, and the shapes they give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.base.errors import LightboundError
from lightbound.workloads.cascade import Cascade

TILED = Cascade.parse("""
    S[m1,m0,p] = sum(Q[p,e] * K[m1*M0+m0,e], e) / sqrt(M)
    R[0,p] = -inf
    R[m1+1,p] = max(R[m1,p], max(S[m1,m0,p], m0))
    G[p] = R[M1,p]
""")
small = st.integers(1, 9)


@given(m1=small, m0=small)
def test_the_tile_count_follows_from_the_whole_and_the_tile_and_the_other_way_round(m1: int, m0: int) -> None:
    assert TILED.with_sizes(M=m1 * m0, M0=m0).size("m1") == m1
    assert TILED.with_sizes(M1=m1, M0=m0).sizes["M"] == m1 * m0
    assert TILED.with_sizes(M=m1 * m0, M1=m1).size("m0") == m0


def test_another_tile_keeps_the_whole_and_another_whole_keeps_the_tile() -> None:
    cascade = TILED.with_sizes(M=64, M0=8)
    assert cascade.with_sizes(M0=16).sizes == {"M": 64, "M0": 16, "M1": 4}
    assert cascade.with_sizes(M=128).sizes == {"M": 128, "M0": 8, "M1": 16}
    assert cascade.with_sizes(M1=2).sizes == {"M": 16, "M0": 8, "M1": 2}
    assert TILED.with_sizes(M1=4, M0=8).with_sizes(M0=16).sizes == {"M": 64, "M0": 16, "M1": 4}


def test_only_what_a_user_must_choose_is_missing() -> None:
    assert TILED.missing_sizes == ("M", "M0", "P", "E")
    assert TILED.with_sizes(P=1, E=1, M=64).missing_sizes == ("M0",)
    assert TILED.with_sizes(P=1, E=1, M1=4).missing_sizes == ("M0",)
    assert TILED.with_sizes(P=1, E=1, M0=4).missing_sizes == ("M",)
    assert TILED.with_sizes(P=1, E=1, M0=4, M1=4).missing_sizes == ()


def test_a_partition_of_three_ranks_has_two_sizes_to_choose() -> None:
    cascade = Cascade.parse("Y = sum(X[p2*P1*P0 + p1*P0 + p0], p2, p1, p0)")
    assert cascade.with_sizes(P=24).missing_sizes == ("P1", "P0")
    assert cascade.with_sizes(P=24, P0=2, P1=3).size("p2") == 4
    assert cascade.with_sizes(P2=4, P0=2, P1=3).sizes["P"] == 24


def test_a_rank_and_its_partition_must_agree() -> None:
    cascade = Cascade.parse("Y[m] = X[m]\nZ[m1,m0] = Y[m1*M0+m0]")
    assert cascade.with_sizes(M=12, M0=4).shape("Z") == (3, 4)
    with pytest.raises(LightboundError, match=r"sizes\.M = 12: is not 10.*M1 \* M0"):
        cascade.with_sizes(M=12, M0=5, M1=2)


@pytest.mark.parametrize(
    "value", [0, -3, 1.5, 4.0, "four", "-4", "4.5", "", None, True, np.nan, [4], np.array([]), np.array([1.5])]
)
def test_a_size_is_a_positive_whole_number(value: object) -> None:
    with pytest.raises(LightboundError, match=r"sizes\.P") as caught:
        TILED.with_sizes(P=value)
    assert "positive" in caught.value.remedy


def test_a_size_may_be_written_as_on_the_command_line() -> None:
    assert TILED.with_sizes(M="6K", M0="1.5K", P="4").sizes == TILED.with_sizes(M=6144, M0=1536, P=4).sizes


def test_arrays_of_sizes_that_cannot_run_side_by_side_are_refused_with_both_names() -> None:
    two, three = np.array([64.0, 128.0]), np.array([64.0, 128.0, 256.0])
    with pytest.raises(LightboundError, match=r"sizes\.M = 2 values: do not go with the 3 values of P"):
        TILED.with_sizes(M=two, M0=8, P=three)
    with pytest.raises(LightboundError, match="values of"):
        TILED.with_sizes(M=two).with_sizes(E=three)
    assert np.shape(TILED.with_sizes(M=two[:, None], M0=8, P=three).sizes["M"]) == (2, 1), "these go together"
    assert np.shape(TILED.with_sizes(M=two, M0=8).with_sizes(M=three).sizes["M1"]) == (3,), "what follows is not asked"


def test_a_numpy_integer_is_a_size() -> None:
    assert type(TILED.with_sizes(P=np.int64(4)).size("p")) is int


@pytest.mark.parametrize(("name", "needs"), [("X", "ranks are m1, m0, p, e"), ("p", "P=4"), ("MM", "'M'")])
def test_a_name_that_is_no_size_is_refused_with_those_that_are(name: str, needs: str) -> None:
    with pytest.raises(LightboundError, match="is not a size of this cascade") as caught:
        TILED.with_sizes(**{name: 4})
    assert needs in caught.value.remedy


def test_a_tile_must_divide_and_the_error_names_one_that_does() -> None:
    with pytest.raises(LightboundError, match=r"sizes\.M0 = 12: does not divide M=64.*such as M0=8"):
        TILED.with_sizes(M=64, M0=12)
    with pytest.raises(LightboundError, match="such as M0=64"):
        TILED.with_sizes(M=64, M0=100)


def test_sizes_given_at_parsing_are_checked_alike() -> None:
    assert Cascade.parse("Y[p] = X[p]", {"P": 3}).size("p") == 3
    with pytest.raises(LightboundError, match=r"sizes\.P"):
        Cascade.parse("Y[p] = X[p]", {"P": 0})


def test_a_size_nobody_gave_is_asked_for() -> None:
    with pytest.raises(LightboundError, match=r"sizes\.P: has no value in cascade.*with_sizes\(P=\.\.\.\)"):
        TILED.size("p")
    with pytest.raises(LightboundError, match=r"sizes\.M0"):
        TILED.with_sizes(M=64).shape("K")


def test_a_sweep_carries_arrays_through_sizes_and_shapes() -> None:
    whole = np.array([64.0, 128.0, 2.0**40])
    cascade = TILED.with_sizes(M=whole, M0=8, E=4, P=np.array([1, 2, 3]))
    assert np.array_equal(cascade.size("m1"), whole / 8)
    assert np.array_equal(cascade.shape("K")[0], whole) and cascade.shape("K")[1] == 4
    assert np.array_equal(cascade.shape("R")[0], whole / 8 + 1)
    assert cascade.size("p").dtype == np.float64
    assert cascade == TILED.with_sizes(M=whole, M0=8, E=4, P=np.array([1, 2, 3]))
    assert cascade != cascade.with_sizes(M=whole * 2)
    assert isinstance(hash(cascade), int)


@pytest.mark.parametrize(
    ("text", "tensor", "shape"),
    [
        ("Y[t] = sum(X[t*2+k-1] * W[k], k)", "X", (21,)),  # 2*9 + 3 - 1, and one more
        ("Y[t] = sum(X[t+k] * W[k], k)", "X", (13,)),
        ("X: [T]\nY[t] = sum(X[t+k-1] * W[k], k)", "X", (10,)),
        ("X: [2*T+1]\nY[t] = sum(X[t+k-1] * W[k], k)", "X", (21,)),
        ("Y[t] = X[t] + sum(X[t+k-1] * W[k], k)", "X", (10,)),
        ("Y[t] = X[T-1-t] * W[0] * sum(W[k], k)", "X", (10,)),
        ("Y[t] = X[t] * W[0] + sum(Z[k], k)", "W", (1,)),
        ("Y[t*K+k] = X[t] * W[k]", "Y", (40,)),
        ("Y[0,k] = 0\nY[t+1,k] = Y[t,k] + X[t] * W[k]", "Y", (11, 4)),
        ("Y[t] = X[3, W[t]] + sum(X[k, 2], k)", "X", (4, 3)),
        ("Y = sum(X[k] * W[t], k, t)", "Y", ()),
    ],
)
def test_a_tensor_is_as_long_as_its_indices_reach(text: str, tensor: str, shape: tuple[int, ...]) -> None:
    assert Cascade.parse(text).with_sizes(T=10, K=4).shape(tensor) == shape


def test_a_tensor_must_be_long_enough_for_a_reader_over_another_rank() -> None:
    cascade = Cascade.parse("S[m] = X[m]\nY[p] = S[p]")
    assert cascade.with_sizes(M=4, P=3).shape("S") == (4,)
    with pytest.raises(LightboundError, match=r"sizes\.P = 5: is more than the 4 elements of S along dimension 0"):
        cascade.with_sizes(M=4, P=5)
    running = Cascade.parse("R[0] = 0\nR[t+1] = R[t] + X[t]\nY[p] = R[p]")
    assert running.with_sizes(T=4, P=5).shape("R") == (5,)


def test_a_tensor_the_cascade_does_not_have_is_refused() -> None:
    with pytest.raises(LightboundError, match="Choose from: G, K, Q, R, S"):
        TILED.shape("QQ")
