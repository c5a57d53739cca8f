"""A mask seen from its keys, against every pair in one array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.workloads.masks.by_keys import visits_by_keys
from lightbound.workloads.masks.causal import Causal
from lightbound.workloads.masks.dense import Dense
from lightbound.workloads.masks.gna import GNA
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.masks.sliding_window import SlidingWindow

BANDS = st.one_of(
    st.builds(Causal, st.integers(1, 40), st.integers(1, 40)),
    st.builds(Dense, st.integers(1, 40).map(lambda n: (n,)), st.integers(1, 40).map(lambda n: (n,))),
    st.builds(SlidingWindow, st.integers(1, 40), st.integers(0, 12), st.integers(0, 12)),
)


def pairs(mask: Mask) -> np.ndarray:
    found = np.zeros((mask.queries, mask.keys), bool)
    for query in range(mask.queries):
        found[query, mask.row(query)] = True
    return found


@given(BANDS, st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_bands_are_counted_from_keys_as_by_looking_at_every_pair(mask: Mask, q_tile: int, kv_tile: int) -> None:
    attended = pairs(mask)
    visits, tested = visits_by_keys(mask, mask.count(q_tile, kv_tile))
    expected, partly = [], []
    for first in range(0, mask.keys, kv_tile):
        parts = [attended[q : q + q_tile, first : first + kv_tile] for q in range(0, mask.queries, q_tile)]
        expected.append(sum(part.any() for part in parts))
        partly.append(sum(part.any() and not part.all() for part in parts))
    assert visits.tolist() == expected
    assert tested.tolist() == partly


@pytest.mark.parametrize("tiles", [((4, 4), (4, 4)), ((2, 8), (4, 2))])
def test_other_masks_have_as_many_visits_from_keys_as_from_queries(
    tiles: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    mask = GNA((12, 16), (5, 7), (2, 4))
    count = mask.count(*tiles)
    visits, tested = visits_by_keys(mask, count)
    assert visits.sum() == count.visits_total
    assert tested.sum() == pytest.approx(mask.tested_visits(count).sum())
