"""What the simulator is told of the backward pass: three launches, each a cascade of its own, since two of them compute
the scores and weights again.

Counts are of the SASS that Triton 3.7.1 makes for sm_90, for each score: a multiply-add, an exponential that flushes
denormal numbers, an addition, a multiplication, half a packed conversion (of gradients of scores, and where values have
a gradient of weights too), and as OTHERS what else an iteration issues. Scores are awaited with the product of the last
iteration, and gradients of weights with the one before them; what else a block waits for is in hopper_waits.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .attention_mapping import resident
from .attention_shapes import Shape, shape_of
from .hopper_waits import Code, Products, block, far_part, iteration, load, own, stored
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

# By head dimension, queries, keys and warps.
_CODE_OF_KEYS = {
    (64, 64, 64, 4): Code(200, 128, 996, 1457, 686),
    (64, 32, 64, 4): Code(160, 119, 649, 1334, 655),
    (64, 64, 128, 8): Code(200, 128, 998, 1402, 656),
    (128, 64, 64, 4): Code(255, 159, 1094, 1557, 949),
    (128, 32, 64, 4): Code(227, 158, 739, 1467, 934),
    (128, 64, 128, 8): Code(255, 159, 1095, 1504, 856),
    (256, 32, 64, 8): Code(227, 380, 1394, 1592, 943),
}
_CODE_OF_QUERIES = {
    (64, 64, 64, 4): Code(116, 94, 681, 1343, 477),
    (64, 128, 64, 8): Code(116, 110, 752, 1246, 471),
    (64, 128, 64, 4): Code(210, 120, 1100, 1343, 700),
    (128, 64, 64, 4): Code(150, 124, 762, 1355, 596),
    (128, 64, 32, 4): Code(150, 110, 560, 1355, 596),
    (128, 128, 64, 8): Code(150, 124, 782, 1336, 559),
    (256, 64, 32, 8): Code(173, 350, 1155, 1398, 623),
}
_USUAL = Code(255, 130, 1000, 1400, 700)

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
        Launch(_OF_KEYS, grouped, _of_keys(shape, bq, bk, tile), {}, mask, order, word, shape.section_kv),
        Launch(_OF_QUERIES, plain, _of_queries(shape, qq, qk, tile), {}, mask, order, word, shape.section),
    )


def _products() -> Mapping[str, Any]:
    """A kernel that streams: 64 rows a block, four numbers an addition and a product each."""
    block = [{"for": "b", "over": "sm"}, {"for": "h", "over": "sm"}, {"for": "p", "tile": "min(64, P)", "over": "sm"}]
    return {
        "bind": [{"einsums": ["DL"], "unit": "alu", "space": {"lanes": ["f"]}}],
        "groups": [{"einsums": ["DL"], "nest": block}],
        "widths": {"DL": 4},
    }


def _from_memory(rows: int, columns: int, dim: int, warps: int) -> float:
    """Cycles of the matrix instructions of 64 rows by n columns by 16 that make scores.

    They read both operands from shared memory, 128 bytes a cycle: no faster than (64 + n) / 4 cycles, at n = 64 as long
    as the n / 2 that they multiply (probe, wgmma.fp16.n64.ss.1: at its full rate). Where there are more warp groups
    than rows for them, Triton narrows the instructions to the columns of each, and then has every group make them all.
    """
    groups = max(1, warps // 4)
    sharing = max(1, groups // max(1, rows // 64))
    wide = max(8, columns // sharing)
    count = columns / wide * max(1.0, rows / (64 * groups)) * dim / 16
    return groups * count * max(wide / 2, (64 + wide) / 4)


def _bind(shape: Shape, products: Mapping[str, list[str]], casts: list[str], longer: float) -> list[dict[str, Any]]:
    """`longer`: how many times the products that make scores take what their multiplications do."""
    unit = "alu" if shape.dtype == "fp32" else "tensor"
    made = [{"einsums": [name], "unit": unit, "space": {"lanes": ranks}} for name, ranks in products.items()]
    others = {"add": "OTHERS * LANES / (BR * BC)"}
    waste = {"implied": {"mac": 0.0 if unit == "alu" else longer - 1}}
    return [
        *({**bind, "ops": ["mac"]} for bind in made),
        *({**bind, **waste} for bind in made if bind["einsums"][0] in ("S", "DA")),
        {"einsums": [*products, "A", "DS"], "unit": "alu", "space": {"lanes": ["p", "m", "e", "f"]}},
        {"einsums": ["A"], "unit": "sfu", "space": _SCORES, "ops": ["mul", "sub", "exp"]},
        {"einsums": casts, "unit": "alu", "space": _SCORES, "implied": {"cast": int(shape.dtype != "fp32")}},
        {"einsums": ["A"], "unit": "alu", "space": _SCORES, "implied": others},
    ]


def _of_keys(shape: Shape, bq: int, bk: int, tile: Tile) -> Mapping[str, Any]:
    code = _CODE_OF_KEYS.get((shape.dim, bq, bk, tile.warps), _USUAL)
    shared = shape.word_bytes * 2 * shape.dim * (bk + tile.stages * bq)
    blocks = resident(code.registers, tile.warps, shared)
    count = shape.blocks(shape.keys, bk, shape.heads_kv)
    sharing = -(-shape.keys // bk)
    delay, overhead = _waits(shape, code, tile, (bk, bq), (2, 2), (count, blocks, sharing))
    longer = _from_memory(bk, bq, shape.dim, tile.warps) / (bk * bq * shape.dim / 2048)
    half = {"for": "m", "tile": "min(BC, 64)"}  # a matrix instruction takes 64 keys
    return {
        "source": "kernels/triton/device/attention_backward.py",
        "params": {"BR": bq, "BC": bk, "BLOCKS": blocks, "OTHERS": code.others, "LANES": 32 * tile.warps},
        "widths": {"DL": 4, "L": 4},
        "bind": _bind(
            shape, {"S": ["p", "m"], "DA": ["p", "m"], "DV": ["m", "f"], "DK": ["m", "e"]}, ["A", "DS"], longer
        ),
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
                "delay": round(delay),
                "overhead": round(overhead),
                "resident": "BLOCKS",
            }
        ],
        "masked": _masked("keys"),
    }


def _of_queries(shape: Shape, bq: int, bk: int, tile: Tile) -> Mapping[str, Any]:
    code = _CODE_OF_QUERIES.get((shape.dim, bq, bk, tile.warps), _USUAL)
    shared = shape.word_bytes * 2 * shape.dim * (bq + tile.stages * bk)
    blocks = resident(code.registers, tile.warps, shared)
    count = shape.blocks(shape.queries, bq, shape.heads)
    sharing = -(-shape.queries // bq) * shape.group
    delay, overhead = _waits(shape, code, tile, (bq, bk), (2, 1), (count, blocks, sharing))
    longer = _from_memory(bq, bk, shape.dim, tile.warps) / (bq * bk * shape.dim / 2048)
    half = {"for": "p", "tile": "min(BR, 64)"}
    return {
        "source": "kernels/triton/device/attention_backward.py",
        "params": {"BR": bq, "BC": bk, "BLOCKS": blocks, "OTHERS": code.others, "LANES": 32 * tile.warps},
        "widths": {"DL": 4, "L": 4},
        "bind": _bind(shape, {"S": ["p", "m"], "DA": ["p", "m"], "DQ": ["p", "e"]}, ["DS"], longer),
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
                "delay": round(delay),
                "overhead": round(overhead),
                "resident": "BLOCKS",
            }
        ],
        "masked": _masked("queries"),
    }


def _masked(blocks: str) -> Mapping[str, Any]:
    """Tiles that are not full test every score, and count where its key is."""
    tests = {"einsums": ["A"], "unit": "alu", "space": _SCORES, "implied": {"add": 1}}
    return {"q_tile": "BR", "kv_tile": "BC", "blocks": blocks, "tests": tests, "tested": "partial"}


def _waits(
    shape: Shape,
    code: Code,
    tile: Tile,
    kept_by_walked: tuple[int, int],
    products: tuple[int, int],
    crowd: tuple[int, int, float],
) -> tuple[float, float]:
    """Cycles that no unit works for a block: of an iteration, and of a block beside them. products: how many of an
    iteration are waited for, and how many are not. crowd: blocks, how many a processor holds, and how many want the
    same tiles.
    """
    kept, walked = kept_by_walked
    awaited, behind = products
    groups, row = tile.warps // 4, shape.dim * shape.word_bytes
    scores = kept * walked / 128
    # multiply-add, addition, multiplication, and a conversion for each product from registers
    work = (3 + behind + 8) * scores + code.others * groups
    one = kept * walked * shape.dim / 2048
    made = Products((_from_memory(kept, walked, shape.dim, tile.warps),) * awaited, (one,) * behind, shape.dim)
    pairs = shape.pairs * shape.group if products == (2, 2) else shape.pairs
    visits = max(1.0, pairs / (shape.keys if products == (2, 2) else shape.queries) / walked)
    apart = bool(shape.causal) and products == (2, 2)  # blocks of keys begin at their diagonal
    far = far_part(*crowd, visits, code.chain + made.cycles, apart)
    fetched = load(walked * row, far) if tile.stages <= 2 else 0.0
    delay = iteration(code, work, groups, 8 * scores, made, fetched)
    first = own(2 * kept * row, crowd[0]), load(walked * row, far)
    return delay, block(code, first, made, fetched, stored(behind * kept * row, crowd[0]))
