"""Three lines of the language: scatters, operators it cannot say, and sizes stated in the text."""

from __future__ import annotations

import numpy as np
import pytest

import lightbound as lb
from lightbound.workloads.counts import total_operations


def test_a_scatter_adds_every_element_where_its_index_says() -> None:
    cascade = lb.Cascade.parse("Y[v,d] = scatter(sum, X[n,d] * 2, I[n], n)").with_sizes(V=4)
    x, index = np.arange(6.0).reshape(3, 2), [1, 3, 1]
    expected = np.zeros((4, 2))
    np.add.at(expected, index, 2 * x)
    assert np.array_equal(cascade.evaluate({"X": x, "I": index})["Y"], expected)
    assert total_operations(cascade.with_sizes(N=3, D=2)) == {"mul": 6, "add": 6}
    assert lb.Cascade.parse(cascade.text).structure == cascade.structure


def test_a_scatter_through_several_index_tensors_drops_what_lies_outside() -> None:
    cascade = lb.Cascade.parse("Y[i,j] = scatter(max, X[n], I[n], J[n], n)").with_sizes(I=2, J=2)
    found = cascade.evaluate({"X": [3, 5, 7, 9], "I": [0, 0, 1, 5], "J": [1, 1, -1, 0]})["Y"]
    assert np.array_equal(found, [[-np.inf, 5], [-np.inf, -np.inf]])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Y[v] = scatter(sum, X[n], n)", "cannot be scattered"),
        ("Y[v] = scatter(mean, X[n], I[n], n)", "cannot be scattered"),
        ("Y[v,w] = scatter(sum, X[n], I[n], n)", "must have 1 new rank"),
        ("Y[v] = scatter(sum, X[n], I[n], m)", "does not say what goes where"),
        ("Y[v] = scatter(sum, X[n], I[n], n) + 1", "stands inside an expression"),
        ("Y[v] = opaque(3, X[n], n)", "does not say which operator"),
        ("Y[v] = opaque(fft, X[n] + 1, n)", "is not a tensor"),
        ("Y[v] = opaque(fft, X[n], m)", "disappears, but no operand has this rank"),
        ("M: 0\nY[m] = X[m]", "is not a size"),
        ("M: 4\nM: 5\nY[m] = X[m]", "is declared twice"),
    ],
)
def test_a_line_that_says_too_little_is_refused(line: str, problem: str) -> None:
    with pytest.raises(lb.LightboundError, match=problem):
        lb.Cascade.parse(line)


def test_an_opaque_operator_counts_what_it_touches_and_knows_no_values() -> None:
    cascade = lb.Cascade.parse("Y[i,j] = opaque(fft, X[i,k], Z[j], k)").with_sizes(I=2, J=3, K=5)
    assert total_operations(cascade) == {"opaque": 2 * 5 + 3 + 2 * 3}
    assert lb.Cascade.parse(cascade.text).structure == cascade.structure
    with pytest.raises(lb.LightboundError, match="is opaque: nobody knows its values"):
        cascade.evaluate({"X": np.ones((2, 5)), "Z": np.ones(3)})


def test_sizes_in_the_text_are_defaults() -> None:
    cascade = lb.Cascade.parse("M: 64\nW: size\nW: 3\nY[m1] = max(X[m1*M0+m0] * W, m0)").with_sizes(M0=8)
    assert (cascade.size("m1"), cascade.value("W")) == (8, 3)
    assert lb.Cascade.parse(cascade.sized_text) == cascade
    assert lb.Cascade.parse(cascade.sized_text, {"M": 128, "M0": 8}).size("m1") == 16
