"""The forward pass of attention in one walk over the keys: every mask skips what it leaves out, whole tiles at a time.

A block of threads keeps a tile of queries; device/attention.py is what it does. Tiles are a fixed rule, `tiles` others
that are worth a try on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import e, log2
from typing import Any

from .attention_blocks import forward as forward_block
from .attention_cases import FORWARD, FORWARD_TINY
from .attention_mapping import forward_launches
from .attention_peers import peer
from .attention_reference import forward
from .attention_shapes import Shape, forward_work, precision, shape_of, tile_of
from .kernel import Call, Case, Compiled, Tile, TritonKernel, require
from .rules import at_least, divides, one_of, options, powers_of_two, ranks, together

NAME = "attention"
HOPPER_PROCESSORS = 132  # of an H100 or H200 on a board of its own


def tile(case: Case, capability: int) -> Tile:
    """Hopper: one warp group a block, so that two blocks or three share a processor and one multiplies while another
    exponentiates. 128 queries by 64 keys are the most whose scores and sums fit its registers. Where a wave of such
    blocks would not fill the GPU, blocks of 64 queries are twice as many, with room for a third stage: with two, a tile
    of keys is asked for only when the one before has been multiplied. At a head dimension of 64 it is 64 queries by 128
    keys: as many scores, and fewer sums to hold and to rescale. At 256 there is room for one block of two groups.
    """
    dim = case.sizes["E"]
    if case.dtype == "fp32":
        return tile_of(64, 32, 4, 2) if dim <= 128 else tile_of(32, 32, 4, 1)
    if not 0 < capability < 900:  # AMD
        return tile_of(128, 64 if dim <= 64 else 32, 4, 1) if dim <= 128 else tile_of(64, 32, 4, 1)
    if capability >= 100:
        return tile_of(128, 64, 4, 2, 1) if dim <= 128 else tile_of(64, 32, 4, 2, 1)
    if capability >= 90:
        if dim <= 64:
            return tile_of(64, 128, 4, 2, 1)
        if dim <= 128:
            few = shape_of(case).blocks(case.sizes["P"], 128, case.sizes["H"]) <= HOPPER_PROCESSORS
            return tile_of(64, 64, 4, 3, 1) if few else tile_of(128, 64, 4, 2, 1)
        return tile_of(128, 64, 8, 2, 1)
    if dim <= 64:
        return tile_of(128, 64, 8 if case.options.get("mask") == "window" else 4, 3)
    if dim <= 128:
        return tile_of(128, 64, 8, 2)
    return tile_of(64, 32, 8, 2)


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """Others: fewer keys at a time, two warp groups in a block, keys and values through pointers."""
    if case.dtype == "fp32" or capability != 90:
        return ()
    if case.sizes["E"] <= 64:
        others = [
            tile_of(128, 64, 4, 3, 1),
            tile_of(64, 64, 4, 3, 1),
            tile_of(128, 128, 8, 3, 1),
            tile_of(64, 128, 4, 2, 0),
        ]
    elif case.sizes["E"] <= 128:
        others = [
            tile_of(128, 64, 4, 2, 1),
            tile_of(64, 64, 4, 2, 1),
            tile_of(128, 128, 8, 2, 1),
            tile_of(128, 64, 8, 2, 1),
            tile_of(128, 128, 8, 2, 0),
        ]
    else:
        others = [tile_of(128, 32, 8, 3, 1), tile_of(128, 64, 8, 1, 1)]
    return [one for one in others if one != tile(case, capability)]


def constants(shape: Shape, tile: Tile) -> dict[str, Any]:
    """The constants of the function."""
    return {
        "DIM": shape.dim,
        "BLOCK_Q": tile.constants["BQ"],
        "BLOCK_K": tile.constants["BK"],
        "TMA": tile.constants["TMA"],
        "CAUSAL": shape.causal,
        "WINDOW": shape.window,
        "RAGGED": int(shape.keys % tile.constants["BK"] != 0),
        # Beyond 128 it is always written: without it, of all things, ptxas (C7515) puts the matrix instructions of
        # causal blocks one after the other.
        "LSE": int(shape.lse or shape.dim > 128),
        "PRECISION": precision(shape.dtype),
    }


def described(tensor: Any, rows: int, tma: int) -> Any:
    """A descriptor of tiles of so many rows of one head, or the tensor itself."""
    if not tma:
        return tensor
    from triton.tools.tensor_descriptor import TensorDescriptor

    return TensorDescriptor.from_tensor(tensor.flatten(0, 1), [1, rows, tensor.shape[-1]])


def launcher(shape: Shape, tile: Tile, q: Any, k: Any, v: Any, out: Any, logsumexp: Any) -> Callable[[], None]:
    """A function that launches the kernel on tensors of B x heads x rows x E."""
    from .device.attention import attention_forward

    bq, bk, tma = (tile.constants[name] for name in ("BQ", "BK", "TMA"))
    sources = described(q, bq, tma), described(k, bk, tma), described(v, bk, tma)
    numbers = (shape.queries, shape.keys, shape.batch * shape.heads, shape.group, shape.before, shape.section)
    grid = (shape.blocks(shape.queries, bq, shape.heads),)
    fixed = {**constants(shape, tile), "num_warps": tile.warps, "num_stages": tile.stages}
    scale = shape.dim**-0.5 * log2(e)

    def run() -> None:
        attention_forward[grid](*sources, out, logsumexp, scale, *numbers, **fixed)

    return run


def tensors(shape: Shape, device: str, seed: int) -> tuple[Any, Any, Any]:
    """Random q, k and v."""
    import torch

    generator = torch.Generator(device).manual_seed(seed)
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[shape.dtype]

    def random(heads: int, rows: int) -> Any:
        return torch.randn(shape.batch, heads, rows, shape.dim, generator=generator, device=device).to(kind)

    return (
        random(shape.heads, shape.queries),
        random(shape.heads_kv, shape.keys),
        random(shape.heads_kv, shape.keys),
    )


def prepare(case: Case, tile: Tile, device: str, seed: int) -> Call:
    """Random inputs of a case; outputs are `out` and, where the case asks for them, the sums of exponentials."""
    require("torch", "triton")
    import torch

    shape = shape_of(case)
    q, k, v = tensors(shape, device, seed)
    out = torch.empty_like(q)
    logsumexp = torch.empty(q.shape[:3], dtype=torch.float32, device=device)
    count = 2 if shape.lse else 1
    return Call(
        run=launcher(shape, tile, q, k, v, out, logsumexp),
        outputs=lambda: (out, logsumexp)[:count],
        reference=lambda: forward(shape, q, k, v)[:count],
    )


def source_types(dtype: str, rows: dict[str, int], dim: int, tma: int) -> dict[str, str]:
    """Types of what is read tile by tile, by name: descriptors, or pointers."""
    return {name: f"tensordesc<{dtype}[1, {count}, {dim}]>" if tma else f"*{dtype}" for name, count in rows.items()}


def compiled(case: Case, tile: Tile) -> Sequence[Compiled]:
    """The one launch of the kernel."""
    shape = shape_of(case)
    bq, bk, tma = (tile.constants[name] for name in ("BQ", "BK", "TMA"))
    return (
        Compiled(
            module="attention",
            function="attention_forward",
            signature={
                **source_types(case.dtype, {"q": bq, "k": bk, "v": bk}, shape.dim, tma),
                "out": f"*{case.dtype}",
                "logsumexp": "*fp32",
                "scale_log2": "fp32",
                **dict.fromkeys(("queries", "keys", "heads", "group", "before", "section"), "i32"),
            },
            constants=constants(shape, tile),
            divisible=("out", "logsumexp") if tma else ("q", "k", "v", "out", "logsumexp"),
            warps=tile.warps,
            stages=tile.stages,
        ),
    )


KERNELS = (
    TritonKernel(
        name=NAME,
        title="Attention in one pass: dense, causal or in a window, with heads of keys of their own or shared",
        cases=FORWARD,
        varied=("B", "P", "M"),
        possible=lambda case: "mask" not in case.options or case.sizes["P"] <= case.sizes["M"],
        tile=tile,
        prepare=prepare,
        work=lambda case: forward_work(shape_of(case)),
        compiled=compiled,
        blocks={"attention_forward": forward_block},
        launches=forward_launches,
        tiles=tiles,
        peers={name: partial(peer, name) for name in ("flash", "cudnn", "efficient")},
        tiny=FORWARD_TINY,
        rules=(
            ranks("B", "H", "KV", "P", "M", "E"),
            divides("KV", "H"),
            powers_of_two("E", least=16),
            options(mask=one_of("causal", "window"), before=at_least(0), lse=one_of(0, 1)),
            together("before", "mask", "window"),
        ),
    ),
)
