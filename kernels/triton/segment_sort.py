"""Keys and values sorted within segments by how much keys matter: what stands before the attention of PBS-Attn.

Sparser Block-Sparse Attention via Token Permutation, arXiv 2510.21270: softmax does not ask for the order of keys, so
those that matter can be brought together, and fewer blocks have to be computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import row_blocks
from .block_sparse import sorted_places
from .case_inputs import WORD_BYTES, pointers, random_tensor, with_options
from .copy_mapping import copied
from .kernel import Call, Case, Compiled, Launch, Tile, TritonKernel, Work
from .rules import fit_second_axis, options, power_of_two, powers_of_two, ranks


def tile(case: Case, capability: int) -> Tile:
    """64 rows of a segment by four warps: each compares its rows with the whole segment."""
    return Tile({"PART": min(64, case.options["segment"])}, 4, 1)


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """Others: fewer rows, more warps."""
    segment = case.options["segment"]
    return [Tile({"PART": min(rows, segment)}, warps, 1) for rows, warps in ((32, 4), (64, 8))]


def _constants(case: Case, at: Tile) -> dict[str, Any]:
    return {**at.constants, "SEGMENT": case.options["segment"], "DIM": case.sizes["E"]}


def prepare(case: Case, at: Tile, device: str, seed: int) -> Call:
    """Random keys and values; a few keys matter much more than others, some as much as their neighbours."""
    import torch

    from .device.segments import sort_segments

    heads, tokens, dim = case.sizes["B"] * case.sizes["H"], case.sizes["N"], case.sizes["E"]
    generator = torch.Generator(device).manual_seed(seed)
    keys, values = (random_tensor((heads, tokens, dim), case.dtype, device, generator) for _ in range(2))
    importance = torch.randn((heads, tokens), generator=generator, device=device).mul(2).round().exp()
    sorted_keys, sorted_values = torch.empty_like(keys), torch.empty_like(values)
    positions = torch.empty((heads, tokens), dtype=torch.int32, device=device)
    segment = case.options["segment"]

    def run() -> None:
        sort_segments[(-(-tokens // segment), heads, segment // at.constants["PART"])](
            keys, values, importance, sorted_keys, sorted_values, positions, tokens,
            **with_options(_constants(case, at), at.warps, at.stages),
        )  # fmt: skip

    def reference() -> list[torch.Tensor]:
        places = sorted_places(importance, segment).long()
        return [
            torch.stack([one[row] for one, row in zip(each.double(), places, strict=True)]) for each in (keys, values)
        ]

    return Call(run, lambda: [sorted_keys, sorted_values], reference)


def work(case: Case) -> Work:
    """Keys and values read and written, importance read, places written."""
    rows = case.sizes["B"] * case.sizes["H"] * case.sizes["N"]
    return Work(0.0, 0.0, rows * (4.0 * case.sizes["E"] * WORD_BYTES[case.dtype] + 8))


def compiled(case: Case, at: Tile) -> Sequence[Compiled]:
    """The one launch."""
    signature = {
        **pointers("keys values", case.dtype),
        "importance": "*fp32",
        **pointers("sorted_keys sorted_values", case.dtype),
        "positions": "*i32",
        "tokens": "i32",
    }
    divisible = tuple(name for name in signature if name != "tokens")
    return [Compiled("segments", "sort_segments", signature, _constants(case, at), divisible, at.warps, at.stages)]


def launches(case: Case, at: Tile, capability: int) -> Sequence[Launch]:
    """A copy of keys and values, and in every row its comparisons with the segment.

    Counted in the code for sm_90: 6.5 instructions for a pair of a row and one of its segment; at a head dimension of
    64 two threads do each. A thread awaits importance, then keys, then values. Blocks that follow each other take parts
    of different segments.
    """
    dim, segment = case.sizes["E"], case.options["segment"]
    rows = 2 * case.sizes["B"] * case.sizes["H"] * case.sizes["N"]
    part = at.constants["PART"]
    integers = 6.5 * segment / (2 * dim) * (2 if dim <= 64 else 1)
    return [copied(rows, dim, 2 * part, at.warps, WORD_BYTES[case.dtype], integers, 128, 3, apart=True)]


def _case(heads: int, tokens: int, segment: int = 256, dtype: str = "bf16", dim: int = 128) -> Case:
    return Case("segment_sort", {"B": 1, "H": heads, "N": tokens, "E": dim}, dtype, {"segment": segment})


CAMPAIGN = (
    _case(32, 8192),
    _case(32, 16384),
    _case(32, 32768),
    _case(32, 65536),
    _case(8, 131072),
    _case(16, 16384, 128),
    _case(16, 10000, 256, "fp16"),
    _case(16, 16384, 256, "fp16", 64),
)
TINY = (
    _case(2, 70, 32, "fp32", 64),
    _case(1, 100, 64, "fp16", 64),
    _case(1, 128, 128, "bf16", 128),
    _case(1, 10, 16, "fp16", 64),
)

SEGMENT_SORT = TritonKernel(
    name="segment_sort",
    title="Keys and values sorted within segments by how much keys matter",
    cases=CAMPAIGN,
    varied=("N",),
    tile=tile,
    tiles=tiles,
    prepare=prepare,
    work=work,
    compiled=compiled,
    blocks={"sort_segments": row_blocks.sort_segments},
    launches=launches,
    tolerance={"fp32": 0.0, "fp16": 0.0, "bf16": 0.0},
    tiny=TINY,
    rules=(
        ranks("B", "H", "N", "E"),
        powers_of_two("E"),
        fit_second_axis("B", "H"),
        options("segment", segment=power_of_two()),
    ),
)
KERNELS = (SEGMENT_SORT,)
