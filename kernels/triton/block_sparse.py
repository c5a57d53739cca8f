"""Block-sparse attention, forward: a table says which blocks of keys each block of queries computes.

With segments it is the attention of PBS-Attn (arXiv 2510.21270): keys were sorted within segments beforehand
(segment_sort.py), so that blocks of a query's own segment have to be tested by the places that keys came from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .attention import described, source_types
from .attention_blocks import chosen as chosen_block
from .block_table import Table, chosen
from .case_inputs import PRECISION, WORD_BYTES, pointers, random_tensor, with_options
from .float64 import attention
from .fused_mapping import Loop, fused
from .kernel import Call, Case, Compiled, Launch, Tile, TritonKernel, Work
from .rules import at_least, fit_second_axis, multiple, one_of, options, power_of_two, powers_of_two, ranks, share

if TYPE_CHECKING:
    import torch


# Of blocks of 64, cycles of a visit of a warp alone and its instructions that no score counts (Triton 3.7.1): by head
# dimension, queries, keys and warps.
CHAINS = {(128, 64, 64, 4): (895, 179)}
# Instructions of a block before, between and after its loops, for head dimensions of 64 and 128.
STRAIGHT = {64: 650, 128: 373 + 156 + 411}


def tile(case: Case, capability: int) -> Tile:
    """A block of queries at a time, and as many keys as registers and shared memory hold. On Hopper the memory engine
    brings those that are tested: threads would test for each row whether it exists. Three stages take no more shared
    memory than two, since the first only reads which keys come next; with two, ptxas serializes the products.
    """
    block = case.options["block"]
    if case.dtype == "fp32":
        return Tile({"BLOCK": block, "BLOCK_K": min(block, 32), "PTX": int(capability != 942)}, 4, 1)
    if capability == 942:
        return Tile({"BLOCK": block, "BLOCK_K": min(block, 64), "PTX": 0}, 4, 1)
    if capability < 90 or capability >= 100:  # 128 keys spill there
        return Tile({"BLOCK": block, "BLOCK_K": min(block, 64), "PTX": 1}, block // 16, 3)
    if case.options.get("causal", 0) and block == 128 and case.sizes["E"] > 64:
        return Tile({"BLOCK": block, "BLOCK_K": block, "PTX": 1, "TMA": 1}, block // 16, 3)
    return Tile({"BLOCK": block, "BLOCK_K": block, "PTX": 1}, block // 16, 3)


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """Others: half of the keys at a time, other numbers of warps and stages, tiles that the memory engine reads."""
    block = case.options["block"]
    if case.dtype == "fp32" or block < 64:
        return ()
    others = ((block, block // 16, 3), (block, block // 16, 2), (64, block // 16, 3))
    made = [
        Tile({"BLOCK": block, "BLOCK_K": keys, "PTX": int(capability != 942)}, warps, stages)
        for keys, warps, stages in dict.fromkeys(others)
    ]
    if 90 <= capability < 900:
        through_engine = dict.fromkeys(((block, block // 16, 3), (64, block // 16, 3)))
        made += [
            Tile({"BLOCK": block, "BLOCK_K": keys, "PTX": 1, "TMA": 1}, warps, stages)
            for keys, warps, stages in through_engine
        ]
    return [one for one in made if one != tile(case, capability)]


def table(case: Case) -> Table:
    """The blocks of a case."""
    return chosen(case.sizes["N"], case.options, case.sizes["B"] * case.sizes["H"])


def _flags(case: Case) -> dict[str, int]:
    return {
        "PER_HEAD": case.options.get("per_head", 0),
        "CAUSAL": case.options.get("causal", 0),
        "MOVED": int(case.options.get("segment", 0) > 0),
    }


def _constants(case: Case, at: Tile) -> dict[str, Any]:
    return {"TMA": 0, **at.constants, "DIM": case.sizes["E"], **_flags(case), "PRECISION": PRECISION}


def sorted_places(importance: torch.Tensor, segment: int) -> torch.Tensor:
    """Where the row of each place came from, once whole segments are sorted by importance, the largest first.

    Shape heads x tokens, as importance; rows that matter as much keep their order.
    """
    import torch

    heads, tokens = importance.shape
    whole = tokens // segment * segment
    split = importance[:, :whole].reshape(heads, -1, segment)
    begin = torch.arange(0, whole, segment, device=split.device)[:, None]
    order = torch.sort(split, dim=-1, descending=True, stable=True).indices + begin
    rest = torch.arange(whole, tokens, device=split.device).expand(heads, -1)
    return torch.cat([order.reshape(heads, whole), rest], 1).to(torch.int32)


def prepare(case: Case, at: Tile, device: str, seed: int) -> Call:
    """Random queries, keys and values; with segments, places that random importance gives."""
    import torch

    from .device.block_sparse import block_sparse_forward

    heads, tokens, dim = case.sizes["B"] * case.sizes["H"], case.sizes["N"], case.sizes["E"]
    generator = torch.Generator(device).manual_seed(seed)
    q, k, v = (random_tensor((heads, tokens, dim), case.dtype, device, generator) for _ in range(3))
    importance = torch.rand((heads, tokens), generator=generator, device=device)
    flags = _flags(case)
    positions = torch.arange(tokens, dtype=torch.int32, device=device).expand(heads, -1)
    if flags["MOVED"]:
        positions = sorted_places(importance, case.options["segment"])
    positions = positions.contiguous()
    blocks = table(case)
    offsets, untested, columns = (
        torch.from_numpy(one).to(device) for one in (blocks.offsets, blocks.untested, blocks.columns)
    )
    out = torch.empty_like(q)
    size = case.options["block"]
    rows = -(-tokens // size)
    scale = math.log2(math.e) / math.sqrt(dim)
    constants = _constants(case, at)
    if device == "cpu":
        constants["PTX"] = 0  # the interpreter knows no PTX

    sizes = (size, at.constants["BLOCK_K"], at.constants["BLOCK_K"])
    sources = [described(one[None], count, constants["TMA"]) for one, count in zip((q, k, v), sizes, strict=True)]

    forward: Any = block_sparse_forward

    def run() -> None:
        forward[(rows, heads)](
            *sources, out, offsets, untested, columns, positions, scale, tokens, tokens,
            **with_options(constants, at.warps, at.stages),
        )  # fmt: skip

    def seen(number: torch.Tensor, head: int) -> torch.Tensor:
        taken = torch.zeros(rows, rows, dtype=torch.bool)
        for row in range(rows):
            taken[row, torch.from_numpy(blocks.row(row + (head * rows if flags["PER_HEAD"] else 0))).long()] = True
        of_block = taken.to(device)[number // size]
        found = of_block[:, torch.arange(tokens, device=device) // size]
        return found & (positions[head][None, :] <= number[:, None]) if flags["CAUSAL"] else found

    return Call(run, lambda: [out], lambda: [attention(q, k, v, seen)])


def work(case: Case) -> Work:
    """Pairs that are attended, counted with the diagonal cut in half; every tensor once."""
    heads, tokens, dim = case.sizes["B"] * case.sizes["H"], case.sizes["N"], case.sizes["E"]
    blocks, size = table(case), case.options["block"]
    copies = 1 if case.options.get("per_head", 0) else heads
    rows = -(-tokens // size)
    pairs = 0
    for number in range(len(blocks.untested)):
        first = number % rows * size
        queries = min(size, tokens - first)
        keys = [min(size, tokens - int(block) * size) for block in blocks.row(number)]
        pairs += queries * sum(keys)
        if case.options.get("causal", 0) and keys:  # keys of the own segment up to each query, wherever they stand
            own = max(case.options.get("segment", 0), size)
            begin = first // own * own
            held = min(begin + own, tokens) - begin
            pairs -= queries * held - sum(query - begin + 1 for query in range(first, first + queries))
    total = float(pairs * copies)
    return Work(2 * dim * total, total, 4.0 * heads * tokens * dim * WORD_BYTES[case.dtype])


def compiled(case: Case, at: Tile) -> Sequence[Compiled]:
    """The one launch."""
    whole = ("offsets", "untested", "columns", "positions")
    constants = _constants(case, at)
    read = {"q": at.constants["BLOCK"], "k": at.constants["BLOCK_K"], "v": at.constants["BLOCK_K"]}
    signature = {
        **source_types(case.dtype, read, case.sizes["E"], constants["TMA"]),
        **pointers("out", case.dtype),
        **pointers(" ".join(whole), "i32"),
        "scale_log2": "fp32",
        "queries": "i32",
        "keys": "i32",
    }
    divisible = (*(() if constants["TMA"] else ("q", "k", "v")), "out", *whole)
    return [Compiled("block_sparse", "block_sparse_forward", signature, constants, divisible, at.warps, at.stages)]


def launches(case: Case, at: Tile, capability: int) -> Sequence[Launch]:
    """Fused attention by the table; where heads differ, by that of the first."""
    size, tokens = case.options["block"], case.sizes["N"]
    blocks = chosen(tokens, {**case.options, "per_head": 0}, 1)
    rows = range(-(-tokens // size))
    seen = {
        "kind": "blocks",
        "q_block": size,
        "kv_block": size,
        "table": [[row, int(block)] for row in rows for block in sorted(blocks.row(row))],
        "tested": [
            int(len(blocks.row(row)) - blocks.untested[row]) * (size // at.constants["BLOCK_K"]) for row in rows
        ],
    }
    dim = case.sizes["E"]
    keys, engine = at.constants["BLOCK_K"], bool(at.constants.get("TMA"))
    # SASS of Triton 3.6: instructions of a turn of the loop that tests, beside those of the other
    more = (997 - 539 if engine else 994 - 472) if _flags(case)["MOVED"] else 900 - 536
    test = more * keys // 128 - 2 * size * keys // (32 * at.warps)
    serial = keys >= 128 and at.stages == 2
    # of its stages one holds where keys are, which come with those that follow: tiles never have more than two
    straight = STRAIGHT[128 if dim > 64 else 64]
    loop = Loop(255, straight, test, 0, serial, engine, at.stages - 2, 3, *CHAINS.get((dim, size, keys, at.warps), ()))
    mapping, stated = fused(loop, size, keys, dim, at.warps, at.stages, WORD_BYTES[case.dtype], capability)
    sizes = {"B": case.sizes["B"], "H": case.sizes["H"], "E": dim, "F": dim, "P": tokens, "M": tokens}
    return [Launch("attention", sizes, mapping, stated, seen, word_bytes=WORD_BYTES[case.dtype])]


def _case(heads: int, tokens: int, density: float, dtype: str = "bf16", dim: int = 128, block: int = 128, **more: int):
    return Case(
        "block_sparse", {"B": 1, "H": heads, "N": tokens, "E": dim}, dtype, {"block": block, "density": density, **more}
    )


# Shares of causal blocks at 8K to 128K tokens in blocks of 128 and segments of 256: arXiv 2510.21270, table 5, with and
# without sorted keys; heads are fewer from 64K on.
CAMPAIGN = (
    _case(32, 8192, 0.579, causal=1, segment=256, per_head=1),
    _case(32, 16384, 0.485, causal=1, segment=256, per_head=1),
    _case(16, 32768, 0.405, causal=1, segment=256, per_head=1),
    _case(8, 65536, 0.287, causal=1, segment=256, per_head=1),
    _case(2, 131072, 0.219, causal=1, segment=256),
    _case(16, 32768, 0.1, causal=1, segment=256, per_head=1),
    _case(16, 32768, 0.46, causal=1, per_head=1),
    _case(32, 16384, 0.54, causal=1),
    _case(8, 16384, 1.0, causal=1),
    _case(32, 4096, 0.25),
    _case(32, 16384, 0.125),
    _case(16, 32768, 0.05, per_head=1),
    _case(24, 8192, 0.5, "fp16", 64),
    _case(16, 16384, 0.2, "fp16", 64, causal=1, segment=256),
    _case(16, 16384, 0.2, "bf16", 128, 64, causal=1, segment=128),
    _case(12, 10000, 0.3, "fp16", causal=1, segment=256),
)

TINY = (
    _case(2, 70, 0.6, "fp32", 64, 16, causal=1, segment=32, per_head=1),
    _case(1, 70, 0.6, "fp16", 64, 32, causal=1),
    _case(2, 96, 0.4, "fp32", 64, 16, per_head=1, empty=1),
    _case(1, 150, 0.7, "fp16", 64, 64),
    _case(1, 150, 1.0, "fp16", 64, 64, causal=1, segment=128),
    _case(1, 70, 0.6, "fp16", 128, 64, causal=1),
    _case(1, 10, 1.0, "bf16", 64, 64, causal=1),
)

BLOCK_SPARSE = TritonKernel(
    name="block_sparse",
    title="Block-sparse attention, forward: a table of key blocks for each query block",
    cases=CAMPAIGN,
    varied=("N",),
    tile=tile,
    tiles=tiles,
    prepare=prepare,
    work=work,
    compiled=compiled,
    blocks={"block_sparse_forward": chosen_block},
    launches=launches,
    tiny=TINY,
    rules=(
        ranks("B", "H", "N", "E"),
        powers_of_two("E", least=16),
        fit_second_axis("B", "H"),
        options(
            "block density",
            block=power_of_two(16),
            density=share(),
            causal=one_of(0, 1),
            segment=at_least(0),
            per_head=one_of(0, 1),
            empty=one_of(-1, 0, 1, 2),
        ),
        multiple("segment", "block"),
    ),
)
KERNELS = (BLOCK_SPARSE,)
