"""Operations, footprints and compulsory traffic: the rules, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from lightbound.workloads.cascade import Cascade
from lightbound.workloads.counts import compulsory_traffic, footprint, operations, points, total_operations
from lightbound.workloads.parse import parse
from lightbound.workloads.work import Work

SIZES = {"P": 3, "M": 5, "E": 7}
ATTENTION = """
    S[b,h,p,m] = sum(Q[b,h,p,e] * K[b,h,m,e], e) / sqrt(E)
    G[b,h,p] = max(S[b,h,p,m], m)
    N[b,h,p,m] = exp(S[b,h,p,m] - G[b,h,p])
    D[b,h,p] = sum(N[b,h,p,m], m)
    A[b,h,p,m] = N[b,h,p,m] / D[b,h,p]
    O[b,h,p,f] = sum(A[b,h,p,m] * V[b,h,m,f], m)
"""


@pytest.mark.parametrize(
    ("text", "work"),
    [
        ("Y[p] = sum(A[p,m] * B[m], m)", [("mac", "pm")]),
        ("Y[p] = sum(-(A[p,m] * B[m]), m)", [("mac", "pm")]),
        ("Y[p] = sum(A[p,m] ** 2, m)", [("mac", "pm")]),
        ("Y[p] = sum(A[p,m] * B[m] * C[p], m)", [("mul mac", "pm")]),
        ("Y[p] = sum(A[p,m], m)", [("add", "pm")]),
        ("Y[p] = sum(A[p,m] - B[m], m)", [("sub add", "pm")]),
        ("Y[p] = max(A[p,m], m)", [("max", "pm")]),
        ("Y[p] = prod(A[p,m], m)", [("mul", "pm")]),
        ("Y[p] = sum(A[p,m] * B[m], m) / sqrt(E)", [("mac", "pm"), ("mul", "p")]),
        ("Y[p] = sum(A[p,m] * B[m], m) / C[p]", [("mac", "pm"), ("div", "p")]),
        ("Y[p,m] = exp(A[p,m] - G[p])", [("sub exp", "pm")]),
        ("Y[p,m] = A[p,m] * exp(B[m] - 1)", [("sub exp", "m"), ("mul", "pm")]),
        ("Y[p,m] = A[p,m] * exp(B[m]) * exp(C[p])", [("exp", "m"), ("mul", "pm"), ("exp", "p"), ("mul", "pm")]),
        ("Y[p] = A[p] ** 2 + A[p] ** 3 + A[p] ** 0.5", [("mul mul mul add pow add", "p")]),
        ("Y[p] = -A[p] * exp(2 * pi)", [("mul", "p")]),
        ("Y[p] = max(A[p], B[p], 0)", [("max max", "p")]),
        ("Y[p] = A[p] // 2 + A[p] % 2", [("div div add", "p")]),
        ("Y[p,m] = where(m <= p and p - m < 4, A[p,m], -inf)", [("select", "pm")]),
        ("Y[p,m] = where(A[p,m] > B[m] and m <= p, A[p,m], 0)", [("compare compare select", "pm")]),
        ("Y[p,m] = A[p,m] * exp(-(p - m) / E)", [("mul exp mul", "pm")]),
        ("I[p,k] = topk(A[p,m] + B[m], m)", [("add select", "pm")]),
        ("Y[p,m] = scan(sum, A[p,m], m)", [("add", "pm")]),
        ("Y[p,m] = scan(max, A[p,m], m) - 1", [("max sub", "pm")]),
        ("Y[p] = A[p]", []),
    ],
)
def test_an_operation_is_done_once_at_each_point_of_its_operands(text: str, work: list[tuple[str, str]]) -> None:
    einsum = parse(text).einsums[0]
    assert einsum.work == tuple(Work(tuple(ops.split()), tuple(ranks)) for ops, ranks in work)


def test_a_gather_is_done_at_the_points_of_its_index_tensor() -> None:
    assert parse("Y[p,k] = 2 * A[I[p,k]]").einsums[0].work == (Work(("mul",), ("p", "k")),)


def test_attention_needs_the_operations_everyone_counts() -> None:
    b, h, p, m, e, f = 2, 3, 5, 7, 11, 13
    cascade = Cascade.parse(ATTENTION, {"B": b, "H": h, "P": p, "M": m, "E": e, "F": f})
    scores = b * h * p * m
    assert operations(cascade) == {
        "S": {"mac": scores * e, "mul": scores},
        "G": {"max": scores},
        "N": {"sub": scores, "exp": scores},
        "D": {"add": scores},
        "A": {"div": scores},
        "O": {"mac": scores * f},
    }
    assert total_operations(cascade) == {
        "mac": scores * (e + f), "mul": scores, "max": scores, "sub": scores, "exp": scores, "add": scores,
        "div": scores,
    }  # fmt: skip


def test_counts_are_exact_beyond_sixty_four_bits() -> None:
    cascade = Cascade.parse(ATTENTION, dict.fromkeys("BHPMEF", 3**9))
    assert operations(cascade)["S"]["mac"] == 3**45
    assert points(cascade, ("b", "h", "p", "m", "e", "f")) == 3**54


def test_a_sweep_counts_elementwise() -> None:
    whole = np.array([64.0, 4096.0])
    cascade = Cascade.parse(ATTENTION, {"B": 1, "H": 2, "P": 4, "M": whole, "E": 8, "F": 8})
    assert np.array_equal(operations(cascade)["S"]["mac"], 64 * whole)
    assert np.array_equal(footprint(cascade, "K"), 16 * whole)
    assert np.array_equal(compulsory_traffic(cascade)["V"], 32 * whole)
    assert compulsory_traffic(cascade)["Q"] == 128


def test_inputs_are_read_once_and_outputs_written_once() -> None:
    cascade = Cascade.parse(ATTENTION, {"B": 1, "H": 2, "P": 3, "M": 5, "E": 7, "F": 11})
    assert compulsory_traffic(cascade) == {"Q": 84, "K": 140, "V": 220, "O": 132}
    assert compulsory_traffic(cascade, word_bytes=1)["Q"] == 42


def test_a_table_that_is_gathered_from_is_charged_for_what_is_read() -> None:
    cascade = Cascade.parse("TABLE: [VOCABULARY, E]\nX[t,e] = TABLE[TOKEN[t],e]")
    few = cascade.with_sizes(VOCABULARY=50_000, T=10, E=4)
    many = cascade.with_sizes(VOCABULARY=50, T=1000, E=4)
    assert compulsory_traffic(few)["TABLE"] == 10 * 4 * 2 and footprint(few, "TABLE") == 200_000
    assert compulsory_traffic(many)["TABLE"] == 50 * 4 * 2


def test_a_running_tensor_counts_one_iterate_and_a_partition_counts_the_whole() -> None:
    cascade = Cascade.parse("""
        L[m1,p] = max(K[m1*M0+m0] * Q[p], m0)
        R[0,p] = -inf
        R[m1+1,p] = max(R[m1,p], L[m1,p])
    """)
    sized = cascade.with_sizes(M=64, M0=8, P=3)
    assert (footprint(sized, "R"), sized.shape("R")) == (3, (9, 3))
    assert footprint(sized, "K") == 64
    assert compulsory_traffic(sized)["R"] == 6
    assert operations(sized)["R"] == {"max": 24}


def test_the_work_of_a_first_value_counts_for_the_line_that_goes_on_from_it() -> None:
    cascade = Cascade.parse("R[0,p] = exp(A[p])\nR[t+1,p] = R[t,p] * 2", {"P": 3, "T": 4})
    assert operations(cascade) == {"R": {"exp": 3, "mul": 12}}
