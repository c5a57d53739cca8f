"""What the simulator is told of the forward pass on Hopper: loops, tiles, residency, and the instructions of its code.

Counts are of the SASS that Triton 3.7.1 makes for sm_90 (3.6.0 makes the same loops). In an iteration a thread takes,
for each of its scores, a maximum, a multiply-add, an exponential that flushes denormal numbers, an addition and half a
packed conversion, and a multiplication for each of its sums. The product of the weights is issued without a wait and
awaited with the next scores, so that both products of an iteration lie together. What else an iteration issues (OTHERS:
descriptors and addresses of operands, counters of stages, waits) takes turns with these, each like an addition.

What a block waits for (hopper_waits.py) is the chain of one warp's instructions, the latency of wgmma and, with two
stages, that of the memory engine.

Approximated: heads that share keys read them as if each had its own (the L2 cache serves them, memory once), and the
sections in which heads start are one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .attention_shapes import Shape, shape_of
from .fused_mapping import hopper_nest
from .hopper_waits import Code, Products, block, far_part, iteration, load, own, stored
from .kernel import Case, Launch, Tile

# A Hopper processor: registers, threads, bytes of shared memory, and of these what a block takes beside its own.
REGISTERS, THREADS, SHARED, RESERVED = 65536, 2048, 233472, 1024

# By head dimension, queries and keys of a tile, and warps.
_CODE = {
    (64, 128, 64, 4): Code(189, 104, 1169, 1384, 890),
    (64, 128, 64, 8): Code(112, 80, 816, 1287, 647),
    (64, 64, 128, 4): Code(154, 100, 1215, 1059, 542),
    (64, 64, 64, 4): Code(128, 90, 791, 1290, 665),
    (64, 128, 128, 8): Code(160, 100, 1227, 1282, 637),
    (128, 128, 64, 4): Code(255, 141, 1354, 1286, 1339),
    (128, 128, 64, 8): Code(138, 90, 857, 1139, 754),
    (128, 128, 32, 4): Code(207, 120, 958, 1539, 1436),
    (128, 64, 64, 4): Code(138, 97, 860, 1360, 886),
    (128, 128, 128, 8): Code(210, 101, 1334, 1132, 751),
    (256, 128, 64, 8): Code(205, 130, 1014, 1294, 1343),
    (256, 128, 32, 8): Code(180, 120, 800, 1294, 1343),
}
_USUAL = Code(255, 120, 1200, 1300, 900)

SCORES = {"lanes": ["p", "m0"]}
ROWS = {"lanes": ["p"]}
OUTPUT = {"lanes": ["p", "f"]}


def resident(registers: int, warps: int, shared_bytes: int) -> int:
    """How many blocks a processor of Hopper holds; registers are dealt in eights."""
    threads = 32 * warps
    return max(1, min(
        REGISTERS // (-(-registers // 8) * 8 * threads), SHARED // (shared_bytes + RESERVED), THREADS // threads
    ))  # fmt: skip


def forward_launches(case: Case, tile: Tile, capability: int) -> Sequence[Launch]:
    """The one launch. Off Hopper it is described by a mapping of workload `attention` at this tile."""
    shape = shape_of(case)
    bq, bk = tile.constants["BQ"], tile.constants["BK"]
    order = "longest" if shape.causal and not shape.window else "launch"
    mapping: str | Mapping[str, Any]
    if capability == 90:
        mapping, chosen = _hopper(shape, tile), {}
    elif capability in (100, 103):
        mapping, chosen = "flash", {"BR": bq, "M0": f"min(M, {bk})", "STAGES": tile.stages, "CONTEXTS": "CTAS"}
    else:
        waves = tile.warps * (1 if 0 < capability < 900 else 2)  # AMD's have 64 lanes
        mapping, chosen = "flash_sync", {"BR": bq, "M0": f"min(M, {bk})", "WARPS": waves}
    mask, words = shape.launch_mask, shape.word_bytes
    return (Launch("attention", shape.sizes, mapping, chosen, mask, order, words, shape.section),)


def _hopper(shape: Shape, tile: Tile) -> Mapping[str, Any]:
    bq, bk = tile.constants["BQ"], tile.constants["BK"]
    code = _CODE.get((shape.dim, bq, bk, tile.warps), _USUAL)
    shared = shape.word_bytes * shape.dim * (bq + 2 * tile.stages * bk)
    blocks = resident(code.registers, tile.warps, shared)
    products = "alu" if shape.dtype == "fp32" else "tensor"
    delay, overhead = _waits(shape, code, tile, blocks)
    every = ["S", "LM", "RM", "N", "LD", "LO", "C", "RD", "RO", "O"]
    return {
        "source": "kernels/triton/device/attention.py",
        "variant": "1-pass",
        "sizes": {"M0": f"min(M, {bk})"},
        "params": {"BR": bq, "BLOCKS": blocks, "OTHERS": code.others, "LANES": 32 * tile.warps},
        "bind": [
            {"einsums": ["S"], "unit": products, "space": SCORES},
            {"einsums": ["LO"], "unit": products, "space": OUTPUT},
            {"einsums": ["LM", "LD"], "unit": "alu", "space": SCORES},
            {"einsums": ["N"], "unit": "sfu", "space": SCORES},
            {"einsums": ["N"], "unit": "alu", "space": SCORES, "implied": {"cast": int(shape.dtype != "fp32")}},
            {"einsums": ["N"], "unit": "alu", "space": SCORES, "implied": {"add": "OTHERS * LANES / (BR * M0)"}},
            {"einsums": ["RM", "RD"], "unit": "alu", "space": ROWS},
            {"einsums": ["C"], "unit": "sfu", "space": ROWS},
            {"einsums": ["RO"], "unit": "alu", "space": OUTPUT},
            {"einsums": ["O"], "unit": "sfu", "space": OUTPUT},
        ],
        "groups": [
            {
                "einsums": every,
                "nest": hopper_nest(tile.stages),
                "contexts": "BLOCKS",
                "delay": round(delay),
                "overhead": round(overhead),
                "resident": "BLOCKS",
            }
        ],
        "masked": {
            "q_tile": "BR",
            "kv_tile": "M0",
            # of the branch for tiles that are not full, beside the comparisons of the mask: where its key is
            "tests": {"einsums": ["N"], "unit": "alu", "space": SCORES, "implied": {"add": 1}},
            "tested": "partial",
        },
    }


def _waits(shape: Shape, code: Code, tile: Tile, blocks: int) -> tuple[float, float]:
    """Cycles that no unit works for a block: of an iteration, and of a block beside them."""
    bq, bk, groups = tile.constants["BQ"], tile.constants["BK"], tile.warps // 4
    scores = bq * bk / 128  # of the four threads that take turns in a lane
    sfu = 8 * scores  # 16 lanes of 128
    alu = 5 * scores + bq * shape.dim / 128 + code.others * groups  # maximum 2, multiply-add, addition, conversion
    one = bq * bk * shape.dim / 2048
    products = Products((one,), (one,), shape.dim)
    sharing = -(-shape.queries // bq) * shape.group
    if shape.window:
        sharing = min(sharing, ((shape.before + bk) / bq + 1) * shape.group)
    count = shape.blocks(shape.queries, bq, shape.heads)
    visits = max(1.0, shape.pairs / shape.queries / bk)
    far = far_part(count, blocks, sharing, visits, code.chain + products.cycles)
    row = shape.dim * shape.word_bytes
    fetched = load(bk * row, far) if tile.stages <= 2 else 0.0
    delay = iteration(code, alu + sfu, groups, sfu, products, fetched)
    first = own(bq * row, count), load(bk * row, far)
    return delay, block(code, first, products, fetched, stored(bq * row, count))
