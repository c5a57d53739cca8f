"""Matrix products in Triton: C[M,N] = A[M,K] @ B[K,N], sums in FP32, words of fp16, bf16 or fp32.

A block makes one tile of the result; tiles are numbered so that neighbours in time share operands in the cache. Where
tiles are too few for the GPU, blocks share a sum and a second launch adds up their parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    processors,
    randoms,
    signature,
    torch_type,
)

GROUP = 8  # rows of tiles whose blocks run together
ADDED = 1024  # elements whose parts one block adds up
ASYNC = 4  # bytes, the least that a copy to shared memory moves by itself

# Rows and columns of a tile, steps of its sum, warps, stages: by the matrix instructions of a part.
_WGMMA = ((128, 256, 64, 8, 3), (128, 128, 64, 8, 4), (128, 128, 64, 4, 3), (64, 128, 64, 4, 4), (64, 64, 64, 4, 5))
_TCGEN = ((128, 256, 64, 8, 3), (128, 128, 64, 4, 4), (64, 128, 64, 4, 4))
_MMA = ((128, 256, 32, 8, 3), (128, 128, 32, 4, 4), (64, 128, 32, 4, 4), (64, 64, 64, 4, 4))
_MFMA = ((256, 128, 64, 8, 2), (128, 128, 32, 4, 2), (64, 64, 64, 4, 2))
MOST_OF_FEW = 96  # registers: as many blocks fit, since shared memory bounds them
_FEW = ((32, 64, 64, 4, 5), (16, 64, 128, 4, 4), (16, 32, 128, 4, 4))  # rows too few for wider instructions
_RAGGED = ((128, 128, 32, 8, 2), (64, 128, 32, 8, 2), (64, 64, 32, 4, 2), (16, 64, 32, 4, 2))  # words load one by one
_LANES = ((64, 64, 16, 4, 3), (32, 32, 32, 4, 3))  # full FP32, which no matrix instruction keeps
_RATES = {80: 1024, 90: 2048, 100: 4096, 942: 1024}  # multiply-accumulates of a processor in a cycle, fp16
_SPLITS = (1, 2, 4, 8)


def _shapes(case: Case, capability: int) -> tuple[tuple[int, int, int, int, int], ...]:
    if case.dtype == "fp32":
        return _LANES if capability < 100 else ((32, 32, 32, 4, 3),)
    if alignment(case.sizes["K"], case.sizes["N"]) * WORD_BYTES[case.dtype] < ASYNC:
        return _RAGGED
    wide = {90: _WGMMA, 100: _TCGEN, 942: _MFMA}.get(capability, _MMA)
    few = tuple((*shape[:4], 2) for shape in _FEW) if capability == 942 else _FEW
    return (*wide, *few)


def _as_tile(shape: tuple[int, int, int, int, int], split: int) -> Tile:
    rows, columns, step, warps, stages = shape
    return Tile({"BM": rows, "BN": columns, "BK": step, "GROUP": GROUP, "SPLIT": split}, warps, stages)


def _cycles(case: Case, tile: Tile, capability: int) -> float:
    """About how long a case takes with a tile: whole waves of blocks, each bound by its products or by its operands.

    A block needs 2500 cycles beside its steps, a second launch 5000 and the bytes of all parts, to memory and back.
    Operands come at 48 bytes a cycle, as what all processors read at once does; a product runs at the rate of the unit
    less what a narrow tile wastes on its operands in shared memory. A step waits 30 cycles at its barrier; one of warps
    that multiply by themselves goes through a chain of loads and products, about 100 cycles for every 16 of the sum.
    """
    m, n, k = (case.sizes[rank] for rank in "MNK")
    rows, columns, split = (tile.constants[name] for name in ("BM", "BN", "SPLIT"))
    words = WORD_BYTES[case.dtype]
    rate = 128 if case.dtype == "fp32" else _RATES.get(capability, 1024)
    part = _part(k, tile)
    blocks = ceil_div(m, rows) * ceil_div(n, columns) * ceil_div(k, part)
    waste = 1 + 16 / rows + 16 / columns
    work = max(rows * columns * part / rate * waste, (rows + columns) * part * words / 48)
    chained = _unit(case, tile, capability) == "tensor_sync"
    steps = part / tile.constants["BK"] * 30
    work = max(work, part / 16 * 100) if chained else work
    waves = ceil_div(blocks, processors(capability))
    return waves * (work + steps + 2500) + (5000 + m * n * 4 * split * 2 / 2300 if split > 1 else 0)


def _part(k: int, tile: Tile) -> int:
    """How much of the sum a block takes: whole steps."""
    step, split = tile.constants["BK"], tile.constants["SPLIT"]
    return step * ceil_div(ceil_div(k, step), split) if split > 1 else k


def _tiles(case: Case, capability: int) -> list[Tile]:
    """All that fit the shape: a sum is split into parts of at least 512, and none is empty."""
    found = [_as_tile(shape, split) for shape in _shapes(case, capability) for split in _SPLITS]
    k = case.sizes["K"]
    few = max(16, 1 << (case.sizes["M"] - 1).bit_length())

    def fits(tile: Tile) -> bool:
        split, part = tile.constants["SPLIT"], _part(k, tile)
        return tile.constants["BM"] <= few and (split == 1 or (part >= 512 and ceil_div(k, part) == split))

    return [tile for tile in found if fits(tile)] or found[-len(_SPLITS) : -len(_SPLITS) + 1]


def tile(case: Case, capability: int) -> Tile:
    """The tile that `_cycles` says is fastest, the first of the list where several are."""
    return min(_tiles(case, capability), key=lambda one: _cycles(case, one, capability))


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """The next best, each of another shape or split."""
    ranked = sorted(_tiles(case, capability), key=lambda one: _cycles(case, one, capability))
    return ranked[1:5]


def _even(case: Case, tile: Tile) -> bool:
    return _part(case.sizes["K"], tile) % tile.constants["BK"] == 0 and case.sizes["K"] % tile.constants["BK"] == 0


def _constants(case: Case, tile: Tile) -> dict[str, Any]:
    aligned = {f"{rank}_ALIGN": alignment(case.sizes[rank]) for rank in "KN"}
    return {**tile.constants, "EVEN": _even(case, tile), "EXACT": case.dtype == "fp32", **aligned}


def _options(tile: Tile) -> dict[str, int]:
    """Where few rows are split, ptxas aims at 64 registers and spills two: it is told that there are more."""
    few = tile.constants["SPLIT"] > 1 and (tile.constants["BM"], tile.constants["BN"]) == (16, 64)
    return {"maxnreg": MOST_OF_FEW} if few and tile.constants["BK"] == 128 else {}


def prepare(case: Case, tile: Tile, device: str, seed: int) -> Call:
    """A and B of normal numbers, A scaled so that sums are about as large as B's words."""
    import torch

    on_device = device_code("matmul")

    m, n, k = (case.sizes[rank] for rank in "MNK")
    draw = randoms(device, seed, case.dtype)
    a, b = draw(m, k, scale=k**-0.5), draw(k, n)
    c = torch.empty((m, n), dtype=torch_type(case.dtype), device=device)
    split, part = tile.constants["SPLIT"], _part(k, tile)
    parts = c if split == 1 else torch.empty((split, m, n), dtype=torch.float32, device=device)
    grid = (ceil_div(m, tile.constants["BM"]) * ceil_div(n, tile.constants["BN"]), split)
    constants = _constants(case, tile)

    def run() -> None:
        shape: dict[str, Any] = {"num_warps": tile.warps, "num_stages": tile.stages, **_options(tile)}
        on_device.product[grid](a, b, parts, m, n, k, part, **constants, **shape)
        if split > 1:
            on_device.sum_parts[(ceil_div(m * n, ADDED),)](parts, c, m * n, SPLIT=split, BLOCK=ADDED)

    return Call(run, lambda: [c], lambda: [a.double() @ b.double()])


def work(case: Case) -> Work:
    """Every operand read once, the result written once."""
    m, n, k = (case.sizes[rank] for rank in "MNK")
    return Work(m * n * k, 0, (m * k + k * n + m * n) * WORD_BYTES[case.dtype])


def compiled(case: Case, tile: Tile) -> Sequence[Compiled]:
    """The product, and where the sum is split the sum of its parts."""
    m, n, k = (case.sizes[rank] for rank in "MNK")
    split = tile.constants["SPLIT"]
    numbers = {"M": m, "N": n, "K": k, "PART": _part(k, tile)}
    types, ones = integers(numbers)
    product = Compiled(
        "matmul",
        "product",
        {**signature(case.dtype, "ab" if split > 1 else "abc", (), "c" if split > 1 else ""), **types},
        {**_constants(case, tile), **ones},
        divisible("abc", numbers),
        tile.warps,
        tile.stages,
        _options(tile),
    )
    if split == 1:
        return [product]
    size = {"SIZE": m * n}
    types, ones = integers(size)
    added = Compiled(
        "matmul",
        "sum_parts",
        {**signature(case.dtype, ["c"], (), ["parts"]), **types},
        {"SPLIT": split, "BLOCK": ADDED, **ones},
        divisible(["parts", "c"], size),
        4,
        3,
    )
    return [product, added]


def launches(case: Case, tile: Tile, capability: int) -> Sequence[Launch]:
    """Tiles by the unit of their instructions; parts of a sum go to memory and are added by a second launch."""
    unit = _unit(case, tile, capability)
    names = {"BM": "BM", "BN": "BN", "STEP": "BK"}
    shape = {name: tile.constants[constant] for name, constant in names.items()}
    shape |= {"STAGES": tile.stages, "WARPS": tile.warps}
    mapping, words = f"tiled_{unit}", WORD_BYTES[case.dtype]
    if tile.constants["SPLIT"] == 1:
        return [Launch("matmul", dict(case.sizes), mapping, shape, word_bytes=words)]
    part = _part(case.sizes["K"], tile)
    sizes = {**case.sizes, "K": part * tile.constants["SPLIT"], "K0": part}
    return [Launch("split_matmul", sizes, mapping, {**shape, "K0": part}, word_bytes=words)]


def _unit(case: Case, tile: Tile, capability: int) -> str:
    """What does the products: FP32 lanes; a group of warps together, from 64 rows on; or warp by warp."""
    if case.dtype == "fp32":
        return "alu"
    return "tensor" if 90 <= capability < 120 and tile.constants["BM"] >= 64 else "tensor_sync"


def cublas(case: Case, device: str, seed: int) -> Callable[[], Any]:
    """torch.matmul into a given result: cuBLAS."""
    import torch

    m, n, k = (case.sizes[rank] for rank in "MNK")
    draw = randoms(device, seed, case.dtype)
    a, b = draw(m, k, scale=k**-0.5), draw(k, n)
    c = torch.empty((m, n), dtype=torch_type(case.dtype), device=device)
    return lambda: torch.matmul(a, b, out=c)


def _cases() -> list[Case]:
    """Squares from small to large, layers of language models at few and many tokens, ragged and narrow ones."""
    squares = [(size, size, size) for size in (256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)]
    layers = [
        (tokens, width, deep)
        for width, deep in ((4096, 4096), (11008, 4096), (4096, 11008))  # Llama 2 7B, arXiv 2307.09288
        for tokens in (1, 16, 64, 256, 4096)
    ]
    ragged = [(1000, 1000, 1000), (2047, 2049, 2050), (4000, 4000, 4008), (333, 4096, 1024), (8192, 128, 8192)]
    shapes = [*squares, *layers, *ragged]
    cases = [Case("matmul", {"M": m, "N": n, "K": k}) for m, n, k in shapes]
    halves = [Case("matmul", {"M": size, "N": size, "K": size}, "fp16") for size in (1024, 4096)]
    return [*cases, *halves, Case("matmul", {"M": 1024, "N": 1024, "K": 1024}, "fp32")]


def _unaligned() -> list[Case]:
    """Rows of A or of B that start at multiples of 4, 8 or 16 bytes alone, in large tiles and in small ones."""
    large = [(2048, 1536, 2050), (2048, 1536, 2052), (2048, 1540, 2048), (2048, 1540, 2052), (2048, 1544, 2048)]
    small = [(1000, 704, 1000), (1000, 1000, 1002)]
    return [Case("matmul", {"M": m, "N": n, "K": k}) for m, n, k in (*large, *small)]


MATMUL = TritonKernel(
    name="matmul",
    title="Matrix product",
    cases=_cases(),
    more=_unaligned(),
    varied=("M", "N", "K"),
    tile=tile,
    tiles=tiles,
    prepare=prepare,
    work=work,
    compiled=compiled,
    blocks={"product": row_blocks.product, "sum_parts": row_blocks.sum_parts},
    launches=launches,
    peers={"cublas": cublas},
    tiny=[
        Case("matmul", {"M": m, "N": n, "K": k}, dtype)
        for m, n, k in ((64, 64, 64), (37, 50, 70), (130, 72, 33), (1, 40, 1100), (16, 16, 2048))
        for dtype in ("fp32", "fp16")
    ],
    rules=(ranks("M", "N", "K"), options()),
)
KERNELS = (MATMUL,)
