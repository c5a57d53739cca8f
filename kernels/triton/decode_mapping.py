"""What the simulator is told of decoding: blocks that walk parts of a cache, each tile awaited, and the merge of parts.

A visit of 64 keys is a chain: with two stages there is one place for keys and values, so that a block asks for the next
tile when it is done with one and waits for memory; only other blocks of the processor use that time. Cycles are sums
of latencies that a probe of an H200 measured (validate/measurements/h200_probe.json), counted in the code for sm_90.
"""

from __future__ import annotations

from typing import Any

from .fused_mapping import (
    BARRIER,
    COPY_BYTES,
    DEPENDENT,
    EXCHANGE,
    EXPONENTIAL,
    L2_CYCLES,
    SHARED_CYCLES,
    resident,
)

SCORES = {"lanes": ["g", "m0", "e"]}  # few queries fill a matrix unit with the sum along its lanes too
OUTPUT = {"lanes": ["g", "f", "m0"]}
PAIRS, ROWS, VALUES = {"lanes": ["g", "m0"]}, {"lanes": ["g"]}, {"lanes": ["g", "f"]}

MATRIX_SYNC = 24  # latency of a matrix instruction of a warp, which sums over 16
LOADED = 29  # of a matrix operand from shared memory
BARRIERS = 9  # of a visit
STRAIGHT = 274 + 173 + 91  # instructions of a block before, between and after its loops
MERGE = 190  # instructions of a block that merges
COLD = 1.5  # cycles more for an instruction that the last kernel has pushed out of the nearest caches


def split(rows: int, padded: int, keys: int, tiles: int, dim: int, warps: int, stages: int, word_bytes: int) -> Any:
    """The mapping for `rows` queries a head of keys, padded to a matrix instruction, in parts of so many tiles."""
    registers = dim // 2 + 64
    shared = word_bytes * dim * (padded + 2 * max(1, stages - 1) * keys) + 1024
    blocks = resident(registers, warps, shared)
    unit = "alu" if word_bytes == 4 else "tensor_sync"
    exchange = 2 * EXCHANGE + 2 * SHARED_CYCLES  # among the lanes of a warp and then among warps
    chain = BARRIERS * BARRIER[warps] if warps in BARRIER else BARRIERS * 17
    chain += 2 * exchange + EXPONENTIAL + SHARED_CYCLES + 2 * LOADED
    chain += MATRIX_SYNC * (dim // 16 + keys // 16)
    copied = 2 * word_bytes * dim * keys / COPY_BYTES
    ahead = max(1, stages - 1)  # tiles on the way while one is computed: a wait for memory is shared by so many
    start = DEPENDENT * STRAIGHT + COLD * STRAIGHT
    merging = (DEPENDENT + COLD) * MERGE + 4 * L2_CYCLES + exchange
    return {
        "source": "kernels/triton/device/decode.py",
        "variant": "split",
        "sizes": {"M0": keys, "M1": tiles},
        "params": {"BLOCKS": blocks, "PADDING": max(0.0, padded / rows - 1)},
        "widths": {"PO": 4, "PM": 4, "PD": 4},
        "bind": [
            {"einsums": ["S"], "unit": unit, "space": SCORES},
            {"einsums": ["LO"], "unit": unit, "space": OUTPUT},
            {"einsums": ["S"], "unit": unit, "space": SCORES, "implied": {"mac": "PADDING"}},
            {"einsums": ["LO"], "unit": unit, "space": OUTPUT, "implied": {"mac": "PADDING"}},
            {"einsums": ["LM", "LD"], "unit": "alu", "space": PAIRS},
            {"einsums": ["N"], "unit": "sfu", "space": PAIRS},
            {"einsums": ["N"], "unit": "alu", "space": PAIRS, "implied": {"cast": int(word_bytes < 4)}},
            {"einsums": ["RM", "RD", "PM", "PD"], "unit": "alu", "space": ROWS},
            {"einsums": ["R", "W"], "unit": "sfu", "space": ROWS},
            {"einsums": ["RO", "PO"], "unit": "alu", "space": VALUES},
            {"einsums": ["GM", "D"], "unit": "alu", "space": ROWS},
            {"einsums": ["NV"], "unit": "alu", "space": VALUES},
            {"einsums": ["O"], "unit": "sfu", "space": VALUES},
        ],
        "groups": [
            {
                "einsums": ["S", "LM", "RM", "N", "LD", "LO", "R", "RD", "RO", "PM", "PD", "PO"],
                "nest": [
                    {"for": "b", "over": "sm"},
                    {"for": "h", "over": "sm"},
                    {"for": "m2", "over": "sm"},
                    {"hold": ["Q"], "in": "shared"},
                    {"hold": ["RM", "RD", "RO"], "in": "registers"},
                    {"for": "m1"},
                    {"hold": ["K", "V"], "in": "shared", "copies": ahead},
                ],
                "contexts": "min(BLOCKS, ceil_div(B * H * M2, sm))",
                "delay": f"{round(chain + copied)} + dram_latency / {ahead}",
                "awaits": ["dram"],
                "at_once": True,
                # lengths, then the first keys, and where nothing is left to hide it, the last stores
                "overhead": f"({round(start)} + 2 * dram_latency + {L2_CYCLES}) / "
                "min(BLOCKS, ceil_div(B * H * M2, sm))",
            },
            {
                "einsums": ["GM", "W", "D", "NV", "O"],
                "nest": [{"for": "b", "over": "sm"}, {"for": "h", "over": "sm"}, {"for": "g", "over": "sm"}],
                "contexts": "min(max_blocks, max_warps // 4, ceil_div(B * H * G, sm))",
                "delay": round(merging),
                "awaits": ["l2"],
                "at_once": True,
            },
        ],
    }
