"""Counts that papers state or that follow from their formulas, from the cascades at full size."""

from __future__ import annotations

import pytest

from lightbound.workloads.counts import footprint, total_operations
from lightbound.workloads.registry import Workload, workload

LEVELS = {64: (320, 5), 32: (640, 5), 16: (1280, 5), 8: (1280, 1)}  # Stable Diffusion 2.1: side, width, layers


def macs(work: Workload) -> int:
    return int(total_operations(work.cascade)["mac"])


def parameters(work: Workload) -> int:
    return int(sum(footprint(work.cascade, name) for name in work.cascade.inputs if name in work.method.weights))


def test_attencraft_keeps_half_a_billion_probabilities_an_image_and_needs_a_ninth() -> None:
    kept = {}
    for side, (_, count) in LEVELS.items():
        for kind in ("self", "cross"):
            cascade = workload("attencraft", f"sd21_{kind}{side}", f"{kind}_attention").cascade
            kept[kind, side] = count * footprint(cascade, "MAP")
    assert sum(kept.values()) == 492_391_680
    needed = kept["cross", 16] + kept["self", 32]
    assert needed == 100 * 256 * 77 + 50 * 1024**2
    assert 9 < sum(kept.values()) / needed < 9.1


def test_attencraft_learns_26_million_weights_and_squares_a_map_twice() -> None:
    learned = 0
    for side, (_, count) in LEVELS.items():
        cascade = workload("attencraft", f"sd21_cross{side}", "cross_attention").cascade
        learned += count * sum(footprint(cascade, name) for name in ("WK", "WV"))
    assert learned == 2 * 1024 * (5 * 320 + 5 * 640 + 5 * 1280 + 1280)
    masks = workload("attencraft", "sd21_cross16", "masks").cascade
    assert total_operations(masks)["mac"] == 2 * 1024**3 + 1024**2 * 3 + 1024 * 256 * 3 + 3 * 3 * 1024


@pytest.mark.parametrize("preset", ["sit_xl2_256", "sit_xl2_512"])
def test_attentive_convolution_against_attention(preset: str) -> None:
    work = workload("attentive_conv", preset, "mixer")
    n, c = work.sizes["Y"] * work.sizes["X"], work.sizes["C"]
    pooling = work.sizes["W"] * 9 * c  # stretches of equal length, one pixel longer than they have to be
    assert macs(work) == 3 * n * c * c + 9 * n * c + 81 * c + pooling
    assert macs(work.with_variant("attention")) == 4 * n * c * c + 2 * n * n * c


def test_means_before_the_projection_save_it() -> None:
    work = workload("attentive_conv", "sit_xl2_256", "mixer")
    n, c = 256, 1152
    assert macs(work) - macs(work.with_variant("pooled_first")) == (n - 9) * c * c


def test_relation_net_has_the_parameters_and_operations_of_the_formulas() -> None:
    work = workload("bvr", "retinanet_800_classes", "with_table")
    n, k, d = (work.sizes[symbol] for symbol in "NKD")
    assert n == 22_400
    assert parameters(work) == 4 * d * d + 4 * d + 256 * 8 + 8 == 265_224
    table = 401**2 * 256 * 8
    assert macs(work) == table + 2 * n * d * d + 2 * k * d * d + 2 * n * k * d
    assert macs(work.with_variant("direct")) - macs(work.with_variant("bvr")) == n * k * 256 * 8


def test_class_semantics_attention_is_invisible_in_its_network() -> None:
    work = workload("csa_bmn", "bmn_csa_anet", "attention")
    assert parameters(work) == 400 * 16 + 16 * 256 + 400 * 3
    assert macs(work) / macs(work.with_variant("csa_bmn")) < 1e-5
    dense, sparse = (macs(work.with_variant(name)) for name in ("dense_samples", "csa_bmn"))
    assert dense - sparse == (100 - 6) * 256 * 32 * 100 * 100


def test_an_adapter_of_four_tokens_adds_a_twentieth_of_the_scores() -> None:
    pixels, width = 4096, 320
    work = workload("att_adapter", "sd15_level0", "cached")
    assert macs(work) - macs(work.with_variant("text_only")) == 2 * pixels * 4 * width
    adapters = 0
    for level, count in enumerate((5, 5, 5, 1)):
        cascade = workload("att_adapter", f"sd15_level{level}", "layer").cascade
        adapters += count * sum(footprint(cascade, name) for name in ("WKA", "WVA"))
    assert adapters == 2 * 768 * (5 * 320 + 5 * 640 + 5 * 1280 + 1280)


def test_a_dense_bert_layer_counts_as_everyone_counts_it() -> None:
    work = workload("shrp", "bert_base_dense", "dense")
    n, d = 128, 768
    variances = 2 * n * d  # two norms square what they sum
    assert 2 * (macs(work) - variances) == 24 * n * d * d + 4 * n * n * d
    assert parameters(work) == 7_087_872


def test_sparse_fine_tuning_saves_a_third_of_a_block() -> None:
    rows, d, r, hidden, sequences = 8192, 2048, 16, 8192, 16
    projections = 4 * rows * d * d
    count = {
        name: macs(workload("spt", "opt2048_n512_b16", name))
        for name in ("attention", "dense_attention", "feed_forward", "dense_feed_forward")
    }
    low_rank = rows * r * (2 * d + 2 * hidden)
    dense = projections + count["dense_attention"] + count["dense_feed_forward"] - low_rank
    assert 2 * dense / sequences == 8 * 512 * d * d + 4 * 512**2 * d + 4 * 512 * d * hidden
    sparse = projections + count["attention"] + count["feed_forward"]
    assert 1.5 < dense / sparse < 1.56
