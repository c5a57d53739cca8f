"""Every kernel for GPUs against float64, at its tiny cases: every mask, and sizes that no tile divides."""

from __future__ import annotations

import pytest

from lightbound.kernels.triton.catalogue import find_kernel, kernels
from lightbound.kernels.triton.check import check
from lightbound.kernels.triton.kernel import Case

TINY = [(name, case) for name, kernel in kernels().items() for case in kernel.tiny]


@pytest.mark.parametrize(("name", "case"), TINY, ids=[f"{name} {case.name}" for name, case in TINY])
def test_a_kernel_computes_what_float64_does(name: str, case: Case, device: str) -> None:
    kernel = find_kernel(name)
    if case.dtype == "bf16" and device == "cpu":
        pytest.skip("the interpreter multiplies bf16 wrongly")
    assert check(kernel, case, device=device) <= kernel.tolerance[case.dtype]
