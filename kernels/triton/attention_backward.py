"""The backward pass of attention without sums that blocks share: gradients of keys and values, then of queries.

Two kernels that each compute the scores again, seven products in all, instead of five and sums of the gradients of
queries that all blocks add to. Those five need an FP32 copy of these sums, which is cleared, added to by every block of
keys and converted, and an addition whose order nobody knows. Seven products keep every sum in registers, need no more
memory and give the same bits every time. device/attention_backward.py is what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from . import attention_blocks as blocks
from .attention import described, source_types, tensors
from .attention import launcher as forward_launcher
from .attention import tile as forward_tile
from .attention_backward_mapping import backward_launches
from .attention_cases import BACKWARD, BACKWARD_TINY
from .attention_peers import backward_peer
from .attention_reference import backward
from .attention_shapes import Shape, backward_work, precision, shape_of
from .kernel import Call, Case, Compiled, Tile, TritonKernel, require
from .rules import divides, one_of, options, powers_of_two, ranks

NAME = "attention_backward"
ROWS = 64  # rows of a block of the first kernel


def _warps_of_rows(tile: Tile, dim: int) -> int:
    """Warps of a block of row_products: four, or as many as leave Ampere's threads 32 elements, since more spill."""
    return 4 if tile.constants["TMA"] else max(4, dim // 16)


def _tile(keys: tuple[int, int], queries: tuple[int, int], warps: int, stages: int, tma: int) -> Tile:
    """Queries by keys of the kernel of keys, and of that of queries."""
    names = ("BQ", "BK", "QQ", "QK")
    return Tile({**dict(zip(names, (*keys, *queries), strict=True)), "TMA": tma}, warps, stages)


def tile(case: Case, capability: int) -> Tile:
    """Hopper: 64 by 64 for both, so that two blocks of one warp group share a processor, three at a head dimension of
    64; at 128 the gradients of keys take 32 queries at a time where a loop over heads or an end that is not full leaves
    no registers for more. Elsewhere smaller tiles, or more warps, where registers are short.
    """
    shape = shape_of(case)
    dim = shape.dim
    if case.dtype == "fp32":
        return _tile((32, 32), (32, 32), 4, 1, 0)
    if not 0 < capability < 900:  # AMD
        return _tile((32, 64), (64, 32), 4, 1, 0) if dim <= 128 else _tile((32, 32), (32, 32), 4, 1, 0)
    tma = int(capability >= 90)
    if dim > 128:  # 64 keys, since a wgmma takes no fewer; with a mask two stages make it wait for each product
        one = shape.causal or capability >= 100  # on Blackwell the second stage spills
        return _tile((32, 64), (64, 32), 8, 1 if one else 2, 1) if tma else _tile((64, 32), (64, 32), 8, 1, 0)
    if tma:
        crowded = dim > 64 and (shape.queries % 64 != 0 or (shape.causal and shape.group > 1))
        return _tile((32 if crowded else 64, 64), (64, 64), 4, 2, 1)
    return _tile((32, 64), (64, 32), 4, 2, 0) if dim <= 64 else _tile((32, 64), (64, 32), 8, 2, 0)


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """Others: two warp groups in a block, fewer queries at a time, pointers, a block of queries twice as large."""
    if case.dtype == "fp32" or capability != 90 or case.sizes["E"] > 128:
        return ()
    others = [
        _tile((64, 128), (128, 64), 8, 2, 1),
        _tile((32, 64), (64, 64), 4, 2, 1),
    ]
    if case.sizes["E"] <= 64:  # at 128 these spill
        others += [
            _tile((64, 64), (64, 64), 4, 3, 1),
            _tile((64, 64), (64, 64), 4, 2, 0),
            _tile((64, 64), (128, 64), 4, 2, 1),
        ]
    return [one for one in others if one != tile(case, capability)]


def _constants(shape: Shape, tile: Tile, bq: int, bk: int, ragged: bool) -> dict[str, Any]:
    return {
        "DIM": shape.dim,
        "BLOCK_Q": bq,
        "BLOCK_K": bk,
        "TMA": tile.constants["TMA"],
        "CAUSAL": shape.causal,
        "RAGGED": int(ragged),
        "PRECISION": precision(shape.dtype),
    }


def _keys_constants(shape: Shape, tile: Tile) -> dict[str, Any]:
    bq, bk = tile.constants["BQ"], tile.constants["BK"]
    # Without a mask even one head has its loop: where sums begin as zeros in front of a loop without branches, ptxas
    # (C7515) puts matrix instructions one after the other.
    loop = int(shape.group > 1 or not shape.causal)
    return {**_constants(shape, tile, bq, bk, shape.queries % bq != 0), "LOOP": loop}


def _queries_constants(shape: Shape, tile: Tile) -> dict[str, Any]:
    bq, bk = tile.constants["QQ"], tile.constants["QK"]
    return _constants(shape, tile, bq, bk, shape.keys % bk != 0)


def launcher(shape: Shape, tile: Tile, given: tuple[Any, ...], made: tuple[Any, ...]) -> Callable[[], None]:
    """A function that launches the three kernels. given: q, k, v, out, its gradient, and the logarithms of the sums;
    made: the gradients of q, k and v.
    """
    import torch

    from .device.attention_backward import keys_gradient, queries_gradient, row_products

    q, k, v, out, upper, logsumexp = given
    dq, dk, dv = made
    products = torch.empty_like(logsumexp)
    bq, bk, qq, qk, tma = (tile.constants[name] for name in ("BQ", "BK", "QQ", "QK", "TMA"))
    by_keys = described(q, bq, tma), described(k, bk, tma), described(v, bk, tma), described(upper, bq, tma)
    by_queries = described(q, qq, tma), described(k, qk, tma), described(v, qk, tma), described(upper, qq, tma)
    rows, scale = logsumexp.numel(), shape.dim**-0.5
    how: dict[str, Any] = {"num_warps": tile.warps, "num_stages": tile.stages}
    of_rows: dict[str, Any] = {"DIM": shape.dim, "BLOCK": ROWS, "num_warps": _warps_of_rows(tile, shape.dim)}
    of_keys, of_queries = _keys_constants(shape, tile), _queries_constants(shape, tile)
    heads, heads_kv = shape.batch * shape.heads, shape.batch * shape.heads_kv
    grids = (
        (-(-rows // ROWS),),
        (shape.blocks(shape.keys, bk, shape.heads_kv),),
        (shape.blocks(shape.queries, qq, shape.heads),),
    )
    section_kv = shape.section_kv
    sizes = shape.queries, shape.keys

    def run() -> None:
        row_products[grids[0]](out, upper, products, rows, **of_rows)
        keys_gradient[grids[1]](
            *by_keys, logsumexp, products, dk, dv, scale, *sizes, heads_kv, shape.group, section_kv, **of_keys, **how
        )
        queries_gradient[grids[2]](
            *by_queries, logsumexp, products, dq, scale, *sizes, heads, shape.group, shape.section, **of_queries, **how
        )

    return run


def prepare(case: Case, tile: Tile, device: str, seed: int) -> Call:
    """Random inputs and the forward pass over them; outputs are the gradients of q, k and v."""
    require("torch", "triton")
    import torch

    shape = replace(shape_of(case), lse=True)
    q, k, v = tensors(shape, device, seed)
    upper = tensors(shape, device, seed + 1)[0]
    out, logsumexp = torch.empty_like(q), torch.empty(q.shape[:3], dtype=torch.float32, device=device)
    of_forward = forward_tile(case, 90 if tile.constants["TMA"] else 80)
    forward_launcher(shape, of_forward, q, k, v, out, logsumexp)()
    made = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    return Call(
        run=launcher(shape, tile, (q, k, v, out, upper, logsumexp), made),
        outputs=lambda: made,
        reference=lambda: backward(shape, q, k, v, upper),
    )


def compiled(case: Case, tile: Tile) -> Sequence[Compiled]:
    """The three launches, in turn."""
    shape = shape_of(case)
    bq, bk, qq, qk, tma = (tile.constants[name] for name in ("BQ", "BK", "QQ", "QK", "TMA"))
    sums = {"logsumexp": "*fp32", "products": "*fp32"}
    word = f"*{case.dtype}"

    def one(function: str, rows: tuple[int, int], made: Sequence[str], heads: str, fixed: dict[str, Any]) -> Compiled:
        read = {"q": rows[0], "k": rows[1], "v": rows[1], "upper": rows[0]}
        return Compiled(
            module=NAME,
            function=function,
            signature={
                **source_types(case.dtype, read, shape.dim, tma),
                **sums,
                **dict.fromkeys(made, word),
                "scale": "fp32",
                **dict.fromkeys(("queries", "keys", heads, "group", "section"), "i32"),
            },
            constants=fixed,
            divisible=(*(() if tma else read), *sums, *made),
            warps=tile.warps,
            stages=tile.stages,
        )

    return (
        Compiled(
            module=NAME,
            function="row_products",
            signature={"out": word, "upper": word, "products": "*fp32", "rows": "i32"},
            constants={"DIM": shape.dim, "BLOCK": ROWS},
            divisible=("out", "upper", "products"),
            warps=_warps_of_rows(tile, shape.dim),
            stages=3,
        ),
        one("keys_gradient", (bq, bk), ("dk", "dv"), "heads_kv", _keys_constants(shape, tile)),
        one("queries_gradient", (qq, qk), ("dq",), "heads", _queries_constants(shape, tile)),
    )


KERNELS = (
    TritonKernel(
        name=NAME,
        title="The backward pass of attention in seven products, with no sums that blocks share",
        cases=BACKWARD,
        varied=("B", "P", "M"),
        possible=lambda case: "mask" not in case.options or case.sizes["P"] <= case.sizes["M"],
        tile=tile,
        prepare=prepare,
        work=lambda case: backward_work(shape_of(case)),
        compiled=compiled,
        blocks={
            "row_products": blocks.row_products,
            "keys_gradient": blocks.of_keys,
            "queries_gradient": blocks.of_queries,
        },
        launches=backward_launches,
        tiles=tiles,
        peers={name: partial(backward_peer, name) for name in ("flash", "cudnn", "efficient")},
        tiny=BACKWARD_TINY,
        rules=(
            ranks("B", "H", "KV", "P", "M", "E"),
            divides("KV", "H"),
            powers_of_two("E", least=16),
            options(mask=one_of("causal")),
        ),
    ),
)
