"""Chunked linear attention on a GPU, as kernels in Triton do it.

`walk`: a block takes one head and BE of its values, keeps their state in registers and walks the chunks. Blocks of one
head multiply its queries and keys, and decay them, each for itself. `apart`: blocks of BS x BS of a state walk the
chunks and leave the state before each in memory; then every chunk of every head is a block of its own.
Each with the instructions of a group of warps (`tensor`), of a warp (`tensor_sync`), or on the FP32 lanes (`alu`).
"""

from __future__ import annotations

from typing import Any

_SOURCE = (
    "kernels/triton/device/linear_attention.py, SASS of Triton 3.7 for sm_90: beside products, multiplications and "
    "conversions a thread has about 290 instructions a chunk in `walk` (addresses, tests, barriers), 200 in the "
    "launch for states, 300 in the one for outputs. An iteration waits for 7 barriers of 30 cycles beside the 260 of "
    "one of fused attention, a block 3500 at its start and end: sums of published latencies, assumed"
)
_ROWS = {"tensor": "min(mma_rows, N0)", "tensor_sync": "max(16, N0 // WARPS)", "alu": "max(1, N0 // WARPS)"}
_DECAYS = ["DK", "DI", "DE", "DB"]


def _occupancy(registers: str, shared: str) -> dict[str, str]:
    return {
        "REGISTERS": f"min(255, {registers})",
        "SHARED": f"{shared} + 1024",
        "CTAS": (
            "max(1, floor(min(registers_bytes / 4 / (32 * WARPS * REGISTERS), shared_bytes / SHARED, max_blocks, "
            "max_warps / WARPS)))"
        ),
    }


def _elementwise(unit: str) -> list[dict[str, Any]]:
    """Every Einsum on its unit; operands of products are converted where words are not FP32."""
    scores, outputs, state = {"lanes": ["n0", "j"]}, {"lanes": ["n0", "e"]}, {"lanes": ["d", "e"]}
    cast = "where(word_bytes < 4, 1, 0)"
    return [
        {"einsums": ["QK"], "unit": unit, "space": scores},
        {"einsums": ["OI"], "unit": unit, "space": outputs},
        {"einsums": ["OX"], "unit": unit, "space": outputs, "ops": ["mac"]},
        {"einsums": ["KV"], "unit": unit, "space": state, "ops": ["mac"]},
        {"einsums": _DECAYS, "unit": "alu", "space": scores},
        {"einsums": _DECAYS, "unit": "sfu", "space": scores, "ops": ["exp"]},
        {"einsums": ["P"], "unit": "alu", "space": scores},
        {"einsums": ["OX", "O"], "unit": "alu", "space": outputs},
        {"einsums": ["KD"], "unit": "alu", "space": {"lanes": ["n0", "d"]}},
        {"einsums": ["KV"], "unit": "alu", "space": state},
        {"einsums": ["P"], "unit": "alu", "space": scores, "implied": {"cast": cast}},
        {"einsums": ["KD"], "unit": "alu", "space": {"lanes": ["n0", "d"]}, "implied": {"cast": cast}},
        {"einsums": ["O"], "unit": "alu", "space": outputs, "implied": {"cast": cast}},
    ]


def _instructions(einsum: str, lanes: list[str], count: int, points: str) -> dict[str, Any]:
    """So many more instructions of each thread for so many points of an Einsum (what it sums over included), at the
    rate of FP32 ones.
    """
    return {
        "einsums": [einsum],
        "unit": "alu",
        "space": {"lanes": lanes},
        "implied": {"mac": f"{count} * 32 * WARPS / ({points})"},
    }


def _operands(einsum: str, tensors: list[str], *loops: dict[str, Any]) -> dict[str, Any]:
    return {"do": [einsum], "nest": [*loops, {"hold": tensors, "in": "registers"}]}


def _over(rank: str, tile: str | int = 1) -> dict[str, Any]:
    """A loop over blocks, each of which makes for itself what it shares with others."""
    return {"for": rank, "tile": tile, "over": "sm", "again": True}


def _walk(unit: str) -> dict[str, Any]:
    rows = {"for": "n0", "tile": "ROWS"}
    return {
        "source": _SOURCE,
        "variant": "blocks",
        "widths": {"KV": 4},
        "params": {
            "BE": "min(E, 64)",
            "WARPS": 4,
            "STAGES": 2,
            "ROWS": _ROWS[unit],
            **_occupancy(
                "(D * min(BE, E) + 2 * N0 * N0 + N0 * BE) / (32 * WARPS) + 60",
                "word_bytes * (STAGES * N0 * (2 * D + BE) + N0 * BE)",
            ),
        },
        "bind": [
            *_elementwise(unit),
            {"einsums": ["KV"], "unit": "alu", "space": {"lanes": ["d", "e"]}, "implied": {"cast": "1 / N0"}},
            _instructions("O", ["n0", "e"], 290, "N0 * BE"),
        ],
        "groups": [
            {
                "einsums": ["QK", "DK", "P", "DI", "DE", "DB", "KD", "KV", "OI", "OX", "O"],
                "nest": [
                    _over("b"),
                    _over("h"),
                    _over("e", "min(BE, E)"),
                    {"hold": ["KV"], "in": "registers"},
                    {"for": "n1"},
                    {"hold": ["Q", "K", "V"], "in": "l2"},
                    {"hold": ["Q", "K", "V"], "in": "shared", "copies": "STAGES"},
                    _operands("QK", ["Q", "K"], rows),
                    _operands("OI", ["V"], rows),
                    _operands("OX", ["Q"], rows),
                ],
                "contexts": "CTAS",
                "delay": "260 + 7 * 30",
                "overhead": 3500,
                "resident": "CTAS",
            }
        ],
    }


def _apart(unit: str) -> dict[str, Any]:
    rows = {"for": "n0", "tile": "ROWS"}
    return {
        "source": _SOURCE,
        "variant": "blocks",
        "params": {
            "BE": "min(E, 128)",
            "BS": "min(E, 64)",
            "WARPS": "where(BE > 64, 8, 4)",
            "STAGES": 1,
            "ROWS": _ROWS[unit],
            **_occupancy(
                "(N0 * N0 + 2 * N0 * BE) / (32 * WARPS) + 64",
                "word_bytes * (2 * N0 * D + N0 * BE + D * BE)",
            ),
            "WALKERS": "min(max_warps // 4, ceil_div(B * H * ceil_div(D, BS) * ceil_div(E, BS), sm))",
        },
        "bind": [
            *_elementwise(unit),
            _instructions("KV", ["d", "e"], 200, "BS * BS * N0"),
            _instructions("O", ["n0", "e"], 300, "N0 * BE"),
        ],
        "groups": [
            {
                "einsums": ["DE", "DB", "KD", "KV"],
                "nest": [
                    _over("b"),
                    _over("h"),
                    _over("d", "min(BS, D)"),
                    _over("e", "min(BS, E)"),
                    {"hold": ["KV"], "in": "registers", "copies": "4 / word_bytes"},
                    {"for": "n1"},
                    {"hold": ["K", "V"], "in": "l2"},
                    {"hold": ["K", "V"], "in": "shared", "copies": 2},
                ],
                "contexts": "WALKERS",
                "delay": "260 + 4 * 30",
                "overhead": 3500,
                "resident": "WALKERS",
            },
            {
                "einsums": ["QK", "DK", "P", "DI", "OI", "OX", "O"],
                "nest": [
                    _over("b"),
                    _over("h"),
                    _over("e", "min(BE, E)"),
                    _over("n1"),
                    {"hold": ["Q", "K", "V", "KV"], "in": "l2"},
                    {"hold": ["Q", "K", "V", "KV"], "in": "shared"},
                    _operands("QK", ["Q", "K"], rows),
                    _operands("OI", ["V"], rows),
                    _operands("OX", ["Q", "KV"], rows),
                ],
                "contexts": "CTAS",
                "delay": "3500 + 260 + 6 * 30",
                "awaits": ["dram", "l2"],
            },
        ],
    }


LINEAR = {
    f"{way}_{unit}": made(unit)
    for way, made in (("walk", _walk), ("apart", _apart))
    for unit in ("tensor", "tensor_sync", "alu")
}
