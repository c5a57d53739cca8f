"""What a block of threads does in kernels of products, rows, scans and copies, for estimates."""

from __future__ import annotations

from .block import Block, Product
from .kernel import Compiled


def product(launch: Compiled) -> Block:
    """A tile of a product of matrices."""
    rows, columns, step = (launch.constants[name] for name in ("BM", "BN", "BK"))
    exact = bool(launch.constants["EXACT"])
    made = Product(rows, columns, step, "a", "b", keeps=True, lanes=exact)
    return Block(
        launch.word_bytes, (made,), streamed=("a", "b"), aligned=launch.constants["N_ALIGN"], stored=rows * columns
    )


def sum_parts(launch: Compiled) -> Block:
    """Elements of the sums of parts."""
    return Block(4, values=launch.constants["BLOCK"])


def kept(launch: Compiled) -> Block:
    """Rows that stay in registers, with vectors as long as a row beside them."""
    rows, columns = launch.constants["ROWS"], launch.constants["BLOCK"]
    return Block(
        launch.word_bytes,
        values=rows * columns,
        reduced=(rows, columns),
        aligned=launch.constants["ALIGN"],
        beside=len({"w", "c"} & set(launch.signature)),
    )


def walked(launch: Compiled) -> Block:
    """A row that is read twice: one or two running values of each lane."""
    columns = launch.constants["BLOCK"]
    running = 1 if launch.function.startswith("rms") else 2
    return Block(
        launch.word_bytes,
        values=running * columns,
        reduced=(1, columns),
        aligned=launch.constants["ALIGN"],
        beside=min(1, len({"w", "c"} & set(launch.signature))),
    )


def elementwise(launch: Compiled) -> Block:
    """Elements of one tensor or two: words that wait to be added, or numbers of which a function is computed."""
    size = launch.constants["BLOCK"]
    if launch.constants["OP"] == 0:
        return Block(launch.word_bytes, values=size, beside=2)
    return Block(launch.word_bytes, packed=2 * size)


def prefixes(launch: Compiled) -> Block:
    """A chunk of a scan: a triangle of weights by the values."""
    chunk, width, exact = launch.constants["C"], launch.constants["BE"], bool(launch.constants["EXACT"])
    made = Product(chunk, width, chunk, "weights", "v", lanes=exact)
    return Block(
        4 if exact else launch.word_bytes,
        (made,),
        streamed=("v",),
        made=("weights",),
        spread=chunk,
        values=2 * chunk * (chunk + width),  # weights and sums, of this chunk and of all before it
        reduced=(chunk, chunk),
        stored=chunk * width,
    )


def segments(launch: Compiled) -> Block:
    """The state of a segment: weighted sums over chunks."""
    chunk, width = launch.constants["C"], launch.constants["BE"]
    return Block(launch.word_bytes, values=chunk * width, packed=chunk * width, reduced=(width, 0), beside=1)


def _linear(launch: Compiled) -> tuple[int, int, int, bool]:
    return (*(launch.constants[name] for name in ("C", "BD", "BE")), bool(launch.constants["EXACT"]))


def linear_walk(launch: Compiled) -> Block:
    """A chunk of linear attention with the state in registers."""
    chunk, deep, wide, exact = _linear(launch)
    return Block(
        launch.word_bytes,
        (
            Product(chunk, chunk, deep, "q", "k", lanes=exact),
            Product(chunk, wide, chunk, "scores", "v", lanes=exact),
            Product(chunk, wide, deep, "q", "state", lanes=exact, onto=True),
            Product(deep, wide, chunk, "k", "faded", keeps=True, lanes=exact),
        ),
        streamed=("q", "k", "v"),
        read=("v",),
        along=("k",),
        turned=("k",),
        made=("faded",),
    )


def linear_states(launch: Compiled) -> Block:
    """The states before every chunk."""
    chunk, deep, wide, exact = _linear(launch)
    made = Product(deep, wide, chunk, "k", "faded", keeps=True, lanes=exact)
    values = chunk * wide * launch.word_bytes // 4
    return Block(
        launch.word_bytes,
        (made,),
        streamed=("k",),
        turned=("k",),
        made=("faded",),
        vectors=(values,),
        stored=deep * wide * 4 // launch.word_bytes,  # in FP32
    )


def reorder(launch: Compiled) -> Block:
    """Rows that are copied to other places."""
    at = launch.constants
    words = at["T0"] * at["T1"] * at["T2"] * at["DIM"]
    return Block(launch.word_bytes, packed=words + words // 2)  # every copy of 16 bytes has an address of 8


def sort_segments(launch: Compiled) -> Block:
    """Comparisons of a part's rows with all of a segment, then a copy."""
    at = launch.constants
    copied = 2 * at["PART"] * at["DIM"]
    return Block(
        launch.word_bytes,
        packed=copied + copied // 2,
        reduced=(at["PART"], at["SEGMENT"]),
        aligned=1,
    )
