"""Softmax, layer normalization and root-mean-square normalization of the rows of a matrix in Triton.

Rows of up to 8192 or 16384 columns stay in registers and are read once: several short ones a block. Longer ones are
walked twice by a block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from . import row_blocks
from .kernel import Call, Case, Compiled, Launch, Tile, TritonKernel, Work, device_code
from .rules import options, ranks
from .shapes import (
    WORD_BYTES,
    alignment,
    ceil_div,
    divisible,
    integers,
    power_of_two,
    processors,
    randoms,
    signature,
    torch_type,
)

LONGEST = {"softmax": 16384, "layernorm": 8192, "rmsnorm": 16384}  # columns that a block keeps
EPS = 1e-5
_MORE = {"softmax": (), "layernorm": ("w", "c"), "rmsnorm": ("w",)}  # vectors beside the matrix


def _twice(tile: Tile) -> bool:
    return "ROWS" not in tile.constants


def _kept(case: Case, elements: int, each: int) -> Tile:
    """Whole rows, as many as have so many elements together, in warps whose threads keep `each` of them."""
    block = max(32, power_of_two(case.sizes["N"]))
    rows = max(1, elements // block)
    return Tile({"ROWS": rows, "BLOCK": block}, min(16, max(1, rows * block // (32 * each))), 1)


def tile(case: Case, capability: int) -> Tile:
    """16 elements a thread, up to 512 threads; 8 where rows are so few that all of them start at once. A row that is
    too long goes by 16 KB at a time.
    """
    if case.sizes["N"] > LONGEST[case.kernel]:
        return Tile({"BLOCK": 16384 // WORD_BYTES[case.dtype]}, 16, 1)
    chosen = _kept(case, 1024, 16)
    return _kept(case, 1024, 8) if _grid(case, chosen)[0] <= 4 * processors(capability) else chosen


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """Fewer and more rows a block, fewer and more elements a thread; or a row read twice."""
    first = tile(case, capability)
    if _twice(first):
        others = [Tile({"BLOCK": block}, warps, 1) for block, warps in ((4096, 16), (8192, 16), (4096, 8), (1024, 4))]
    else:
        shapes = ((1024, 8), (1024, 16), (4096, 16), (1024, 32), (256, 8))
        others = [_kept(case, elements, each) for elements, each in shapes]
        others.append(Tile({"BLOCK": min(4096, max(512, power_of_two(case.sizes["N"])))}, 4, 1))
    return [one for place, one in enumerate(others) if one != first and one not in others[:place]]


def _grid(case: Case, tile: Tile) -> tuple[int]:
    return (ceil_div(case.sizes["R"], tile.constants.get("ROWS", 1)),)


def prepare(case: Case, tile: Tile, device: str, seed: int) -> Call:
    """X of normal numbers; scales are near 1."""
    import torch

    on_device = device_code("rows")

    r, n = case.sizes["R"], case.sizes["N"]
    draw = randoms(device, seed, case.dtype)
    x = draw(r, n, scale=2.0)
    vectors = [draw(n) for _ in _MORE[case.kernel]]
    y = torch.empty((r, n), dtype=torch_type(case.dtype), device=device)
    function = getattr(on_device, f"{case.kernel}_twice" if _twice(tile) else case.kernel)
    eps = () if case.kernel == "softmax" else (EPS,)
    sizes = (n,) if _twice(tile) else (r, n)

    def run() -> None:
        function[_grid(case, tile)](
            x, *vectors, y, *sizes, *eps, **tile.constants, ALIGN=alignment(n), num_warps=tile.warps,
            num_stages=tile.stages,
        )  # fmt: skip

    return Call(run, lambda: [y], lambda: [_reference(case.kernel, x, vectors)])


def _reference(kernel: str, x: Any, vectors: Sequence[Any]) -> Any:
    exact, more = x.double(), [vector.double() for vector in vectors]
    if kernel == "softmax":
        numerators = (exact - exact.max(-1, keepdim=True).values).exp()
        return numerators / numerators.sum(-1, keepdim=True)
    if kernel == "rmsnorm":
        return exact / (exact.square().mean(-1, keepdim=True) + EPS).sqrt() * more[0]
    centred = exact - exact.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + EPS).sqrt() * more[0] + more[1]


def work(case: Case) -> Work:
    """The matrix read and written once; an exponential an element in softmax."""
    elements = case.sizes["R"] * case.sizes["N"]
    vectors = len(_MORE[case.kernel]) * case.sizes["N"]
    return Work(0, elements if case.kernel == "softmax" else 0, (2 * elements + vectors) * WORD_BYTES[case.dtype])


def compiled(case: Case, tile: Tile) -> Sequence[Compiled]:
    """The one launch."""
    tensors = ("x", *_MORE[case.kernel], "y")
    numbers = {"N": case.sizes["N"]} if _twice(tile) else {"R": case.sizes["R"], "N": case.sizes["N"]}
    types, ones = integers(numbers)
    eps = {} if case.kernel == "softmax" else {"EPS": "fp32"}
    return [
        Compiled(
            "rows",
            f"{case.kernel}_twice" if _twice(tile) else case.kernel,
            {**signature(case.dtype, tensors, ()), **types, **eps},
            {**tile.constants, "ALIGN": alignment(case.sizes["N"]), **ones},
            divisible(tensors, numbers),
            tile.warps,
            tile.stages,
        )
    ]


def launches(case: Case, tile: Tile, capability: int) -> Sequence[Launch]:
    """Blocks that keep rows, or walk one twice."""
    setting = {"THREADS": (64 if capability == 942 else 32) * tile.warps}
    if _twice(tile):
        size = "N0" if case.kernel == "softmax" else "BLOCK"
        mapping, setting = "walked", {**setting, size: min(tile.constants["BLOCK"], case.sizes["N"])}
    else:
        mapping, setting = "kept", {**setting, "ROWS": tile.constants["ROWS"], "BLOCK": tile.constants["BLOCK"]}
    return [Launch(case.kernel, dict(case.sizes), mapping, setting, word_bytes=WORD_BYTES[case.dtype])]


def in_torch(case: Case, device: str, seed: int) -> Callable[[], Any]:
    """PyTorch's own kernel of the same function."""
    import torch
    from torch.nn.functional import layer_norm, rms_norm

    r, n = case.sizes["R"], case.sizes["N"]
    draw = randoms(device, seed, case.dtype)
    x = draw(r, n, scale=2.0)
    vectors = [draw(n) for _ in _MORE[case.kernel]]
    if case.kernel == "softmax":
        return lambda: torch.softmax(x, -1)
    if case.kernel == "rmsnorm":
        return lambda: rms_norm(x, (n,), vectors[0], EPS)
    return lambda: layer_norm(x, (n,), *vectors, eps=EPS)


_SHAPES = {
    "softmax": (
        *((65536, 128), (16384, 512), (4096, 1024), (65536, 1024), (8192, 2048), (4096, 4096), (16384, 4096)),
        *((1024, 8192), (8192, 8192), (4096, 16384), (1024, 32000), (4096, 65536), (777, 1000), (128, 512)),
    ),
    "layernorm": (
        *((4096, 768), (16384, 1024), (65536, 1024), (2048, 4096), (16384, 4096), (2048, 12288), (8192, 8192)),
        *((4096, 16384), (2048, 32768), (1000, 1001), (64, 4096), (512, 1024)),
    ),
    "rmsnorm": (
        *((4096, 768), (65536, 512), (16384, 2048), (1, 4096), (256, 4096), (4096, 4096), (16384, 4096)),
        *((8192, 8192), (4096, 14336), (1024, 32768), (1000, 5000), (512, 1024)),
    ),
}
_DTYPES = ("bf16", "bf16", "bf16", "fp16", "bf16", "fp32")  # in turn


def _kernel(name: str, title: str) -> TritonKernel:
    made = partial(Case, name)
    shapes = _SHAPES[name]
    return TritonKernel(
        name=name,
        title=title,
        cases=[made({"R": r, "N": n}, _DTYPES[at % len(_DTYPES)]) for at, (r, n) in enumerate(shapes)],
        varied=("R", "N"),
        tile=tile,
        tiles=tiles,
        prepare=prepare,
        work=work,
        compiled=compiled,
        blocks={name: row_blocks.kept, f"{name}_twice": row_blocks.walked},
        launches=launches,
        peers={"torch": in_torch},
        tiny=[
            made({"R": r, "N": n}, dtype)
            for r, n in ((5, 33), (2, 1), (3, 1000), (1, 17000))
            for dtype in ("fp32", "fp16", "bf16")
        ],
        rules=(ranks("R", "N"), options()),
    )


KERNELS = (
    _kernel("softmax", "Softmax of the rows of a matrix"),
    _kernel("layernorm", "Layer normalization of the rows of a matrix"),
    _kernel("rmsnorm", "Root-mean-square normalization of the rows of a matrix"),
)
