"""How a kernel that moves rows is told to the simulator: every row read once and written once, blocks of rows."""

from __future__ import annotations

from typing import Any

from .kernel import Launch

_WORDS = {"lanes": ["n", "r"]}
CASCADE = "Y[r,n] = X[r,n]\n"


def copied(
    rows: int,
    columns: int,
    of_block: int,
    warps: int,
    word_bytes: int,
    integers: float,
    registers: int,
    loads: int = 1,
    apart: bool = False,
) -> Launch:
    """A launch that copies rows of so many words, `of_block` of them a block of threads.

    integers: instructions on whole numbers for each word that is moved (places, comparisons). registers: of a thread.
    loads: how many a thread awaits one after the other. apart: whether blocks that follow each other copy rows that do
    not.
    """
    room = f"floor(registers_bytes / 4 / (8 * ceil_div({registers}, 8) * 32 * {warps}))"
    mapping: dict[str, Any] = {
        "source": (
            "kernels/triton/device: every thread reads a vector and writes it. 500 cycles to start a block and 900 "
            "until its last stores are out, as for elementwise functions"
        ),
        "params": {
            "CONTEXTS": f"max(1, min(max_blocks, max_warps // {warps}, {room}, ceil_div(ceil_div(R, {of_block}), sm)))"
        },
        "bind": [
            {"einsums": ["Y"], "unit": "alu", "space": _WORDS},
            {"einsums": ["Y"], "unit": "alu", "space": _WORDS, "implied": {"imad": integers}},
        ],
        "groups": [
            {
                "einsums": ["Y"],
                "nest": [{"for": "r", "tile": of_block, "over": "sm"}],
                "contexts": "CONTEXTS",
                "delay": f"500 + 900 + {loads} * dram_latency",
                "awaits": ["dram", "l2"],
                "at_once": True,
                "apart": apart,
            }
        ],
    }
    return Launch(CASCADE, {"R": rows, "N": columns}, mapping, word_bytes=word_bytes)
