"""Softmax attention with its scale, the matrix product and an encoder's linear layers: numbers and counts."""

from __future__ import annotations

import numpy as np
import pytest

from lightbound.workloads.counts import compulsory_traffic, operations, total_operations
from lightbound.workloads.registry import workload

VARIANTS = ["3-pass", "deferred-division", "1-pass"]


def tensors(batch: int, heads: int, queries: int, keys: int, e: int, f: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    return {
        "Q": random.standard_normal((batch, heads, queries, e)),
        "K": random.standard_normal((batch, heads, keys, e)),
        "V": random.standard_normal((batch, heads, keys, f)),
    }


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(2, 3, 5, 8, 4, 6), (1, 1, 1, 12, 7, 1), (1, 2, 9, 4, 16, 16)])
def test_every_variant_computes_scaled_softmax_attention(variant: str, shape: tuple[int, ...]) -> None:
    given = tensors(*shape)
    scores = np.einsum("bhpe,bhme->bhpm", given["Q"], given["K"]) / np.sqrt(shape[4])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    expected = np.einsum("bhpm,bhmf->bhpf", weights / weights.sum(axis=-1, keepdims=True), given["V"])
    found = evaluated(variant, given)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_agrees_with_pytorch_in_double_precision(variant: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra of lightbound")
    given = tensors(2, 3, 6, 16, 8, 8)
    q, k, v = (torch.from_numpy(given[name]) for name in "QKV")
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v).numpy()
    assert np.abs(evaluated(variant, given) - expected).max() <= 1e-12


def evaluated(variant: str, given: dict[str, np.ndarray]) -> np.ndarray:
    """The output; the variant with tiles takes them four keys wide."""
    batch, heads, queries, e = given["Q"].shape
    keys, f = given["V"].shape[2:]
    sized = workload("attention", variant=variant, B=batch, H=heads, P=queries, E=e, F=f, M=keys)
    cascade = sized.with_sizes(M0=4).cascade if variant == "1-pass" else sized.cascade
    return cascade.evaluate(given)["O"]


def test_deferred_division_divides_once_for_each_output() -> None:
    sizes = {"B": 2, "H": 3, "P": 5, "M": 8, "E": 4, "F": 6}
    whole = total_operations(workload("attention", "bert_base", "3-pass", **sizes).cascade)
    deferred = total_operations(workload("attention", "bert_base", "deferred-division", **sizes).cascade)
    assert whole["div"] == 2 * 3 * 5 * 8
    assert deferred["div"] == 2 * 3 * 5 * 6
    assert {op: count for op, count in whole.items() if op != "div"} == {
        op: count for op, count in deferred.items() if op != "div"
    }


def test_the_scale_is_one_product_for_each_score() -> None:
    assert operations(workload("attention", "gpt3_6_7b").cascade)["S"] == {
        "mac": 32 * 2048 * 2048 * 128,
        "mul": 32 * 2048 * 2048,
    }


def test_the_matrix_product_counts_and_moves_what_the_textbook_says() -> None:
    cascade = workload("matmul", M=3, N=5, K=7).cascade
    assert operations(cascade) == {"Z": {"mac": 105}}
    assert compulsory_traffic(cascade, word_bytes=4) == {"A": 4 * 21, "B": 4 * 35, "Z": 4 * 15}
    left, right = np.arange(21.0).reshape(3, 7), np.arange(35.0).reshape(7, 5)
    np.testing.assert_array_equal(cascade.evaluate({"A": left, "B": right})["Z"], left @ right)


def test_an_encoder_s_linear_layers_are_six_independent_products() -> None:
    cascade = workload("encoder_linear", R=10, D=4, N=6, S=8).cascade
    assert cascade.graph.number_of_edges() == 0
    counts = {name: kinds["mac"] for name, kinds in operations(cascade).items()}
    assert counts == {"YQ": 240, "YK": 240, "YV": 240, "YZ": 240, "YH": 320, "YO": 320}
