"""Cascades as text: one spelling, which reads back as the same cascade."""

from __future__ import annotations

import pytest

from lightbound.workloads.cascade import Cascade


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Z[p]=exp( X[ p ] -1 )", "Z[p] = exp(X[p] - 1)"),
        ("Z[p] = (((X[p])))", "Z[p] = X[p]"),
        ("Z[p] = X[p] - (Y[p] - 1) - 2", "Z[p] = X[p] - (Y[p] - 1) - 2"),
        ("Z[p] = (X[p] * Y[p]) / (X[p] * 2)", "Z[p] = X[p] * Y[p] / (X[p] * 2)"),
        ("Z[p] = (X[p] ** 2) ** X[p] ** -Y[p]", "Z[p] = (X[p] ** 2) ** X[p] ** -Y[p]"),
        ("Z[p] = -X[p] ** 2 + (-X[p]) ** 2", "Z[p] = -X[p] ** 2 + (-X[p]) ** 2"),
        ("Z[p] = -2 * X[p] + -inf", "Z[p] = (-2) * X[p] + (-inf)"),
        ("Z[p] = X[p] / (2 * P)", "Z[p] = X[p] / (2 * P)"),
        ("Z[p] = X[p] * sqrt(P) ** -1", "Z[p] = X[p] * (sqrt(P) ** (-1))"),
        ("Z[p] = X[p] // 2 % 3", "Z[p] = X[p] // 2 % 3"),
        ("Z[p] = max(X[p], Y[p], 0)", "Z[p] = max(max(X[p], Y[p]), 0)"),
        ("Z[p] = where(p-1 <= 2*p < P, X[p], 0)", "Z[p] = where((p - 1) <= (p*2) and (p*2) < P, X[p], 0)"),
        (
            "Z[p] = where(not (X[p] < 1 or X[p] > 2) and X[p] != 0, 1, 0) * X[p]",
            "Z[p] = where(not (X[p] < 1 or X[p] > 2) and X[p] != 0, 1, 0) * X[p]",
        ),
        ("Z[p] = where((X[p] < 1) == (Y[p] < 1), 1, 0)", "Z[p] = where((X[p] < 1) == (Y[p] < 1), 1, 0)"),
        ("Z[p] = sum(A[p,m0,m1], m0, m1)", "Z[p] = sum(A[p,m0,m1], m0, m1)"),
        ("Z[p] = sum(K[ m1 * M0 + m0 ] * X[p], m1, m0)", "Z[p] = sum(K[m1*M0+m0] * X[p], m1, m0)"),
        ("Z[p] = X[P - 1 - p] + X[2*(p - 1)]", "Z[p] = X[-p+(P - 1)] + X[p*2-2]"),
        ("Z[p] = X[p*P*2 - p - P]", "Z[p] = X[p*(P * 2 - 1)+(-P)]"),
        ("Z[p] = scan( sum,X[p],p )", "Z[p] = scan(sum, X[p], p)"),
        ("I[p,k] = topk(X[p,m] + 1, m)", "I[p,k] = topk(X[p,m] + 1, m)"),
        ("X: [N,2*P]\nZ[p] = X[I[J[p]], p]", "X: [N, 2 * P]\nZ[p] = X[I[J[p]],p]"),
        ("W: size\nA : []\nZ[p] = A * X[p - W]", "W: size\nA: []\nZ[p] = A * X[p+(-W)]"),
        ("R[0] = 0\nR[t + 1] = R[t] + X[t]\nY = R[T]", "R[0] = 0\nR[t+1] = R[t] + X[t]\nY = R[T]"),
    ],
)
def test_a_cascade_has_one_spelling_and_reads_back_equal(text: str, printed: str) -> None:
    if "I[J[p]]" in text:
        text, printed = text + "\nI: [N]", printed.replace("\nZ", "\nI: [N]\nZ")
    cascade = Cascade.parse(text)
    assert cascade.text == str(cascade) == printed + "\n"
    assert Cascade.parse(printed) == cascade


def test_first_values_are_printed_just_above_the_lines_that_go_on_from_them() -> None:
    above = Cascade.parse("B[0] = 1\nA[0] = 0\nA[t+1] = A[t] + X[t]\nB[t+1] = B[t] * X[t]")
    assert above.text.splitlines() == ["A[0] = 0", "A[t+1] = A[t] + X[t]", "B[0] = 1", "B[t+1] = B[t] * X[t]"]
    assert Cascade.parse(above.text) == above
