"""Fused attention on a GPU: `flash` for the warp-specialised kernels of Hopper and Blackwell, `flash_sync` for those of
Ampere, whose warps load operands themselves.

A block of threads takes BR queries of one head and walks the keys in tiles of M0. What contends for the SM's tensor
cores, special function units and FP32 lanes (its contexts) are a block's warp groups of ROWS queries in `flash`, and
the blocks on an SM in `flash_sync`. Every tile is a parameter; DENORMALS is 1 for code that guards every exponential
against denormal numbers (a comparison and two multiplications). `flash` needs a machine whose warp groups share one
matrix instruction (`mma_rows`).
"""

from __future__ import annotations

from typing import Any

from .latencies import SOFTMAX, barrier, filled, written

_ROWS = {"lanes": ["p"]}
_SCORES = {"lanes": ["p", "m0"]}
_OUTPUT = {"lanes": ["p", "f"]}

# Tiles of queries and keys are skipped whole; scores are tested where they become numerators.
_MASKED: dict[str, Any] = {
    "q_tile": "BR",
    "kv_tile": "M0",
    "tests": {"einsums": ["N"], "unit": "alu", "space": _SCORES},
}

_EVERY = ["S", "LM", "RM", "N", "LD", "LO", "C", "RD", "RO", "O"]

_SOFTMAX = [
    {"einsums": ["LM", "LD"], "unit": "alu", "space": _SCORES},
    {"einsums": ["N"], "unit": "sfu", "space": _SCORES},
    {
        "einsums": ["N"],
        "unit": "alu",
        "space": _SCORES,
        "implied": {"cast": 1, "compare": "DENORMALS", "mul": "2 * DENORMALS"},
    },
    {"einsums": ["RM", "RD"], "unit": "alu", "space": _ROWS},
    {"einsums": ["C"], "unit": "sfu", "space": _ROWS},
    {"einsums": ["RO"], "unit": "alu", "space": _OUTPUT},
    {"einsums": ["O"], "unit": "sfu", "space": _OUTPUT},
]


def _occupancy(threads: str, registers: str, shared: str, most: int, beside: int = 0) -> dict[str, str]:
    """CTAS, the blocks of these threads that an SM holds, by registers, shared memory and places; none where a thread
    needs more than `most` registers. Registers hold the sums and scores of a thread, and 24 to 64 more for operands and
    addresses (assumed), and `beside` of a block for warps that only load; a block reserves 1 KiB of shared memory.
    """
    return {
        "THREADS": threads,
        "REGISTERS": registers,
        "SHARED": f"{shared} + 1024",
        "CTAS": (
            f"where(REGISTERS > {most + 1}, 0, floor(min(registers_bytes / 4 / (THREADS * min({most}, REGISTERS) + "
            f"{beside}), "
            "shared_bytes / SHARED, max_blocks, max_warps * warp_lanes / THREADS)))"
        ),
    }


# A block of threads: BR queries and their running values stay, keys and values come by; blocks that run at once on the
# same head find them in the cache.
_BLOCK = [
    {"for": "b", "over": "sm"},
    {"for": "h", "over": "sm"},
    {"for": "p", "tile": "BR", "over": "sm"},
    {"hold": ["Q"], "in": "shared"},
    {"hold": ["RM", "RD", "RO"], "in": "registers"},
    {"for": "m1"},
    {"hold": ["K", "V"], "in": "l2"},
]

FLASH = {
    "source": (
        "FlashAttention-3, arXiv 2407.08608, and Dao-AILab/flash-attention, hopper/tile_size.h: a tile of 128 x 128 "
        "(causal) by two consumer warp groups. An iteration waits for keys and values to arrive, for its turn, for "
        "scores, while the product with values goes on, and for the softmax; its weights are in registers"
    ),
    "variant": "1-pass",
    "sizes": {"M0": "min(M, 128)"},
    "params": {
        "BR": "2 * mma_rows",
        "ROWS": "mma_rows",
        "STAGES": 2,
        **_occupancy(
            "128 * ceil_div(BR, ROWS)",
            "where(mma_rows >= 128, 128, ROWS * (F + 1.25 * M0) / 128 + 24)",  # there sums have a memory of their own
            "word_bytes * (BR * E + STAGES * M0 * (E + F))",
            255,
            beside=128 * 32,
        ),
        "CONTEXTS": "ceil_div(BR, ROWS)",
        "RESIDENT": "min(1, CTAS)",
        "DENORMALS": 0,
    },
    "bind": [
        {"einsums": ["S"], "unit": "tensor", "space": _SCORES},
        {"einsums": ["LO"], "unit": "tensor", "space": _OUTPUT},
        *_SOFTMAX,
    ],
    "groups": [
        {
            "einsums": _EVERY,
            "nest": [
                *_BLOCK,
                {"hold": ["K", "V"], "in": "shared", "copies": "STAGES"},
                {"for": "p", "tile": "ROWS"},
                {"do": ["S"], "nest": [{"for": "e", "tile": 16}, {"hold": ["Q", "K"], "in": "registers"}]},
                {"do": ["LO"], "nest": [{"hold": ["V"], "in": "registers"}]},
            ],
            "contexts": "CONTEXTS * min(1, CTAS)",
            "delay": (
                f"2 * shared_latency + {barrier('THREADS')} + mma_latency + {SOFTMAX} + "
                "ceil_div(M0, 16) * ceil_div(F, 256) * mma_registers_gap"
            ),
            "overhead": f"{filled('BR * E + M0 * E')} + {written('THREADS')}",
            "resident": "RESIDENT",
        }
    ],
    "masked": {**_MASKED, "tiles": [[128, 128], [128, 64], [128, 96], [128, 176], [192, 128], [64, 128], [256, 128]]},
}

# Two blocks of threads share an SM and contend for it; a block's warps load their own operands from shared memory for
# every step of 16 along the sum (ldmatrix), and march together.
_SYNC_DELAY = f"2 * {barrier('warp_lanes * WARPS')} + 2 * mma_sync_latency + {SOFTMAX}"
FLASH_SYNC = {
    "source": (
        "FlashAttention-2, arXiv 2307.08691, and Dao-AILab/flash-attention, csrc/flash_attn, forward launch templates: "
        "128 x 64 for a head dimension of 128, 128 x 128 for 64, 4 warps, two blocks of threads on an SM. Every step "
        "waits for ldmatrix; an iteration for two barriers, the last step of each product, and the softmax"
    ),
    "variant": "1-pass",
    "sizes": {"M0": "min(M, where(E > 64, 64, 128))"},
    "params": {
        "BR": 128,
        "WARPS": 4,
        **_occupancy(
            "warp_lanes * WARPS",
            "BR * (F + M0) / (warp_lanes * WARPS) + 64",
            "word_bytes * (BR * E + M0 * (E + F))",
            255,
        ),
        "CONTEXTS": "CTAS",
        "DENORMALS": 0,
    },
    "bind": [
        {"einsums": ["S"], "unit": "tensor_sync", "space": _SCORES},
        {"einsums": ["LO"], "unit": "tensor_sync", "space": _OUTPUT},
        *_SOFTMAX,
    ],
    "groups": [
        {
            "einsums": _EVERY,
            "nest": [
                *_BLOCK,
                {"hold": ["K", "V"], "in": "shared"},
                {
                    "do": ["S"],
                    "nest": [
                        {"for": "p", "tile": "BR // WARPS"},
                        {"for": "e", "tile": 16},
                        {"hold": ["Q", "K"], "in": "registers", "wait": "ldmatrix_latency"},
                    ],
                },
                {
                    "do": ["LO"],
                    "nest": [
                        {"for": "p", "tile": "BR // WARPS"},
                        {"for": "m0", "tile": 16},
                        {"hold": ["V"], "in": "registers", "wait": "ldmatrix_latency"},
                    ],
                },
            ],
            "contexts": "CONTEXTS",
            "delay": _SYNC_DELAY,
            "overhead": f"{filled('BR * E + M0 * E')} + {written('warp_lanes * WARPS')}",
            "resident": "CONTEXTS",
        }
    ],
    "masked": {**_MASKED, "tiles": [[128, 64], [128, 128], [128, 32], [64, 64], [64, 128], [64, 32]]},
}

# As flash_sync, but every warp keeps its queries in registers for as long as it walks the keys.
FLASH_SYNC_Q = {
    **FLASH_SYNC,
    "source": (
        "Triton's tutorial kernel, triton-lang/triton, python/tutorials/06-fused-attention.py: queries are "
        "taken to stay in registers as operands, assumed; tiles and cycles as in flash_sync"
    ),
    "params": {
        **FLASH_SYNC["params"],
        "BR": "where(E > 64, 64, 128)",
        "REGISTERS": "BR * (F + M0 + E / 2) / THREADS + 64",
        "SHARED": "word_bytes * M0 * (E + F) + 1024",
    },
    "groups": [
        {
            **FLASH_SYNC["groups"][0],
            "nest": [
                *_BLOCK[:4],
                {"hold": ["Q"], "in": "registers"},
                *_BLOCK[4:],
                {"hold": ["K", "V"], "in": "shared"},
                {
                    "do": ["S"],
                    "nest": [
                        {"for": "p", "tile": "BR // WARPS"},
                        {"for": "e", "tile": 16},
                        {"hold": ["K"], "in": "registers", "wait": "ldmatrix_latency"},
                    ],
                },
                FLASH_SYNC["groups"][0]["nest"][-1],
            ],
        }
    ],
}

# Matrix instructions that one thread issues and nobody waits for, scores and sums in a memory of their own, rescaling
# by warps of its own: a context more than tiles of queries.
FLASH_ASYNC = {
    **FLASH,
    "source": (
        "FlashAttention-4: Dao-AILab/flash-attention, flash_attn/cute/flash_fwd_sm100.py: two tiles of 128 queries, "
        "128 keys. Three groups of warps contend for the units: the softmax of each tile, and the one that rescales. "
        "Cycles as in flash"
    ),
    "params": {
        **FLASH["params"],
        "BR": "2 * mma_rows",
        "REGISTERS": "where(mma_rows >= 128, 128, 1024)",  # without that memory, no thread has room for its sums
        "CONTEXTS": "1 + ceil_div(BR, ROWS)",
    },
}


# Both products are those of a library of templates: operands of every step come through shared memory, queries too,
# with a barrier a step; probabilities pass through shared memory. Where one block of keys does not cover the head
# dimension (`wide`), sums stay in memory as FP32. GATHER are the instructions for the place of every vector of 16 bytes
# that is fetched, where neighbours of a tile do not lie side by side in memory.
def _templates(wide: bool) -> dict[str, Any]:
    kept = [{"hold": ["RM", "RD"], "in": "registers"}] if wide else [{"hold": ["RM", "RD", "RO"], "in": "registers"}]
    sums = [{"einsums": ["RO"], "unit": "alu", "space": _OUTPUT, "implied": {"imad": "2 * GATHER / 4"}}] if wide else []
    return {
        **FLASH_SYNC,
        "source": (
            "facebookresearch/xformers and pytorch, mem_eff_attention/kernel_forward.h: 64 queries by 64 keys for a "
            "head "
            "dimension of 64 and by 128 for 128, warps of 32 x 32, 16 warps on an SM. Scores are scaled before their "
            "maximum, and maxima and sums of warps meet in shared memory: four more barriers; a maximum by atomic "
            "operations of every warp along the keys and its way back, the correction by one thread a row, its "
            "exponential and its way to all, and partial sums to there and back; and a barrier for every 32 along a "
            "sum; the latency of L2 before the first product. Operands are awaited, since only three stages of 32 are "
            "on the way"
        ),
        "sizes": {"M0": "min(M, where(E > 64, 128, 64))"},
        "params": {
            "BR": 64,
            "WARPS": "max(1, BR * M0 // 1024)",
            "SHARED": "word_bytes * max(3 * 32 * (BR + M0), BR * M0 + 3 * 32 * F) + 1024",  # three stages of 32
            "CTAS": "min(16 // WARPS, shared_bytes // SHARED)",
            "CONTEXTS": "CTAS",
            "DENORMALS": 0,
            "GATHER": 0,
        },
        # four fifths of a place are the coordinates, which a test of the mask needs of every key
        "masked": {
            **_MASKED,
            "tests": {**_MASKED["tests"], "implied": {"imad": "4 / 5 * GATHER"}},
            "tiles": [] if wide else [[64, 64], [64, 128]],
        },
        "widths": {"RO": 4} if wide else {},
        "bind": [
            *FLASH_SYNC["bind"],
            {"einsums": ["N"], "unit": "alu", "space": _SCORES, "implied": {"mul": 1}},
            {"einsums": ["S"], "unit": "alu", "space": _SCORES, "implied": {"imad": "GATHER / 8 * (1 / M0 + 1 / BR)"}},
            {"einsums": ["LO"], "unit": "alu", "space": _OUTPUT, "implied": {"imad": "GATHER / 8 / BR"}},
            *sums,
        ],
        "groups": [
            {
                **FLASH_SYNC["groups"][0],
                "nest": [
                    *_BLOCK[:3],
                    *kept,
                    *([{"hold": ["RO"], "in": "l2"}] if wide else []),
                    {"for": "m1"},
                    {"hold": ["Q", "K", "V"], "in": "l2"},
                    {"hold": ["Q", "K", "V"], "in": "shared"},
                    {"hold": ["N"], "in": "shared"},
                    {
                        "do": ["S"],
                        "nest": [
                            {"for": "p", "tile": "min(32, BR)"},
                            {"for": "m0", "tile": "min(32, M0)"},
                            {"for": "e", "tile": 16},
                            {"hold": ["Q", "K"], "in": "registers", "wait": "ldmatrix_latency"},
                        ],
                    },
                    {
                        "do": ["LO"],
                        "nest": [
                            {"for": "p", "tile": "min(32, BR)"},
                            {"for": "f", "tile": "min(32, F)"},
                            {"for": "m0", "tile": 16},
                            {"hold": ["N", "V"], "in": "registers", "wait": "ldmatrix_latency"},
                        ],
                    },
                ],
                "awaits": ["l2"],
                "delay": (
                    f"{_SYNC_DELAY} + l2_latency + (6 + ceil_div(M0, 32)) * shared_latency + sfu_latency + "
                    f"(4 + ceil_div(E, 32) + ceil_div(M0, 32)) * {barrier('warp_lanes * WARPS')}"
                ),
            }
        ],
    }


MAPPINGS = {
    "flash": FLASH,
    "flash_sync": FLASH_SYNC,
    "flash_sync_q": FLASH_SYNC_Q,
    "flash_async": FLASH_ASYNC,
    "flash_templates": _templates(wide=False),
    "flash_templates_wide": _templates(wide=True),
}
