"""Workloads with masks: options beside sizes, and the use cases as they are published."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from lightbound.base.errors import LightboundError
from lightbound.workloads.masks import GNA
from lightbound.workloads.methods import load_method
from lightbound.workloads.registry import workload

METHOD = load_method("gna")


@pytest.mark.parametrize("preset", METHOD.presets)
def test_every_preset_has_a_legal_mask_whose_queries_and_keys_are_its_sizes(preset: str) -> None:
    found = workload("gna", preset)
    assert isinstance(found.mask, GNA)
    assert found.sizes["P"] == found.sizes["M"] == math.prod(found.mask.grid)
    assert found.sizes["E"] == found.sizes["F"] == (4 if preset == "tiny" else 128)


@pytest.mark.parametrize(
    ("preset", "sparsity"),
    [
        ("hunyuan_video", 0.91), ("hunyuan_video_58", 0.5833), ("flux_4k", 0.9023), ("cosmos_7b", 0.891),
        ("cosmos_7b_56", 0.5636), ("demo_1d", 0.9375), ("cosmos_predict2_98", 0.98), ("cosmos_predict2_95", 0.95),
        ("cosmos_predict2_92", 0.92), ("cosmos_predict2_77", 0.77), ("cosmos_predict2_55", 0.55), ("sta_91", 0.91),
        ("sta_58", 0.583),
    ],
)  # fmt: skip
def test_presets_are_as_sparse_as_they_are_published(preset: str, sparsity: float) -> None:
    mask = workload("gna", preset).mask
    assert mask is not None
    assert 1 - mask.density == pytest.approx(sparsity, abs=0.006)


def test_sliding_tile_attention_is_block_sparse_in_its_own_tiles() -> None:
    for preset in ("sta_91", "sta_58"):
        mask = workload("gna", preset).mask
        assert mask is not None
        assert mask.count((6, 8, 8), (6, 8, 8)).block_sparse


def test_shares_of_a_run_are_kept_with_their_source() -> None:
    for preset, whole in METHOD.end_to_end.items():
        assert preset in METHOD.presets
        assert 0 < whole.share < 1 and whole.dense_steps < whole.steps and whole.source
    assert workload("gna", "sta_91").end_to_end is None


def test_options_go_over_the_preset_and_these_over_the_method() -> None:
    found = workload("gna", "hunyuan_video", window=(30, 40, 40), H=8)
    assert found.options["window"] == (30, 40, 40)
    assert found.options["stride"] == (16, 8, 8)
    assert found.options["dilation"] == 1
    assert found.sizes["H"] == 8


def test_extra_keys_lengthen_the_keys_alone() -> None:
    found = workload("gna", "hunyuan_video", extra_keys=256)
    assert (found.sizes["P"], found.sizes["M"]) == (115200, 115456)


def test_another_variant_and_other_sizes_keep_the_mask() -> None:
    found = workload("gna", "flux_4k", stride=1).with_variant("1-pass").with_sizes(M0=128, H=2)
    assert found.mask == workload("gna", "flux_4k", stride=1).mask
    assert found.sizes["M1"] == 512


def test_other_options_keep_sizes_and_free_tiles() -> None:
    found = workload("gna", "flux_4k", variant="1-pass", H=2, M0=128).with_options(grid=(128, 128), window=16, stride=1)
    assert found.sizes["P"] == 16384
    assert (found.sizes["H"], found.sizes["M0"], found.sizes["M1"]) == (2, 128, 128)


def test_a_masked_workload_travels_to_other_processes() -> None:
    found = workload("gna", "cosmos_7b")
    again = pickle.loads(pickle.dumps(found))
    assert again.mask == found.mask and again.sizes == found.sizes


def test_sizes_that_the_mask_sets_cannot_be_given() -> None:
    with pytest.raises(LightboundError, match=r"sizes\.M = 512: follows from the mask\. Change an option"):
        workload("gna", "flux_4k", M=512)
    with pytest.raises(LightboundError, match="follows from the mask"):
        workload("gna", "flux_4k").with_sizes(P=512)


def test_an_unknown_option_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(LightboundError, match=r"wndow = 3: is not an option of gna\. Did you mean 'window'"):
        workload("gna", "flux_4k", wndow=3)


def test_methods_without_a_mask_take_no_options() -> None:
    with pytest.raises(LightboundError, match="is not a size of this cascade"):
        workload("attention", window=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (18, 24, 240)}, "larger than the grid's 80 tokens. Choose 2 to 80"),
        ({"stride": (20, 8, 8)}, "larger than the window of 18. Choose 1 to 18"),
        ({"dilation": (2, 2, 2)}, "where a window of 18 spans 36 of 30 tokens"),
        ({"window": (18, 24)}, "has 2 axes where the token grid has 3. Give 3 values"),
    ],
)
def test_an_impossible_mask_is_told_with_its_remedy(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LightboundError, match=message):
        workload("gna", "hunyuan_video", **options)
