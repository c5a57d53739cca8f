"""Neighbourhood masks counted elsewhere, by enumeration of pairs: all fields must be exact."""

from __future__ import annotations

from functools import partial

import pytest

from lightbound.workloads.masks import GNA, Mask

FIELDS = ("shape", "window", "stride", "dilation", "causal", "q_tile", "kv_tile")
COUNTS = ("q_tiles", "dense", "worst", "total", "dynamic_worst", "dynamic_total", "pairs", "block_sparse")
VECTORS = """
100         17       1        1      0     16     8      7 13 4 26 4 26             1700       no
100         17       5        1      0     16     8      7 13 5 30 4 27             1700       no
100         16       16       1      0     16     8      7 13 3 15 2 14             1600       no
100         16       4        1      1     16     8      7 13 4 25 4 24             1354       no
100         9        3        3      0     8      8      15 13 3 39 3 33            900        no
101         10       4        7      0     4      4      28 26 3 84 3 84            1010       no
32768       2048     1        1      0     256    128    128 256 18 2288 18 2288    67108864   no
32768       2048     128      1      0     128    128    256 256 17 4336 16 4096    67108864   no
32768       2048     256      1      0     256    128    128 256 16 2048 16 2048    67108864   yes
32768       2048     1        1      1     256    128    128 256 18 2232 18 2232    65012736   no
50x37       13x8     1x1      1x1    0x0   8x8    8x8    35 35 9 260 6 180          192400     no
50x37       13x8     4x8      1x1    0x0   16x4   8x8    40 35 8 168 4 120          192400     no
50x37       6x8      2x4      3x2    0x0   8x8    8x8    48 35 9 252 4 140          88800      no
50x37       13x8     1x1      1x1    1x0   8x8    8x8    35 35 9 234 6 170          169312     no
256x256     80x80    16x1     1x1    0x0   16x16  16x8   256 512 60 14560 60 14560  419430400  no
30x48x80    18x24x24 2x8x8    1x1x1  0x0x0 4x8x8  2x8x8  480 900 90 40500 90 40500  1194393600 no
30x48x80    18x24x24 18x24x24 1x1x1  0x0x0 4x8x8  2x8x8  480 900 135 42120 135 42120 1194393600 no
30x48x80    18x24x24 1x1x1    1x1x1  1x0x0 2x8x8  2x8x8  900 900 250 110880 160 87780 855982080 no
16x44x80    16x4x16  1x1x1    1x11x5 0x0x0 8x4x8  4x4x8  220 440 8 1760 8 1760      57671680   yes
16x44x80    16x12x16 1x4x1    1x1x5  0x0x0 8x4x8  4x4x8  220 440 24 5280 24 5280    173015040  yes
16x44x80    16x28x56 1x4x8    1x1x1  0x0x0 8x4x8  4x4x8  220 440 196 43120 196 43120 1412956160 yes
13x29x41    5x9x11   2x3x4    2x3x1  0x0x1 4x4x4  4x4x4  396 352 24 6696 18 6480    5954715    no
"""


def axes(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))


@pytest.mark.parametrize("line", VECTORS.split("\n")[1:-1])
def test_every_field_of_the_vector_is_exact(line: str) -> None:
    words = line.split()
    given = {name: axes(word) for name, word in zip(FIELDS, words, strict=False)}
    wanted = dict(zip(COUNTS, words[len(FIELDS) :], strict=True))
    mask = GNA(
        given["shape"],
        given["window"],
        given["stride"],
        given["dilation"],
        tuple(bool(flag) for flag in given["causal"]),
    )
    small = mask.queries < 5000
    # Small masks are also counted natively, from rows: the two ways share nothing.
    for way in (mask.count, partial(Mask.count, mask)) if small else (mask.count,):
        static = way(given["q_tile"], given["kv_tile"])
        dynamic = way(given["q_tile"], given["kv_tile"], "dynamic")
        assert {
            "q_tiles": static.q_tiles,
            "dense": static.dense_kv_tiles,
            "worst": static.visits_max,
            "total": static.visits_total,
            "dynamic_worst": dynamic.visits_max,
            "dynamic_total": dynamic.visits_total,
            "pairs": static.attended_pairs,
        } == {name: int(value) for name, value in wanted.items() if name != "block_sparse"}
        assert static.block_sparse == (wanted["block_sparse"] == "yes")


@pytest.mark.parametrize(
    ("grid", "window", "stride", "q_tile", "kv_tile", "worst", "dense", "mean_speedup"),
    [
        ((256, 256), 80, 1, 256, 128, 160, 512, None),
        ((256, 256), 80, 16, 128, 128, 160, 512, None),
        ((30, 48, 80), (18, 24, 24), 1, 256, 128, 306, 900, 3.13),
        ((30, 48, 80), (18, 24, 24), (16, 8, 8), 256, 128, 360, 900, 3.26),
        ((16, 44, 80), (16, 24, 16), 1, 256, 128, 440, 440, 1.62),
    ],
)
def test_one_dimensional_tiles_lose_what_multi_dimensional_ones_keep(
    grid: tuple[int, ...],
    window: int | tuple[int, ...],
    stride: int | tuple[int, ...],
    q_tile: int,
    kv_tile: int,
    worst: int,
    dense: int,
    mean_speedup: float | None,
) -> None:
    count = GNA(grid, window, stride).count(q_tile, kv_tile)
    assert (count.visits_max, count.dense_kv_tiles) == (worst, dense)
    assert mean_speedup is None or count.total_visits_speedup == pytest.approx(mean_speedup, abs=0.0051)


def test_a_13_by_13_window_touches_a_tenth_of_row_tiles_and_a_sixteenth_of_square_ones() -> None:
    mask = GNA((128, 128), 13)
    rows, boxes = mask.count(128, 128), mask.count((8, 16), (8, 16))
    assert round(100 * mask.density, 2) == 1.03
    assert round(100 * rows.visits_total / rows.dense_visits, 2) == 10.16
    assert round(100 * boxes.visits_total / boxes.dense_visits, 2) == 6.18


@pytest.mark.parametrize(
    ("window", "stride", "full", "partial_share"),
    [(12, 4, 1.56, 0.0), (20, 4, 7.23, 0.0), (11, 1, 0.09, 5.18)],
)
def test_the_census_of_blocks_of_a_cube_matches_the_published_one(
    window: int, stride: int, full: float, partial_share: float
) -> None:
    count = GNA((48, 48, 48), window, stride).count((4, 4, 4), (4, 4, 4))
    assert round(100 * count.full_tiles / count.dense_visits, 2) == full
    assert round(100 * count.partial_tiles / count.dense_visits, 2) == partial_share


def test_a_sliding_tile_is_a_neighborhood_whose_stride_is_the_tile() -> None:
    tile, window = (6, 8, 8), (18, 24, 24)
    count = GNA((30, 48, 80), window, tile).count(tile, tile)
    assert count.block_sparse
    assert count.worst_tile_speedup == pytest.approx(count.operations_speedup)
