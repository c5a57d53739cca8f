"""Softmax, normalizations and elementwise functions: numbers against PyTorch in double precision, and passes."""

from __future__ import annotations

import numpy as np
import pytest

from lightbound.workloads.passes import passes
from lightbound.workloads.registry import workload

torch = pytest.importorskip("torch", reason="PyTorch is an optional extra of lightbound")
functional = torch.nn.functional
SHAPES = [(1, 1), (3, 7), (5, 16)]


def matrix(rows: int, columns: int, seed: int = 3) -> np.ndarray:
    return 3 * np.random.default_rng(seed).standard_normal((rows, columns))


def evaluated(name: str, variant: str, given: dict[str, np.ndarray]) -> np.ndarray:
    rows, columns = given["X"].shape
    return workload(name, variant=variant, R=rows, N=columns).cascade.evaluate(given)["Y"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", ["3-pass", "recompute"])
def test_softmax_agrees_with_pytorch(variant: str, shape: tuple[int, int]) -> None:
    x = matrix(*shape)
    expected = torch.softmax(torch.from_numpy(x), dim=-1).numpy()
    np.testing.assert_allclose(evaluated("softmax", variant, {"X": x}), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", ["moments", "centred", "recompute"])
def test_layer_normalization_agrees_with_pytorch(variant: str, shape: tuple[int, int]) -> None:
    x, w, c = matrix(*shape), matrix(1, shape[1], 4)[0], matrix(1, shape[1], 5)[0]
    tensors = [torch.from_numpy(one) for one in (x, w, c)]
    expected = functional.layer_norm(tensors[0], (shape[1],), tensors[1], tensors[2]).numpy()
    found = evaluated("layernorm", variant, {"X": x, "W": w, "C": c})
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_root_mean_square_normalization_is_what_its_article_defines(shape: tuple[int, int]) -> None:
    x, w = matrix(*shape), matrix(1, shape[1], 4)[0]
    rows = torch.from_numpy(x)
    expected = (rows * torch.rsqrt(rows.pow(2).mean(-1, keepdim=True) + 1e-5)).numpy() * w
    np.testing.assert_allclose(evaluated("rmsnorm", "plain", {"X": x, "W": w}), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("variant", "function"),
    [
        ("gelu", lambda x, z: functional.gelu(x)),
        ("silu", lambda x, z: functional.silu(x)),
        ("relu", lambda x, z: functional.relu(x)),
        ("add", lambda x, z: x + z),
        ("silu_mul", lambda x, z: functional.silu(x) * z),
    ],
)
def test_elementwise_functions_agree_with_pytorch(variant: str, function: object) -> None:
    x, z = matrix(4, 9), matrix(4, 9, 8)
    given = {"X": x, "Z": z} if variant in ("add", "silu_mul") else {"X": x}
    expected = function(torch.from_numpy(x), torch.from_numpy(z)).numpy()  # type: ignore[operator]
    np.testing.assert_allclose(evaluated("elementwise", variant, given), expected, rtol=1e-9, atol=1e-12)


def test_a_batch_of_products_is_one_product_for_each_of_its_matrices() -> None:
    a, b = np.arange(24.0).reshape(2, 3, 4), np.arange(40.0).reshape(2, 4, 5)
    found = workload("batched_matmul", B=2, M=3, N=5, K=4).cascade.evaluate({"A": a, "B": b})["Z"]
    np.testing.assert_allclose(found, a @ b)


@pytest.mark.parametrize(
    ("name", "variant", "count"),
    [("softmax", "3-pass", 3), ("softmax", "recompute", 3), ("layernorm", "moments", 2), ("layernorm", "centred", 3),
     ("layernorm", "recompute", 3), ("rmsnorm", "plain", 2), ("elementwise", "gelu", 1)],
)  # fmt: skip
def test_rows_are_walked_as_often_as_their_sums_need(name: str, variant: str, count: int) -> None:
    assert passes(workload(name, variant=variant).cascade, "n").count == count
