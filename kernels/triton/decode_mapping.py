"""What the simulator is told of decoding: blocks that walk parts of a cache, each tile awaited, and the merge of parts.

A visit of 64 keys is a chain: with two stages there is one place for keys and values, so that a block asks for the next
tile when it is done with one and waits for memory; only other blocks of the processor use that time. Cycles are sums
of latencies that a probe of an H200 measured (validate/measurements/h200_probe.json), counted in the code for sm_90.
"""

from __future__ import annotations

from typing import Any

from .fused_mapping import COPY_BYTES, GAP, L2_CYCLES, resident

SCORES = {"lanes": ["g", "m0", "e"]}  # few queries fill a matrix unit with the sum along its lanes too
OUTPUT = {"lanes": ["g", "f", "m0"]}
PAIRS, ROWS, VALUES = {"lanes": ["g", "m0"]}, {"lanes": ["g"]}, {"lanes": ["g", "f"]}

# What the control words of the code (Triton 3.7.1, sm_90) give a warp alone, in cycles, with latencies of exchanges
# (24), shared memory (23, matrix operands 29), exponentials (17), matrix instructions (24) and barriers (21).
# A visit of 64 keys, at 64 and 128 columns:
VISIT = {64: 1120, 128: 1628}
# A block of parts before, between and after its loops, and instructions there; it awaits lengths and queries together:
START, STARTS = 521 + 265 + 178, 252 + 131 + 81
# A block that merges, before and behind its loop, and in a turn of it, for 16 parts; it awaits maxima, then sums, three
# times in each turn (registers are reused), and its store:
MERGE, TURN, MERGES, TOGETHER = 704 + 425, 282, 328, 16
SYNC_MACS = 2048 * 0.634  # multiply-accumulates a cycle of such matrix instructions
COLD = 1.5  # cycles more for an instruction that the last kernel has pushed out of the nearest caches


def split(rows: int, padded: int, keys: int, tiles: int, dim: int, warps: int, stages: int, word_bytes: int) -> Any:
    """The mapping for `rows` queries a head of keys, padded to a matrix instruction, in parts of so many tiles."""
    registers = dim // 2 + 64
    shared = word_bytes * dim * (padded + 2 * max(1, stages - 1) * keys) + 1024
    blocks = resident(registers, warps, shared)
    unit = "alu" if word_bytes == 4 else "tensor_sync"
    chain = VISIT.get(dim, VISIT[128] * dim / 128) - 2 * padded * keys * dim / SYNC_MACS
    copied = 2 * word_bytes * dim * keys / COPY_BYTES
    ahead = max(1, stages - 1)  # tiles on the way while one is computed: a wait for memory is shared by so many
    start = GAP + START + COLD * STARTS + L2_CYCLES
    merging = GAP + MERGE + COLD * MERGES + 3 * L2_CYCLES
    turn = TURN + 3 * L2_CYCLES
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
                # lengths, and where nothing is left to hide it, the last stores; each visit awaits its own keys
                "overhead": f"({round(start)} + dram_latency) / min(BLOCKS, ceil_div(B * H * M2, sm))",
            },
            {
                "einsums": ["GM", "W", "D", "NV", "O"],
                "nest": [{"for": "b", "over": "sm"}, {"for": "h", "over": "sm"}, {"for": "g", "over": "sm"}],
                "contexts": "min(max_blocks, max_warps // 4, ceil_div(B * H * G, sm))",
                "delay": f"{round(merging)} + {turn} * ceil_div(M2, {TOGETHER})",
                "awaits": ["l2"],
                "at_once": True,
            },
        ],
    }
