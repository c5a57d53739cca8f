"""Operations and parameters of attention methods at their papers' sizes, against formulas written down apart."""

from __future__ import annotations

import pytest

from lightbound.workloads.counts import footprint, total_operations
from lightbound.workloads.registry import workload


def macs(name: str, preset: str, variant: str, **sizes: int) -> int:
    return total_operations(workload(name, preset, variant, **sizes).cascade).get("mac", 0)


def parameters(name: str, preset: str, variant: str) -> int:
    work = workload(name, preset, variant)
    return sum(footprint(work.cascade, tensor) for tensor in work.cascade.inputs if tensor in work.method.weights)


def test_the_select_of_channels_saves_one_attention_and_the_protected_part_of_a_product() -> None:
    tokens, width, condition, kept = 4096, 1024, 1374, 975
    linear = 112 * tokens * width**2 + 16 * condition * width**2 + 16 * tokens * condition * width
    released, select = (2 * macs("stylesculptor", "geometry", variant) for variant in ("released", "select"))
    assert released - select == 6 * tokens**2 * width - 2 * tokens**2 * (width - kept)
    counted = linear + 20 * tokens**2 * width
    assert 0 <= released - counted < 1e-3 * counted  # normalizations and modulations beside the products


def test_a_chunk_of_neural_memory_costs_what_its_products_do() -> None:
    width, chunk = 768, 64
    state = 8 * width**2
    per_token = 2 * macs("titans", "lmm_170m", "lmm") / 4096
    pairs = 2 * chunk * (2 * width + 2 * 4 * width)  # all pairs of a chunk: the mask of causality saves nothing here
    assert per_token == 11 * state + pairs
    start = 2 * macs("titans", "lmm_170m", "chunk_start") / 4096
    assert start == 9 * state


def test_a_shard_s_projection_and_both_memories_add_up() -> None:
    width, chunk = 768, 16
    state = 8 * width**2
    per_token = 2 * macs("tnt", "runtime_32k_16", "memories", B=1) / 32768
    pairs = 2 * chunk * (4 * width + 2 * 4 * width)
    assert per_token == 2 * 7 * state + 4 * width**2 + pairs


def test_the_released_forward_kernel_of_linear_attention_repeats_scores_for_every_tile_of_values() -> None:
    tokens, block, dim, tile = 8192, 64, 128, 32
    coded = 2 * block * (dim * dim // tile + dim) + 4 * dim * dim
    assert 2 * macs("lightning_attention", "bench_released", "blocks") == coded * tokens * 4 * 32
    assert coded == 147_456


def test_grouped_attention_with_sinks_adds_a_handful_of_columns() -> None:
    tokens, group, sinks, width = 8192, 2048, 4, 4096
    assert 2 * macs("sinklora", "llama2_7b_8k", "core") == 4 * tokens * (group + sinks) * width


@pytest.mark.parametrize(("variant", "factor"), [("released", 3 + 128 / 256), ("gathered", 3), ("plain", 2)])
def test_positions_cost_products_as_large_as_the_scores(variant: str, factor: float) -> None:
    segment, keys, width, hidden, batch = 128, 256, 128, 256, 32
    linear = 2 * width**2 * (2 * segment + 2 * keys) + 4 * segment * width * hidden
    convolutions = 0 if variant == "plain" else 6 * width * (segment + 2 * keys)
    mixing = factor * 2 * segment * keys * width
    moments = 2 * width * (keys + segment)  # of both normalizations
    assert 2 * macs("rcmha", "class_default", variant) == batch * (linear + convolutions + mixing + moments)


def test_tables_of_distances_are_most_of_a_layer_s_parameters() -> None:
    extra = parameters("rcmha", "class_default", "released") - parameters("rcmha", "class_default", "plain")
    assert extra == 3 * (3 + 1) * 16 + 2 * 4096 * (128 + 8) + 128


def test_the_triangular_product_costs_nearly_as_much_as_the_rest_of_the_layer() -> None:
    released, scan = (2 * macs("moduleformer", "molm_350m_4b", variant, B=1) for variant in ("released", "scan"))
    assert released - scan == 2 * 2 * 8 * 1024**3
    assert released - scan > 0.8 * scan


def test_a_level_of_the_neck_has_its_weights() -> None:
    channel = 256 * 128 + 2 * 128 + 5 * (128 * 256 + 256)
    refinement = (256 + 1) + 256 * 16 + 16 + 2 * 16 + 16 * 256 + 256
    assert parameters("sdanet", "pidray_512", "level_0") == channel + 5 * 98 + refinement
    assert parameters("sdanet", "pidray_512", "neck") == 5 * (channel + 5 * 98 + refinement)


def test_an_utterance_takes_53_gflop() -> None:
    parts = {"encoder_prenet": 1, "encoder_layer": 6, "decoder_prenet": 1, "decoder_layer": 6, "outputs": 1}
    total = sum(2 * count * macs("transformer_tts", "speaking", part) for part, count in parts.items())
    causal = 6 * 2 * (800**2 - 800) * 512  # what a causal kernel leaves out of the decoder's own attention
    assert total - causal == pytest.approx(53e9, rel=0.02)


def test_a_step_of_training_on_long_texts_is_the_encoder_s() -> None:
    batch, words, embedding, state, width = 32, 180, 300, 128, 256
    forward = 2 * macs("attention_at", "imdb", "forward")
    scores = 2 * batch * words * width * 128 + 2 * batch * words * 128
    head = 2 * batch * words * width + 2 * batch * width
    assert forward == 16 * batch * words * state * (embedding + state) + scores + head
    plain, adversarial = (macs("attention_at", "imdb", variant) for variant in ("training", "at_training"))
    assert adversarial < 1.01 * plain
