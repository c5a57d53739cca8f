"""What the simulator is told of the backward pass: three launches, each a cascade of its own, since two of them compute
the scores and weights again.

Counts are of the SASS that Triton 3.7.1 makes for sm_90, for each score: a multiply-add, an exponential that flushes
denormal numbers, an addition, a multiplication, half a packed conversion (of gradients of scores, and where values have
a gradient of weights too), and as OTHERS what else an iteration issues. Sums of products are awaited with those of the
next iteration. Warps of a block meet at three barriers an iteration (30 cycles each), four where sums of rows are
fetched too; products are waited for three times (33), and an exponential takes 20: sums of published latencies, as in
the mappings of workload `attention_backward`. A block takes 3500 cycles at its start and end, assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .attention_mapping import resident
from .attention_shapes import Shape, shape_of
from .kernel import Case, Launch, Tile

_WEIGHTS = """\
S[b,h,g,p,m]  = sum(Q[b,h,g,p,e] * K[b,h,m,e], e)
A[b,h,g,p,m]  = exp(S[b,h,g,p,m] / sqrt(E) - L[b,h,g,p])
DA[b,h,g,p,m] = sum(GO[b,h,g,p,f] * V[b,h,m,f], f)
DS[b,h,g,p,m] = A[b,h,g,p,m] * (DA[b,h,g,p,m] - DL[b,h,g,p])
"""
_PRODUCTS = "DL[b,h,p] = sum(GO[b,h,p,f] * O[b,h,p,f], f)\n"
_OF_KEYS = (
    _WEIGHTS
    + """\
DV[b,h,m,f]   = sum(A[b,h,g,p,m] * GO[b,h,g,p,f], g, p)
DK[b,h,m,e]   = sum(DS[b,h,g,p,m] * Q[b,h,g,p,e], g, p) / sqrt(E)
"""
)
_OF_QUERIES = _WEIGHTS.replace(",g,p", ",p") + "DQ[b,h,p,e] = sum(DS[b,h,p,m] * K[b,h,m,e], m) / sqrt(E)\n"

# By head dimension, queries, keys and warps: registers of a thread, and other instructions of an iteration.
_CODE_OF_KEYS = {(64, 64, 64, 4): (200, 128), (128, 64, 64, 4): (255, 159), (128, 64, 128, 8): (255, 159)}
_CODE_OF_QUERIES = {(64, 64, 64, 4): (116, 94), (128, 64, 64, 4): (150, 124), (128, 128, 64, 8): (150, 124)}
_USUAL = (255, 130)

_SCORES = {"lanes": ["p", "m"]}


def backward_launches(case: Case, tile: Tile, capability: int) -> Sequence[Launch]:
    """The three launches. Off Hopper, mma.sync and its loads are not told apart: products take the unit `tensor`."""
    shape = shape_of(case)
    bq, bk, qq, qk = (tile.constants[name] for name in ("BQ", "BK", "QQ", "QK"))
    grouped = {**shape.sizes, "H": shape.heads_kv, "G": shape.group}
    plain = shape.sizes
    rows = {name: plain[name] for name in ("B", "H", "P", "F")}
    order, word = "longest" if shape.causal else "launch", shape.word_bytes
    mask = shape.launch_mask
    return (
        Launch(_PRODUCTS, rows, _products(), word_bytes=word),
        Launch(_OF_KEYS, grouped, _of_keys(shape, bq, bk, tile), {}, mask, order, word),
        Launch(_OF_QUERIES, plain, _of_queries(shape, qq, qk, tile), {}, mask, order, word),
    )


def _products() -> Mapping[str, Any]:
    """A kernel that streams: 64 rows a block, four numbers an addition and a product each."""
    block = [{"for": "b", "over": "sm"}, {"for": "h", "over": "sm"}, {"for": "p", "tile": "min(64, P)", "over": "sm"}]
    return {
        "bind": [{"einsums": ["DL"], "unit": "alu", "space": {"lanes": ["f"]}}],
        "groups": [{"einsums": ["DL"], "nest": block}],
        "widths": {"DL": 4},
    }


def _bind(shape: Shape, products: Mapping[str, list[str]], casts: list[str]) -> list[dict[str, Any]]:
    unit = "alu" if shape.dtype == "fp32" else "tensor"
    made = [{"einsums": [name], "unit": unit, "space": {"lanes": ranks}} for name, ranks in products.items()]
    others = {"add": "OTHERS * LANES / (BR * BC)"}
    return [
        *({**bind, "ops": ["mac"]} for bind in made),
        {"einsums": [*products, "A", "DS"], "unit": "alu", "space": {"lanes": ["p", "m", "e", "f"]}},
        {"einsums": ["A"], "unit": "sfu", "space": _SCORES, "ops": ["mul", "sub", "exp"]},
        {"einsums": casts, "unit": "alu", "space": _SCORES, "implied": {"cast": int(shape.dtype != "fp32")}},
        {"einsums": ["A"], "unit": "alu", "space": _SCORES, "implied": others},
    ]


def _of_keys(shape: Shape, bq: int, bk: int, tile: Tile) -> Mapping[str, Any]:
    registers, others = _CODE_OF_KEYS.get((shape.dim, bq, bk, tile.warps), _USUAL)
    shared = shape.word_bytes * 2 * shape.dim * (bk + tile.stages * bq)
    blocks = resident(registers, tile.warps, shared)
    half = {"for": "m", "tile": "min(BC, 64)"}  # a matrix instruction takes 64 keys
    return {
        "source": "kernels/triton/device/attention_backward.py",
        "params": {"BR": bq, "BC": bk, "BLOCKS": blocks, "OTHERS": others, "LANES": 32 * tile.warps},
        "widths": {"DL": 4, "L": 4},
        "bind": _bind(shape, {"S": ["p", "m"], "DA": ["p", "m"], "DV": ["m", "f"], "DK": ["m", "e"]}, ["A", "DS"]),
        "groups": [
            {
                "einsums": ["S", "A", "DA", "DS", "DV", "DK"],
                "nest": [
                    {"for": "b", "over": "sm"},
                    {"for": "h", "over": "sm"},
                    {"for": "m", "tile": "BC", "over": "sm"},
                    {"hold": ["K", "V"], "in": "shared"},
                    {"hold": ["DK", "DV"], "in": "registers"},
                    {"for": "g"},
                    {"for": "p", "tile": "BR"},
                    {"hold": ["Q", "GO"], "in": "l2"},
                    {"hold": ["Q", "GO"], "in": "shared", "copies": tile.stages},
                    {"do": ["S"], "nest": [half, {"for": "e", "tile": 16}, {"hold": ["Q", "K"], "in": "registers"}]},
                    {"do": ["DA"], "nest": [half, {"for": "f", "tile": 16}, {"hold": ["GO", "V"], "in": "registers"}]},
                    {"do": ["DV"], "nest": [half, {"hold": ["GO"], "in": "registers"}]},
                    {"do": ["DK"], "nest": [half, {"hold": ["Q"], "in": "registers"}]},
                ],
                "contexts": "BLOCKS",
                "delay": 4 * 30 + 3 * 33 + 20,
                "overhead": 3500,
                "resident": "BLOCKS",
            }
        ],
        "masked": _masked("keys"),
    }


def _of_queries(shape: Shape, bq: int, bk: int, tile: Tile) -> Mapping[str, Any]:
    registers, others = _CODE_OF_QUERIES.get((shape.dim, bq, bk, tile.warps), _USUAL)
    shared = shape.word_bytes * 2 * shape.dim * (bq + tile.stages * bk)
    blocks = resident(registers, tile.warps, shared)
    half = {"for": "p", "tile": "min(BR, 64)"}
    return {
        "source": "kernels/triton/device/attention_backward.py",
        "params": {"BR": bq, "BC": bk, "BLOCKS": blocks, "OTHERS": others, "LANES": 32 * tile.warps},
        "widths": {"DL": 4, "L": 4},
        "bind": _bind(shape, {"S": ["p", "m"], "DA": ["p", "m"], "DQ": ["p", "e"]}, ["DS"]),
        "groups": [
            {
                "einsums": ["S", "A", "DA", "DS", "DQ"],
                "nest": [
                    {"for": "b", "over": "sm"},
                    {"for": "h", "over": "sm"},
                    {"for": "p", "tile": "BR", "over": "sm"},
                    {"hold": ["Q", "GO"], "in": "shared"},
                    {"hold": ["DQ"], "in": "registers"},
                    {"for": "m", "tile": "BC"},
                    {"hold": ["K", "V"], "in": "l2"},
                    {"hold": ["K", "V"], "in": "shared", "copies": tile.stages},
                    {"do": ["S"], "nest": [half, {"for": "e", "tile": 16}, {"hold": ["Q", "K"], "in": "registers"}]},
                    {"do": ["DA"], "nest": [half, {"for": "f", "tile": 16}, {"hold": ["GO", "V"], "in": "registers"}]},
                    {"do": ["DQ"], "nest": [half, {"hold": ["K"], "in": "registers"}]},
                ],
                "contexts": "BLOCKS",
                "delay": 3 * 30 + 3 * 33 + 20,
                "overhead": 3500,
                "resident": "BLOCKS",
            }
        ],
        "masked": _masked("queries"),
    }


def _masked(blocks: str) -> Mapping[str, Any]:
    """Tiles that are not full test every score, and count where its key is."""
    tests = {"einsums": ["A"], "unit": "alu", "space": _SCORES, "implied": {"add": 1}}
    return {"q_tile": "BR", "kv_tile": "BC", "blocks": blocks, "tests": tests, "tested": "partial"}
