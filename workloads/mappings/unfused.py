"""Unfused attention on a GPU: batched products of a library and row kernels of PyTorch, one after the other.

The tile of every product is chosen by prediction, as a library's heuristic does. A product of a small sum writes more
than it computes: blocks of half the registers share an SM, so that one writes while the other works. Copies and the
addition of a mask run in PyTorch's kernel for tensors that are not contiguous, which computes the place of every
element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .products import SOURCE as PRODUCTS
from .products import Product, marked_tiles
from .rows import BLOCK_SUM, CACHE, EXACT_DIV, EXACT_EXP, MEMORY, VECTOR, WARP_SUM, delay

WARP_ROWS = 1024  # longest row that PyTorch's softmax keeps in one warp, as FP32 beside so many registers of a thread
WARP_REGISTERS = 24
SHARED_ROWS = 48 * 1024 // 2  # longest row of 2-byte words that it keeps in shared memory
# Instructions at 64 a clock for the place of an element, and beside one for each operand for each dimension: copies of
# 201 million elements in 4 dimensions take 600 us on H100 and 560 on B200, of 354 million in 6 1340 to 1440 and 1230 to
# 1330 (NATTEN's profiler logs, docs/sample-outputs: `elementwise_kernel`), whatever the bandwidth of memory.
PLACE, DIMENSION = 25, 4
_HEADS = ("b", "h")
_S = Product("S", ("QC", "KC"), _HEADS, "p", "m", "e", "_S")
_O = Product("O", ("A", "VC"), _HEADS, "p", "f", "m", "_O")
_DV = Product("DV", ("A", "GC"), _HEADS, "m", "f", "p", "_DV")
_DA = Product("DA", ("GC", "VC"), _HEADS, "p", "m", "f", "_DA")
_XQ = Product("XQ", ("DS", "KC"), _HEADS, "p", "e", "m", "_XQ")
_XK = Product("XK", ("DS", "QC"), _HEADS, "m", "e", "p", "_XK")
_ROW = [{"for": "b", "over": "sm"}, {"for": "h", "over": "sm"}, {"for": "p", "over": "sm"}]
_KEYS = {"lanes": ["m"]}


def _product(product: Product) -> dict[str, Any]:
    x = product.mark
    first = f"min(1, STAGES{x} * STEP{x} / {product.summed.upper()})"  # steps that are loaded before the first product
    return product.group(
        contexts=f"CTAS{x}", resident=f"CTAS{x}", awaits={"dram": first, "l2": first}, settles=["dram"]
    )


def _streamed(
    einsum: str, ranks: list[str], dims: int, operands: int, transposed: bool = False
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A kernel that computes the place of every element: 128 threads of four elements each. Where it transposes, every
    element is in a line of its own, of which the path to memory, shared with shuffles, takes one a clock.
    """
    *outer, rows, last = ranks
    tile = f"min({last.upper()}, 512)"
    group = {
        "einsums": [einsum],
        "nest": [
            *({"for": rank, "over": "sm"} for rank in outer),
            {"for": rows, "tile": f"min({rows.upper()}, ceil_div(512, {tile}))", "over": "sm"},
            {"for": last, "tile": tile, "over": "sm"},
        ],
        "contexts": "min(max_blocks, max_warps // 4)",
        "delay": delay(MEMORY),
        "awaits": ["dram", "l2"],
    }
    lanes = {"lanes": [last, rows]}
    binds = [
        {"einsums": [einsum], "unit": "alu", "space": lanes},
        {
            "einsums": [einsum],
            "unit": "alu",
            "space": lanes,
            "implied": {"imad": PLACE + dims * (DIMENSION + operands)},
        },
    ]
    if transposed:
        binds.append({"einsums": [einsum], "unit": "shuffle", "space": lanes, "implied": {"shuffle": 32}})
    return group, binds


def _scaled(einsum: str, rank: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A kernel that scales a contiguous tensor by vectors."""
    rows = f"min({rank.upper()}, ceil_div(1024, E))"
    group = {
        "einsums": [einsum],
        "nest": [
            {"for": "b", "over": "sm"},
            {"for": "h", "over": "sm"},
            {"for": rank, "tile": rows, "over": "sm"},
        ],
        "contexts": "min(max_blocks, max_warps // 4)",
        "delay": delay(MEMORY),
        "awaits": ["dram", "l2"],
    }
    return group, [
        {"einsums": [einsum], "unit": "alu", "space": {"lanes": ["e", rank]}},
        {"einsums": [einsum], "unit": "alu", "space": {"lanes": ["e", rank]}, "implied": {"cast": 2}},
    ]


def _rows(einsums: list[str], kept: str, reads: list[str]) -> dict[str, Any]:
    """Rows of scores: one a warp that keeps them in registers as FP32, one a block that keeps them in shared memory, or
    one a block that reads them again.
    """
    places = "max_warps" if kept == "registers" else "min(max_blocks, max_warps * 32 // THREADS)"
    room = {
        "registers": f"max(1, registers_bytes // ({len(reads)} * M * 4 + 32 * {WARP_REGISTERS} * 4))",
        "shared": f"max(1, shared_bytes // ({len(reads)} * M * word_bytes))",
        "l2": places,
    }[kept]
    waits = {
        "registers": (2 * WARP_SUM,),
        "shared": (2 * BLOCK_SUM,),
        "l2": (2 * BLOCK_SUM, CACHE, CACHE),
    }[kept]
    return {
        "einsums": einsums,
        "nest": [*_ROW, {"hold": reads, "in": kept, "copies": f"min({places}, {room})"}],
        "overbook": True,
        "contexts": f"min({places}, {room}, ceil_div(B * H * P, sm))",
        "delay": delay(MEMORY, *waits),
        "awaits": ["dram", "l2"],
    }


def _softmax(warp: bool, long: int, scores: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    exps = {"N": EXACT_EXP, "A": EXACT_DIV} if warp else {"D": EXACT_EXP, "A": EXACT_EXP + EXACT_DIV}
    binds: list[dict[str, Any]] = [
        {"einsums": ["G"], "unit": "alu", "space": _KEYS},
        {"einsums": ["N", "A"] if warp else ["D", "A"], "unit": "sfu", "space": _KEYS},
        {"einsums": ["D"], "unit": "alu", "space": _KEYS, **({} if warp else {"ops": ["add"]})},
        {"einsums": ["G", "A"] if warp else ["G", "D", "A"], "unit": "alu", "space": _KEYS, "implied": {"cast": 1}},
    ]
    binds += [{"einsums": [e], "unit": "alu", "space": _KEYS, "implied": {"mac": n}} for e, n in exps.items()]
    kept = "registers" if warp else "shared" if long <= SHARED_ROWS else "l2"
    return _rows(["G", "N", "D", "A"] if warp else ["G", "D", "A"], kept, [scores]), binds


def _softmax_gradient(warp: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    binds = [
        {"einsums": ["T", "DS"], "unit": "alu", "space": _KEYS},
        {"einsums": ["T", "DS"], "unit": "alu", "space": _KEYS, "implied": {"cast": 1}},
    ]
    return _rows(["T", "DS"], "registers" if warp else "l2", ["A", "DA"]), binds


def _mapping(masked: bool, training: bool) -> Callable[[Mapping[str, int], Mapping[str, Any]], dict[str, Any]]:
    def made(sizes: Mapping[str, int], machine: Mapping[str, Any]) -> dict[str, Any]:
        warp = sizes["M"] <= WARP_ROWS
        groups: list[dict[str, Any]] = []
        bind: list[dict[str, Any]] = []
        params: dict[str, Any] = {"THREADS": f"min(1024, max(32, 2 ** floor(log2(max(1, M * word_bytes / {VECTOR})))))"}
        choose: dict[str, Any] = {}

        def step(group: dict[str, Any], binds: list[dict[str, Any]]) -> None:
            groups.append(group)
            bind.extend(binds)

        def product(one: Product) -> None:
            x = one.mark
            params.update(one.params("tensor", marked_tiles(""), 32))
            params[f"CTAS{x}"] = _blocks_of_tile(x)
            choose[f"tile{x}"] = marked_tiles(x)
            binds = one.bind("tensor")
            if one.einsum == "S":
                binds.append(
                    {"einsums": [one.einsum], "unit": "alu", "space": {"lanes": [one.columns]}, "ops": ["mul"]}
                )
            step(_product(one), binds)

        step(*_streamed("QC", ["b", "h", "p", "e"], 3, 2))
        step(*_streamed("KC", ["b", "h", "m", "e"], 3, 2, transposed=True))
        product(_S)
        if masked:
            step(*_streamed("SB", ["b", "h", "p", "m"], 2, 3))
        step(*_softmax(warp, sizes["M"], "SB" if masked else "S"))
        step(*_streamed("VC", ["b", "h", "m", "f"], 3, 2))
        product(_O)
        if training:
            step(*_streamed("GC", ["b", "h", "p", "f"], 3, 2))
            product(_DV)
            product(_DA)
            step(*_softmax_gradient(warp))
            product(_XQ)
            product(_XK)
            step(*_scaled("DQ", "p"))
            step(*_scaled("DK", "m"))
            step(*_streamed("GQ", ["b", "h", "p", "e"], 3, 2))
            step(*_streamed("GK", ["b", "h", "m", "e"], 3, 2, transposed=True))
            step(*_streamed("GV", ["b", "h", "m", "f"], 3, 2))
        words = {"masked": masked, "training": training, "long": not warp}
        return {
            "source": f"Dao-AILab/flash-attention, benchmarks/benchmark_flash_attention.py: attention_pytorch. "
            f"{PRODUCTS}",
            "variant": "-".join(word for word, said in words.items() if said) or "plain",
            "params": params,
            "choose": choose,
            "bind": bind,
            "groups": groups,
        }

    return made


def _blocks_of_tile(x: str) -> str:
    """Blocks of a tile on an SM: accumulators, two steps of operands and 40 more registers a thread; shared memory."""
    warps = f"(BM{x} * BN{x} // (WM{x} * WN{x}))"
    registers = f"(WM{x} * WN{x} / 32 + (WM{x} + WN{x}) / 2 + 40)"
    by_registers = f"registers_bytes // 4 // (32 * {warps} * {registers})"
    by_shared = f"shared_bytes // (STAGES{x} * (BM{x} + BN{x}) * STEP{x} * word_bytes)"
    return f"max(1, min({by_registers}, {by_shared}, max_blocks, max_warps // {warps}))"


MAPPINGS = {
    "eager": _mapping(False, False),
    "eager_masked": _mapping(True, False),
    "eager_training": _mapping(False, True),
    "eager_masked_training": _mapping(True, True),
}
