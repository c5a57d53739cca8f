"""Gradients of attention, attention without fusion, and decoding in parts: numbers against independent ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lightbound.workloads.methods import load_method
from lightbound.workloads.registry import workload

RANDOM = np.random.default_rng(11)


def attended(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray | float = 0.0) -> tuple[np.ndarray, ...]:
    """Output, probabilities, and the logarithm of denominators, in float64."""
    scores = np.einsum("bhpe,bhme->bhpm", q, k) / np.sqrt(q.shape[-1]) + bias
    top = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - top)
    total = weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhpm,bhmf->bhpf", weights / total, v), weights / total, (top + np.log(total))[..., 0]


def gradients(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, go: np.ndarray, bias: np.ndarray | float = 0.0
) -> tuple[np.ndarray, ...]:
    """Of Q, K and V, by the rule of the softmax."""
    _, a, _ = attended(q, k, v, bias)
    da = np.einsum("bhpf,bhmf->bhpm", go, v)
    ds = a * (da - (a * da).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    return (
        np.einsum("bhpm,bhme->bhpe", ds, k),
        np.einsum("bhpm,bhpe->bhme", ds, q),
        np.einsum("bhpm,bhpf->bhmf", a, go),
    )


def test_the_backward_cascade_computes_the_gradients() -> None:
    q, k, v, go = (RANDOM.standard_normal(shape) for shape in ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6), (2, 3, 5, 6)))
    output, _, logarithm = attended(q, k, v)
    cascade = workload("attention_backward", B=2, H=3, P=5, M=7, E=4, F=6).cascade
    found = cascade.evaluate({"Q": q, "K": k, "V": v, "GO": go, "O": output, "L": logarithm})
    for name, expected in zip(("DQ", "DK", "DV"), gradients(q, k, v, go), strict=True):
        np.testing.assert_allclose(found[name], expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("variant", load_method("attention_unfused").cascades)
def test_attention_without_fusion_computes_the_same_and_its_gradients(variant: str) -> None:
    q, k, v, go = (RANDOM.standard_normal(shape) for shape in ((1, 2, 6, 4), (1, 2, 8, 4), (1, 2, 8, 4), (1, 2, 6, 4)))
    bias: Any = np.where(RANDOM.random((6, 8)) < 0.3, -10.0, 0.0) if "masked" in variant else 0.0
    given = {name: tensor.transpose(0, 2, 1, 3) for name, tensor in {"Q": q, "K": k, "V": v}.items()}
    if "masked" in variant:
        given["B"] = bias
    if "training" in variant:
        given["GO"] = go.transpose(0, 2, 1, 3)
    found = workload("attention_unfused", variant=variant, B=1, H=2, P=6, M=8, E=4, F=4).cascade.evaluate(given)
    np.testing.assert_allclose(found["O"], attended(q, k, v, bias)[0], rtol=1e-11, atol=1e-13)
    if "training" in variant:
        for name, expected in zip(("GQ", "GK", "GV"), gradients(q, k, v, go, bias), strict=True):
            np.testing.assert_allclose(found[name].transpose(0, 2, 1, 3), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("parts", "tiles"), [(1, 6), (2, 3), (3, 2), (6, 1)])
def test_decoding_in_any_number_of_parts_is_attention(parts: int, tiles: int) -> None:
    q, k, v = (RANDOM.standard_normal(shape) for shape in ((2, 3, 4, 5), (2, 3, 24, 5), (2, 3, 24, 7)))
    sized = workload("attention_decode", B=2, H=3, G=4, E=5, F=7, M=24)
    found = sized.cascade.with_sizes(M1=tiles, M0=4).evaluate({"Q": q, "K": k, "V": v})
    assert sized.cascade.with_sizes(M1=tiles, M0=4).sizes["M2"] == parts
    np.testing.assert_allclose(found["O"], attended(q, k, v)[0], rtol=1e-11, atol=1e-13)
