"""Chunked linear attention on a GPU, as kernels in Triton do it.

`walk`: a block takes one head and BE of its values, keeps their state in registers and walks the chunks. Blocks of one
head multiply its queries and keys, and decay them, each for itself. `states`: as much of it as makes the last state,
which segments of a long sequence are walked for first, each a head of its own.
Each with the instructions of a group of warps (`tensor`), of a warp (`tensor_sync`), or on the FP32 lanes (`alu`).
"""

from __future__ import annotations

from typing import Any

from .rows import CACHE, MEMORY

_SOURCE = (
    "kernels/triton/device/linear_attention.py, SASS of Triton 3.6 for sm_90: beside products, multiplications and "
    "conversions a thread has 306 instructions a chunk in `walk` and 226 in `states`, those of uniform registers left "
    "out, where queries and keys have 128 columns and values 64; 180 and 132 at 64 and 32, 237 and 168 at 96 and 32. "
    "With two stages a chunk is loaded when the one before is done, so that all of it is waited for. "
    "Cycles of code before and behind the chunks are what its control words give one warp. "
    "Latencies measured on an H200 (lightbound probe cuda): barrier 21 cycles, shared memory 29, a wgmma beyond its "
    "products 72; 412 between blocks"
)
_ROWS = {"tensor": "min(mma_rows, N0)", "tensor_sync": "max(16, N0 // WARPS)", "alu": "max(1, N0 // WARPS)"}
_DECAYS = ["DK", "DI", "DE", "DB"]
_EVERY = ["QK", *_DECAYS, "P", "KD", "KV", "OI", "OX", "O"]


_WAY = 72  # bytes a cycle from L2 to an SM, of blocks that load at once (probe, bulk.32KiB.l2.all)
# The same where all read what others read too (probe, read_all.8MiB: 6610 a cycle); blocks read half of all states on
# average.
_ALL = 50
_BARRIER, _SHARED, _WGMMA = 21, 29, 72  # cycles
# Threads issue their copies behind the last product of a chunk: shared memory takes 128 bytes a cycle (probe,
# shared.store.16).
_COPIED = "word_bytes * N0 * ({} * D + BE) / 128"
_BLOCK = f"412 + {MEMORY} + {CACHE}"  # from block to block, its first operands, its last stores
# What a warp issues before its first chunk, with a scalar from the L2 cache: 933 cycles at 64 columns, 1094 at 128;
# with segments another such wait. `states`, start and end together: 926, 1011 and 1231 at 64, 96 and 128 columns.
_WALK_START, _STATES_CODE = f"770 + 2.5 * D + where(SEGMENTS > 1, {CACHE}, 0)", "600 + 5 * D"


_JOINED = "3.6 * D * BE / (32 * WARPS)"  # a state of an earlier segment: 231 cycles at 128 x 64, 120 at 128 x 32


_LATE = "where(STAGES < 3, 1, 0)"  # whether a chunk is loaded only when it is wanted


def _occupancy(registers: str, shared: str) -> dict[str, str]:
    return {
        "REGISTERS": f"min(255, {registers})",
        "SHARED": f"{shared} + 1024",
        "CTAS": (
            "max(1, floor(min(registers_bytes / 4 / (32 * WARPS * REGISTERS), shared_bytes / SHARED, max_blocks, "
            "max_warps / WARPS, ceil_div(B * H * ceil_div(E, BE), sm))))"
        ),
    }


def _elementwise(unit: str, einsums: list[str]) -> list[dict[str, Any]]:
    """Every Einsum on its unit; operands of products are converted where words are not FP32."""
    scores, outputs, state = {"lanes": ["n0", "j"]}, {"lanes": ["n0", "e"]}, {"lanes": ["d", "e"]}
    keys = {"lanes": ["n0", "d"]}
    made = []
    for einsum in einsums:
        space = {"QK": scores, "P": scores, "KD": keys, "KV": state, "S": state}.get(einsum, outputs)
        if einsum in _DECAYS:
            decays = scores if einsum == "DK" else {"lanes": ["n0"]}
            made += [{"einsums": [einsum], "unit": "alu", "space": decays}]
            made += [{"einsums": [einsum], "unit": "sfu", "space": decays, "ops": ["exp"]}]
            continue
        if einsum in ("QK", "OI", "OX", "KV"):
            made.append({"einsums": [einsum], "unit": unit, "space": space, "ops": ["mac"]})
        made.append({"einsums": [einsum], "unit": "alu", "space": space})
        if einsum in ("P", "KD", "O"):
            cast = {"cast": "where(word_bytes < 4, 1, 0)"}
            made.append({"einsums": [einsum], "unit": "alu", "space": space, "implied": cast})
    return made


def _instructions(einsum: str, lanes: list[str], count: str, points: str) -> dict[str, Any]:
    """So many more instructions of each thread for so many points of an Einsum (what it sums over included), at the
    rate of integer ones.
    """
    return {
        "einsums": [einsum],
        "unit": "alu",
        "space": {"lanes": lanes},
        "implied": {"iadd": f"{count} * 32 * WARPS / ({points})"},
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
            "SEGMENTS": 1,
            "ROWS": _ROWS[unit],
            **_occupancy(
                "(D * min(BE, E) + 2 * N0 * N0 + N0 * BE) / (32 * WARPS) + 60",
                "word_bytes * (STAGES * N0 * (2 * D + BE) + N0 * BE)",
            ),
        },
        "bind": [
            *_elementwise(unit, _EVERY),
            {"einsums": ["KV"], "unit": "alu", "space": {"lanes": ["d", "e"]}, "implied": {"cast": "1 / N0"}},
            _instructions("O", ["n0", "e"], "(54 + 0.79 * (2 * D + BE))", "N0 * BE"),
        ],
        "groups": [
            {
                "einsums": _EVERY,
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
                "delay": f"{_LATE} * {MEMORY} + {7 * _BARRIER + 4 * _WGMMA + 6 * _SHARED} + {_COPIED.format(2)}",
                # the last segment reads the states of all others, one after the other: where they are small, ptxas asks
                # for four at a time
                "overhead": (
                    f"{_BLOCK} + {_WALK_START} + ceil_div(SEGMENTS - 1, where(D * BE > 512 * WARPS, 1, 4)) * {CACHE}"
                    f" + (SEGMENTS - 1) * (4 * D * BE * max(1 / {_WAY}, CTAS / 2 / {_ALL}) + {_JOINED})"
                ),
                "resident": "CTAS",
                "awaits": {"dram": _LATE, "l2": _LATE},
                "at_once": True,
            }
        ],
    }


def _states(unit: str) -> dict[str, Any]:
    return {
        "source": _SOURCE,
        "variant": "states",
        "widths": {"KV": 4, "S": 4},
        "params": {
            "BE": "min(E, 64)",
            "WARPS": 4,
            "STAGES": 2,
            **_occupancy("D * min(BE, E) / (32 * WARPS) + 80", "word_bytes * (STAGES * N0 * (D + BE) + N0 * BE)"),
        },
        "bind": [
            *_elementwise(unit, ["DE", "DB", "KD", "KV", "S"]),
            _instructions("KV", ["d", "e"], "(38 + 0.98 * (D + BE))", "D * BE * N0"),
        ],
        "groups": [
            {
                "einsums": ["DE", "DB", "KD", "KV", "S"],
                "nest": [
                    _over("b"),
                    _over("h"),
                    _over("e", "min(BE, E)"),
                    {"hold": ["KV"], "in": "registers"},
                    {"for": "n1"},
                    {"hold": ["K", "V"], "in": "l2"},
                    {"hold": ["K", "V"], "in": "shared", "copies": "STAGES"},
                ],
                "contexts": "CTAS",
                "delay": f"{_LATE} * {MEMORY} + {3 * _BARRIER + _WGMMA + 3 * _SHARED} + {_COPIED.format(1)}",
                "overhead": f"{_BLOCK} + {_STATES_CODE}",
                "resident": "CTAS",
                "awaits": {"dram": _LATE, "l2": _LATE},
                "at_once": True,
            }
        ],
    }


LINEAR = {
    f"{way}_{unit}": made(unit)
    for way, made in (("walk", _walk), ("states", _states))
    for unit in ("tensor", "tensor_sync", "alu")
}
