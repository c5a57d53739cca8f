"""Causal linear attention with a decay per head (Lightning Attention) in Triton, chunk by chunk.

A block walks the chunks of one head with a slice of the state in its registers: everything is read and written once
(queries and keys once a slice, mostly out of the cache). The walk is a chain: with few heads it leaves most of a GPU
idle, and the time is its length. Then a sequence is cut into segments: a first launch walks keys and values for what
each segment adds to the state, a second one makes the outputs, each block on top of the states before its segment.
Keys and values are read twice, and of each segment D * E words are written and read, while the chain is as many times
shorter as there are segments. Leaving the state before every chunk in memory instead, so that all outputs are made at
once, would keep the chain of states at its whole length, and at a width of 128 and chunks of 64 move 2.5 times the
bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from . import row_blocks
from .kernel import Call, Case, Compiled, Launch, Tile, TritonKernel, Work, device_code
from .rules import fit_second_axis, options, ranks
from .shapes import WORD_BYTES, ceil_div, divisible, integers, power_of_two, processors, randoms, signature

MOST_SEGMENTS = 32
AHEAD = 1  # stages more in the launch for states, which has registers and shared memory to spare


def _shapes(case: Case, capability: int) -> list[tuple[int, int, int, int]]:
    """Chunks, values of a slice, warps and stages, from wide slices to narrow ones, within the registers of a part."""
    values = max(16, power_of_two(case.sizes["E"]))
    deep = power_of_two(case.sizes["D"]) > 64
    if case.dtype == "fp32":  # products in full FP32, on lanes
        return [(16, min(16 if deep else 32, values), 4, 1)]
    if capability == 942:
        return [(64, min(32, values), 4, 1)]
    if capability < 90 or capability == 120:
        return [(32 if deep else 64, min(32, values), 4, 2)]
    stages = 2 if deep else 3  # with three, chunks are loaded ahead; with two, more blocks fit
    return [(64, min(width, values), 4, stages) for width in (64, 32) if width == 64 or values > 32]


def _tile(case: Case, shape: tuple[int, int, int, int], segments: int) -> Tile:
    """Segments of whole chunks, as many as asked for or the fewer that there are."""
    chunk, width, warps, stages = shape
    chunks = ceil_div(case.sizes["N"], chunk)
    length = chunk * ceil_div(chunks, min(segments, chunks))
    return Tile({"C": chunk, "BE": width, "SEGMENT": length}, warps, stages)


def _blocks_of(case: Case, shape: tuple[int, int, int, int]) -> int:
    return case.sizes["B"] * case.sizes["H"] * ceil_div(case.sizes["E"], shape[1])


def tile(case: Case, capability: int) -> Tile:
    """The widest slice whose blocks fill every processor; else segments of at least three chunks so that every
    processor has four blocks, of the widest slice with which every processor has one.
    """
    shapes = _shapes(case, capability)
    for shape in shapes:
        if _blocks_of(case, shape) >= processors(capability):
            return _tile(case, shape, 1)
    made = _tile(case, shapes[0], 1)
    for shape in shapes:
        wanted = ceil_div(4 * processors(capability), _blocks_of(case, shape))
        most = ceil_div(ceil_div(case.sizes["N"], shape[0]), 3)
        made = _tile(case, shape, max(1, min(MOST_SEGMENTS, wanted, most)))
        if _blocks_of(case, shape) * _segments(case, made) >= processors(capability):
            break
    return made


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """Other slices and segments, and shorter chunks."""
    chosen = tile(case, capability)
    shapes = _shapes(case, capability)
    many = min(MOST_SEGMENTS, 2 * _segments(case, chosen))
    found = [_tile(case, shape, count) for shape in shapes for count in (1, many)]
    found.append(replace(chosen, stages=5 - chosen.stages) if chosen.stages > 1 else chosen)
    if case.dtype != "fp32":
        found.append(_tile(case, (32, *shapes[0][1:]), _segments(case, chosen)))
    return [one for place, one in enumerate(found) if one != chosen and one not in found[:place]]


def _segments(case: Case, tile: Tile) -> int:
    return ceil_div(case.sizes["N"], tile.constants["SEGMENT"])


def _blocks(case: Case, tile: Tile) -> dict[str, dict[str, Any]]:
    """Constants of each launch."""
    whole = max(16, power_of_two(case.sizes["D"]))
    shared = {"C": tile.constants["C"], "BD": whole, "BE": tile.constants["BE"], "EXACT": case.dtype == "fp32"}
    several = _segments(case, tile) > 1
    walk = {"walk": {**shared, "BEFORE": several}}
    return {"states": shared, **walk} if several else walk


def _numbers(case: Case, tile: Tile) -> dict[str, int]:
    sizes = {"H": case.sizes["H"], "T": case.sizes["N"], "D": case.sizes["D"], "E": case.sizes["E"]}
    return {**sizes, "SEGMENT": tile.constants["SEGMENT"], "SEGMENTS": _segments(case, tile)}


def slopes(heads: int) -> list[float]:
    """The decay of TransNormerLLM's heads: exp(-slope) a token, 2^(-8 (h + 1) / H) as slope."""
    return [2.0 ** (-8 * (head + 1) / heads) for head in range(heads)]


def prepare(case: Case, tile: Tile, device: str, seed: int) -> Call:
    """Queries, keys and values of normal numbers, queries scaled by the root of D."""
    import torch

    on_device = device_code("linear_attention")

    b, h = case.sizes["B"], case.sizes["H"]
    tokens, deep, wide = (case.sizes[rank] for rank in ("N", "D", "E"))
    draw = randoms(device, seed, case.dtype)
    q, k, v = draw(b * h, tokens, deep, scale=deep**-0.5), draw(b * h, tokens, deep), draw(b * h, tokens, wide)
    slope = torch.tensor(slopes(h), dtype=torch.float32, device=device)
    o = torch.empty_like(v)
    blocks, numbers = _blocks(case, tile), tuple(_numbers(case, tile).values())
    count = _segments(case, tile)
    s = torch.empty((b * h, count, deep, wide) if count > 1 else (1,), dtype=torch.float32, device=device)
    grid = (count, ceil_div(wide, tile.constants["BE"]), b * h)
    shape = {"num_warps": tile.warps, "num_stages": tile.stages}
    ahead = {**shape, "num_stages": tile.stages + AHEAD}

    def run() -> None:
        if count > 1:
            on_device.states[grid](k, v, slope, s, *numbers, **blocks["states"], **ahead)
        on_device.walk[grid](q, k, v, slope, s, o, *numbers, **blocks["walk"], **shape)

    return Call(run, lambda: [o], lambda: [_reference(q, k, v, slope)])


def _reference(q: Any, k: Any, v: Any, slope: Any, rows: int = 1024) -> Any:
    """All pairs of tokens, so many queries of one head at a time: no chunks and no state."""
    import torch

    made = torch.empty(v.shape, dtype=torch.float64, device=v.device)
    tokens = q.shape[1]
    place = torch.arange(tokens, device=v.device, dtype=torch.float64)
    for head in range(q.shape[0]):
        queries, keys, values = q[head].double(), k[head].double(), v[head].double()
        rate = slope[head % len(slope)].double()
        for first in range(0, tokens, rows):
            end = min(first + rows, tokens)
            distance = place[first:end, None] - place[None, :end]
            decay = torch.where(distance >= 0, torch.exp(-rate * distance), 0.0)
            made[head, first:end] = (queries[first:end] @ keys[:end].T * decay) @ values[:end]
    return made


def work(case: Case) -> Work:
    """Causal pairs within chunks of 64, the state read and updated; queries, keys, values and outputs moved once."""
    tokens, deep, wide = (case.sizes[rank] for rank in ("N", "D", "E"))
    heads = case.sizes["B"] * case.sizes["H"]
    macs = heads * tokens * ((64 + 1) / 2 * (deep + wide) + 2 * deep * wide)
    return Work(macs, 0, heads * tokens * 2 * (deep + wide) * WORD_BYTES[case.dtype])


def compiled(case: Case, tile: Tile) -> Sequence[Compiled]:
    """The walk, and before it the states of segments where there are several."""
    numbers = _numbers(case, tile)
    types, ones = integers(numbers)
    made = []
    for function, constants in _blocks(case, tile).items():
        tensors = "kv" if function == "states" else "qkvo"
        made.append(
            Compiled(
                "linear_attention",
                function,
                {**signature(case.dtype, tensors, (), ["slope", "s"]), **types},
                {**constants, **ones},
                divisible([*tensors, "slope", "s"], numbers),
                tile.warps,
                tile.stages + (AHEAD if function == "states" else 0),
            )
        )
    return made


def launches(case: Case, tile: Tile, capability: int) -> Sequence[Launch]:
    """The cascade in blocks, of whole chunks; a segment is a head of its own."""
    chunk, count = tile.constants["C"], _segments(case, tile)
    length = chunk * ceil_div(case.sizes["N"], chunk) if count == 1 else tile.constants["SEGMENT"]
    sizes = {**case.sizes, "H": case.sizes["H"] * count, "N": length, "N0": chunk, "J": chunk}
    setting = {"BE": tile.constants["BE"], "WARPS": tile.warps, "STAGES": tile.stages}
    unit = "alu" if case.dtype == "fp32" else "tensor" if 90 <= capability < 120 and chunk >= 64 else "tensor_sync"
    words = WORD_BYTES[case.dtype]
    walk = Launch("lightning_attention", sizes, f"walk_{unit}", {**setting, "SEGMENTS": count}, word_bytes=words)
    if count == 1:
        return [walk]
    ahead = {**setting, "STAGES": tile.stages + AHEAD}
    return [Launch("lightning_attention", sizes, f"states_{unit}", ahead, word_bytes=words), walk]


def _case(b: int, h: int, tokens: int, deep: int = 128, wide: int = 128, dtype: str = "bf16") -> Case:
    return Case("linear_attention", {"B": b, "H": h, "N": tokens, "D": deep, "E": wide}, dtype)


LINEAR_ATTENTION = TritonKernel(
    name="linear_attention",
    title="Causal linear attention with decay, chunk by chunk",
    cases=[
        *(_case(4, 32, tokens) for tokens in (512, 2048, 8192, 32768)),  # Lightning Attention's benchmark
        *(_case(1, heads, tokens) for heads, tokens in ((8, 2048), (16, 8192), (32, 8192), (8, 65536))),
        *(_case(8, 16, tokens, 64, 64) for tokens in (1024, 8192)),
        _case(2, 12, 3000),
        _case(1, 4, 1000, 64, 128),
        _case(2, 32, 4096, 128, 64, "fp16"),
        _case(1, 16, 512, 96, 80),
    ],
    varied=("B", "N"),
    tile=tile,
    tiles=tiles,
    prepare=prepare,
    work=work,
    compiled=compiled,
    blocks={
        "walk": row_blocks.linear_walk,
        "states": row_blocks.linear_states,
    },
    launches=launches,
    tiny=[
        *(_case(1, 2, tokens, deep, wide, "fp32") for tokens, deep, wide in ((50, 16, 24), (1, 20, 8))),
        *(_case(b, h, tokens, 32, 40, "fp16") for b, h, tokens in ((1, 2, 150), (1, 1, 600), (17, 4, 33))),
    ],
    rules=(ranks("B", "H", "N", "D", "E"), fit_second_axis("B", "H"), options()),
)
KERNELS = (LINEAR_ATTENTION,)
