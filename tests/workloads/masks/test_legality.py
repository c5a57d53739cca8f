"""Masks and tilings that cannot be: each error names the field, the value and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import networkx as nx
import numpy as np
import pytest

from lightbound.base.errors import LightboundError
from lightbound.workloads.masks import (
    GNA,
    Blocked,
    BlockSparse,
    Causal,
    Dense,
    Documents,
    Graph,
    Intersection,
    Mask,
    Predicate,
    Sinks,
    SlidingWindow,
    picture,
)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: GNA((30, 48, 80), (18, 64, 24)),
            "window = (18, 64, 24): is 64 on axis 1, larger than the grid's 48 tokens. "
            "Choose 2 to 48 there; 48 is dense attention.",
        ),
        (
            lambda: GNA((30, 48), (18, 24), (19, 1)),
            "stride = (19, 1): is 19 on axis 0, larger than the window of 18. "
            "Choose 1 to 18 there; 18 is blocked attention.",
        ),
        (
            lambda: GNA((30, 48), 8, 1, (4, 1)),
            "dilation = (4, 1): is 4 on axis 0, where a window of 8 spans 32 of 30 tokens. "
            "Choose a dilation of at most 3, or a window of at most 7.",
        ),
        (
            lambda: GNA(30, 2, 1, 16),
            "dilation = (16,): is 16 on axis 0, where a window of 2 spans 32 of 30 tokens. "
            "Choose a dilation of at most 15.",
        ),
        (
            lambda: GNA((30, 48), (1, 8)),
            "window = (1, 8): is 1 on axis 0; a window holds at least 2 tokens. Choose 2 to 30 there.",
        ),
        (
            lambda: GNA((30, 48), (8, 8, 8)),
            "window = (8, 8, 8): has 3 axes where the token grid has 2. Give 2 values, or one for all axes.",
        ),
        (lambda: GNA((4, 4, 4, 4), 2), "grid = (4, 4, 4, 4): has 4 axes. Give a grid of 1 to 3 axes."),
        (lambda: GNA(16, 4, 0), "stride = 0: is too small. Give a whole number of at least 1."),
        (lambda: GNA(16, cast(Any, 4.0)), "window = 4.0: is not a whole number. Give a whole number of at least 1."),
        (lambda: GNA(16, True), "window = True: is not a whole number."),
        (lambda: GNA(cast(Any, "16"), 4), "grid = 16: is not a whole number."),
        (lambda: GNA((), 4), "grid = (): has no axis. Give one whole number an axis."),
        (lambda: GNA((16, 16), 4, causal=cast(Any, "yes")), "causal = yes: is not yes or no. Give True or False"),
        (lambda: GNA((16, 16), 4, causal=(True,)), "causal = (True,): has 1 axes where the token grid has 2."),
        (lambda: GNA(16, 4, extra_keys=-1), "extra_keys = -1: is too small. Give a whole number of at least 0."),
        (lambda: Dense((2**20, 2**20)), "grid = (1048576, 1048576): holds 1,099,511,627,776 tokens. Use a"),
        (lambda: Causal(2**31), "queries = 2147483648: is too large."),
        (lambda: SlidingWindow(8, -1), "left = -1: is too small."),
        (lambda: Sinks(8, 9), "sinks = 9: is more than the 8 keys. Choose at most 8."),
        (lambda: Blocked((8, 8), 0), "block = 0: is too small."),
        (lambda: Documents([3, 0]), "lengths = 0: is too small."),
        (
            lambda: Documents([3, 4], key_lengths=[7]),
            "key_lengths = [7]: names 1 documents where lengths names 2. Give one length a document in both.",
        ),
        (lambda: BlockSparse(16, 4, [(0, 4)]), "blocks = (0, 4): leaves the 4x4 blocks of the mask. Number"),
        (lambda: BlockSparse(16, 4, np.ones((3, 4), bool)), "blocks = (3, 4): is not the shape of 4x4 blocks."),
        (lambda: BlockSparse(16, 4, [[0.5, 1]]), "blocks = float64 of shape (1, 2): is not a list of block pairs."),
        (lambda: Graph(4, [(0, 4)]), "edges = (0, 4): leaves the 4 queries and 4 keys. Number tokens from 0."),
        (lambda: Graph(4, [(0, 1, 2)]), "edges = int64 of shape (1, 3): is not a list of token pairs."),
        (
            lambda: Dense(8) & Dense(9),
            "members = Dense of 9 queries on (9,) and 9 keys: does not fit Dense of 8 queries on (8,) and 8 keys.",
        ),
        (lambda: Dense((4, 6)) | Dense((6, 4)), "Compose masks of one grid; a mask of one axis may number"),
        (lambda: Intersection(Dense(8)), "members = 1: is too few masks to compose. Give two masks or more."),
        (lambda: Dense(4).permuted([0, 1, 2, 2]), "order = array of shape (4,): is not an order of 4 tokens."),
        (lambda: Dense(4, 5).permuted([0, 1, 2, 3]), "key_order: is needed, as 4 queries attend 5 keys."),
        (lambda: Predicate(4, lambda q, k: q + k).attended_pairs, "attends = int64: is what the predicate returns"),
        (
            lambda: Predicate(4, lambda q, k: np.ones((3, 4), bool)).attended_pairs,
            "attends = (3, 4): is the shape that the predicate returns, not (4, 4).",
        ),
        (lambda: Dense(4).row(4), "query = 4: is not a query of the mask. Choose one from 0 to 3."),
        (lambda: picture(Dense(200)), "mask = 200 queries, 200 keys: is too large to print as text."),
    ],
)  # fmt: skip
def test_an_illegal_mask_is_refused_with_its_remedy(build: Callable[[], object], message: str) -> None:
    with pytest.raises(LightboundError, match=re.escape(message)):
        build()


@pytest.mark.parametrize(
    ("q_tile", "kv_tile", "kv_tiling", "message"),
    [
        (
            (4, 8),
            (2, 8, 8),
            "static",
            "q_tile = (4, 8): has 2 axes where the token grid has 3. Give 3 values, or one to",
        ),
        (
            (4, 8, 8),
            128,
            "static",
            "kv_tile = (128,): has 1 axes where q_tile has 3. Tile queries and keys in the same",
        ),
        ((4, 8, 0), (2, 8, 8), "static", "q_tile = 0: is too small."),
        ("4x8x8", (2, 8, 8), "static", "q_tile = 4x8x8: is not a whole number."),
        ((4, 8, 8), (2, 8, 8), "dynamc", "kv_tiling = dynamc: is not known. Did you mean 'dynamic'?"),
    ],
)
def test_an_illegal_tiling_is_refused_with_its_remedy(q_tile: Any, kv_tile: Any, kv_tiling: str, message: str) -> None:
    for mask in (GNA((6, 8, 8), 4), GNA((6, 8, 8), 4) & Dense(384)):
        with pytest.raises(LightboundError, match=re.escape(message)):
            mask.count(q_tile, kv_tile, kv_tiling)


def test_numpy_numbers_and_lists_are_as_good_as_tuples() -> None:
    mask = GNA(np.array([30, 48]), [np.int64(18), 24], np.int32(2))
    assert mask == GNA((30, 48), (18, 24), (2, 2))
    assert mask.count(np.array([4, 8]), [2, 8]) == mask.count((4, 8), (2, 8))


def test_an_undirected_graph_attends_both_ways_and_itself() -> None:
    mask: Mask = Graph.from_networkx(nx.path_graph(4))
    assert picture(mask) == "##..\n###.\n.###\n..##"
    directed = Graph.from_networkx(nx.DiGraph([("b", "a")]), self_loops=False)
    assert picture(directed) == ".#\n.."
