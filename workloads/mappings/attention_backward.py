"""Backward passes of fused attention on GPUs: a block keeps one tile of keys and walks the queries.

`flash_backward_sync` is the kernel of Ampere, whose warps load operands themselves; `flash_backward` the
warp-specialised one of Hopper. Both run three kernels: one adds up GO * O and clears the sums of DQ, one makes all
five products, one scales and converts DQ. Gradients of keys and values stay in registers; those of queries are added
to FP32 sums that all blocks share, which stay in the L2 cache as far as it goes.
"""

from __future__ import annotations

from typing import Any

from .latencies import barrier, filled, written

_SCORES = {"lanes": ["p", "m"]}
_MAIN = ["S", "A", "DA", "DS", "DV", "DK", "XQ"]
_PREPARE = ["DL", "ZQ"]

_BEFORE_AND_AFTER = [
    {"einsums": ["DL"], "unit": "alu", "space": {"lanes": ["f"]}},
    {"einsums": ["ZQ"], "unit": "alu", "space": {"lanes": ["e"]}},
    {"einsums": ["DQ"], "unit": "alu", "space": {"lanes": ["e"]}},
    {"einsums": ["DQ"], "unit": "alu", "space": {"lanes": ["e"]}, "implied": {"cast": 1}},
]


def _bind(tensor: str) -> list[dict[str, Any]]:
    return [
        {"einsums": ["S", "DA"], "unit": tensor, "space": _SCORES},
        {"einsums": ["DV"], "unit": tensor, "space": {"lanes": ["m", "f"]}},
        {"einsums": ["DK"], "unit": tensor, "space": {"lanes": ["m", "e"]}},
        {"einsums": ["XQ"], "unit": tensor, "space": {"lanes": ["p", "e"]}},
        {"einsums": ["DK"], "unit": "alu", "space": {"lanes": ["m", "e"]}, "ops": ["mul"]},
        {"einsums": ["XQ"], "unit": "alu", "space": {"lanes": ["p", "e"]}, "ops": ["add"]},
        {"einsums": ["A"], "unit": "sfu", "space": _SCORES},
        {"einsums": ["DS"], "unit": "alu", "space": _SCORES},
        {"einsums": ["A", "DS"], "unit": "alu", "space": _SCORES, "implied": {"cast": 1}},
        *_BEFORE_AND_AFTER,
    ]


def _rows(einsums: list[str], rank: str) -> dict[str, Any]:
    """A kernel that takes 64 queries a block and streams them."""
    return {
        "einsums": einsums,
        "nest": [
            {"for": "b", "over": "sm"},
            {"for": "h", "over": "sm"},
            {"for": "p", "tile": "min(64, P)", "over": "sm"},
        ],
    }


def _block(inner: list[dict[str, Any]], **group: Any) -> dict[str, Any]:
    return {
        "einsums": _MAIN,
        "nest": [
            {"for": "b", "over": "sm"},
            {"for": "h", "over": "sm"},
            {"hold": ["XQ"], "in": "l2"},
            {"for": "m", "tile": "BC", "over": "sm"},
            {"hold": ["K", "V"], "in": "shared"},
            {"hold": ["DK", "DV"], "in": "registers"},
            {"for": "p", "tile": "BR"},
            {"hold": ["Q", "GO"], "in": "l2"},
            {"hold": ["Q", "GO"], "in": "shared"},
            {"hold": ["A", "DS"], "in": "shared"},
            *inner,
        ],
        "overbook": True,
        "overhead": f"{filled('BC * (E + F) + BR * E')} + {written(256)}",
        **group,
    }


def _product(
    einsum: str, operands: list[str], rows: tuple[str, str], columns: tuple[str, str], step: str
) -> dict[str, Any]:
    """A product of warps in rows and columns, which load operands for every 16 along the sum."""
    return {
        "do": [einsum],
        "nest": [
            {"for": rows[0], "tile": rows[1]},
            {"for": columns[0], "tile": columns[1]},
            {"for": step, "tile": 16},
            {"hold": operands, "in": "registers", "wait": 0},
        ],
    }


_MASKED = {
    "q_tile": "BR",
    "kv_tile": "BC",
    "blocks": "keys",
    "tests": {"einsums": ["A"], "unit": "alu", "space": _SCORES},
}

SYNC = {
    "source": (
        "FlashAttention-2, arXiv 2307.08691, and Dao-AILab/flash-attention, csrc/flash_attn/src/"
        "flash_bwd_launch_template.h: 128 x 128 for a head dimension of 64, 64 x 128 for 128, 8 warps in 4 or 2 "
        "rows. A tile costs four barriers, five times the latency of first operands from shared "
        "memory and of a matrix instruction, and of an exponential"
    ),
    "variant": "recompute",
    "params": {
        "BR": "where(E > 64, 64, 128)",
        "BC": 128,
        "WARPS": 8,
        "WS": "where(E > 64, 2, 4)",  # warps along the queries of scores, the keys of DK and DV, the queries of DQ
        "WK": 4,
        "WQ": "where(E > 64, 2, 4)",
    },
    "widths": {"ZQ": 4, "XQ": 4},
    "bind": [
        *_bind("tensor_sync"),
        {"einsums": ["XQ"], "unit": "alu", "space": {"lanes": ["p", "e"]}, "implied": {"add": "1 / BC"}},
    ],
    "groups": [
        _rows(_PREPARE, "f"),
        _block(
            [
                _product("S", ["Q", "K"], ("p", "BR // WS"), ("m", "BC * WS // WARPS"), "e"),
                _product("DA", ["GO", "V"], ("p", "BR // WS"), ("m", "BC * WS // WARPS"), "f"),
                _product("DV", ["A", "GO"], ("m", "BC // WK"), ("f", "F * WK // WARPS"), "p"),
                _product("DK", ["DS", "Q"], ("m", "BC // WK"), ("e", "E * WK // WARPS"), "p"),
                _product("XQ", ["DS", "K"], ("p", "BR // WQ"), ("e", "E * WQ // WARPS"), "m"),
            ],
            contexts=1,
            delay=f"4 * {barrier('32 * WARPS')} + 5 * (ldmatrix_latency + mma_sync_latency) + sfu_latency",
        ),
        _rows(["DQ"], "e"),
    ],
    "masked": _MASKED,
}

# Warp groups issue asynchronous products on operands in shared memory; two of them contend for the units. A tile's
# part of DQ leaves through shared memory as one reduction by the memory engine.
ASYNC = {
    "source": (
        "FlashAttention-3, arXiv 2407.08608, and Dao-AILab/flash-attention, hopper/flash_bwd_launch_template.h: 128 "
        "keys "
        "by 128 queries for a head dimension of 64, by 80 (causal 64) for 128, two consumer warp groups. A tile costs "
        "four barriers, two waits for products, since the others end while another goes on, and one for an exponential"
    ),
    "variant": "recompute",
    "params": {"BR": "where(E > 64, 64, 128)", "BC": "2 * mma_rows", "CONTEXTS": 2},
    "widths": {"ZQ": 4, "XQ": 4},
    "bind": _bind("tensor"),
    "groups": [
        _rows(_PREPARE, "f"),
        _block([], contexts="CONTEXTS", delay=f"4 * {barrier(256)} + 2 * mma_latency + sfu_latency"),
        _rows(["DQ"], "e"),
    ],
    "masked": _MASKED,
}

MAPPINGS = {"flash_backward": ASYNC, "flash_backward_sync": SYNC}
