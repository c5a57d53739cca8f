"""Generalized neighbourhood attention, forward, on grids of 1 to 3 axes, over tokens in the order of tiles.

In row-by-row order a tile of 2 x 8 x 8 tokens lies in 16 places of memory. Once tokens stand in the order of tiles it
is one piece, so a visited tile costs what it costs in dense attention, whatever its shape; only the list of tiles is
shorter. The order is made beforehand, by a kernel of its own (token_order.py), once for all layers that share it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from .attention import described, source_types
from .attention_blocks import boxes
from .case_inputs import PRECISION, WORD_BYTES, random_tensor, with_options
from .float64 import attention
from .fused_mapping import Loop, fused
from .gna_cases import CAMPAIGN, TINY
from .kernel import Call, Case, Compiled, Launch, Tile, TritonKernel, Work
from .neighborhood import Neighborhood, Triple, in_three, tile_order
from .rules import alike, ascending, at_least, axes, fit_second_axis, one_of, options, powers_of_two, ranks

if TYPE_CHECKING:
    import torch

# Shapes of tiles by axes and tokens: those that published kernels use (tiles of NATTEN's backends), and smaller ones.
SHAPES = {
    (1, 128): ((128,),), (1, 64): ((64,),), (1, 32): ((32,),),
    (2, 128): ((16, 8),), (2, 64): ((8, 8),), (2, 32): ((4, 8),),
    (3, 128): ((2, 8, 8), (4, 4, 8)), (3, 64): ((1, 8, 8), (4, 4, 4)), (3, 32): ((2, 4, 4),),
}  # fmt: skip
# 8 x 16 queries are left out: of all shapes, ptxas puts the matrix instructions of that one one after the other.
# Of a visit with a test of its mask, counted in the code for sm_90: 498 instructions beside 348.
TESTED = 498 / 348
# Instructions of a block before, between and after its loops, by head dimension.
STRAIGHT = {64: 470 + 342 + 283, 128: 542 + 355 + 507}


def _blocks(case: Case, capability: int) -> tuple[int, int, int, int]:
    """Tokens of a tile of queries and of one of keys, warps, stages: what registers and shared memory hold."""
    if case.dtype == "fp32":
        return (32, 32, 4, 2)
    if capability == 942:
        return (128, 64, 4, 1)
    if capability < 90 and case.sizes["E"] > 64:  # what a third stage takes of registers would be spilled
        return (128, 64, 8, 2)
    return (128, 64, 8, 3)


def _at(case: Case, blocks: tuple[int, int, int, int], capability: int, tma: int = 0) -> Tile:
    """Of all shapes with so many tokens, those with the least work: visits, and tests where the mask cuts a tile."""
    q_size, kv_size, warps, stages = blocks
    rank = len(case.options["grid"])
    mask = Neighborhood.of(case.options)

    def cost(shapes: tuple[Triple, Triple]) -> float:
        return float((mask.visits(*shapes) + (TESTED - 1) * mask.tested(*shapes)).sum())

    pairs = product(SHAPES[rank, q_size], SHAPES[rank, kv_size])
    q_tile, kv_tile = min(((in_three(q, 1), in_three(kv, 1)) for q, kv in pairs), key=cost)
    constants = {f"Q{axis}": size for axis, size in enumerate(q_tile)}
    constants |= {f"K{axis}": size for axis, size in enumerate(kv_tile)}
    constants |= {"PTX": int(capability != 942)} | ({"TMA": 1} if tma else {})
    return Tile(constants, warps, stages)


def tile(case: Case, capability: int) -> Tile:
    """128 queries by 64 keys for two warp groups, the best that was tried on an H200, in the shape with least work."""
    return _at(case, _blocks(case, capability), capability)


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """Others: fewer keys, other numbers of warps and stages, tiles that the memory engine reads."""
    if case.dtype == "fp32":
        return ()
    others = [(64, 64, 4, 3), (128, 64, 8, 4), (128, 128, 8, 3), (128, 128, 8, 2)]
    made = [_at(case, blocks, capability) for blocks in others if blocks != _blocks(case, capability)]
    through_engine = [(128, 64, 8, 3), (128, 64, 8, 4), (128, 128, 8, 2)] if 90 <= capability < 900 else []
    return made + [_at(case, blocks, capability, 1) for blocks in through_engine]


def shapes(at: Tile) -> tuple[Triple, Triple]:
    """Tiles of queries and of keys."""
    q0, q1, q2, k0, k1, k2 = (at.constants[f"{kind}{axis}"] for kind in "QK" for axis in range(3))
    return (q0, q1, q2), (k0, k1, k2)


def _arguments(case: Case) -> dict[str, int]:
    mask = Neighborhood.of(case.options)
    named = {"extent": mask.grid, "window": mask.window, "stride": mask.stride}
    return {f"{name}{axis}": values[axis] for name, values in named.items() for axis in range(3)}


def _constants(case: Case, at: Tile) -> dict[str, Any]:
    causal = Neighborhood.of(case.options).causal
    return {
        **at.constants,
        **{f"CAUSAL{axis}": flag for axis, flag in enumerate(causal)},
        "DIM": case.sizes["E"],
        "TMA": at.constants.get("TMA", 0),
        "PRECISION": PRECISION,
    }


def prepare(case: Case, at: Tile, device: str, seed: int) -> Call:
    """Queries, keys and values in the order of tiles; the output comes in the order of the queries."""
    import torch

    from .device.gna import gna_forward

    mask = Neighborhood.of(case.options)
    heads, dim = case.sizes["B"] * case.sizes["H"], case.sizes["E"]
    generator = torch.Generator(device).manual_seed(seed)
    q, k, v = (random_tensor((heads, mask.tokens, dim), case.dtype, device, generator) for _ in range(3))
    q_order, kv_order = (torch.from_numpy(tile_order(mask.grid, one)).to(device) for one in shapes(at))

    def ordered(tensor: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        return tensor[:, order.clamp(min=0)] * (order >= 0)[None, :, None].to(tensor.dtype)

    queries, keys, values = ordered(q, q_order), ordered(k, kv_order), ordered(v, kv_order)
    out = torch.empty_like(queries)
    tiles_of_queries = len(q_order) // math.prod(shapes(at)[0])
    constants = _constants(case, at)
    if device == "cpu":
        constants["PTX"] = 0  # the interpreter knows no PTX
    numbers = _arguments(case)
    forward: Any = gna_forward
    scale = math.log2(math.e) / math.sqrt(dim)

    q_size, kv_size = (math.prod(one) for one in shapes(at))
    tma = constants["TMA"]
    sizes = (q_size, kv_size, kv_size)
    sources: list[Any] = [
        described(one[None], size, tma) for one, size in zip((queries, keys, values), sizes, strict=True)
    ]

    def run() -> None:
        forward[(tiles_of_queries, heads)](
            *sources, out, scale, **numbers, **with_options(constants, at.warps, at.stages)
        )

    def seen(number: torch.Tensor, head: int) -> torch.Tensor:
        found = torch.ones(1, 1, dtype=torch.bool, device=device)
        tokens = torch.arange(mask.tokens, device=device)
        for axis in range(3):
            below = math.prod(mask.grid[axis + 1 :])
            query, key = (number // below % mask.grid[axis])[:, None], (tokens // below % mask.grid[axis])[None, :]
            found = found & attends(mask, axis, query, key)
        return found

    return Call(run, lambda: [out], lambda: [ordered(attention(q, k, v, seen), q_order)])


def attends(mask: Neighborhood, axis: int, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Whether queries attend keys on an axis, by their coordinates: the window of the leader of each stride group."""
    extent, window, stride = mask.grid[axis], mask.window[axis], mask.stride[axis]
    group = query.div(stride, rounding_mode="floor") * stride
    if mask.causal[axis]:
        leader = (group + stride - 1).clamp(max=extent - 1)
        return (key <= query) & (key > leader - window)
    left, right = window // 2, (window - 1) // 2
    centre = (group + stride // 2).clamp(max=extent - 1).clamp(left, extent - 1 - right)
    return (key >= centre - left) & (key <= centre + right)


def work(case: Case) -> Work:
    """Two products and an exponential of every pair; queries, keys, values and outputs once."""
    mask = Neighborhood.of(case.options)
    heads, dim = case.sizes["B"] * case.sizes["H"], case.sizes["E"]
    pairs = float(heads * mask.pairs)
    return Work(2 * dim * pairs, pairs, 4.0 * heads * mask.tokens * dim * WORD_BYTES[case.dtype])


def compiled(case: Case, at: Tile) -> Sequence[Compiled]:
    """The one launch: numbers of the mask are not specialized."""
    constants = _constants(case, at)
    q_size, kv_size = (math.prod(one) for one in shapes(at))
    read = source_types(case.dtype, {"q": q_size, "k": kv_size, "v": kv_size}, case.sizes["E"], constants["TMA"])
    signature = {**read, "out": f"*{case.dtype}", "scale_log2": "fp32", **dict.fromkeys(_arguments(case), "i32")}
    divisible = ("out",) if constants["TMA"] else ("q", "k", "v", "out")
    return [Compiled("gna", "gna_forward", signature, constants, divisible, at.warps, at.stages)]


def loop_of(at: Tile, dim: int) -> Loop:
    """What the code for sm_90 says of its loop."""
    q_tile, kv_tile = shapes(at)
    queries, keys, engine = math.prod(q_tile), math.prod(kv_tile), bool(at.constants.get("TMA"))
    serial = not engine and (at.warps == 4 or keys >= 128 or q_tile[1:] == (8, 16))
    registers = 245 if queries * keys >= 8192 * (at.warps // 4) else 200
    # SASS of Triton 3.6: of 150 instructions that a tested visit has more, two a score come behind the scores; those
    # that tell how far queries and keys are apart are issued between matrix instructions
    early = 498 - 348 - 2 * queries * keys // (32 * at.warps)
    return Loop(registers, STRAIGHT[128 if dim > 64 else 64], 0, early, serial, engine)


def launches(case: Case, at: Tile, capability: int) -> Sequence[Launch]:
    """Fused attention by a block of threads whose warps march together."""
    mask = Neighborhood.of(case.options)
    q_tile, kv_tile = shapes(at)
    rank = len(case.options["grid"])
    sizes = {"B": case.sizes["B"], "H": case.sizes["H"], "E": case.sizes["E"], "F": case.sizes["E"]}
    seen = {
        "kind": "gna",
        **{name: list(getattr(mask, name)[3 - rank :]) for name in ("grid", "window", "stride")},
        "causal": [bool(flag) for flag in mask.causal[3 - rank :]],
        "q_tile": list(q_tile[3 - rank :]),
        "kv_tile": list(kv_tile[3 - rank :]),
        "tested": mask.tested(q_tile, kv_tile).tolist(),
        "test": {"compare": 1, "select": 1},  # all axes at once: a bit for each coordinate
    }
    mapping, stated = fused(
        loop_of(at, case.sizes["E"]), math.prod(q_tile), math.prod(kv_tile), case.sizes["E"], at.warps, at.stages,
        WORD_BYTES[case.dtype], capability,
    )  # fmt: skip
    sizes |= {"P": mask.tokens, "M": mask.tokens}
    return [Launch("attention", sizes, mapping, stated, seen, word_bytes=WORD_BYTES[case.dtype])]


GNA = TritonKernel(
    name="gna",
    title="Generalized neighbourhood attention, forward, 1 to 3 axes, tokens in the order of tiles",
    cases=CAMPAIGN,
    varied=("grid",),
    tile=tile,
    tiles=tiles,
    prepare=prepare,
    work=work,
    compiled=compiled,
    blocks={"gna_forward": boxes},
    launches=launches,
    tiny=TINY,
    rules=(
        ranks("B", "H", "E"),
        powers_of_two("E", least=16),
        fit_second_axis("B", "H"),
        options(
            "grid window",
            grid=axes(at_least(1)),
            window=axes(at_least(1)),
            stride=axes(at_least(1)),
            causal=axes(one_of(0, 1)),
        ),
        alike("grid", "window", "stride", "causal"),
        ascending("stride", "window", "grid"),
    ),
)
KERNELS = (GNA,)
