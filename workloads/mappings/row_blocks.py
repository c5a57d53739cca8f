"""Softmax, normalizations and elementwise functions as kernels in Triton run them, ROWS rows and BLOCK columns a block.

A block of THREADS threads keeps its rows in registers (`kept`), or walks one row twice by BLOCK columns at a time, the
second time out of the L2 cache as far as it holds the rows in flight (`walked`). Columns beyond a row are computed and
thrown away. Rows that do not start at multiples of 16 bytes (RAGGED 1) are loaded and stored word by word, with a test
and an address of its own for each.

Instructions are those that Triton 3.7 makes for sm_90 from these kernels: the tables beside each mapping, for one
element. `rows` are the kernels of PyTorch.
"""

from __future__ import annotations

from typing import Any

from .rows import BLOCK_SUM, CACHE, MEMORY, VECTOR, delay

_SOURCE = (
    "SASS of the kernels in kernels/triton/device/rows.py and elementwise.py for sm_90; latencies of memory and L2 are "
    "the machine's, beside 25 cycles of a shuffle and 30 of a barrier; walks along rows take what the control words of "
    "their code say of a block that is alone (START, TURNS, END); where these are not known, and for elements, 500 to "
    "start a block and 900 until its last stores are out are assumed, as for the kernels of PyTorch"
)
_LANES = {"lanes": ["n", "r"]}
# Integer instructions of a word that comes alone: a test and an address at its load, and the same at its store.
_ALONE = 4
ADD = 4  # cycles from an addition to the next that needs its result


def _occupancy(registers: str, blocks: str) -> dict[str, Any]:
    """CONTEXTS, the blocks that an SM works on at once: by warps, by registers in steps of 8 a thread, by places."""
    return {
        "REGISTERS": registers,
        "CONTEXTS": (
            "max(1, min(max_blocks, max_warps * 32 // THREADS, registers_bytes // (4 * 8 * ceil_div(REGISTERS, 8) * "
            f"THREADS), ceil_div({blocks}, sm)))"
        ),
    }


def _work(einsum: str, unit: str, lanes: dict[str, list[str]], **implied: float | str) -> list[dict[str, Any]]:
    """An Einsum on its unit, and what it takes on the FP32 lanes beside, at every point."""
    first = {"einsums": [einsum], "unit": unit, "space": lanes}
    return [first, {**first, "unit": "alu", "implied": dict(implied)}] if implied else [first]


def _beside(vectors: int) -> str:
    """Cycles of a block beside its loads and sums, by control words of the code (Triton 3.7.1 for sm_90): 412 from the
    block before, instructions that are fetched for the first time, its stores. Of the instructions, 175 cycles at 8
    elements a thread to 240 at 16 overlap with nothing, 219 to 390 with two vectors; they are 117 to 220, or 175 to
    320, each of which takes 1.5 cycles more at first.
    """
    return f"412 + {CACHE} + 240 + {22 + 3 * vectors} * EACH"


_ROW = {"lanes": ["r"]}
_TOGETHER = "where(word_bytes < 4, 1, PIECES)"  # of words of 2 bytes all pieces are asked for before the first is used
_MORE = "PAD - 1"  # of an operation, for columns beyond a row
_LOAD = {"cast": "PAD * where(word_bytes < 4, 1, 0)", "iadd": f"RAGGED * PAD * {_ALONE}"}
_STORE = {"cast": "PAD * where(word_bytes < 4, 1, 0)"}


def _kept(
    variant: str, bind: list[dict[str, Any]], einsums: list[str], registers: str, sums: int, held: list[str], *,
    vectors: list[str], loads: str = "1",
) -> dict[str, Any]:  # fmt: skip
    """`sums` over a row wait for each other; `held` shares registers; `vectors` stand beside the matrix, and a thread
    awaits `loads` of its PIECES of 16 bytes one after the other: registers are reused.
    """
    # vectors are read behind the sums, which are a chain in each thread: from memory by blocks that start at once,
    # later from a cache
    first = "min(1, CONTEXTS * sm / ceil_div(R, ROWS))"
    behind = [f"{loads} * ({CACHE} + ({MEMORY} - {CACHE}) * {first})"] if vectors else []
    return {
        "source": _SOURCE,
        "variant": variant,
        "params": {
            "ROWS": 1,
            "BLOCK": "2 ** ceil(log2(max(32, N)))",
            "THREADS": "min(512, max(32, 2 ** floor(log2(ROWS * BLOCK / 16))))",
            "RAGGED": f"where(N * word_bytes % {VECTOR} > 0, 1, 0)",
            "PAD": "BLOCK / N",
            "EACH": "ROWS * BLOCK / THREADS",
            "PIECES": f"max(1, ceil_div(BLOCK * word_bytes, {VECTOR} * THREADS))",
            **_occupancy(registers, "ceil_div(R, ROWS)"),
        },
        "bind": bind,
        "groups": [
            {
                "einsums": einsums,
                "nest": [
                    *([{"hold": vectors, "in": "l2"}] if vectors else []),
                    {"for": "r", "tile": "min(ROWS, R)", "over": "sm"},
                    {"hold": held, "in": "registers", "copies": "CONTEXTS * 4 / word_bytes", "alias": True},
                ],
                "contexts": "CONTEXTS",
                "delay": " + ".join((_beside(len(vectors)), MEMORY, f"{sums} * ({BLOCK_SUM} + {ADD} * EACH)", *behind)),
                "awaits": ["dram", "l2"],
                "at_once": True,
            }
        ],
    }


# What a step of softmax's first walk reads, all of its Einsums find in registers.
_STEP = {"do": ["RM", "PC", "P", "U"], "nest": [{"for": "n1"}, {"hold": ["X"], "in": "registers"}]}


def _walked(
    variant: str, bind: list[dict[str, Any]], einsums: list[str], registers: int, *, vectors: list[str], tiled: bool,
    loads: tuple[str, str], last: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """A row by BLOCK columns at a time, twice. Nothing is loaded ahead: every step waits for memory, later for L2, as
    often as `loads` says: some code takes its PIECES of 16 bytes one after the other.

    With `tiled`, the cascade writes these steps itself, as ranks n1 and n0. The `last` Einsums are those of the second
    walk.
    """
    return {
        "source": _SOURCE,
        "variant": variant,
        **({"sizes": {"N0": "min(N, 4096)"}} if tiled else {}),
        "params": {
            "BLOCK": "N0" if tiled else 4096,
            "THREADS": 256,
            "RAGGED": f"where(N * word_bytes % {VECTOR} > 0, 1, 0)",
            "PAD": "ceil_div(N, BLOCK) * BLOCK / N",
            "STEPS": "ceil_div(N, BLOCK)",
            "START": "0",
            "TURNS": "0",
            "END": "0",
            "PIECES": f"max(1, ceil_div(BLOCK * word_bytes, {VECTOR} * THREADS))",
            **_occupancy(str(registers), "R"),
        },
        "bind": bind,
        "groups": [
            {
                "einsums": einsums,
                "nest": [
                    *([{"hold": vectors, "in": "l2"}] if vectors else []),
                    {"for": "r", "over": "sm"},
                    {"hold": ["X"], "in": "l2", "copies": "CONTEXTS"},
                    *([_STEP] if tiled else []),
                ],
                # no barrier holds warps together while they walk: units overlap, and one walk follows the other
                "slots": [einsums[:-last], einsums[-last:]],
                "overbook": True,
                "contexts": "CONTEXTS",
                "chain": "START + STEPS * TURNS + END",
                "delay": (
                    f"where(TURNS > 0, 412 + {CACHE} + STEPS * {loads[0]} * ({MEMORY} - {CACHE}), "
                    + delay(f"STEPS * {loads[0]} * {MEMORY}", f"STEPS * {loads[1]} * {CACHE}", BLOCK_SUM)
                    + ")"
                ),
                "awaits": ["dram", "l2"],
                "at_once": True,
            }
        ],
    }


# An element: FMNMX 1, FFMA 1 (scale and subtract), MUFU 1, FADD 1, FMUL 1; conversions 1 in, 1 for two out. Walked: in
# the first pass FMNMX 1, two exponentials with FADD 1 and FMUL 1 each, FFMA 1, then as above without sum and maximum.
SOFTMAX = {
    "kept": _kept(
        "reciprocal",
        [
            *_work("G", "alu", _LANES, max=_MORE, **_LOAD),
            *_work("NU", "sfu", _LANES, mac=_MORE),
            {"einsums": ["NU"], "unit": "sfu", "space": _LANES, "implied": {"exp": _MORE}},
            *_work("D", "alu", _LANES, add=_MORE),
            *_work("I", "sfu", _ROW),
            *_work("Y", "alu", _LANES, mul=_MORE, **_STORE),
        ],
        ["G", "NU", "D", "I", "Y"],
        "max(32, 2 * EACH)",
        2,
        ["X", "NU"],
        vectors=[],
    ),
    "walked": _walked(
        "online",
        [
            *_work("RM", "alu", {"lanes": ["n0"]}, **_LOAD),
            *_work("PC", "sfu", {"lanes": ["n0"]}),
            *_work("P", "sfu", {"lanes": ["n0"]}),
            *_work("U", "alu", {"lanes": ["n0"]}),
            *_work("G", "alu", {"lanes": ["n0"]}),
            *_work("F", "sfu", {"lanes": ["n0"]}),
            {"einsums": ["F"], "unit": "alu", "space": {"lanes": ["n0"]}, "ops": ["mul"]},
            *_work("D", "alu", {"lanes": ["n0"]}),
            *_work("I", "sfu", _ROW),
            *_work("E", "sfu", {"lanes": ["n0", "n1"]}, **_LOAD),
            *_work("Y", "alu", {"lanes": ["n0", "n1"]}, **_STORE),
        ],
        ["RM", "PC", "P", "U", "G", "F", "D", "I", "E", "Y"],
        60,
        vectors=[],
        tiled=True,
        last=2,
        loads=(_TOGETHER, "1"),
    ),
}
# An element: FADD 2 and FFMA 1 for the moments, FFMA 2 and FMUL 1 for the result, a select where columns are thrown
# away; conversions of X, W, C and of the result. Walked: FADD 3, FFMA 1, then FADD 1, FMUL 1, FFMA 1.
_MOMENT = [*_work("V", "alu", _ROW), {"einsums": ["V"], "unit": "sfu", "space": _ROW, "ops": ["rsqrt"]}]
_SCALED = {"cast": "PAD * where(word_bytes < 4, 3, 0)", "iadd": f"3 * RAGGED * PAD * {_ALONE}"}
NORM = {
    "kept": _kept(
        "centred",
        [
            *_work("A", "alu", _LANES, add=_MORE, **_LOAD),
            *_work("B", "alu", _LANES, add=_MORE, select="PAD"),
            *_work("Q", "alu", _LANES, mac=_MORE),
            *_MOMENT,
            *_work("Y", "alu", _LANES, mac=f"3 * ({_MORE})", **_SCALED),
        ],
        ["A", "B", "Q", "V", "Y"],
        "where(EACH > 16, 2.9 * EACH, 40)",
        2,
        ["X", "B"],
        vectors=["W", "C"],
        loads="min(2, PIECES)",
    ),
    "walked": _walked(
        "moments",
        [
            *_work("A", "alu", _LANES, add="PAD", **_LOAD),
            *_work("Q", "alu", _LANES, mac=_MORE),
            *_MOMENT,
            *_work("Y", "alu", _LANES, mac=f"3 * ({_MORE})", cast="PAD * where(word_bytes < 4, 4, 0)"),
        ],
        ["A", "Q", "V", "Y"],
        56,
        vectors=["W", "C"],
        tiled=False,
        loads=("PIECES", _TOGETHER),
    ),
}
# An element: FFMA 1, then FMUL 2; conversions of X, W and of the result.
RMSNORM = {
    "kept": _kept(
        "plain",
        [
            *_work("Q", "alu", _LANES, mac=_MORE, **_LOAD),
            *_MOMENT,
            *_work("Y", "alu", _LANES, mul=f"2 * ({_MORE})", cast="PAD * where(word_bytes < 4, 2, 0)"),
        ],
        ["Q", "V", "Y"],
        "max(32, 2 * EACH)",
        1,
        ["X"],
        vectors=["W"],
        loads="where(word_bytes < 4, min(2, PIECES), max(1, PIECES - 1))",
    ),
    "walked": _walked(
        "plain",
        [
            *_work("Q", "alu", _LANES, mac=_MORE, **_LOAD),
            *_MOMENT,
            *_work("Y", "alu", _LANES, mul=f"2 * ({_MORE})", cast="PAD * where(word_bytes < 4, 3, 0)"),
        ],
        ["Q", "V", "Y"],
        32,
        vectors=["W"],
        tiled=False,
        loads=("PIECES", "1"),
    ),
}


def _blocks(
    variant: str, reads: int, registers: int, special: dict[str, float], alu: dict[str, float]
) -> dict[str, Any]:
    """Every block takes BLOCK elements, one row after the other, and of each operand two vectors a thread.

    special: operations of the special function units and `alu` those of the FP32 lanes, for one element, instead of
    those that the cascade's function has.
    """
    casts = {"cast": f"where(word_bytes < 4, {reads} + 1, 0)", "iadd": f"RAGGED * {_ALONE / 2 * (reads + 1)}"}
    function = [{"einsums": ["Y"], "unit": "sfu", "space": _LANES, "ops": [variant.split("_")[0]]}] if special else []
    return {
        "source": _SOURCE,
        "variant": variant,
        "params": {
            "BLOCK": f"256 * {VECTOR} // word_bytes",
            "THREADS": 128,
            "RAGGED": f"where(R * N * word_bytes % {VECTOR} > 0, 1, 0)",
            "TILE": "min(N, BLOCK)",
            "HEIGHT": "min(R, max(1, BLOCK // N))",
            **_occupancy(str(registers), "ceil_div(R * N, BLOCK)"),
        },
        "bind": [
            {"einsums": ["Y"], "unit": "alu", "space": _LANES},
            *function,
            {"einsums": ["Y"], "unit": "alu", "space": _LANES, "implied": {**casts, **alu}},
            *({"einsums": ["Y"], "unit": "sfu", "space": _LANES, "implied": special} for _ in range(bool(special))),
        ],
        "groups": [
            {
                "einsums": ["Y"],
                "nest": [
                    {"for": "r", "tile": "HEIGHT", "over": "sm"},
                    {"for": "n", "tile": "TILE", "over": "sm"},
                ],
                "contexts": "CONTEXTS",
                "delay": delay(MEMORY),
                "awaits": ["dram", "l2"],
                "at_once": True,
            }
        ],
    }


# Of an element beside the function of the cascade: GELU has MUFU 2, FFMA 6, FMUL 9 and FSETP 2, FSEL 1 in all, where
# the form with tanh has one and five; gated SiLU FMUL 5, FADD 1, FSETP 1 and MUFU 2, where the machine's has three.
ELEMENTWISE = {
    "gelu_blocks": _blocks("gelu", 1, 40, {"tanh": 1}, {"mac": 10, "compare": 2, "select": 1}),
    "add_blocks": _blocks("add", 2, 25, {}, {}),
    "silu_mul_blocks": _blocks("silu_mul", 2, 32, {"tanh": 0}, {"mul": 2, "compare": 1}),
}
