"""Prefix scans on a GPU, as a kernel in Triton does them: a block walks the chunks of one head and BE of its features
with the state of the prefix in registers; `walk_tensor` with the instructions of a group of warps, `walk_tensor_sync`
of a warp, `walk_alu` on the FP32 lanes. `states` are blocks that only add up what a segment comes to.
"""

from __future__ import annotations

from typing import Any

from .rows import CACHE, MEMORY

_SOURCE = (
    "kernels/triton/device/aaren_scan.py, SASS of Triton 3.6 for sm_90: beside products, exponentials, multiplications "
    "and conversions a thread has 390 instructions a chunk (the scan over a chunk, stores to shared memory, tests, "
    "addresses), two thirds of them integer ones, and 130 in `states`. A warp asks shared memory, and other lanes, for "
    "128 bytes 214 times a chunk of 64. TURN is a chunk of a block that is alone, by its control words (`lightbound "
    "resources`); one of 16 tokens in FP32, and code beside the chunks, take what control words and latencies measured "
    "on an H200 (lightbound probe cuda) give a warp that nothing else holds up; 412 cycles between blocks. With two "
    "stages a chunk is loaded when the one before is done"
)
_REQUESTS = 214  # for 128 bytes, of a warp in a chunk of 64: 21 shuffles, 48 by ldmatrix, 111 in other loads and stores
# Where the code is not on record. On the FP32 lanes, a chunk of 16 tokens, always: its loads are of words that lanes
# share, which control words do not tell (1921 as if each lane had its own).
_TURNS = {"tensor": 3350, "tensor_sync": 3350, "alu": 1496}
# Before the first chunk, where the code is not on record: 679 cycles, with 4, 32 and 128 segments 1341, 1616 and 2804.
_START = "680 + where(SEGMENTS > 1, 600 + 12 * SEGMENTS, 0)"
_STATES_CODE = "where(CHUNK < 64, 1055, 1460)"  # 528 cycles before the chunks and 527 behind in FP32, else 636 and 824
_WAY = 72  # bytes a cycle from L2 to an SM, of blocks that load at once (probe, bulk.32KiB.l2.all)
_ALL = 50  # the same where all read what others read too, half of all states on average (probe, read_all.8MiB)
_STARTED = "min(CTAS * sm, B * H * ceil_div(E, BE))"  # blocks that begin, and end, together
_FILLED = f"N0 * BE * word_bytes * {_STARTED} / dram_rate"  # they share what memory sends for the first chunk of each
_LATE = "where(STAGES < 3, 1, 0)"  # whether a chunk is loaded only when it is wanted
_CHUNK = ["PM", "RM", "M", "P", "F", "T", "FT", "RU", "RW", "U", "IU", "W", "O"]
_SCORES, _OUTPUTS, _ROW = {"lanes": ["i", "n0"]}, {"lanes": ["i", "n0", "e"]}, {"lanes": ["n0", "i"]}


def _shared() -> dict[str, Any]:
    """The path to shared memory, which exchanges between lanes take too."""
    words = {"shuffle": f"{_REQUESTS} * 32 * WARPS / (N0 * BE)"}
    return {"einsums": ["O"], "unit": "shuffle", "space": _OUTPUTS, "implied": words}


def _walk(unit: str) -> dict[str, Any]:
    threads = "(32 * WARPS)"
    return {
        "source": _SOURCE,
        "variant": "chunked",
        "sizes": {"N0": "min(N, 64)"},
        "widths": {"RW": 4},
        "params": {
            "BE": "min(E, 64)",
            "WARPS": 4,
            "STAGES": 2,
            "SEGMENTS": 1,
            "START": _START,
            **({} if unit == "alu" else {"TURN": _TURNS[unit]}),
            "REGISTERS": f"min(255, (N0 * N0 + 3 * N0 * BE) / {threads} + 40)",
            "SHARED": "word_bytes * (STAGES * N0 * BE + N0 * N0) + 1024",
            "CTAS": (
                "max(1, floor(min(registers_bytes / 4 / (32 * WARPS * REGISTERS), shared_bytes / SHARED, max_blocks, "
                "max_warps / WARPS, ceil_div(B * H * ceil_div(E, BE), sm))))"
            ),
        },
        "bind": [
            {"einsums": ["W"], "unit": unit, "space": _OUTPUTS, "ops": ["mac"]},
            {"einsums": ["RW"], "unit": unit, "space": {"lanes": ["e"]}, "ops": ["mac"]},
            {"einsums": ["W", "O"], "unit": "alu", "space": _OUTPUTS},
            {"einsums": ["PM", "RM", "M", "RU", "U"], "unit": "alu", "space": _SCORES},
            {"einsums": ["RW"], "unit": "alu", "space": {"lanes": ["e"]}},
            {"einsums": ["F", "T", "FT", "IU"], "unit": "sfu", "space": _ROW},
            {"einsums": ["P"], "unit": "alu", "space": _SCORES, "ops": ["select"]},
            {"einsums": ["P"], "unit": "sfu", "space": _SCORES},
            {"einsums": ["P"], "unit": "alu", "space": _SCORES, "implied": {"cast": "where(word_bytes < 4, 1, 0)"}},
            {
                "einsums": ["O"],
                "unit": "alu",
                "space": _OUTPUTS,
                # the state is scaled in every row of its tile, a result converted
                "implied": {"mul": 1, "cast": "where(word_bytes < 4, 1, 0)", "iadd": "311 * 32 * WARPS / (N0 * BE)"},
            },
            *([] if unit == "alu" else [_shared()]),
            # the product that carries the state on has as many equal rows as a chunk has tokens
            {"einsums": ["O"], "unit": unit, "space": _OUTPUTS, "implied": {"mac": "N0"}},
        ],
        "groups": [
            {
                "einsums": _CHUNK,
                "nest": [
                    {"for": "b", "over": "sm"},
                    {"for": "h", "over": "sm"},
                    {"for": "e", "tile": "min(BE, E)", "over": "sm", "again": True},
                    {"hold": ["RM", "RU", "RW"], "in": "registers"},
                    {"for": "n1"},
                    {"hold": ["X", "V"], "in": "l2"},
                    {"hold": ["X", "V"], "in": "shared", "copies": 2},
                    {"do": ["W"], "nest": [{"hold": ["V"], "in": "registers"}]},
                ],
                "contexts": "CTAS",
                "chain": _TURNS[unit] if unit == "alu" else "TURN",
                "delay": f"{_LATE} * {MEMORY}",
                # the last segment reads the states of all others together
                "overhead": (
                    f"412 + START + {MEMORY} + {_FILLED} + {CACHE}"
                    f" + (SEGMENTS - 1) * 4 * BE * max(1 / {_WAY}, CTAS / 2 / {_ALL})"
                ),
                "resident": "CTAS",
                "awaits": {"dram": _LATE, "l2": _LATE},
                "at_once": True,
            }
        ],
    }


STATES = {
    "source": _SOURCE,
    "variant": "states",
    "params": {
        "BE": "min(E, 64)",
        "WARPS": 4,
        "CHUNK": 64,
        "REGISTERS": 72,
        "CTAS": (
            "min(max_blocks, max_warps // WARPS, floor(registers_bytes / 4 / (32 * WARPS * REGISTERS)), "
            "ceil_div(B * H * ceil_div(E, BE), sm))"
        ),
    },
    "bind": [
        {"einsums": ["G", "U", "W"], "unit": "alu", "space": {"lanes": ["e", "n"]}},
        {"einsums": ["T"], "unit": "sfu", "space": {"lanes": ["n"]}},
        {
            "einsums": ["W"],
            "unit": "alu",
            "space": {"lanes": ["e", "n"]},
            "implied": {"cast": "where(word_bytes < 4, 1, 0)", "mac": "130 * 32 * WARPS / (CHUNK * BE)"},
        },
    ],
    "groups": [
        {
            "einsums": ["G", "T", "U", "W"],
            "nest": [
                {"for": "b", "over": "sm"},
                {"for": "h", "over": "sm"},
                {"for": "e", "tile": "min(BE, E)", "over": "sm", "again": True},
                {"hold": ["X"], "in": "l2", "copies": "CTAS"},
            ],
            "contexts": "CTAS",
            # scores are asked for in one go, then a chunk of values while the one before is added up, in 100 cycles
            "delay": f"412 + {_STATES_CODE} + 2 * {MEMORY} + ceil_div(N, CHUNK) * ({MEMORY} + 100) + {CACHE}",
            "awaits": ["dram", "l2"],
            "at_once": True,
        }
    ],
}
PREFIX = {**{f"walk_{unit}": _walk(unit) for unit in ("tensor", "tensor_sync", "alu")}, "states": STATES}
