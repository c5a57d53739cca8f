"""Attention of new tokens against a cache of keys and values: the cache in parts side by side, then one merge.

Queries that share a head of keys are the rows of one tile, so that every key is read once for all of them. Parts are
about as many as the multiprocessors have places for, whatever the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .attention_blocks import merge, part
from .case_inputs import PRECISION, WORD_BYTES, pointers, random_tensor, with_options
from .decode_mapping import split
from .float64 import attention
from .kernel import Call, Case, Compiled, Launch, Tile, TritonKernel, Work
from .rules import at_least, fit_second_axis, one_of, options, powers_of_two, ranks

# Multiprocessors (compute units of gfx942) of the parts that are sold most: how many parts a cache is walked in.
PROCESSORS = {80: 108, 90: 132, 100: 148, 942: 304}
RESIDENT = 3  # blocks on a multiprocessor: shared memory holds two tiles of 64 keys and values for each
TOGETHER = 16  # parts that are merged at a time
MERGE_WARPS = 4


def _rows(case: Case) -> int:
    return case.sizes["G"] * case.options.get("new", 1)


def _padded(case: Case) -> int:
    """Rows of a tile: a matrix instruction has 16 at least."""
    return max(16, 1 << (_rows(case) - 1).bit_length())


def _tile(case: Case, capability: int, keys: int, warps: int, stages: int, resident: int) -> Tile:
    """Equal parts of whole tiles, as many as there are places, no more than tiles."""
    count = -(-case.sizes["M"] // keys)
    places = max(1, resident * PROCESSORS.get(capability, 132) // (case.sizes["B"] * case.sizes["H"]))
    of_part = -(-count // min(count, places))
    return Tile({"BLOCK_K": keys, "PARTS": -(-count // of_part)}, warps, stages)


def tile(case: Case, capability: int) -> Tile:
    """64 keys at a time by four warps."""
    if case.dtype == "fp32":
        return _tile(case, capability, 32, 4, 2, RESIDENT)
    return _tile(case, capability, 64, 4, 2, RESIDENT)


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """Others: more keys at a time, more stages, and more or fewer parts."""
    if case.dtype == "fp32":
        return ()
    others = ((64, 4, 3, 3), (64, 4, 4, 2), (128, 4, 2, 2), (128, 8, 3, 1), (32, 4, 4, 4), (64, 4, 2, 6), (64, 2, 2, 3))
    return [_tile(case, capability, *each) for each in others]


def part_keys(case: Case, at: Tile) -> int:
    """Keys of a part."""
    keys = at.constants["BLOCK_K"]
    count = -(-case.sizes["M"] // keys)
    return -(-count // at.constants["PARTS"]) * keys


def _part_constants(case: Case, at: Tile) -> dict[str, Any]:
    return {
        "ROWS": _rows(case),
        "BLOCK_Q": _padded(case),
        "NEW": case.options.get("new", 1),
        "BLOCK_K": at.constants["BLOCK_K"],
        "DIM": case.sizes["E"],
        "PRECISION": PRECISION,
    }


def _merge_constants(case: Case, at: Tile) -> dict[str, Any]:
    parts = 1 << (at.constants["PARTS"] - 1).bit_length()
    return {"ROWS": _rows(case), "PARTS": parts, "TOGETHER": min(parts, TOGETHER), "DIM": case.sizes["E"]}


def lengths_of(case: Case) -> list[int]:
    """Keys of each sequence: all of the cache, or with `ragged` fewer and fewer, down to none."""
    batch, longest = case.sizes["B"], case.sizes["M"]
    if not case.options.get("ragged", 0):
        return [longest] * batch
    return [longest * (batch - 1 - number) // max(batch - 1, 1) for number in range(batch)]


def prepare(case: Case, at: Tile, device: str, seed: int) -> Call:
    """Random queries and a random cache."""
    import torch

    from .device.decode import decode_merge, decode_part

    heads, cache, dim = case.sizes["B"] * case.sizes["H"], case.sizes["M"], case.sizes["E"]
    rows, parts, new = _rows(case), at.constants["PARTS"], case.options.get("new", 1)
    generator = torch.Generator(device).manual_seed(seed)
    q = random_tensor((heads, rows, dim), case.dtype, device, generator)
    k, v = (random_tensor((heads, cache, dim), case.dtype, device, generator) for _ in range(2))
    lengths = torch.tensor(lengths_of(case), dtype=torch.int32, device=device)
    partial_out = torch.empty((heads, parts, rows, dim), dtype=torch.float32, device=device)
    partial_max, partial_sum = (torch.empty((heads, parts, rows), dtype=torch.float32, device=device) for _ in range(2))
    out = torch.empty_like(q)
    scale = math.log2(math.e) / math.sqrt(dim)
    each = part_keys(case, at)
    walk, merge = _part_constants(case, at), _merge_constants(case, at)

    def run() -> None:
        decode_part[(heads, parts)](
            q, k, v, lengths, partial_out, partial_max, partial_sum, scale, cache, each, case.sizes["H"],
            **with_options(walk, at.warps, at.stages),
        )  # fmt: skip
        decode_merge[(rows, heads)](
            partial_out, partial_max, partial_sum, out, scale, parts, **with_options(merge, MERGE_WARPS, 3)
        )

    def seen(number: torch.Tensor, head: int) -> torch.Tensor:
        last = lengths[head // case.sizes["H"]] - new + number % new
        return torch.arange(cache, device=device)[None, :] <= last[:, None]

    return Call(run, lambda: [out], lambda: [attention(q, k, v, seen)])


def work(case: Case) -> Work:
    """Every row against every key of its sequence; the filled cache, queries and outputs once."""
    rows, dim = _rows(case), case.sizes["E"]
    keys = float(sum(lengths_of(case)) * case.sizes["H"])
    through = 2.0 * case.sizes["B"] * case.sizes["H"] * rows * dim
    return Work(2 * dim * rows * keys, rows * keys, WORD_BYTES[case.dtype] * (2 * keys * dim + through))


def compiled(case: Case, at: Tile) -> Sequence[Compiled]:
    """Walking a part, and merging parts."""
    partial = pointers("partial_out partial_max partial_sum", "fp32")
    walk = {
        **pointers("q k v", case.dtype),
        "lengths": "*i32",
        **partial,
        "scale_log2": "fp32",
        **dict.fromkeys(("cache", "part", "heads_kv"), "i32"),
    }
    merge = {**partial, **pointers("out", case.dtype), "scale_log2": "fp32", "parts": "i32"}
    return [
        Compiled("decode", "decode_part", walk, _part_constants(case, at), ("q", "k", "v", "lengths", *partial),
                 at.warps, at.stages),
        Compiled("decode", "decode_merge", merge, _merge_constants(case, at), (*partial, "out"), MERGE_WARPS, 3),
    ]  # fmt: skip


def launches(case: Case, at: Tile, capability: int) -> Sequence[Launch]:
    """Both kernels, as one mapping; several new tokens are so many more rows, their own mask left out. Of sequences
    that fill a part of the cache there are as many full ones as have their keys together.
    """
    keys, dim = at.constants["BLOCK_K"], case.sizes["E"]
    full = max(1, round(sum(lengths_of(case)) / case.sizes["M"]))
    sizes = {
        "B": full, "H": case.sizes["H"], "G": _rows(case), "E": dim, "F": dim, "M": case.sizes["M"],
    }  # fmt: skip
    word_bytes, tiles_of_part = WORD_BYTES[case.dtype], part_keys(case, at) // keys
    if capability == 90:
        mapping = split(_rows(case), _padded(case), keys, tiles_of_part, dim, at.warps, at.stages, word_bytes)
        return [Launch("attention_decode", sizes, mapping, word_bytes=word_bytes)]
    stated = {"M0": keys, "M1": tiles_of_part, "CTAS": RESIDENT, "ROWS": _padded(case)}
    return [Launch("attention_decode", sizes, "split_kv", stated, word_bytes=word_bytes)]


def _case(batch: int, heads: int, group: int, cache: int, dtype: str = "bf16", dim: int = 128, **more: int) -> Case:
    return Case("decode", {"B": batch, "H": heads, "G": group, "M": cache, "E": dim}, dtype, more)


# Heads of keys, and queries to each: Llama 3 8B (8, 4) and 70B (8, 8), Llama 2 7B (32, 1), Qwen2.5 7B (4, 7).
CAMPAIGN = (
    *(_case(1, 8, 4, cache) for cache in (512, 4096, 32768, 131072)),
    *(_case(16, 8, 4, cache) for cache in (512, 2048, 8192, 32768)),
    *(_case(64, 8, 4, cache) for cache in (512, 4096, 16384)),
    *(_case(batch, 8, 8, 8192) for batch in (1, 4, 32)),
    *(_case(batch, 32, 1, 4096) for batch in (1, 16, 64)),
    _case(1, 32, 1, 65536),
    _case(8, 4, 7, 32768),
    _case(16, 8, 2, 16384, "fp16"),
    _case(16, 8, 4, 8192, "fp16", 64),
    _case(64, 8, 1, 1024, "fp16", 64),
    _case(8, 8, 4, 10000),
    _case(16, 8, 4, 8192, new=4),
    _case(32, 8, 4, 16384, ragged=1),
)

TINY = (
    _case(2, 1, 4, 100, "fp32", 64),
    _case(1, 2, 1, 300, "fp16", 64),
    _case(3, 1, 7, 150, "fp16", 128, ragged=1),
    _case(1, 1, 8, 64, "fp16", 64, new=3),
    _case(3, 1, 2, 70, "fp32", 64, new=2, ragged=1),
    _case(1, 1, 1, 1300, "fp16", 64),
    _case(1, 1, 1, 10, "bf16", 64),
)

DECODE = TritonKernel(
    name="decode",
    title="Attention of new tokens against a cache, in parts that are merged, with grouped queries",
    cases=CAMPAIGN,
    varied=("B", "M"),
    tile=tile,
    tiles=tiles,
    prepare=prepare,
    work=work,
    compiled=compiled,
    blocks={"decode_part": part, "decode_merge": merge},
    launches=launches,
    tiny=TINY,
    rules=(
        ranks("B", "H", "G", "M", "E"),
        powers_of_two("E", least=16),
        fit_second_axis("B", "H"),
        options(new=at_least(1), ragged=one_of(0, 1)),
    ),
)
KERNELS = (DECODE,)
