"""How far a kernel is from its reference: relative to what, and what becomes of zeros, infinities and NaN."""

from __future__ import annotations

import math

import pytest

from lightbound.kernels.triton.attention_shapes import case_of
from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.check import check, largest_error
from lightbound.kernels.triton.kernel import Call

INFINITE = math.inf


def error(*outputs: tuple[list[float], list[float]]) -> float:
    """The error of outputs of FP32, each given as what is found and what is expected."""
    torch = pytest.importorskip("torch")
    made = [torch.empty(len(found)) for found, _ in outputs]

    def run() -> None:
        for tensor, (found, _) in zip(made, outputs, strict=True):
            tensor.copy_(torch.tensor(found))

    expected = [torch.tensor(values, dtype=torch.float64) for _, values in outputs]
    return largest_error(Call(run, lambda: made, lambda: expected))


def test_an_error_is_relative_to_the_largest_value_of_its_output() -> None:
    assert error(([1.0, 4.5], [1.0, 4.0]), ([100.0], [100.0])) == 0.125
    assert error(([], [])) == 0.0


def test_infinities_are_right_where_the_reference_has_them_and_wrong_elsewhere() -> None:
    assert error(([-INFINITE, 3.0], [-INFINITE, 4.0])) == 0.25
    assert error(([-INFINITE], [-INFINITE])) == 0.0
    assert error(([INFINITE, 4.0], [-INFINITE, 4.0])) == INFINITE
    assert error(([-INFINITE, 4.0], [3.0, 4.0])) == INFINITE
    assert error(([3.0, 4.0], [-INFINITE, 4.0])) == INFINITE


def test_what_is_not_written_is_wrong_though_it_be_next_to_infinity() -> None:
    assert error(([math.nan, -INFINITE], [1.0, -INFINITE])) == INFINITE


def test_rounding_of_a_true_zero_is_measured_by_the_other_outputs() -> None:
    assert error(([6e-7], [1e-17]), ([2.0], [2.0])) == pytest.approx(3e-7)
    assert error(([6e-7], [0.0]), ([2.0], [2.0])) == pytest.approx(3e-7)
    assert error(([0.0, 1e-9], [0.0, 0.0])) == 1.0  # nothing else tells how large it may be
    assert error(([0.0, 0.0], [0.0, 0.0])) == 0.0


@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
def test_gradients_of_one_query_that_sees_one_key_are_as_exact_as_others(dtype: str, device: str) -> None:
    kernel = find_kernel("attention_backward")
    assert check(kernel, case_of(kernel.name, 1, 1, 1, 64, dtype), device=device) <= kernel.tolerance[dtype]


def test_sums_of_rows_that_see_nothing_are_minus_infinity_in_kernel_and_reference(device: str) -> None:
    kernel = find_kernel("attention")
    case = case_of(kernel.name, 1, 1, 70, 64, "fp32", 30, mask="causal", lse=1)
    assert check(kernel, case, device=device) <= kernel.tolerance["fp32"]
