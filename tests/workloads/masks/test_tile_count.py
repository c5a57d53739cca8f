"""What counts say beyond the counts themselves, and masks as values."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.workloads.masks import (
    GNA,
    Blocked,
    Causal,
    Dense,
    Documents,
    Mask,
    Sinks,
    SlidingWindow,
    Strided,
    picture,
    tile_order,
)


def test_dense_attention_visits_everything_and_saves_nothing() -> None:
    count = Dense((30, 48, 80)).count((4, 8, 8), (2, 8, 8))
    assert count.visits_histogram == {900: 480}
    assert count.block_sparse
    assert (count.density, count.operations_speedup, count.worst_tile_speedup) == (1.0, 1.0, 1.0)
    assert count.total_visits_speedup == pytest.approx(450 / 480), "30 frames pad to 32"


def test_padding_is_counted_on_both_sides() -> None:
    count = GNA((30, 44), 8, dilation=(1, 3)).count((4, 8), (4, 8))
    assert (count.q_tiles, count.launched_q_tiles) == (8 * 6, 8 * 6)
    assert (count.padded_queries, count.padded_keys) == (48 * 32, 8 * 6 * 32)
    uneven = GNA(17, 4, dilation=4).count(2, 2)
    assert (uneven.q_tiles, uneven.launched_q_tiles) == (3 + 2 + 2 + 2, 12)


def test_a_tile_larger_than_the_grid_is_one_tile_of_padding() -> None:
    huge = 2**31 - 1
    for mask in (GNA((5, 6), 4, 2), GNA((5, 6), 4, 2) & Dense((5, 6)), Strided((5, 6), huge), Blocked((5, 6), huge)):
        for tile in ((huge, huge), huge):
            for kv_tiling in ("static", "dynamic"):
                count = mask.count(tile, tile, kv_tiling)
                assert (count.q_tiles, count.dense_kv_tiles, count.visits_total) == (1, 1, 1)
    assert [mask.row(0).tolist() for mask in (Strided(8, huge), Strided(8, 7))] == [[0], [0, 7]]


def test_extra_keys_add_whole_tiles_that_every_query_attends() -> None:
    without, with_text = (GNA((30, 48, 80), (18, 24, 24), (16, 8, 8), extra_keys=n) for n in (0, 256 + 1))
    a, b = (mask.count((4, 8, 8), (2, 8, 8)) for mask in (without, with_text))
    assert (b.visits_max, b.visits_total, b.full_tiles) == (
        a.visits_max + 3,
        a.visits_total + 3 * 480,
        a.full_tiles + 3 * 480,
    )
    assert (b.dense_kv_tiles, b.keys) == (903, 115200 + 257)
    assert b.attended_pairs == a.attended_pairs + 115200 * 257
    assert b.visits.tolist() == [84] * 480
    assert b.block_sparse


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_wider_windows_and_coarser_tiles_never_attend_or_visit_less(data: st.DataObject) -> None:
    extent = data.draw(st.integers(4, 80))
    narrow = data.draw(st.integers(2, extent - 1))
    tile = data.draw(st.integers(1, 12))
    # A window that grows by two keeps its centre.
    small, large = (GNA(extent, min(window, extent)).count(tile, tile) for window in (narrow, narrow + 2))
    assert small.attended_pairs <= large.attended_pairs
    assert np.all(small.visits <= large.visits)
    coarse = GNA(extent, narrow).count(tile, 2 * tile)
    assert np.all(coarse.visits <= small.visits)
    assert np.all(small.visits <= 2 * coarse.visits)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_tiles_cover_the_attended_pairs(data: st.DataObject) -> None:
    grid = tuple(data.draw(st.integers(4, 24)) for _ in range(data.draw(st.integers(1, 3))))
    window = tuple(data.draw(st.integers(2, extent)) for extent in grid)
    tile = tuple(data.draw(st.integers(1, 6)) for _ in grid)
    count = GNA(grid, window).count(tile, tile)
    area = count.tiling.q_tile_size * count.tiling.kv_tile_size
    assert count.attended_pairs <= count.visits_total * area
    assert count.full_tiles <= count.visits_total <= count.q_tiles * count.dense_kv_tiles


def test_counts_are_plain_data_on_request() -> None:
    data = GNA((30, 48, 80), (18, 24, 24)).count((4, 8, 8), (2, 8, 8)).to_dict()
    assert json.loads(json.dumps(data))["visits_total"] == data["visits_total"] == 82368
    assert data["q_tile"] == [4, 8, 8]


def test_a_mask_that_has_counted_travels_to_other_processes() -> None:
    for mask in (
        GNA((6, 8), 4),
        SlidingWindow(48, 5) | Sinks(48, 2),
        Causal(48).permuted(np.arange(48)[::-1]),
    ):
        before = mask.count(8, 8).to_dict()
        mask.row(0)
        assert pickle.loads(pickle.dumps(mask)).count(8, 8).to_dict() == before


def test_masks_with_equal_parameters_are_equal_and_hash_alike() -> None:
    assert GNA((6, 8), 4) == GNA((6, 8), (4, 4), 1)
    assert len({GNA((6, 8), 4), GNA((6, 8), (4, 4)), GNA((6, 8), 4, 2)}) == 2
    assert Causal(8) & Dense(8) == Causal(8) & Dense(8)
    assert Causal(8) != Causal(8, 9)


def test_three_masks_composed_are_one_composition() -> None:
    mask = Causal(16) & SlidingWindow(16, 4, 4) & Documents([5, 11])
    assert len(mask.members) == 3


def test_pictures_show_rows_of_queries_and_columns_of_keys() -> None:
    assert picture(SlidingWindow(6, 1) | Sinks(6, 1)) == "#.....\n##....\n###...\n#.##..\n#..##.\n#...##"
    assert picture(GNA(6, 3)) == "###...\n###...\n.###..\n..###.\n...###\n...###"
    assert picture(Blocked(5, 2)) == "##...\n##...\n..##.\n..##.\n....#"
    assert picture(Strided(5, 2, causal=True)) == "#....\n.#...\n#.#..\n.#.#.\n#.#.#"


def test_a_sequence_of_a_million_tokens_is_counted_by_tile() -> None:
    tokens, tile = 1_000_000, 128
    count = Causal(tokens).count(tile, tile)
    tiles = -(-tokens // tile)
    assert count.visits_total == tiles * (tiles + 1) // 2
    assert count.partial_tiles == tiles
    # The same without a closed form: a composition is counted from rows.
    assert (Causal(tokens) & Dense(tokens)).count(tile, tile).to_dict() == count.to_dict()


def test_tile_order_lays_tiles_one_behind_the_other() -> None:
    assert tile_order((2, 4), (2, 2)).tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
    assert tile_order(6, 2, dilation=2).tolist() == [0, 2, 4, 1, 3, 5]


def test_tiles_restart_at_documents_only_where_asked() -> None:
    lengths = [5, 7, 4]
    across, anew = (Documents(lengths, restart=restart).count(4, 4) for restart in (False, True))
    assert (across.q_tiles, anew.q_tiles) == (4, 5)
    assert (across.block_sparse, anew.block_sparse) == (False, True)
    assert anew.visits.tolist() == [2, 2, 2, 2, 1]


def test_compositions_regroup_as_their_members_agree() -> None:
    dilated = GNA((8, 8), 4, dilation=2)
    assert (dilated & Dense((8, 8))).query_layouts == dilated.query_layouts
    disagreeing: Mask = dilated & GNA((8, 8), 4, dilation=(1, 2))
    assert all(layout.plain for layout in disagreeing.query_layouts)
