"""What a kernel spends on testing a mask, and in which visits: for estimates of kernels, not for counts."""

from __future__ import annotations

import numpy as np
import pytest

from lightbound.workloads.masks import GNA, Causal, Dense, Documents, Mask, Sinks, SlidingWindow, kernel_block_sparse


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_neighbourhood_costs_a_coordinate_and_two_comparisons_an_axis(rank: int) -> None:
    mask = GNA((16,) * rank, 8)
    assert mask.score_test == {"iadd": rank, "compare": 2 * rank, "select": 1}


def test_other_masks_cost_the_comparisons_that_they_need() -> None:
    assert Causal(64).score_test == {"compare": 1, "select": 1}
    assert SlidingWindow(64, 8).score_test == {"compare": 2, "select": 1}


def test_a_neighbourhood_is_tested_everywhere_or_nowhere_by_the_kernels_rule() -> None:
    for stride in (1, 8, 16):
        mask = GNA((64, 64), 16, stride)
        count = mask.count((8, 8), (8, 8))
        tested = mask.tested_visits(count)
        assert tested.sum() == (0 if kernel_block_sparse(mask, (8, 8), (8, 8)) else count.visits_total)
        assert tested.shape == (count.q_tiles,)


def test_a_neighbourhood_in_flattened_tiles_is_always_tested() -> None:
    mask = GNA((64, 64), 16, 16)
    count = mask.count(64, 64)
    assert mask.tested_visits(count).sum() == count.visits_total


def test_other_masks_are_tested_where_a_tile_is_cut() -> None:
    mask = Causal(512)
    count = mask.count(64, 64)
    assert np.array_equal(mask.tested_visits(count), np.ones(8, int))


@pytest.mark.parametrize(
    ("mask", "causal"),
    [
        (Dense((8,)), False),
        (Causal(8), True),
        (SlidingWindow(8, 2), False),
        (Sinks(8, 2), False),
        (GNA((8, 8), 4, causal=(False, True)), True),
        (GNA((8, 8), 4), False),
        (Documents([4, 4], causal=True), True),
        (Causal(8) & SlidingWindow(8, 4), True),
        (SlidingWindow(8, 4) | Sinks(8, 2), False),
        (Causal(8).permuted(np.arange(8)), True),
    ],
)
def test_masks_say_whether_they_are_causal(mask: Mask, causal: bool) -> None:
    assert mask.is_causal == causal
