"""What the simulator is told of fused attention as Triton compiles it: a block of threads keeps queries and walks keys.

On Hopper the warps of a block march together, so that a visit (a tile of queries meets a tile of keys) is a chain:

1. both products, that of the last weights with values and that of queries with keys, while all warps wait;
2. the maximum of each row, of scores that were tested before where a mask cuts the tile;
3. exponentials, with all that is done to scores and sums beside them: special function units and lanes overlap.

Blocks that share a processor contend for what each part uses. Cycles of a visit in which none of those units works
(`delay`) follow from latencies that a probe of an H200 measured (validate/measurements/h200_probe.json), and from what
the code of a loop (`Loop`, from SASS of Triton 3.6 and 3.7 for sm_90) issues when. Elsewhere blocks are those of
mapping `flash_sync` of workload `attention`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .hopper_waits import Code, Products, iteration

# A Hopper processor: registers, threads, bytes of shared memory, and of these what a block takes beside its own.
REGISTERS, THREADS, SHARED, RESERVED = 65536, 2048, 233472, 1024

SCORES = {"lanes": ["p", "m0"]}
ROWS = {"lanes": ["p"]}
OUTPUT = {"lanes": ["p", "f"]}

# Cycles, from the probe.
MATRIX = 72  # from the end of a matrix instruction's work (N/2 for 64 x N x 16) to when its warps go on: 104 for N = 64
EXCHANGE = 28  # of a value between lanes, and what is done with it: 24 and 4
EXPONENTIAL = 25  # from the last scores to their weights: multiply-add, exponential, conversion: 4 + 17 + 4
BARRIER = {4: 21, 8: 29}  # by warps
DEPENDENT = 4.16  # of an instruction that needs the result of the one before
GAP = 412  # from the end of a block to the start of the next in its place
SHARED_CYCLES, L2_CYCLES, DRAM_CYCLES = 23, 282, 689  # latencies
COPY_BYTES = 128  # a cycle, of copies that threads issue: shared memory takes so much
ARRIVE_BYTES = 64  # a cycle, from the L2 cache to a processor, of copies that threads issue
ENGINE_CYCLES, ENGINE_BYTES = 460, 109  # of the memory engine, from the L2 cache: 469 for 1 KiB, 760 for 32 KiB
TOP = 25  # instructions of a loop before its first matrix instruction


@dataclass(frozen=True)
class Loop:
    """What the code of a kernel says about its loop: registers of a thread; instructions of a thread before and after
    the loop (`straight`), and of a tested visit beside the tests of scores: those that wait for scores (`test`), and
    those that it issues while products are on their way (`early`); whether ptxas waits for each matrix instruction
    before the next (`serial`), and whether the memory engine brings tiles (`engine`). Of the stages of its pipeline,
    `ahead` hold no tiles but where these are. Before the first keys, a block awaits `tables` loads one after the other.
    chain, others: where known, cycles of a visit by control words and instructions, as in `hopper_waits.Code`.
    """

    registers: int
    straight: int = 1000
    test: int = 90
    early: int = 0
    serial: bool = False
    engine: bool = False
    ahead: int = 0
    tables: int = 0
    chain: int = 0
    others: int = 0


def resident(registers: int, warps: int, shared_bytes: int) -> int:
    """How many blocks a processor of Hopper holds; registers are dealt in eights."""
    threads = 32 * warps
    return max(1, min(
        REGISTERS // (-(-registers // 8) * 8 * threads), SHARED // (shared_bytes + RESERVED), THREADS // threads
    ))  # fmt: skip


def hopper_nest(stages: int) -> list[dict[str, Any]]:
    """Loops and holds of fused attention as Triton compiles it for Hopper: a block of BR queries of one head stays,
    tiles of keys and values come by in so many stages.
    """
    return [
        {"for": "b", "over": "sm"},
        {"for": "h", "over": "sm"},
        {"for": "p", "tile": "BR", "over": "sm"},
        {"hold": ["Q"], "in": "shared"},
        {"hold": ["RM", "RD", "RO"], "in": "registers"},
        {"for": "m1"},
        {"hold": ["K", "V"], "in": "l2"},
        {"hold": ["K", "V"], "in": "shared", "copies": stages},
        {
            "do": ["S"],  # a matrix instruction takes 64 queries, which lie in shared memory
            "nest": [
                {"for": "p", "tile": "min(BR, 64)"},
                {"for": "e", "tile": 16},
                {"hold": ["Q", "K"], "in": "registers"},
            ],
        },
        {
            "do": ["LO"],  # weights are in registers
            "nest": [{"for": "p", "tile": "min(BR, 64)"}, {"hold": ["V"], "in": "registers"}],
        },
    ]


def hopper(
    loop: Loop, q_tile: int, kv_tile: int, dim: int, warps: int, stages: int, word_bytes: int, source: str = ""
) -> dict[str, Any]:
    """The mapping of a kernel with this loop, for tiles of so many queries and keys and a head dimension."""
    products = "alu" if word_bytes == 4 else "tensor"
    shared = word_bytes * dim * (q_tile + 2 * stages * kv_tile)
    waits = _visit(loop, q_tile, kv_tile, dim, warps, stages, word_bytes)
    each = loop.others * 32 * warps / (q_tile * kv_tile)
    others = [{"einsums": ["N"], "unit": "alu", "space": SCORES, "implied": {"add": each}}] if each else []
    start = GAP + DEPENDENT * loop.straight + DRAM_CYCLES  # queries
    start += loop.tables * L2_CYCLES
    start += L2_CYCLES + word_bytes * dim * kv_tile / ARRIVE_BYTES  # the first keys
    return {
        "source": source,
        "variant": "1-pass",
        "sizes": {"M0": f"min(M, {kv_tile})"},
        "params": {"BR": q_tile, "BLOCKS": resident(loop.registers, warps, shared)},
        "bind": [
            {"einsums": ["S"], "unit": products, "space": SCORES},
            {"einsums": ["LO"], "unit": products, "space": OUTPUT},
            {"einsums": ["LM", "LD"], "unit": "alu", "space": SCORES},
            {"einsums": ["N"], "unit": "sfu", "space": SCORES},
            {"einsums": ["N"], "unit": "alu", "space": SCORES, "implied": {"cast": int(word_bytes < 4)}},
            *others,
            {"einsums": ["RM", "RD"], "unit": "alu", "space": ROWS},
            {"einsums": ["C"], "unit": "sfu", "space": ROWS},
            {"einsums": ["RO"], "unit": "alu", "space": OUTPUT},
            {"einsums": ["O"], "unit": "sfu", "space": OUTPUT},
        ],
        "groups": [
            {
                "einsums": ["S", "LM", "RM", "N", "LD", "LO", "C", "RD", "RO", "O"],
                "nest": hopper_nest(stages),
                "slots": [["S", "LO"], ["LM", "RM"], ["N", "LD", "C", "RD", "RO", "O"]],
                "contexts": "BLOCKS",
                "delay": round(waits),
                "overhead": round(start),
                "resident": "BLOCKS",
            }
        ],
        "masked": {
            "q_tile": "BR",
            "kv_tile": "M0",
            "tests": {
                "einsums": ["LM"],
                "unit": "alu",
                "space": SCORES,
                "implied": {"iadd": loop.test * 32 * warps / (q_tile * kv_tile)},
            },
            **_early(loop, q_tile, kv_tile, dim, warps),
        },
    }


def _early(loop: Loop, q_tile: int, kv_tile: int, dim: int, warps: int) -> dict[str, Any]:
    each = loop.early * 32 * warps / (q_tile * kv_tile * dim)
    return {"early": {"einsums": ["S"], "unit": "alu", "space": SCORES, "implied": {"iadd": each}}} if each else {}


def _visit(loop: Loop, q_tile: int, kv_tile: int, dim: int, warps: int, stages: int, word_bytes: int) -> float:
    """Cycles of a visit in which its warps wait for latencies, or issue what nothing hides."""
    if word_bytes == 4:
        return 2 * EXCHANGE + EXPONENTIAL + 2 * BARRIER[warps]
    if loop.chain:
        return _chained(loop, q_tile, kv_tile, dim, warps)
    groups = warps // 4  # of four warps, which share a matrix instruction of 64 queries
    chain = 2 * EXCHANGE + EXPONENTIAL
    top = 2 * BARRIER[warps] + TOP * groups
    tile = word_bytes * dim * kv_tile  # of keys, and of values
    copied = 0 if loop.engine else 2 * tile / COPY_BYTES
    if loop.serial:
        rows = q_tile // 64 // groups  # instructions for the same step that a group issues one by one
        scores = dim // 16 * rows * max(0, MATRIX - (groups - 1) * kv_tile / 2)
        # exponentials go on during the first of the products with values: what is hidden are three of them
        weighted = (kv_tile // 16 * rows - 3) * max(0, MATRIX - (groups - 1) * dim / 2)
        hidden = min(3, kv_tile // 16) * groups * dim / 2
        waits = chain + scores + weighted - hidden + top + copied
        after = 0.0
    else:
        # copies are issued, and the loop begins anew, while the products with values are on their way
        after = groups * (q_tile // 64 // groups) * (kv_tile // 16) * dim / 2 + MATRIX
        waits = MATRIX + chain + max(0.0, top + copied - after)
    if loop.engine:  # it says that keys, and later that values, have arrived; a barrier before it may fill their places
        waits += 2 * SHARED_CYCLES + BARRIER[warps]
    if stages - loop.ahead == 2:  # what one visit asks for at its end the next one needs at its start
        if loop.engine:
            arrived = BARRIER[warps] + ENGINE_CYCLES + tile / ENGINE_BYTES
            waits += max(0.0, arrived - max(after, top))
        else:  # keys and values are awaited together
            arrived = BARRIER[warps] + L2_CYCLES + 2 * tile / ARRIVE_BYTES
            waits += max(0.0, arrived - max(after, top + copied))
    return waits


def _chained(loop: Loop, q_tile: int, kv_tile: int, dim: int, warps: int) -> float:
    """Of a visit whose chain is known. Threads copy words of 2 bytes, and await what they asked for at its end."""
    groups, scores = warps // 4, q_tile * kv_tile / 128
    one = q_tile * kv_tile * dim / 2048
    work = 5 * scores + q_tile * dim / 128 + loop.others * groups
    fetched = BARRIER[warps] + L2_CYCLES + 4 * dim * kv_tile / ARRIVE_BYTES
    code = Code(loop.registers, loop.others, loop.chain, 0, 0)
    return iteration(code, work + 8 * scores, groups, 8 * scores, Products((one,), (one,), dim), fetched)


def fused(
    loop: Loop, q_tile: int, kv_tile: int, dim: int, warps: int, stages: int, word_bytes: int, capability: int
) -> tuple[str | Mapping[str, Any], dict[str, int]]:
    """A mapping, and the params of it that differ: that of `hopper`, or one of workload `attention`."""
    if capability == 90:
        return hopper(loop, q_tile, kv_tile, dim, warps, stages, word_bytes), {}
    if capability < 90 or capability > 900:
        return "flash_sync", {"BR": q_tile, "M0": kv_tile, "WARPS": warps}
    shared = word_bytes * dim * (q_tile + 2 * stages * kv_tile)
    blocks = resident(255, warps, shared)
    return "flash", {
        "BR": q_tile, "ROWS": q_tile * 4 // warps, "M0": kv_tile, "STAGES": stages, "CONTEXTS": blocks,
        "RESIDENT": blocks,
    }  # fmt: skip
