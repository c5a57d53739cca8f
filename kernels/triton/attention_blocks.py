"""What a block of threads of the attention kernels does, for estimates: its products, and what it loads when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .block import Block, Product
from .kernel import Compiled


def _exact(launch: Compiled) -> bool:
    """Whether products are of full FP32."""
    return launch.word_bytes == 4 and launch.constants["PRECISION"] == "ieee"


def walk(launch: Compiled, queries: int, keys: int, vectors: Sequence[int] = ()) -> Block:
    """A tile of queries stays, tiles of keys and values come by."""
    dim = launch.constants["DIM"]
    exact = _exact(launch)
    return Block(
        launch.word_bytes,
        products=(
            Product(queries, keys, dim, "q", "k", lanes=exact),
            Product(queries, dim, keys, "weights", "v", keeps=True, lanes=exact),
        ),
        streamed=("k", "v"),
        along=("k",),
        resident=("q",),
        descriptors=launch.descriptors,
        vectors=vectors,
        reduced=(queries, keys),
        stored=queries * dim,
    )


def forward(launch: Compiled) -> Block:
    """attention_forward."""
    block = walk(launch, launch.constants["BLOCK_Q"], launch.constants["BLOCK_K"])
    return replace(block, hidden=bool(launch.constants["CAUSAL"] or launch.constants["RAGGED"]))


def boxes(launch: Compiled) -> Block:
    """gna_forward: tiles of a grid of three axes."""
    at = launch.constants
    queries, keys = at["Q0"] * at["Q1"] * at["Q2"], at["K0"] * at["K1"] * at["K2"]
    return replace(
        walk(launch, queries, keys), loops=2, values=queries * keys if at["PTX"] else 0
    )  # how far they are apart


def chosen(launch: Compiled) -> Block:
    """block_sparse_forward."""
    at = launch.constants
    places = (at["BLOCK_K"],) if at["CAUSAL"] and at["MOVED"] else ()
    apart = at["BLOCK"] * at["BLOCK_K"]
    return replace(walk(launch, at["BLOCK"], at["BLOCK_K"], places), loops=2, looked_up=True, values=apart)


def part(launch: Compiled) -> Block:
    """decode_part: the new queries of a group."""
    return walk(launch, launch.constants["BLOCK_Q"], launch.constants["BLOCK_K"])


def merge(launch: Compiled) -> Block:
    """decode_merge: a few partial sums at a time."""
    at = launch.constants
    dim, together = at["DIM"], at["TOGETHER"]
    shared = dim * min(together, launch.warps) // launch.warps if together > 1 else 0
    return Block(4, packed=2 * together * dim, reduced=(shared, 0))


def row_products(launch: Compiled) -> Block:
    """The sums of products of rows of two matrices."""
    rows, columns = launch.constants["BLOCK"], launch.constants["DIM"]
    return Block(launch.word_bytes, packed=rows * columns, vectors=(rows,), reduced=(rows, columns))


def of_keys(launch: Compiled) -> Block:
    """keys_gradient: a tile of keys and values stays, queries and the gradients of their outputs come by."""
    queries, keys, dim = (launch.constants[name] for name in ("BLOCK_Q", "BLOCK_K", "DIM"))
    exact = _exact(launch)
    return Block(
        launch.word_bytes,
        products=(
            Product(keys, queries, dim, "k", "q", lanes=exact),
            Product(keys, queries, dim, "v", "upper", lanes=exact),
            Product(keys, dim, queries, "weights", "upper", keeps=True, lanes=exact),
            Product(keys, dim, queries, "of_scores", "q", keeps=True, lanes=exact),
        ),
        streamed=("q", "upper"),
        along=("q", "upper"),
        resident=("k", "v"),
        descriptors=launch.descriptors,
        vectors=(queries, queries),
        stored=keys * dim,
    )


def of_queries(launch: Compiled) -> Block:
    """queries_gradient: a tile of queries and the gradients of its outputs stays, keys and values come by."""
    queries, keys, dim = (launch.constants[name] for name in ("BLOCK_Q", "BLOCK_K", "DIM"))
    exact = _exact(launch)
    return Block(
        launch.word_bytes,
        products=(
            Product(queries, keys, dim, "q", "k", lanes=exact),
            Product(queries, keys, dim, "upper", "v", lanes=exact),
            Product(queries, dim, keys, "of_scores", "k", keeps=True, lanes=exact),
        ),
        streamed=("k", "v"),
        along=("k", "v"),
        resident=("q", "upper"),
        descriptors=launch.descriptors,
        hidden=bool(launch.constants["CAUSAL"] or launch.constants["RAGGED"]),
        stored=queries * dim,
    )
