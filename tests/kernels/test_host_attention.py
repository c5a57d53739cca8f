"""The host's attention kernels against float64, at sizes nobody would choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.kernels import host
from lightbound.kernels.host.windows import neighbourhood
from lightbound.workloads.masks.gna import GNA

from .host_references import TOLERANCE, apart, attention

EXAMPLES = settings(max_examples=25, deadline=None)
SIZE = st.integers(0, 150)
DIM = st.sampled_from([1, 3, 8, 16, 33, 64, 100])
THREADS = st.integers(1, 3)


def tensors(rng: np.random.Generator, batch: int, heads: int, kv: int, queries: int, keys: int, e: int, f: int) -> Any:
    shapes = ((batch, heads, queries, e), (batch, kv, keys, e), (batch, kv, keys, f))
    return [3 * rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def seen(mask: GNA) -> np.ndarray:
    """The pairs of a mask as a table."""
    table = np.zeros((mask.queries, mask.keys), bool)
    for query in range(mask.queries):
        table[query, mask.row(query)] = True
    return table


@EXAMPLES
@given(
    seed=st.integers(0, 999), batch=st.integers(0, 2), kv=st.integers(1, 2), group=st.integers(1, 3), queries=SIZE,
    keys=SIZE, e=DIM, f=DIM, causal=st.booleans(), threads=THREADS, kv_tile=st.sampled_from([1, 7, 64, 128]),
)  # fmt: skip
def test_fused_attention_is_attention(
    seed: int, batch: int, kv: int, group: int, queries: int, keys: int, e: int, f: int, causal: bool, threads: int,
    kv_tile: int,
) -> None:  # fmt: skip
    q, k, v = tensors(np.random.default_rng(seed), batch, kv * group, kv, queries, keys, e, f)
    table = np.tril(np.ones((queries, keys), bool), keys - queries) if causal else None
    expected = attention(q, k, v, table)
    assert apart(host.attention(q, k, v, causal, threads=threads, kv_tile=kv_tile), expected) <= TOLERANCE
    if not causal:
        assert apart(host.three_pass_attention(q, k, v, threads=threads), expected) <= TOLERANCE


@EXAMPLES
@given(seed=st.integers(0, 999), queries=SIZE, keys=SIZE, before=st.integers(0, 90), causal=st.booleans())
def test_a_sliding_window_sees_its_keys_and_no_others(
    seed: int, queries: int, keys: int, before: int, causal: bool
) -> None:
    q, k, v = tensors(np.random.default_rng(seed), 1, 2, 2, queries, keys, 8, 9)
    distance = np.arange(keys)[None, :] - (np.arange(queries)[:, None] + keys - queries)
    table = (distance >= -before) & (distance <= (0 if causal else before))
    found = host.sliding_window_attention(q, k, v, before, causal, threads=2)
    assert apart(found, attention(q, k, v, table)) <= TOLERANCE


@st.composite
def neighbourhoods(draw: st.DrawFn) -> GNA:
    axes = draw(st.integers(1, 3))
    extents = [draw(st.integers(2, (120, 24, 9)[axes - 1])) for _ in range(axes)]
    windows = [draw(st.integers(2, extent)) for extent in extents]
    return GNA(
        extents,
        windows,
        [draw(st.integers(1, window)) for window in windows],
        [draw(st.integers(1, extent // window)) for extent, window in zip(extents, windows, strict=True)],
        [draw(st.booleans()) for _ in windows],
        draw(st.sampled_from([0, 0, 5, 70])),
    )


@EXAMPLES
@given(mask=neighbourhoods(), data=st.data())
def test_neighbourhood_attention_sees_what_the_mask_says_and_visits_what_it_counts(
    mask: GNA, data: st.DataObject
) -> None:
    axes = len(mask.grid)
    tile = st.integers(1, (64, 8, 4)[axes - 1])
    q_tile, kv_tile = (tuple(data.draw(tile) for _ in range(axes)) for _ in range(2))
    q, k, v = tensors(np.random.default_rng(1), 1, 2, 1, mask.queries, mask.keys, 8, 5)
    found = host.gna_attention(
        q, k, v, mask.grid, mask.window, mask.stride, mask.dilation, mask.causal, q_tile, kv_tile, threads=2
    )
    assert apart(found, attention(q, k, v, seen(mask))) <= TOLERANCE
    if mask.extra_keys:
        return  # the kernel cuts keys beyond the grid in pieces of its own
    planned = neighbourhood(
        mask.grid, mask.window, mask.stride, mask.dilation, mask.causal, q_tile, kv_tile, 0
    ).visits()
    counted = mask.count(q_tile, kv_tile)
    assert planned[0].sum() == counted.visits_total
    assert planned[1].sum() == counted.partial_tiles


def test_extra_keys_lie_side_by_side_though_a_visit_of_as_many_in_the_grid_skips_every_other_one() -> None:
    mask = GNA((2, 2, 64), (2, 2, 16), (1, 1, 1), (1, 1, 2), (False, False, False), 32)
    q, k, v = tensors(np.random.default_rng(2), 1, 1, 1, mask.queries, mask.keys, 16, 16)
    found = host.gna_attention(q, k, v, mask.grid, mask.window, mask.stride, mask.dilation, kv_tile=(1, 1, 32))
    assert apart(found, attention(q, k, v, seen(mask))) <= TOLERANCE


@EXAMPLES
@given(
    seed=st.integers(0, 999), queries=SIZE, keys=SIZE, q_block=st.integers(1, 100), kv_block=st.integers(1, 200),
    share=st.floats(0, 1),
)  # fmt: skip
def test_block_sparse_attention_sees_the_listed_blocks(
    seed: int, queries: int, keys: int, q_block: int, kv_block: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    q, k, v = tensors(rng, 2, 2, 1, queries, keys, 7, 20)
    blocks = rng.random((-(-queries // q_block), -(-keys // kv_block))) < share
    table = np.repeat(np.repeat(blocks, q_block, axis=0), kv_block, axis=1)[:queries, :keys]
    found = host.block_sparse_attention(q, k, v, blocks, q_block, kv_block, threads=2)
    assert apart(found, attention(q, k, v, table)) <= TOLERANCE


@pytest.mark.parametrize("scale", [1e-4, 1.0, 30.0])
def test_large_and_small_scores_are_as_exact(normal: Any, scale: float) -> None:
    q, k, v = (normal(1, 2, 70, 32, seed=seed) for seed in range(3))
    assert apart(host.attention(q, k, v, scale=scale), attention(q, k, v, scale=scale)) <= TOLERANCE * max(1, scale)
