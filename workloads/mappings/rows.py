"""Softmax, normalizations and elementwise functions as the kernels of PyTorch run them on GPUs.

A row that a warp or a block of threads can keep in registers is read once (`on_chip`); otherwise every pass over it
reads it again, out of the L2 cache as far as the rows in flight fit there (`reread`). Blocks wait for what they read,
so that the levels of memory are resources they contend for, and between passes they wait for each other: the more
blocks an SM holds, the less of it shows.
"""

from __future__ import annotations

from typing import Any

_SOURCE = (
    "PyTorch, aten/src/ATen/native/cuda: SoftMax.cu and PersistentSoftmax.cuh, layer_norm_kernel.cu, CUDALoops.cuh. "
    "Latencies of memory and L2 are the machine's, beside 25 cycles of a shuffle and 30 of a barrier; 500 to start a "
    "block and 900 until its last stores are out are assumed, as in the "
    "3500 of a block of fused attention"
)
BLOCK = 500 + 900
MEMORY, CACHE = "dram_latency", "l2_latency"  # of the machine, in cycles
WARP_SUM = 5 * 25  # a butterfly over the lanes of a warp
BLOCK_SUM = 2 * (WARP_SUM + 30)  # in every warp, then over warps
EXACT_EXP, EXACT_DIV = 7, 7  # FP32 instructions of expf and of a rounded division, beside approximate functions
VECTOR = 16  # bytes that a thread reads at once

_EACH = {"lanes": ["n"]}
_ROW = {"lanes": ["r"]}

# Threads of a block: as many as vectors in a row, a power of two, at most 1024.
_THREADS = f"min(1024, max(32, 2 ** floor(log2(max(1, N * word_bytes / {VECTOR})))))"


def delay(*parts: int | str) -> str:
    """Cycles that a block takes on no unit: its start and end, and these latencies."""
    return " + ".join(map(str, (BLOCK, *parts)))


def _rows(
    einsums: list[str],
    variant: str,
    bind: list[dict[str, Any]],
    threads: int | str,
    waits: str,
    kept: list[str] | None,
    others: list[str],
    at_once: bool = False,
    cache: str = "l2",
) -> dict[str, Any]:
    """One row a block (or a warp): `kept` tensors stay in registers, or with None rows are read again by every pass,
    out of L2 as far as they fit, or out of the memory of an instance.
    """
    cached = {"hold": ["X"], "in": cache, "copies": "CONTEXTS"}
    in_registers = {"hold": kept, "in": "registers", "copies": "CONTEXTS", "alias": True}
    places = "max_warps" if threads == 32 else "min(max_blocks, max_warps * 32 // THREADS)"
    room = "max(1, registers_bytes // (N * word_bytes))"
    shared = [{"hold": others, "in": "l2"}] if others else []
    return {
        "source": _SOURCE,
        "variant": variant,
        "params": {
            "THREADS": threads,
            "CONTEXTS": f"min({places}, {room if kept else places}, ceil_div(R, sm))",
        },
        "bind": bind,
        "groups": [
            {
                "einsums": einsums,
                "nest": [*shared, {"for": "r", "over": "sm"}, in_registers if kept else cached],
                "overbook": not kept and cache == "l2",
                "contexts": "CONTEXTS",
                "delay": waits,
                "awaits": ["dram", "l2"],
                "at_once": at_once,
            }
        ],
    }


def _bind(table: dict[str, list[str]], casts: dict[str, int]) -> list[dict[str, Any]]:
    """Einsums by unit; `casts`: how many conversions an Einsum makes at every element where words are not FP32."""
    made = []
    for unit, einsums in table.items():
        made.append({"einsums": einsums, "unit": unit, "space": {"lanes": ["n", "r"]}})
    for einsum, count in casts.items():
        implied = {"cast": f"where(word_bytes < 4, {count}, 0)"}
        made.append({"einsums": [einsum], "unit": "alu", "space": _EACH, "implied": implied})
    return made


def _exact(table: dict[str, int]) -> list[dict[str, Any]]:
    """FP32 instructions at every element beside those of the approximate functions."""
    return [
        {"einsums": [einsum], "unit": "alu", "space": _EACH, "implied": {"mac": count}}
        for einsum, count in table.items()
    ]


SOFTMAX = {
    "on_chip": _rows(
        ["G", "NU", "D", "Y"],
        "3-pass",
        [
            *_bind({"alu": ["G", "D"], "sfu": ["NU", "Y"]}, {"G": 1, "Y": 1}),
            *_exact({"NU": EXACT_EXP, "Y": EXACT_DIV}),
        ],
        32,
        delay(MEMORY, 2 * WARP_SUM),
        ["X", "NU"],
        [],
    ),
    "reread": _rows(
        ["G", "D", "Y"],
        "recompute",
        [
            *_bind({"alu": ["G"], "sfu": ["D", "Y"]}, {"G": 1, "D": 1, "Y": 2}),
            {"einsums": ["D"], "unit": "alu", "space": _EACH, "ops": ["add"]},
            *_exact({"D": EXACT_EXP, "Y": EXACT_EXP + EXACT_DIV}),
        ],
        _THREADS,
        delay(MEMORY, 2 * BLOCK_SUM, CACHE, CACHE),
        None,
        [],
    ),
}
# What torch.compile made of a layer normalization before its sums followed Welford: mean, then squares about the mean,
# then the result, each a loop over the row in steps; loads say that lines are to stay in L1. So rows are read again
# from L1 where those in flight fit there (`compiled_near`; it has at least the room that shared memory can have), else
# through L2; short ones are kept. One row a block.
# Sources: triton-lang/triton issue 1285, pytorch/pytorch pull requests 92267, 94139, 104725 (loops, kept rows, hints);
# torch/_inductor/triton_ops/autotune.py of PyTorch 2.0 (elements of a step, warps of a block).
COMPILED_KEPT, COMPILED_STEP, COMPILED_THREADS = 1024, 2048, 256
_STEPS = f"ceil_div(N, {COMPILED_STEP})"
_KEPT_THREADS = f"min({COMPILED_THREADS}, 32 * max(2, 2 ** ceil(log2(max(1, N))) // 128))"
NEAR = 33  # cycles of a load from L1 or shared memory
_DEVIATIONS = [
    *_bind({"alu": ["A", "Q", "Y"]}, {"A": 1, "Q": 1, "Y": 2}),
    {"einsums": ["V"], "unit": "alu", "space": _ROW},
    {"einsums": ["V"], "unit": "sfu", "space": _ROW, "ops": ["rsqrt"]},
]
_MOMENTS = [
    *_bind({"alu": ["A", "Q", "Y"]}, {"A": 1, "Y": 2}),
    {"einsums": ["V"], "unit": "alu", "space": _ROW},
    {"einsums": ["V"], "unit": "sfu", "space": _ROW, "ops": ["rsqrt"]},
]


def _compiled(threads: int | str, waits: str, kept: list[str] | None, cache: str = "l2") -> dict[str, Any]:
    return _rows(["A", "Q", "V", "Y"], "recompute", _DEVIATIONS, threads, waits, kept, ["W", "C"], True, cache)


NORM = {
    "reread": _rows(["A", "Q", "V", "Y"], "moments", _MOMENTS, 128, delay(MEMORY, BLOCK_SUM, CACHE), None, ["W", "C"]),
    "on_chip": _rows(["A", "Q", "V", "Y"], "moments", _MOMENTS, _THREADS, delay(MEMORY, BLOCK_SUM), ["X"], ["W", "C"]),
    "compiled": _compiled(
        COMPILED_THREADS, delay(f"{_STEPS} * {MEMORY}", 2 * BLOCK_SUM, f"2 * {_STEPS} * {CACHE}"), None
    ),
    "compiled_near": _compiled(
        COMPILED_THREADS, delay(f"{_STEPS} * {MEMORY}", 2 * BLOCK_SUM, f"2 * {_STEPS} * {NEAR}"), None, "shared"
    ),
    "compiled_kept": _compiled(_KEPT_THREADS, delay(MEMORY, 2 * BLOCK_SUM), ["X"]),
}
_SQUARES = [
    *_bind({"alu": ["Q", "Y"]}, {"Q": 1, "Y": 2}),
    {"einsums": ["V"], "unit": "alu", "space": _ROW},
    {"einsums": ["V"], "unit": "sfu", "space": _ROW, "ops": ["rsqrt"]},
]
RMSNORM = {
    "reread": _rows(["Q", "V", "Y"], "plain", _SQUARES, 128, delay(MEMORY, BLOCK_SUM, CACHE), None, ["W"]),
    "on_chip": _rows(["Q", "V", "Y"], "plain", _SQUARES, _THREADS, delay(MEMORY, BLOCK_SUM), ["X"], ["W"]),
}


def _stream(variant: str, reads: int, functions: list[str], unit: str = "sfu") -> dict[str, Any]:
    """Every thread takes one vector of every operand; blocks of 128 threads follow each other."""
    special = [{"einsums": ["Y"], "unit": unit, "space": _EACH, "ops": functions}] if functions else []
    return {
        "source": _SOURCE,
        "variant": variant,
        "params": {
            "TILE": f"min(N, max(1, 128 * {VECTOR} // word_bytes))",
            "CONTEXTS": "max(1, min(max_blocks, max_warps // 4, ceil_div(R * ceil_div(N, TILE), sm)))",
        },
        "bind": [*_bind({"alu": ["Y"]}, {"Y": reads + 1}), *special],
        "groups": [
            {
                "einsums": ["Y"],
                "nest": [{"for": "r", "over": "sm"}, {"for": "n", "tile": "TILE", "over": "sm"}],
                "contexts": "CONTEXTS",
                "delay": delay(MEMORY),
                "awaits": ["dram", "l2"],
            }
        ],
    }


ELEMENTWISE = {
    "gelu": _stream("gelu", 1, ["gelu"]),
    "silu": _stream("silu", 1, ["silu"]),
    "relu": _stream("relu", 1, []),
    "add": _stream("add", 2, []),
    "silu_mul": _stream("silu_mul", 2, ["silu"]),
}
