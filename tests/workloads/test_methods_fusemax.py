"""FuseMax's cascades: the same numbers in every variant, the article's operation counts, the models it measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.workloads.counts import compulsory_traffic, operations
from lightbound.workloads.registry import Workload, workload

SIZES = st.fixed_dictionaries({symbol: st.integers(1, 5) for symbol in ("B", "H", "E", "F", "P", "M1", "M0")})


def at(variant: str, sizes: dict[str, int]) -> Workload:
    """The variant at these sizes; those of tiles only where it has tiles."""
    tiled = workload("fusemax").with_sizes(**sizes)
    return tiled if variant == "1-pass" else tiled.with_variant(variant)


def inputs(sizes: dict[str, int], seed: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    b, h, e, f, p = (sizes[symbol] for symbol in ("B", "H", "E", "F", "P"))
    m = sizes["M1"] * sizes["M0"]
    return {
        "Q": scale * random.standard_normal((b, h, p, e)),
        "K": random.standard_normal((b, h, m, e)),
        "V": random.standard_normal((b, h, m, f)),
    }


def reference(tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Softmax attention without a scale, by definition."""
    scores = np.einsum("bhpe,bhme->bhpm", tensors["Q"], tensors["K"])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.einsum("bhpm,bhmf->bhpf", weights / weights.sum(axis=-1, keepdims=True), tensors["V"])


@given(SIZES, st.integers(0, 99))
@pytest.mark.parametrize("variant", ["1-pass", "2-pass", "3-pass"])
def test_every_variant_computes_softmax_attention(variant: str, sizes: dict[str, int], seed: int) -> None:
    tensors = inputs(sizes, seed)
    found = at(variant, sizes).cascade.evaluate(tensors)
    assert set(found) == {"AV"}
    np.testing.assert_allclose(found["AV"], reference(tensors), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("variant", ["1-pass", "2-pass", "3-pass"])
def test_every_variant_survives_scores_whose_exponentials_would_overflow(variant: str) -> None:
    sizes = {"B": 1, "H": 1, "E": 4, "F": 3, "P": 3, "M1": 3, "M0": 4}
    tensors = inputs(sizes, seed=1, scale=1e4)
    found = at(variant, sizes).cascade.evaluate(tensors)["AV"]
    np.testing.assert_allclose(found, reference(tensors), rtol=1e-12)


@given(SIZES)
def test_one_pass_costs_the_article_s_operations(sizes: dict[str, int]) -> None:
    queries = sizes["B"] * sizes["H"] * sizes["P"]
    tiles, scores = queries * sizes["M1"], queries * sizes["M1"] * sizes["M0"]
    e, f = sizes["E"], sizes["F"]
    assert operations(at("1-pass", sizes).cascade) == {
        "BQK": {"mac": scores * e},
        "LM": {"max": scores},
        "RM": {"max": tiles},
        "SLN": {"sub": scores, "exp": scores},
        "SLD": {"add": scores},
        "SLNV": {"mac": scores * f},
        "PRM": {"sub": tiles, "exp": tiles},
        "SPD": {"mul": tiles},
        "RD": {"add": tiles},
        "SPNV": {"mul": tiles * f},
        "RNV": {"add": tiles * f},
        "AV": {"div": queries * f},
    }


@given(SIZES)
def test_three_passes_cost_one_division_for_each_score_and_one_pass_one_for_each_output(sizes: dict[str, int]) -> None:
    queries = sizes["B"] * sizes["H"] * sizes["P"]
    scores = queries * sizes["M1"] * sizes["M0"]
    assert operations(at("3-pass", sizes).cascade) == {
        "QK": {"mac": scores * sizes["E"]},
        "GM": {"max": scores},
        "SN": {"sub": scores, "exp": scores},
        "SD": {"add": scores},
        "A": {"div": scores},
        "AV": {"mac": scores * sizes["F"]},
    }


@given(SIZES)
def test_no_variant_moves_less_than_its_inputs_and_output_once(sizes: dict[str, int]) -> None:
    heads, m, p, e, f = sizes["B"] * sizes["H"], sizes["M1"] * sizes["M0"], sizes["P"], sizes["E"], sizes["F"]
    for variant in ("1-pass", "2-pass", "3-pass"):
        traffic = compulsory_traffic(at(variant, sizes).cascade)
        assert traffic == {
            "Q": 2 * heads * p * e,
            "K": 2 * heads * m * e,
            "V": 2 * heads * m * f,
            "AV": 2 * heads * p * f,
        }


@pytest.mark.parametrize(
    ("preset", "heads", "dimension"), [("bert", 12, 64), ("trxl", 16, 64), ("t5", 8, 64), ("xlm", 16, 128)]
)
def test_presets_are_the_models_of_the_article(preset: str, heads: int, dimension: int) -> None:
    sizes = workload("fusemax", preset=preset).sizes
    assert sizes == {"B": 64, "H": heads, "E": dimension, "F": dimension, "M": 4096, "P": 4096}
    linear = workload("encoder_linear", preset=preset).sizes
    assert linear["D"] == linear["N"] == heads * dimension
    assert linear["S"] == 4 * linear["D"]
    assert linear["R"] == sizes["B"] * sizes["P"]


def test_counts_stay_exact_beyond_64_bits() -> None:
    found = workload("fusemax", preset="xlm", M=2**28, P=2**28, M0=256)
    assert operations(found.cascade)["BQK"]["mac"] == 2**10 * 2**56 * 2**7


def test_linear_layers_by_name_need_a_machine_with_a_buffer() -> None:
    import lightbound as lb

    with pytest.raises(lb.LightboundError, match="global_buffer"):
        lb.simulate(workload("encoder_linear"), "h100_sxm", "linear")
