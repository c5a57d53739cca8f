"""Products, rows and elementwise functions on a GPU, or in Triton's interpreter, at any size, tile and word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.check import check
from lightbound.kernels.triton.kernel import Case, Tile, device_code

EXACT = ("fp32", "fp16")  # what the interpreter multiplies rightly
FEW = settings(max_examples=5, deadline=None)
OF_INFINITIES = pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")  # numpy's, in the interpreter
MINE = ("matmul", "softmax", "layernorm", "rmsnorm", "elementwise")


def device() -> str:
    pytest.importorskip("triton")
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def error_of(case: Case, tile: Tile | None = None) -> float:
    """The error of a case in units of what its kernel tolerates."""
    kernel = find_kernel(case.kernel)
    return check(kernel, case, tile, device()) / kernel.tolerance[case.dtype]


@FEW
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), st.sampled_from(EXACT), st.data())
def test_a_product_of_any_size_is_right_at_every_tile(m: int, n: int, k: int, dtype: str, data: st.DataObject) -> None:
    case = Case("matmul", {"M": m, "N": n, "K": k}, dtype)
    rows, columns = data.draw(st.sampled_from([(16, 32), (32, 16), (64, 64)]))
    tile = Tile({"BM": rows, "BN": columns, "BK": 16, "GROUP": 8, "SPLIT": 1}, 4, 2)
    assert error_of(case, tile) <= 1


@FEW
@given(st.integers(1, 40), st.integers(1, 40), st.integers(65, 300), st.sampled_from(EXACT))
def test_parts_of_a_sum_add_up_to_it(m: int, n: int, k: int, dtype: str) -> None:
    tile = Tile({"BM": 32, "BN": 32, "BK": 16, "GROUP": 8, "SPLIT": 4}, 4, 2)
    assert error_of(Case("matmul", {"M": m, "N": n, "K": k}, dtype), tile) <= 1


@FEW
@given(
    st.sampled_from(["softmax", "layernorm", "rmsnorm"]),
    st.integers(1, 9),
    st.integers(1, 700),
    st.sampled_from(["fp32", "fp16", "bf16"]),
    st.sampled_from([{"BLOCK": 128}, None, {"ROWS": 4, "BLOCK": 1024}]),
)
def test_rows_are_right_whether_they_are_kept_or_walked(
    name: str, rows: int, columns: int, dtype: str, constants: dict[str, int] | None
) -> None:
    tile = None if constants is None else Tile(constants, 4, 1)
    assert error_of(Case(name, {"R": rows, "N": columns}, dtype), tile) <= 1


@OF_INFINITIES
@pytest.mark.parametrize("name", ["softmax", "layernorm", "rmsnorm"])
def test_rows_far_from_zero_lose_nothing(name: str) -> None:
    """Every kernel subtracts what rows have in common before it squares or exponentiates."""
    import torch

    on_device = device_code("rows")

    x = torch.randn(3, 500, device=device()) + (1000.0 if name != "rmsnorm" else 0.0)
    y, w, c = torch.empty_like(x), torch.ones(500, device=x.device), torch.zeros(500, device=x.device)
    exact = x.double()
    for walked in (False, True):
        vectors = {"softmax": (), "layernorm": (w, c), "rmsnorm": (w,)}[name]
        eps = () if name == "softmax" else (1e-5,)
        sizes, constants = ((500,), {"BLOCK": 128}) if walked else ((3, 500), {"ROWS": 1, "BLOCK": 512})
        function = getattr(on_device, f"{name}_twice" if walked else name)
        function[(3,)](x, *vectors, y, *sizes, *eps, **constants, ALIGN=4, num_warps=4)
        centred = exact - exact.mean(-1, keepdim=True)
        expected = {
            "softmax": torch.softmax(exact, -1),
            "layernorm": centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt(),
            "rmsnorm": exact / (exact.square().mean(-1, keepdim=True) + 1e-5).sqrt(),
        }[name]
        assert float((y.double() - expected).abs().max() / expected.abs().max()) < 1e-4


def _softmax(rows: Sequence[Sequence[float]], walked: bool) -> tuple[Any, Any]:
    """What the kernel makes of rows of FP32, kept or walked 64 columns at a time, and what PyTorch does in float64."""
    import torch

    on_device = device_code("rows")
    x = torch.tensor(rows, dtype=torch.float32, device=device())
    y = torch.empty_like(x)
    if walked:
        on_device.softmax_twice[(len(x),)](x, y, x.shape[1], BLOCK=64, ALIGN=1, num_warps=1)
    else:
        on_device.softmax[(len(x),)](x, y, *x.shape, ROWS=1, BLOCK=128, ALIGN=1, num_warps=1)
    return y.double(), torch.softmax(x.double(), -1)


LOWEST, HIGHEST = -3.4028234663852886e38, 3.4028234663852886e38  # of FP32
INFINITE = float("inf")


@OF_INFINITIES
@pytest.mark.parametrize("walked", [False, True])
def test_softmax_of_the_largest_and_the_least_numbers_is_right(walked: bool) -> None:
    rows = [
        [LOWEST] * 100,
        [HIGHEST] * 100,
        [3e38, *[0.0] * 99],
        [HIGHEST, LOWEST] * 50,
        [-1e31] * 100,
        [*[-INFINITE] * 99, LOWEST],
        [*[-INFINITE] * 65, *[1.0] * 35],
    ]
    found, expected = _softmax(rows, walked)
    assert float((found - expected).abs().max()) < 1e-6


@OF_INFINITIES
@pytest.mark.parametrize("walked", [False, True])
def test_softmax_of_minus_infinity_alone_is_nan_as_in_pytorch(walked: bool) -> None:
    found, expected = _softmax([[-INFINITE] * 100, [0.0] * 100], walked)
    assert bool(expected[0].isnan().all()) and bool(found[0].isnan().all())
    assert float((found[1] - 0.01).abs().max()) < 1e-8


@FEW
@given(st.sampled_from(["gelu", "add", "silu_mul"]), st.integers(1, 40), st.integers(1, 70), st.sampled_from(EXACT))
def test_elementwise_functions_are_right_at_any_size(op: str, rows: int, columns: int, dtype: str) -> None:
    case = Case("elementwise", {"R": rows, "N": columns}, dtype, {"op": op})
    assert error_of(case, Tile({"BLOCK": 512}, 4, 1)) <= 1


@pytest.mark.parametrize("name", MINE)
@pytest.mark.parametrize("capability", [80, 90, 100, 942])
def test_tiles_are_powers_of_two_and_the_default_is_not_tried_twice(name: str, capability: int) -> None:
    kernel = find_kernel(name)
    for case in kernel.cases:
        first, others = kernel.tile(case, capability), kernel.tiles(case, capability)
        assert first not in others and len({tile.name for tile in others}) == len(others)
        for tile in (first, *others):
            assert all(value & (value - 1) == 0 for value in tile.constants.values())


@pytest.mark.parametrize("name", MINE)
def test_what_is_compiled_is_typed_to_the_last_argument(name: str) -> None:
    kernel = find_kernel(name)
    for case in kernel.cases:
        for one in kernel.compiled(case, kernel.tile(case, 90)):
            assert not set(one.signature) & set(one.constants)
            assert set(one.divisible) <= set(one.signature)
