"""Decoding on a GPU: a block walks one part of one head's cache for all queries that share it, a second kernel merges.

How many parts follows from the machine: about as many blocks as it has places for, so that all of its memory's
bandwidth is in use however few sequences there are.
"""

from __future__ import annotations

from typing import Any

from .latencies import SOFTMAX, barrier, filled, written

_SCORES = {"lanes": ["g", "m0"]}
_OUTPUT = {"lanes": ["g", "f"]}
_ROWS = {"lanes": ["g"]}
# few queries fill a matrix unit with the sum along its lanes too
_SCORES_OF_E = {"lanes": ["g", "m0", "e"]}
_OUTPUT_OF_KEYS = {"lanes": ["g", "f", "m0"]}
_WALK = ["S", "LM", "RM", "N", "LD", "LO", "R", "RD", "RO", "PM", "PD", "PO"]
_MERGE = ["GM", "W", "D", "NV", "O"]
_KEYS = 64  # of a tile
_TILES = f"ceil_div(M, {_KEYS})"
_PLACES = "max(1, 4 * sm // (B * H))"  # parts for which every SM has four blocks
_OF_A_PART = f"ceil_div({_TILES}, min({_TILES}, {_PLACES}))"  # the last part may be short: it is padded


def _walk(unit: str) -> dict[str, Any]:
    return {
        "source": (
            "Dao-AILab/flash-attention, csrc/flash_attn/src/flash_fwd_kernel.h (split KV), and "
            "flashinfer-ai/flashinfer: "
            "tiles of 64 keys, matrix instructions padded to 16 queries. Four blocks an SM, assumed; 128 threads that "
            "wait as in fused attention"
        ),
        "variant": "split",
        "sizes": {"M0": _KEYS, "M1": _OF_A_PART},
        "params": {"CTAS": 4, "ROWS": 16, "PADDING": "max(0, ROWS / G - 1)"},
        "widths": {"PO": 4, "PM": 4, "PD": 4},
        "bind": [
            {"einsums": ["S"], "unit": unit, "space": _SCORES_OF_E},
            {"einsums": ["LO"], "unit": unit, "space": _OUTPUT_OF_KEYS},
            {"einsums": ["S"], "unit": unit, "space": _SCORES_OF_E, "implied": {"mac": "PADDING"}},
            {"einsums": ["LO"], "unit": unit, "space": _OUTPUT_OF_KEYS, "implied": {"mac": "PADDING"}},
            {"einsums": ["LM", "LD"], "unit": "alu", "space": _SCORES},
            {"einsums": ["N"], "unit": "sfu", "space": _SCORES},
            {"einsums": ["N"], "unit": "alu", "space": _SCORES, "implied": {"cast": 1}},
            {"einsums": ["RM", "RD", "PM", "PD"], "unit": "alu", "space": _ROWS},
            {"einsums": ["R", "W"], "unit": "sfu", "space": _ROWS},
            {"einsums": ["RO", "PO"], "unit": "alu", "space": _OUTPUT},
            {"einsums": ["GM", "D"], "unit": "alu", "space": _ROWS},
            {"einsums": ["NV"], "unit": "alu", "space": _OUTPUT},
            {"einsums": ["O"], "unit": "sfu", "space": _OUTPUT},
        ],
        "groups": [
            {
                "einsums": _WALK,
                "nest": [
                    {"for": "b", "over": "sm"},
                    {"for": "h", "over": "sm"},
                    {"for": "m2", "over": "sm"},
                    {"hold": ["Q"], "in": "shared"},
                    {"hold": ["RM", "RD", "RO"], "in": "registers"},
                    {"for": "m1"},
                    {"hold": ["K", "V"], "in": "shared", "copies": 2},
                ],
                "contexts": "min(CTAS, ceil_div(B * H * M2, sm))",
                "delay": f"2 * {barrier(128)} + 2 * mma_sync_latency + {SOFTMAX}",
                "overhead": f"{filled('CTAS * (G * E + M0 * E)', 'dram')} + {written(128)}",
            },
            {
                "einsums": _MERGE,
                "nest": [{"for": "b", "over": "sm"}, {"for": "h", "over": "sm"}, {"for": "g", "over": "sm"}],
                "contexts": "min(max_blocks, ceil_div(B * H * G, sm))",
                "delay": "1400 + dram_latency",
                "awaits": ["dram"],
            },
        ],
    }


MAPPINGS = {"split_kv": _walk("tensor_sync")}
