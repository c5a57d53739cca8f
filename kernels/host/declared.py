"""How a kernel of the host is declared as plain data: a cascade, its tiles, and how it is laid on a core.

Only instructions of the C++ loops are counted (csrc/host_tiles.hpp, host_attend.hpp, host_products.hpp, host_rows.hpp,
host_scan.hpp): `implied` names loads, stores and shuffles at each point. A vector load is one element a point; an
instruction that brings one scalar, or four, takes a slot of the port all the same. No number here was fitted to a
measurement; what instructions cost is the machine's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Mapping = dict[str, Any]

QUERIES, KEYS, PANEL, DEPTH, ROWS, COLUMNS = 64, 64, 64, 256, 192, 256  # as in csrc
PIECE, SOONER = 2048, 2048  # of softmax: elements of a piece of a row, and ahead of which lines are asked for
APART = {"l3": "l3_rows", "dram": 1}  # where rows do not follow each other: lines take as much longer as was probed
# Of long streams the part that work beside them does not hide.
STREAMED = {"l2": "l2_awaited", "l3": "l3_awaited", "dram": "dram_awaited"}
# Where as much is written as is read: the probe tells a part of the time of a copy, of two bytes for each that is read.
COPIED = {level: f"2 * {level}_copy_awaited" for level in ("l2", "l3", "dram")}


def outward(words: str) -> str:
    """Of a word that goes out, the bytes that take of memory as long. Where so many words in and out exceed all caches
    it goes past them: no line is fetched that will be written as a whole.
    """
    return f"where(8 * {words} > last_cache, 4 * dram_past, 4)"


# Of a register tile: loads for a multiply-add of vectors, and what it waits for between two tiles, as the end of short
# sums was probed: a core that foresees it begins the next tile meanwhile.
TILE = {
    "LOADS": "1 / tile_vectors + 1 / tile_rows",
    "TILE": "tile_rows * tile_vectors * simd",
    "REFILL": "sum_end * vector_lanes",
    "PACK": "l2_copy / simd * vector_lanes",  # of an element that is copied first, through the second cache
    "NEAR": "PACK / 2",  # of one that was asked for ahead and comes from there while a tile waits: half of a copy
    # Of a piece of a row of softmax, what begins and ends it: 300 instructions of the compiled code (266 of AVX2), most
    # of which wait for each other; 105 more (AVX2: 300) where it ends within four vectors.
    "PIECE_ENDS": "(sum_end + 300 / issue_width) * vector_lanes",
    "PIECE_REST": "where(simd == 16, 105, 300) / issue_width * vector_lanes",
    "SLOT": "simd",  # elements of a slot of a port
    # Of an element that is transposed: shuffles, loads or stores: four by four, or sixteen by sixteen.
    "TURNED": "where(simd == 16, 4, 2)",
    "MOVED": "where(simd == 16, 16, 4)",
    # Of a step along the depth. Eight steps share two to three pointers and a comparison that branches, and need moves
    # of pointers besides: 18 to 24 instructions of the compiled loops in all.
    "STEP": "9 / 4 / TILE",
}
# Attention has a tile of its own: where registers are few, wider and flatter, which needs fewer instructions.
ATTEND_TILE = {
    **TILE,
    "LOADS": "1 / attend_vectors + 1 / attend_rows",
    "TILE": "attend_rows * attend_vectors * simd",
    "STEP": "9 / 8 / TILE",  # distances are known when it is compiled: 9 for 8 steps, of them four moves of registers
}


@dataclass(frozen=True)
class Declared:
    """A kernel as data: `cascade` in lines, `mapping` as the simulator reads it, `word_bytes` of every tensor.

    `control`: a kernel whose cost needs no knowledge of attention. `scratch`: tensors of intermediates that live in
    memory beside inputs and outputs.
    """

    name: str
    title: str
    cascade: str
    mapping: Mapping
    control: bool = False
    scratch: tuple[str, ...] = ()
    word_bytes: int = 4
    sizes: dict[str, int] = field(default_factory=dict)


def even(rank: str, most: int) -> str:
    """Length of a tile of at most so many. The kernel has as many, the last of which is shorter; here all are nearly of
    one length.
    """
    tiles = f"(({rank} + {most - 1}) // {most})"
    return f"({rank} + {tiles} - 1) // {tiles}"


def on(unit: str, einsums: list[str], lanes: list[str], **implied: str | float) -> Mapping:
    """Einsums bound to a unit with these ranks along its lanes, and what the loop does there besides."""
    bound: Mapping = {"einsums": einsums, "unit": unit, "space": {"lanes": lanes}}
    return {**bound, "implied": implied} if implied else bound
