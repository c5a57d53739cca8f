"""Functions of every element in Triton: GELU, the sum of two matrices, and gated SiLU; the option ``op`` says which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import row_blocks
from .kernel import Call, Case, Compiled, Launch, Tile, TritonKernel, Work, device_code
from .rules import one_of, options, ranks
from .shapes import WORD_BYTES, ceil_div, divisible, processors, randoms, signature, torch_type

OPS = {"gelu": 0, "add": 1, "silu_mul": 2}  # the function's number in the code for the device


def tile(case: Case, capability: int) -> Tile:
    """Two vectors of 16 bytes of each operand a thread, 128 threads a block; one where blocks are fewer than
    processors.
    """
    one = 128 * 16 // WORD_BYTES[case.dtype]
    few = ceil_div(case.sizes["R"] * case.sizes["N"], 2 * one) < processors(capability)
    return Tile({"BLOCK": one if few else 2 * one}, 4, 1)


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """One vector and four a thread, and larger blocks."""
    one = 128 * 16 // WORD_BYTES[case.dtype]
    found = [Tile({"BLOCK": vectors * one}, warps, 1) for vectors, warps in ((1, 4), (2, 4), (4, 4), (4, 8))]
    return [other for other in found if other != tile(case, capability)]


def _inputs(case: Case, device: str, seed: int) -> tuple[Any, Any]:
    draw = randoms(device, seed, case.dtype)
    x = draw(case.sizes["R"], case.sizes["N"])
    return x, x if case.options["op"] == "gelu" else draw(case.sizes["R"], case.sizes["N"])


def prepare(case: Case, tile: Tile, device: str, seed: int) -> Call:
    """One or two matrices of normal numbers."""
    import torch

    on_device = device_code("elementwise")

    x, z = _inputs(case, device, seed)
    y = torch.empty(x.shape, dtype=torch_type(case.dtype), device=device)
    size, block = x.numel(), tile.constants["BLOCK"]
    op = OPS[case.options["op"]]

    def run() -> None:
        grid = (ceil_div(size, block),)
        on_device.elementwise[grid](x, z, y, size, OP=op, BLOCK=block, num_warps=tile.warps, num_stages=tile.stages)

    return Call(run, lambda: [y], lambda: [_reference(case.options["op"], x.double(), z.double())])


def _reference(op: str, x: Any, z: Any) -> Any:
    import torch

    if op == "gelu":
        return x * 0.5 * torch.erfc(x * -(0.5**0.5))
    return x + z if op == "add" else x * torch.sigmoid(x) * z


def work(case: Case) -> Work:
    """Every operand read once, the result written once; an exponential an element in gated SiLU."""
    elements = case.sizes["R"] * case.sizes["N"]
    tensors = 2 if case.options["op"] == "gelu" else 3
    exps = elements if case.options["op"] == "silu_mul" else 0
    return Work(0, exps, tensors * elements * WORD_BYTES[case.dtype])


def compiled(case: Case, tile: Tile) -> Sequence[Compiled]:
    """The one launch."""
    numbers = {"SIZE": case.sizes["R"] * case.sizes["N"]}
    constants = {"OP": OPS[case.options["op"]], **tile.constants}
    types = signature(case.dtype, "xzy", tuple(numbers))
    return [
        Compiled("elementwise", "elementwise", types, constants, divisible("xzy", numbers), tile.warps, tile.stages)
    ]


def launches(case: Case, tile: Tile, capability: int) -> Sequence[Launch]:
    """Blocks of one tile after the other."""
    setting = {"BLOCK": tile.constants["BLOCK"], "THREADS": (64 if capability == 942 else 32) * tile.warps}
    mapping = f"{case.options['op']}_blocks"
    return [Launch("elementwise", dict(case.sizes), mapping, setting, word_bytes=WORD_BYTES[case.dtype])]


def in_torch(case: Case, device: str, seed: int) -> Callable[[], Any]:
    """PyTorch's own kernel; gated SiLU is two of them."""
    import torch
    from torch.nn.functional import gelu, silu

    x, z = _inputs(case, device, seed)
    if case.options["op"] == "gelu":
        return lambda: gelu(x)
    return (lambda: torch.add(x, z)) if case.options["op"] == "add" else (lambda: silu(x) * z)


def _case(op: str, r: int, n: int, dtype: str = "bf16") -> Case:
    return Case("elementwise", {"R": r, "N": n}, dtype, {"op": op})


ELEMENTWISE = TritonKernel(
    name="elementwise",
    title="GELU, sums of two matrices, gated SiLU",
    cases=[
        *(_case("gelu", r, n) for r, n in ((64, 1024), (2048, 4096), (8192, 8192), (16384, 11008), (1001, 999))),
        *(_case("add", r, n) for r, n in ((128, 4096), (4096, 4096), (16384, 16384), (3001, 1003))),
        *(_case("silu_mul", r, n) for r, n in ((256, 11008), (4096, 11008), (16384, 8192))),
        _case("add", 8192, 8192, "fp32"),
        _case("gelu", 4096, 4096, "fp16"),
    ],
    varied=("R", "N"),
    tile=tile,
    tiles=tiles,
    prepare=prepare,
    work=work,
    compiled=compiled,
    blocks={"elementwise": row_blocks.elementwise},
    launches=launches,
    peers={"torch": in_torch},
    tiny=[
        _case(op, r, n, dtype)
        for op in OPS
        for r, n in ((3, 70), (1, 1), (33, 100))
        for dtype in ("fp32", "fp16", "bf16")
    ],
    rules=(ranks("R", "N"), options("op", op=one_of(*OPS))),
)
KERNELS = (ELEMENTWISE,)
