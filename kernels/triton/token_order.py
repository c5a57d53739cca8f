"""Tokens of a grid into the order of tiles, and back: what stands before and behind attention that walks such tiles.

Queries, keys and values go into that order, outputs come back: four such kernels beside one of attention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from . import row_blocks
from .case_inputs import WORD_BYTES, pointers, random_tensor, with_options
from .copy_mapping import copied
from .kernel import Call, Case, Compiled, Launch, Tile, TritonKernel, Work
from .neighborhood import Triple, in_three, tile_order
from .rules import alike, at_least, axes, fit_second_axis, one_of, options, power_of_two, powers_of_two, ranks

INTEGERS = 0.3  # instructions on places for each word, of which a thread moves eight at once


def tile(case: Case, capability: int) -> Tile:
    """A tile of tokens by four warps, a quarter of it for each."""
    return Tile({}, 4, 1)


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """Others: more warps."""
    return (Tile({}, 8, 1), Tile({}, 2, 1))


def _shapes(case: Case) -> tuple[Triple, Triple]:
    return in_three(case.options["grid"], 1), in_three(case.options["tile"], 1)


def _constants(case: Case) -> dict[str, Any]:
    _, shape = _shapes(case)
    constants = {f"T{axis}": size for axis, size in enumerate(shape)}
    return {**constants, "DIM": case.sizes["E"], "BACK": case.options.get("back", 0)}


def prepare(case: Case, at: Tile, device: str, seed: int) -> Call:
    """Random tokens, in the order of the grid or, where they go back, of the tiles."""
    import torch

    from .device.token_order import reorder

    grid, shape = _shapes(case)
    heads, dim, back = case.sizes["B"] * case.sizes["H"], case.sizes["E"], case.options.get("back", 0)
    order = torch.from_numpy(tile_order(grid, shape)).to(device)
    tokens = math.prod(grid)
    sizes = (len(order), tokens) if back else (tokens, len(order))
    generator = torch.Generator(device).manual_seed(seed)
    source = random_tensor((heads, sizes[0], dim), case.dtype, device, generator)
    target = torch.empty((heads, sizes[1], dim), dtype=source.dtype, device=device)
    extents = {f"extent{axis}": extent for axis, extent in enumerate(grid)}

    def run() -> None:
        reorder[(len(order) // math.prod(shape), heads)](
            source, target, **extents, **with_options(_constants(case), at.warps, at.stages)
        )

    def reference() -> list[torch.Tensor]:
        exists = order >= 0
        expected = torch.zeros((heads, sizes[1], dim), dtype=torch.float64, device=device)
        if back:
            expected[:, order[exists]] = source[:, exists].double()
        else:
            expected[:, exists] = source[:, order[exists]].double()
        return [expected]

    return Call(run, lambda: [target], reference)


def work(case: Case) -> Work:
    """Every token read and written."""
    grid, _ = _shapes(case)
    words = case.sizes["B"] * case.sizes["H"] * math.prod(grid) * case.sizes["E"]
    return Work(0.0, 0.0, 2.0 * words * WORD_BYTES[case.dtype])


def compiled(case: Case, at: Tile) -> Sequence[Compiled]:
    """The one launch; extents are not specialized."""
    signature = {**pointers("source target", case.dtype), **{f"extent{axis}": "i32" for axis in range(3)}}
    return [Compiled("token_order", "reorder", signature, _constants(case), ("source", "target"), at.warps, at.stages)]


def launches(case: Case, at: Tile, capability: int) -> Sequence[Launch]:
    """A copy, padding included."""
    grid, shape = _shapes(case)
    rows = case.sizes["B"] * case.sizes["H"] * len(tile_order(grid, shape))
    registers = 56 + 56 * (case.sizes["E"] > 64)  # of the code for sm_90: 101 to 122 where rows are longer
    return [copied(rows, case.sizes["E"], math.prod(shape), at.warps, WORD_BYTES[case.dtype], INTEGERS, registers)]


def _case(heads: int, grid: list[int], shape: list[int], dtype: str = "bf16", dim: int = 128, **more: int) -> Case:
    return Case("token_order", {"B": 1, "H": heads, "E": dim}, dtype, {"grid": grid, "tile": shape, **more})


CAMPAIGN = (
    _case(24, [30, 48, 80], [2, 8, 8]),
    _case(24, [30, 48, 80], [2, 8, 8], back=1),
    _case(24, [16, 44, 80], [4, 4, 8]),
    _case(24, [256, 256], [16, 8]),
    _case(24, [256, 256], [16, 8], back=1),
    _case(8, [50, 60, 37], [4, 4, 8]),
    _case(24, [56, 56], [8, 16], "fp16", 64),
    _case(4, [56, 56], [8, 16], "fp16", 64, back=1),
)
TINY = (
    _case(2, [5, 9, 11], [2, 4, 4], "fp32", 64),
    _case(1, [5, 9, 11], [2, 4, 4], "fp16", 64, back=1),
    _case(1, [21, 30], [8, 16], "bf16", 128),
    _case(1, [100], [64], "fp16", 64, back=1),
)

TOKEN_ORDER = TritonKernel(
    name="token_order",
    title="Tokens of a grid into the order of tiles, and back",
    cases=CAMPAIGN,
    varied=("grid",),
    tile=tile,
    tiles=tiles,
    prepare=prepare,
    work=work,
    compiled=compiled,
    blocks={"reorder": row_blocks.reorder},
    launches=launches,
    tolerance={"fp32": 0.0, "fp16": 0.0, "bf16": 0.0},
    tiny=TINY,
    rules=(
        ranks("B", "H", "E"),
        powers_of_two("E"),
        fit_second_axis("B", "H"),
        options("grid tile", grid=axes(at_least(1)), tile=axes(power_of_two()), back=one_of(0, 1)),
        alike("grid", "tile"),
    ),
)
KERNELS = (TOKEN_ORDER,)
