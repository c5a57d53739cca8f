"""LongCA-bench: every mask by its definition, their areas by formula, and what a device of a ring receives."""

from __future__ import annotations

import numpy as np
import pytest

from lightbound.workloads.counts import compulsory_traffic
from lightbound.workloads.masks import picture
from lightbound.workloads.methods.longca_bench import document_lengths
from lightbound.workloads.registry import workload

LENGTHS, TOKENS, WINDOW, PREFIX, BLOCK = (5, 4, 7), 16, 3, 3, 4


def attended(pattern: str) -> np.ndarray:
    mask = workload("longca_bench", "tiny", "1-pass", pattern=pattern).mask
    assert mask is not None
    return np.array([[cell == "#" for cell in row] for row in picture(mask).splitlines()])


def defined(pattern: str) -> np.ndarray:
    i, j = np.arange(TOKENS)[:, None], np.arange(TOKENS)[None]
    owner = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    start = np.repeat(np.cumsum((0, *LENGTHS[:-1])), LENGTHS)
    same, causal = owner[i] == owner[j], j <= i
    last = len(LENGTHS) - 1
    return np.broadcast_to(
        {
            "full": i >= 0,
            "causal": causal,
            "full_document": same,
            "causal_document": same & causal,
            "sliding_window": abs(i - j) <= WINDOW,
            "causal_sliding_window": (i - j >= 0) & (i - j <= WINDOW),
            "shared_question": (same & causal) | ((owner[j] == 0) & (owner[i] != 0)),
            "causal_blockwise": (same & causal) | ((owner[i] == last) & (owner[j] != last)),
            "prefix_causal": causal | ((i < PREFIX) & (j < PREFIX)),
            "prefix_document": same & (causal | ((i - start[i] < PREFIX) & (j - start[j] < PREFIX))),
            "global_sliding_window": (abs(i - j) <= WINDOW) | (i < 2 * WINDOW) | (j < 2 * WINDOW),
        }[pattern],
        (TOKENS, TOKENS),
    )


@pytest.mark.parametrize(
    "pattern",
    [
        "full", "causal", "full_document", "causal_document", "sliding_window", "causal_sliding_window",
        "shared_question", "causal_blockwise", "prefix_causal", "prefix_document", "global_sliding_window",
    ],
)  # fmt: skip
def test_a_mask_is_what_the_benchmark_defines(pattern: str) -> None:
    assert np.array_equal(attended(pattern), defined(pattern))


def test_areas_at_length_follow_the_formulas() -> None:
    n, w = 16384, 1024
    lengths = np.array(document_lengths(n, seed=0))
    assert lengths.sum() == n
    inside = (lengths * (lengths + 1) // 2).sum()
    for pattern, area in {
        "sliding_window": n * (2 * w + 1) - w * (w + 1),
        "causal_sliding_window": n * (w + 1) - w * (w + 1) // 2,
        "causal_document": inside,
        "shared_question": inside + lengths[0] * (n - lengths[0]),
        "causal_blockwise": inside + lengths[-1] * (n - lengths[-1]),
    }.items():
        mask = workload("longca_bench", f"{pattern}_16k", "1-pass").mask
        assert mask is not None
        assert mask.count(128, 128).attended_pairs == area, pattern


def test_block_sparse_masks_keep_their_share() -> None:
    mask = workload("longca_bench", "sparse_uniform_32k", "1-pass").mask
    assert mask is not None and abs(mask.density - 0.5) < 0.005
    assert attended("uniform_block_sparse").sum() == TOKENS * BLOCK * 2
    causal_blocks = attended("block_causal_document")
    assert causal_blocks[np.arange(TOKENS), np.arange(TOKENS)].all()
    assert not causal_blocks[:BLOCK, BLOCK:].any()


def test_a_device_of_a_ring_receives_the_keys_and_values_of_all_others() -> None:
    work = workload("longca_bench", "ring_512k", "ring")
    devices, tokens, heads, e = 64, 524288, 8, 128
    received = sum(compulsory_traffic(work.cascade)[tensor] for tensor in ("K", "V")) * (devices - 1) / devices
    assert received == 2 * (2 * heads * e * tokens * (devices - 1) / devices)
