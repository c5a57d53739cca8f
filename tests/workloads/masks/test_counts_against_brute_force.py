"""Random masks under random tilings, counted and looked at pair by pair: everything must agree exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightbound.workloads.masks import (
    GNA,
    Blocked,
    BlockSparse,
    Causal,
    Dense,
    Documents,
    Graph,
    Mask,
    Predicate,
    Sinks,
    SlidingWindow,
    Strided,
    tile_order,
)

Grouping = list[tuple[int, int]]


@dataclass
class Drawn:
    """A mask, and what it means, written down without it."""

    mask: Mask
    attended: np.ndarray
    query_axes: list[Grouping]
    key_axes: list[Grouping]
    extra_keys: int = 0
    regrouped: bool = False


def quick(cases: int) -> Callable[..., Any]:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=cases, deadline=None, suppress_health_check=slow)


def plain(extent: int) -> Grouping:
    return [(0, x) for x in range(extent)]


def outer(axes: list[np.ndarray]) -> np.ndarray:
    return reduce(np.kron, axes).astype(bool)


def by_rule(queries: int, keys: int, rule: Callable[[int, int], bool]) -> np.ndarray:
    return np.array([[rule(i, j) for j in range(keys)] for i in range(queries)], bool).reshape(queries, keys)


def neighborhood(extent: int, window: int, stride: int, dilation: int, causal: bool) -> np.ndarray:
    """One axis of GNA, query by query and key by key."""
    attended = np.zeros((extent, extent), bool)
    left, right = window // 2, window - 1 - window // 2
    for i in range(extent):
        length = len(range(i % dilation, extent, dilation))
        p = i // dilation
        stride_group = [q for q in range(length) if q // stride == p // stride]
        for j in range(i % dilation, extent, dilation):
            q = j // dilation
            if causal:
                attended[i, j] = stride_group[-1] - window < q <= p
            else:
                center = min(stride_group[0] + stride // 2, length - 1)
                center = max(left, min(center, length - 1 - right))
                attended[i, j] = center - left <= q <= center + right
    return attended


@st.composite
def gna(draw: st.DrawFn, grid: tuple[int, ...] | None = None, extra: bool = True) -> Drawn:
    if grid is None:
        rank = draw(st.integers(1, 3))
        grid = tuple(draw(st.integers(2, {1: 70, 2: 13, 3: 6}[rank])) for _ in range(rank))
    axes = []
    for extent in grid:
        window = draw(st.integers(2, extent))
        dilation = draw(st.integers(1, extent // window))
        axes.append((window, draw(st.integers(1, window)), dilation, draw(st.booleans())))
    window, stride, dilation, causal = zip(*axes, strict=True)
    extra_keys = draw(st.sampled_from([0, 0, 1, 7])) if extra else 0
    attended = outer([neighborhood(extent, *axis) for extent, axis in zip(grid, axes, strict=True)])
    attended = np.pad(attended, ((0, 0), (0, extra_keys)), constant_values=True)
    groups = [[(x % d, x // d) for x in range(extent)] for extent, d in zip(grid, dilation, strict=True)]
    mask = GNA(grid, window, stride, dilation, causal, extra_keys)
    return Drawn(mask, attended, groups, groups, extra_keys, any(d > 1 for d in dilation))


@st.composite
def sequences(draw: st.DrawFn, tokens: int | None = None) -> Drawn:
    """Masks over a sequence, decoding against a cache included."""
    n = draw(st.integers(1, 60)) if tokens is None else tokens
    m = n if tokens is not None or draw(st.booleans()) else draw(st.integers(1, 60))
    kind = draw(st.sampled_from(["dense", "causal", "window", "sinks", "window and sinks", "strided", "blocked"]))
    left, right, count = draw(st.integers(0, 20)), draw(st.integers(0, 4)), draw(st.integers(0, m))
    step, flag, at = draw(st.integers(1, 12)), draw(st.booleans()), m - n
    if kind == "dense":
        mask, rule = Dense(n, m), lambda i, j: True
    elif kind == "causal":
        mask, rule = Causal(n, m), lambda i, j: j <= i + at
    elif kind == "window":
        mask, rule = SlidingWindow(n, left, right, m), lambda i, j: -left <= j - i - at <= right
    elif kind == "sinks":
        mask, rule = Sinks(n, count, flag, m), lambda i, j: j < count and (not flag or j <= i + at)
    elif kind == "window and sinks":
        mask = SlidingWindow(n, left, keys=m) | Sinks(n, count, keys=m)
        rule = lambda i, j: j <= i + at and (j >= i + at - left or j < count)  # noqa: E731
    elif kind == "strided":
        m, mask, rule = n, Strided(n, step, flag), lambda i, j: (i - j) % step == 0 and not (flag and j > i)
    else:
        m, mask, rule = n, Blocked(n, step), lambda i, j: i // step == j // step
    return Drawn(mask, by_rule(n, m, rule), [plain(n)], [plain(m)])


@st.composite
def documents(draw: st.DrawFn, tokens: int | None = None) -> Drawn:
    if tokens is None:
        lengths = draw(st.lists(st.integers(1, 25), min_size=1, max_size=5))
    else:
        cuts = sorted(draw(st.sets(st.integers(1, max(1, tokens - 1)), max_size=4)) - {tokens})
        lengths = np.diff([0, *cuts, tokens]).tolist()
    same = tokens is not None or draw(st.booleans())
    key_lengths = lengths if same else [draw(st.integers(1, 25)) for _ in lengths]
    causal, restart = draw(st.booleans()), draw(st.booleans())
    queries = [(d, x) for d, length in enumerate(lengths) for x in range(length)]
    keys = [(d, x) for d, length in enumerate(key_lengths) for x in range(length)]
    attended = np.array(
        [[a == b and (not causal or y <= x + key_lengths[a] - lengths[a]) for b, y in keys] for a, x in queries]
    )
    mask = Documents(lengths, causal, restart, None if same else key_lengths)
    axes = ([queries], [keys]) if restart else ([plain(len(queries))], [plain(len(keys))])
    return Drawn(mask, attended, *axes, regrouped=restart and len(lengths) > 1)


@st.composite
def given_outright(draw: st.DrawFn, grid: tuple[int, ...] | None = None) -> Drawn:
    """Block-sparse masks, graphs and predicates."""
    same = grid is not None
    if grid is None:
        rank = draw(st.integers(1, 3))
        grid = tuple(draw(st.integers(1, {1: 50, 2: 8, 3: 4}[rank])) for _ in range(rank))
    key_grid = grid if same or draw(st.booleans()) else tuple(draw(st.integers(1, 7)) for _ in grid)
    queries, keys = int(np.prod(grid)), int(np.prod(key_grid))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    kind = draw(st.sampled_from(["blocks", "graph", "predicate"] if len(grid) == 1 else ["blocks", "predicate"]))
    attended = random.random((queries, keys)) < share
    if kind == "graph":
        edges = random.permutation(np.concatenate([np.argwhere(attended)] * 2))
        mask: Mask = Graph(queries, edges, keys)
    elif kind == "predicate":

        def attends(q: Any, k: Any) -> np.ndarray:
            if len(grid) > 1:
                q, k = np.ravel_multi_index(q, grid), np.ravel_multi_index(k, key_grid)
            return attended[q, k]

        mask = Predicate(grid, attends, key_grid)
    else:
        q_block, kv_block = (tuple(draw(st.integers(1, 9 - 2 * len(grid))) for _ in grid) for _ in range(2))
        q_names, kv_names = (
            np.ravel_multi_index(
                [x // size for x, size in zip(np.indices(extents), block, strict=True)],
                [-(-extent // size) for extent, size in zip(extents, block, strict=True)],
            ).ravel()
            for extents, block in ((grid, q_block), (key_grid, kv_block))
        )
        chosen = random.random((q_names.max() + 1, kv_names.max() + 1)) < share
        attended = chosen[q_names][:, kv_names]
        blocks = chosen if draw(st.booleans()) else random.permutation(np.argwhere(chosen))
        mask = BlockSparse(grid, q_block, blocks, kv_block, key_grid)
    return Drawn(mask, attended, [plain(x) for x in grid], [plain(x) for x in key_grid])


@st.composite
def products(draw: st.DrawFn) -> Drawn:
    """Separable masks of several axes other than GNA."""
    grid = tuple(draw(st.integers(1, 7)) for _ in range(draw(st.integers(2, 3))))
    sizes = tuple(draw(st.integers(1, 5)) for _ in grid)
    flags = tuple(draw(st.booleans()) for _ in grid)
    extents = list(zip(grid, sizes, flags, strict=True))
    kind = draw(st.sampled_from(["dense", "blocked", "strided"]))
    if kind == "dense":
        mask: Mask = Dense(grid, sizes)
        return Drawn(
            mask,
            np.ones((mask.queries, mask.keys), bool),
            [plain(x) for x in grid],
            [plain(x) for x in sizes],
        )
    if kind == "blocked":
        axes = [by_rule(n, n, lambda i, j, b=b: i // b == j // b) for n, b, _ in extents]
        mask = Blocked(grid, sizes)
    else:
        axes = [by_rule(n, n, lambda i, j, s=s, c=c: (i - j) % s == 0 and not (c and j > i)) for n, s, c in extents]
        mask = Strided(grid, sizes, flags)
    return Drawn(mask, outer(axes), [plain(x) for x in grid], [plain(x) for x in grid])


@st.composite
def compositions(draw: st.DrawFn) -> Drawn:
    grid = draw(st.sampled_from([(31,), (24,), (5, 7), (8, 6), (3, 4, 5), (4, 4, 4)]))
    tokens = int(np.prod(grid))
    parts = st.one_of(gna(grid, extra=False), given_outright(grid), sequences(tokens), documents(tokens))
    members = draw(st.lists(parts, min_size=2, max_size=3))
    whole = members[0]
    for member in members[1:]:
        if draw(st.booleans()):
            whole = Drawn(whole.mask & member.mask, whole.attended & member.attended, [], [])
        else:
            whole = Drawn(whole.mask | member.mask, whole.attended | member.attended, [], [])
    on_grid = [member for member in members if len(member.mask.grid) == len(whole.mask.grid)]
    regrouped = [member for member in on_grid if member.regrouped]
    agree = regrouped and all(member.query_axes == regrouped[0].query_axes for member in regrouped)
    whole.query_axes = regrouped[0].query_axes if agree else [plain(x) for x in whole.mask.grid]
    whole.key_axes = whole.query_axes
    return whole


@st.composite
def permutations(draw: st.DrawFn) -> Drawn:
    base = draw(st.one_of(gna(), given_outright(), compositions()))
    queries, keys = base.attended.shape
    grid_keys = keys - base.extra_keys
    order = np.array(draw(st.permutations(range(queries))))
    if queries != grid_keys or draw(st.booleans()):
        key_order = np.array(draw(st.permutations(range(grid_keys))))
        mask = base.mask.permuted(order, key_order)
    else:
        key_order, mask = order, base.mask.permuted(order)
    attended = base.attended[order][:, np.concatenate([key_order, np.arange(grid_keys, keys)])]
    return Drawn(mask, attended, [plain(queries)], [plain(grid_keys)], base.extra_keys)


def assert_counted_exactly(drawn: Drawn, data: st.DataObject, brute_force: Callable[..., Any]) -> None:
    grid = drawn.mask.grid
    query_axes, key_axes = drawn.query_axes, drawn.key_axes
    flat = len(grid) > 1 and data.draw(st.booleans(), "one-dimensional tiles")
    if flat:
        query_axes = [plain(drawn.mask.queries)]
        key_axes = [plain(drawn.mask.keys - drawn.extra_keys)]
    largest = 24 if len(query_axes) == 1 else 6
    q_tile, kv_tile = (tuple(data.draw(st.integers(1, largest)) for _ in query_axes) for _ in range(2))
    dynamic = data.draw(st.booleans(), "dynamic")
    wanted = brute_force(drawn.attended, query_axes, key_axes, drawn.extra_keys, q_tile, kv_tile, dynamic)
    count = drawn.mask.count(q_tile, kv_tile, "dynamic" if dynamic else "static")
    assert count.attended_pairs == wanted.pairs
    assert count.visits.tolist() == wanted.visits
    assert count.full_visits.tolist() == wanted.full
    assert count.q_tiles == len(wanted.visits) <= count.launched_q_tiles
    assert (count.visits_max, count.visits_total) == (max(wanted.visits), sum(wanted.visits))
    assert (count.full_tiles, count.partial_tiles) == (
        sum(wanted.full),
        sum(wanted.visits) - sum(wanted.full),
    )
    assert count.block_sparse == (sum(wanted.visits) == sum(wanted.full))
    assert count.visits_histogram == {n: wanted.visits.count(n) for n in sorted(set(wanted.visits))}
    assert count.dense_kv_tiles == wanted.dense_kv_tiles
    assert count.density == pytest.approx(drawn.attended.mean(), rel=1e-12)
    if not dynamic:
        listed = drawn.mask.visits(q_tile, kv_tile)
        q_tiles = np.repeat(np.arange(count.q_tiles), np.diff(listed.offsets))
        assert list(zip(q_tiles.tolist(), listed.pairs.tolist(), strict=True)) == wanted.listed
        held = np.prod(drawn.mask.mean_visit(count)) * count.visits_total
        assert held >= count.attended_pairs * (1 - 1e-9)
        assert not count.block_sparse or held == pytest.approx(count.attended_pairs, rel=1e-9)


@quick(1500)
@given(drawn=gna(), data=st.data())
def test_neighborhood_attention_is_counted_exactly(drawn: Drawn, data: st.DataObject, brute_force: Any) -> None:
    assert_counted_exactly(drawn, data, brute_force)


@quick(500)
@given(drawn=st.one_of(sequences(), documents(), products()), data=st.data())
def test_masks_of_sequences_and_blocks_are_counted_exactly(drawn: Drawn, data: st.DataObject, brute_force: Any) -> None:
    assert_counted_exactly(drawn, data, brute_force)


@quick(400)
@given(drawn=given_outright(), data=st.data())
def test_masks_that_are_given_outright_are_counted_exactly(drawn: Drawn, data: st.DataObject, brute_force: Any) -> None:
    assert_counted_exactly(drawn, data, brute_force)


@quick(500)
@given(drawn=compositions(), data=st.data())
def test_compositions_are_counted_exactly(drawn: Drawn, data: st.DataObject, brute_force: Any) -> None:
    assert_counted_exactly(drawn, data, brute_force)


@quick(150)
@given(drawn=permutations(), data=st.data())
def test_permuted_masks_are_counted_exactly(drawn: Drawn, data: st.DataObject, brute_force: Any) -> None:
    assert_counted_exactly(drawn, data, brute_force)


@quick(150)
@given(drawn=st.one_of(gna(), sequences(), documents(), given_outright(), compositions(), permutations()))
def test_every_row_and_the_pairs_without_a_tiling_are_exact(drawn: Drawn) -> None:
    for query in range(drawn.mask.queries):
        assert drawn.mask.row(query).tolist() == np.flatnonzero(drawn.attended[query]).tolist()
    assert drawn.mask.attended_pairs == drawn.attended.sum()


@quick(150)
@given(data=st.data(), counts=st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_tiles_of_a_permuted_mask_are_the_multi_dimensional_tiles_where_they_divide_the_grid(
    data: st.DataObject, counts: list[int]
) -> None:
    tile = tuple(data.draw(st.integers(1, 4)) for _ in counts)
    grid = tuple(max(2, size * count) for size, count in zip(tile, counts, strict=True))
    tile = tuple(size if extent % size == 0 else 1 for size, extent in zip(tile, grid, strict=True))
    drawn = data.draw(gna(grid))
    dilation = drawn.mask.dilation if isinstance(drawn.mask, GNA) else ()
    if any(extent % (size * d) for extent, size, d in zip(grid, tile, dilation, strict=True)):
        return
    permuted = drawn.mask.permuted(tile_order(grid, tile, dilation))
    size = int(np.prod(tile))
    flat, boxes = permuted.count(size, size), drawn.mask.count(tile, tile)
    assert (flat.visits_total, flat.full_tiles) == (boxes.visits_total, boxes.full_tiles)
