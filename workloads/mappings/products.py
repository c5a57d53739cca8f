"""Matrix products as GPU libraries do them: a block of threads makes one tile of the result, walking the sum in steps.

`gemm` uses matrix instructions, `gemm_fp32` the FP32 lanes (words of 4 bytes). Which tile, and in how many parts the
sum is split among blocks, is chosen by prediction from the list of tiles that libraries ship, as their heuristics do.
Parts of a sum are added in memory. A ragged tile takes as long as a full one. One block is on an SM: kernels that
load far ahead fill its shared memory.
"""

from __future__ import annotations

from typing import Any

_SOURCE = (
    "Tiles of CUTLASS's profiler and of cuBLAS's kernel names (ampere_sgemm_128x64_tn). A step costs a barrier (30 "
    "cycles) and the latency of the first operands from shared memory (33), a block 3500 cycles at its start and end: "
    "sums of published latencies, as in fused attention, assumed"
)


def _tile(rows: int, columns: int, warp_rows: int, warp_columns: int) -> dict[str, int]:
    return {"BM": rows, "BN": columns, "WM": warp_rows, "WN": warp_columns}


# Rows and columns of a block, and of one of its warps.
TILES = [
    _tile(256, 128, 64, 64),
    _tile(128, 256, 64, 64),
    _tile(256, 64, 64, 64),
    _tile(64, 256, 64, 64),
    _tile(128, 128, 64, 64),
    _tile(128, 64, 64, 32),
    _tile(64, 128, 32, 64),
    _tile(64, 64, 32, 32),
]
TILES_FP32 = [
    _tile(128, 128, 64, 32),
    _tile(128, 64, 64, 32),
    _tile(64, 128, 32, 64),
    _tile(64, 64, 32, 32),
    _tile(128, 32, 64, 16),
    _tile(32, 128, 16, 64),
    _tile(32, 32, 32, 32),
]
SPLITS = [{"SPLIT": parts} for parts in (1, 2, 3, 4, 6, 8)]


def _gemm(batched: bool, unit: str, tiles: list[dict[str, int]], step: int) -> dict[str, Any]:
    batch = [{"for": "b", "over": "sm"}] if batched else []
    tiles_in_all = "ceil_div(M, BM) * ceil_div(N, BN)" + (" * B" if batched else "")
    lanes = {"lanes": ["m", "n"]}
    outside = {"einsums": ["Z"], "unit": unit, "space": lanes}  # of a ragged tile, what lies beyond the matrix
    return {
        "source": _SOURCE,
        "variant": "plain",
        "params": {
            **tiles[0],
            "SPLIT": 1,
            "STEP": step,
            "STAGES": "where(shared_bytes >= 131072, 3, 2)",
            "PARTS": f"where({tiles_in_all} >= sm, 1, SPLIT)",
            "WR": "min(WM, M)",
            "WC": "min(WN, N)",
            "FILLED": f"ceil_div(M, WR) * ceil_div(N, WC) * ceil_div(WR * WC, {unit}_lanes)",
            "WASTE": f"ceil_div(M, BM) * ceil_div(N, BN) * BM * BN / {unit}_lanes / FILLED - 1",
        },
        "choose": {"tile": tiles, "split": SPLITS},
        "bind": [{"einsums": ["Z"], "unit": unit, "space": lanes}, {**outside, "implied": {"mac": "WASTE"}}],
        "groups": [
            {
                "einsums": ["Z"],
                "nest": [
                    *batch,
                    {"for": "m", "tile": "min(BM, M)", "over": "sm"},
                    {"for": "n", "tile": "min(BN, N)", "over": "sm"},
                    {"for": "k", "tile": "max(min(STEP, K), ceil_div(K, PARTS))", "over": "sm", "if_split": True},
                    {"hold": ["Z"], "in": "registers", "copies": "4 / word_bytes"},
                    {"for": "k", "tile": "min(STEP, K)"},
                    {"hold": ["A", "B"], "in": "l2"},
                    {"hold": ["A", "B"], "in": "shared", "copies": "STAGES"},
                    {
                        "do": ["Z"],
                        "nest": [
                            {"for": "m", "tile": "WR"},
                            {"for": "n", "tile": "WC"},
                            {"hold": ["A", "B"], "in": "registers"},
                        ],
                    },
                ],
                "contexts": 1,
                "delay": 63,
                "overhead": 3500,
            }
        ],
    }


MAPPINGS = {"gemm": _gemm(False, "tensor_sync", TILES, 32), "gemm_fp32": _gemm(False, "alu", TILES_FP32, 8)}
BATCHED = {"gemm": _gemm(True, "tensor_sync", TILES, 32), "gemm_fp32": _gemm(True, "alu", TILES_FP32, 8)}
