"""Reuse counts equal a walk of the loop nest, one iteration at a time, ragged tiles and halos included."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.sim.reuse import Nest, Step, tiles, windows
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.expression import Access

from .nest_walk import intervals, largest_tile, moved_by_rule, moved_in_truth

RANKS = ("i", "j", "k")
SIZES = st.fixed_dictionaries({rank: st.integers(1, 7) for rank in RANKS})
Nested = tuple[tuple[Step, ...], dict[str, int]]


@st.composite
def nests(draw: st.DrawFn, dividing: bool = False, if_split: bool | None = None) -> Nested:
    """Up to five loops over three ranks of up to seven; a rank may have several loops, tiles may be ragged."""
    sizes = draw(SIZES)
    extent = dict(sizes)
    steps = []
    for rank in draw(st.lists(st.sampled_from(RANKS), max_size=5)):
        if dividing:
            tile = draw(st.sampled_from([d for d in range(1, extent[rank] + 1) if extent[rank] % d == 0]))
        else:
            tile = draw(st.integers(1, 8))
        extent[rank] = min(extent[rank], tile)
        steps.append(Step(rank, tile, draw(st.booleans()) if if_split is None else if_split))
    return tuple(steps), sizes | {rank.upper(): size for rank, size in sizes.items()}


def access(index: str) -> Access:
    """How an Einsum reads X at this index."""
    stored = ", ".join(["9"] * len(re.sub(r"\[.*?\]", "", index).split(",")))
    cascade = Cascade.parse(f"X: [{stored}]\nY[i,j,k] = X[{index}] * Z[i,j,k]")
    return next(read for read in cascade.einsum("Y").reads if read.tensor == "X")


PLAIN = ("i", "i,j", "k,i", "i,j,k", "0,j", "i,i")
GATHERED = ("I[i,j]", "I[i],k", "j,I[j,k]", "i,I[i,j],k")
PARTITIONED = ("i*J+j", "k,i*J+j", "i*J*K+j*K+k")
CONVOLVED = ("i+j", "i+j,k", "2*i+j", "i+2*j-1,k", "2*i", "3*i+1,j")
AWKWARD = ("i-j", "i+j-1,i", "2*i+3*j", "2*i+4*j,k", "i+j,j+k")
RUNNING = st.sets(st.sampled_from(RANKS)).map(sorted)


@given(st.integers(1, 40), st.lists(st.integers(1, 40), min_size=1, max_size=3))
def test_nested_ragged_tiles_are_counted_exactly(size: int, extents: list[int]) -> None:
    nested = [min(extents[: n + 1]) for n in range(len(extents))]
    steps = tuple(Step("i", tile) for tile in nested)
    assert tiles(size, nested) == len(intervals("i", steps, {"i": size}))
    assert tiles(np.array([float(size)]), nested)[0] == tiles(size, nested)


@given(nests())
@settings(deadline=None)
def test_counts_and_extents_are_those_of_the_walk(nested: Nested) -> None:
    steps, sizes = nested
    nest = Nest(steps, sizes)
    for depth in range(len(steps) + 1):
        for rank in RANKS:
            found = intervals(rank, steps[:depth], sizes)
            assert nest.count(rank, depth) == len(found)
            assert nest.extent(rank, depth) == max(end - start for start, end in found)
        assert nest.visits(RANKS, depth) == np.prod([len(intervals(rank, steps[:depth], sizes)) for rank in RANKS])


@pytest.mark.parametrize("index", [*PLAIN, *GATHERED, "i+j", "i+j,k", "i*J+j"])
@given(nested=nests(), run=RUNNING)
@settings(deadline=None, max_examples=60)
def test_moved_words_are_those_of_the_walk(index: str, nested: Nested, run: list[str]) -> None:
    """By the rule: a written loop asks for its tile even if it makes one trip, one that is so `if_split` does not."""
    steps, sizes = nested
    read = access(index)
    run = sorted({*run, *read.ranks})
    assert Nest(steps, sizes).moved(read, len(steps), run) == moved_by_rule([read], steps, sizes, run)


@pytest.mark.parametrize("index", [*PLAIN, *GATHERED, *PARTITIONED, *CONVOLVED, *AWKWARD])
@given(nested=nests(), run=RUNNING)
@settings(deadline=None, max_examples=60)
def test_no_more_words_are_moved_than_the_points_that_need_them_and_no_fewer_than_in_truth(
    index: str, nested: Nested, run: list[str]
) -> None:
    steps, sizes = nested
    read = access(index)
    run = sorted({*run, *read.ranks})
    moved = Nest(steps, sizes).moved(read, len(steps), run)
    assert moved_in_truth([read], steps, sizes, run) <= moved
    assert moved <= np.prod([sizes[rank] for rank in run])


@pytest.mark.parametrize("index", [*PLAIN, *GATHERED, *PARTITIONED, *CONVOLVED])
@given(nested=nests(dividing=True, if_split=True), run=RUNNING)
@settings(deadline=None, max_examples=60)
def test_where_tiles_divide_and_loops_split_the_count_is_the_truth(index: str, nested: Nested, run: list[str]) -> None:
    steps, sizes = nested
    read = access(index)
    run = sorted({*run, *read.ranks})
    assert Nest(steps, sizes).moved(read, len(steps), run) == moved_in_truth([read], steps, sizes, run)


@pytest.mark.parametrize("index", [*PLAIN, *GATHERED, *PARTITIONED, *CONVOLVED])
@given(nested=nests())
@settings(deadline=None, max_examples=60)
def test_the_footprint_is_the_largest_tile_of_the_walk(index: str, nested: Nested) -> None:
    steps, sizes = nested
    read = access(index)
    assert Nest(steps, sizes).footprint(read, len(steps)) == largest_tile([read], steps, sizes)


@pytest.mark.parametrize("index", AWKWARD)
@given(nested=nests())
@settings(deadline=None, max_examples=60)
def test_an_awkward_footprint_is_bounded_by_interval_arithmetic(index: str, nested: Nested) -> None:
    steps, sizes = nested
    read = access(index)
    footprint = Nest(steps, sizes).footprint(read, len(steps))
    assert largest_tile([read], steps, sizes) <= footprint
    assert footprint <= np.prod([Nest(steps, sizes).extent(rank, len(steps)) for rank in read.ranks])


@pytest.mark.parametrize("index", [*PLAIN, *GATHERED, *PARTITIONED, *CONVOLVED, *AWKWARD])
@given(nested=nests(), more=st.lists(st.fixed_dictionaries({rank: st.integers(1, 9) for rank in RANKS}), min_size=1))
@settings(deadline=None, max_examples=40)
def test_a_sweep_counts_what_its_points_count(index: str, nested: Nested, more: list[dict[str, int]]) -> None:
    steps, sizes = nested
    read = access(index)
    points = [sizes, *({**one, **{rank.upper(): size for rank, size in one.items()}} for one in more)]
    swept = Nest(steps, {name: np.array([float(point[name]) for point in points]) for name in sizes})
    for depth in range(len(steps) + 1):
        moved = np.broadcast_to(swept.moved(read, depth, RANKS), (len(points),))
        footprint = np.broadcast_to(swept.footprint(read, depth), (len(points),))
        for number, point in enumerate(points):
            alone = Nest(steps, point)
            assert moved[number] == alone.moved(read, depth, RANKS)
            assert footprint[number] == alone.footprint(read, depth)


PAIRS = (("i", "i+1"), ("2*i", "2*i+1"), ("i,j", "i,j+2"), ("i+j", "i+j+1"), ("i*J+j,k", "i*J+j,k+1"), ("0,j", "1,j"))


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
@given(nested=nests(), run=RUNNING)
@settings(deadline=None, max_examples=40)
def test_accesses_that_differ_in_offsets_move_as_one_window(
    pair: tuple[str, str], nested: Nested, run: list[str]
) -> None:
    steps, sizes = nested
    first, second = access(pair[0]), access(pair[1])
    assert windows((first, second)) == ((first, second),)
    run = sorted({*run, *first.ranks})
    nest = Nest(steps, sizes)
    moved = nest.moved(first, len(steps), run, (second,))
    assert moved_in_truth([first, second], steps, sizes, run) <= moved
    assert moved <= 2 * nest.moved(first, len(steps), run)
    largest = largest_tile([first, second], steps, sizes)
    footprint = nest.footprint(first, len(steps), (), (second,))
    assert largest <= footprint
    if pair != ("i*J+j,k", "i*J+j,k+1"):
        assert largest == footprint


@given(nests(dividing=True, if_split=True), RUNNING)
@settings(deadline=None, max_examples=60)
def test_a_window_of_neighbours_is_counted_exactly(nested: Nested, run: list[str]) -> None:
    steps, sizes = nested
    first, second = access("i,j"), access("i,j+1")
    run = sorted({*run, "i", "j"})
    moved = Nest(steps, sizes).moved(first, len(steps), run, (second,))
    assert moved == moved_in_truth([first, second], steps, sizes, run)


def test_rows_and_columns_of_one_tensor_are_windows_of_their_own() -> None:
    assert windows((access("i,j"), access("j,i"), access("i,j+1"))) == (
        (access("i,j"), access("i,j+1")),
        (access("j,i"),),
    )


# ---- a matrix product by hand, M = 6, N = 8, K = 10 -----------------------------------------------------------------

PRODUCT = Cascade.parse("Z[m,n] = sum(A[m,k] * B[k,n], k)", {"M": 6, "N": 8, "K": 10})
A, B = PRODUCT.einsum("Z").reads
Z = PRODUCT.einsum("Z").output


def words_moved(*loops: tuple[str, int]) -> tuple[int, int, int]:
    nest = Nest(tuple(Step(rank, tile) for rank, tile in loops), {"m": 6, "n": 8, "k": 10})
    return tuple(nest.moved(read, len(loops), ("m", "n", "k")) for read in (A, B, Z))  # type: ignore[return-value]


def test_output_stationary_reads_a_once_a_column_tile_and_b_once_a_row_tile() -> None:
    assert words_moved(("m", 2), ("n", 4), ("k", 5)) == (2 * 6 * 10, 3 * 10 * 8, 6 * 8)


def test_weight_stationary_reads_b_once_and_writes_partial_sums_once_a_tile_of_k() -> None:
    assert words_moved(("k", 5), ("n", 4), ("m", 2)) == (2 * 6 * 10, 10 * 8, 2 * 6 * 8)


def test_input_stationary_reads_a_once() -> None:
    assert words_moved(("m", 2), ("k", 5), ("n", 4)) == (6 * 10, 3 * 10 * 8, 2 * 6 * 8)


def test_a_ragged_last_tile_moves_only_what_is_there() -> None:
    assert words_moved(("m", 4), ("n", 3), ("k", 10)) == (3 * 6 * 10, 2 * 10 * 8, 6 * 8)


def test_loops_below_the_innermost_own_loop_reuse_what_is_there() -> None:
    nest = Nest((Step("m", 2), Step("n", 4)), {"m": 6, "n": 8, "k": 10})
    assert nest.moved(A, 1, ("m", "n", "k")) == 6 * 10
    assert nest.moved(A, 2, ("m", "n", "k")) == 6 * 10  # n is no rank of A
    assert nest.moved(B, 2, ("m", "n", "k")) == 3 * 10 * 8


def test_a_single_trip_asks_again_unless_the_loop_is_one_only_if_split() -> None:
    def moved(if_split: bool) -> int:
        return Nest((Step("m", 2), Step("k", 10, if_split)), {"m": 6, "n": 8, "k": 10}).moved(B, 2, ("m", "n", "k"))

    assert moved(if_split=False) == 3 * 10 * 8
    assert moved(if_split=True) == 10 * 8
