"""What a block of threads of the attention kernels does, for estimates: its products, and what it loads when."""

from __future__ import annotations

from .block import Block, Product
from .kernel import Compiled


def walk(launch: Compiled, queries: int, keys: int) -> Block:
    """A tile of queries stays, tiles of keys and values come by."""
    dim = launch.constants["DIM"]
    exact = launch.constants["PRECISION"] == "ieee"
    return Block(
        launch.word_bytes,
        products=(
            Product(queries, keys, dim, "q", "k", lanes=exact),
            Product(queries, dim, keys, "weights", "v", keeps=True, lanes=exact),
        ),
        streamed=("k", "v"),
        resident=("q",),
        descriptors=launch.descriptors,
        reduced=(queries, keys),
        stored=queries * dim,
    )


def forward(launch: Compiled) -> Block:
    """attention_forward."""
    return walk(launch, launch.constants["BLOCK_Q"], launch.constants["BLOCK_K"])


def boxes(launch: Compiled) -> Block:
    """gna_forward: tiles of a grid of three axes."""
    at = launch.constants
    return walk(launch, at["Q0"] * at["Q1"] * at["Q2"], at["K0"] * at["K1"] * at["K2"])


def chosen(launch: Compiled) -> Block:
    """block_sparse_forward."""
    return walk(launch, launch.constants["BLOCK"], launch.constants["BLOCK_K"])


def part(launch: Compiled) -> Block:
    """decode_part: the new queries of a group."""
    return walk(launch, launch.constants["BLOCK_Q"], launch.constants["BLOCK_K"])


def merge(launch: Compiled) -> Block:
    """decode_merge: a few partial sums at a time."""
    at = launch.constants
    return Block(4, values=2 * at["TOGETHER"] * at["DIM"], reduced=(at["DIM"], at["TOGETHER"]))


def row_products(launch: Compiled) -> Block:
    """The sums of products of rows of two matrices."""
    rows, columns = launch.constants["BLOCK"], launch.constants["DIM"]
    return Block(launch.word_bytes, values=2 * rows * columns, reduced=(rows, columns))


def of_keys(launch: Compiled) -> Block:
    """keys_gradient: a tile of keys and values stays, queries and the gradients of their outputs come by."""
    queries, keys, dim = (launch.constants[name] for name in ("BLOCK_Q", "BLOCK_K", "DIM"))
    exact = launch.constants["PRECISION"] == "ieee"
    return Block(
        launch.word_bytes,
        products=(
            Product(keys, queries, dim, "k", "q", lanes=exact),
            Product(keys, dim, queries, "weights", "upper", keeps=True, lanes=exact),
            Product(keys, queries, dim, "v", "upper", lanes=exact),
            Product(keys, dim, queries, "of_scores", "q", keeps=True, lanes=exact),
        ),
        streamed=("q", "upper"),
        resident=("k", "v"),
        descriptors=launch.descriptors,
        stored=keys * dim,
    )


def of_queries(launch: Compiled) -> Block:
    """queries_gradient: a tile of queries and the gradients of its outputs stays, keys and values come by."""
    queries, keys, dim = (launch.constants[name] for name in ("BLOCK_Q", "BLOCK_K", "DIM"))
    exact = launch.constants["PRECISION"] == "ieee"
    return Block(
        launch.word_bytes,
        products=(
            Product(queries, keys, dim, "q", "k", lanes=exact),
            Product(queries, keys, dim, "upper", "v", lanes=exact),
            Product(queries, dim, keys, "of_scores", "k", keeps=True, lanes=exact),
        ),
        streamed=("k", "v"),
        resident=("q", "upper"),
        descriptors=launch.descriptors,
        stored=queries * dim,
    )
