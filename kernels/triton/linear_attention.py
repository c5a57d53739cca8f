"""Causal linear attention with a decay per head (Lightning Attention) in Triton, chunk by chunk.

Two ways. A block walks the chunks of one head with a slice of the state in its registers: everything is read and
written once (queries and keys once a slice, mostly out of the cache), but there are only as many blocks as heads and
slices. Or `states` leaves the state before every chunk in memory and `outputs` makes all chunks at once: that fills a
GPU at any number of heads, for C tokens of a chunk D * E words written and read again, and keys and values read twice.
At a width of 128 and chunks of 64 these are 2.5 times the bytes, so that blocks walk wherever there are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import row_blocks
from .kernel import Call, Case, Compiled, Launch, Tile, TritonKernel, Work
from .shapes import WORD_BYTES, ceil_div, divisible, integers, power_of_two, processors, randoms, signature, torch_type

_STATES = {"warps": 4, "stages": 2}


def _walk(chunk: int, width: int, warps: int, stages: int) -> Tile:
    return Tile({"C": chunk, "BE": width}, warps, stages)


def _split(chunk: int, width: int, state: int, warps: int) -> Tile:
    """`width` values of a chunk by one block; `state` features by as many values of a state by one block."""
    return Tile({"C": chunk, "BE": width, "BS": state}, warps, 1)


def _walks(tile: Tile) -> bool:
    return "BS" not in tile.constants


def _candidates(case: Case, capability: int) -> tuple[list[Tile], Tile]:
    """Tiles that walk, from wide slices to narrow ones, and the one that does not; within the registers of a part."""
    values = max(16, power_of_two(case.sizes["E"]))
    deep = power_of_two(case.sizes["D"]) > 64
    if case.dtype == "fp32":  # products in full FP32, on lanes
        return [_walk(16, min(32, values), 4, 1)], _split(16, min(32, values), min(32, values), 4)
    if capability == 942:
        return [_walk(64, min(32, values), 4, 1)], _split(64, min(64, values), min(64, values), 4)
    if capability < 90 or capability == 120:
        walks = [_walk(32 if deep else 64, min(32, values), 4, 2)]
        return walks, _split(64, min(64, values), min(64, values), 4)
    wide = [_walk(64, min(width, values), 4, 2) for width in (64, 32) if width == 64 or values > 32]
    return wide, _split(64, min(128, values), min(64, values), 8 if values > 64 else 4)


def _heads(case: Case) -> int:
    return case.sizes["B"] * case.sizes["H"]


def tile(case: Case, capability: int) -> Tile:
    """The widest slice whose blocks fill every processor; otherwise states and outputs apart."""
    walks, apart = _candidates(case, capability)
    for one in walks:
        if _heads(case) * ceil_div(case.sizes["E"], one.constants["BE"]) >= processors(capability):
            return one
    return apart


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """The other way of the two, and other chunks."""
    walks, apart = _candidates(case, capability)
    chosen = tile(case, capability)
    found = [*walks, apart]
    if case.dtype != "fp32":
        first = walks[0].constants["BE"]
        found += [_walk(32, first, 4, 2), _split(32, min(64, first), min(64, first), 4)]
    return [one for place, one in enumerate(found) if one != chosen and one not in found[:place]]


def _sizes(case: Case, tile: Tile) -> tuple[int, int, int, int]:
    """Tokens, features of keys and of values, and chunks."""
    tokens, deep, wide = (case.sizes[rank] for rank in ("N", "D", "E"))
    return tokens, deep, wide, ceil_div(tokens, tile.constants["C"])


def _blocks(case: Case, tile: Tile) -> dict[str, dict[str, Any]]:
    """Constants of each launch."""
    exact = {"EXACT": case.dtype == "fp32"}
    chunk, width = tile.constants["C"], tile.constants["BE"]
    whole = max(16, power_of_two(case.sizes["D"]))
    if _walks(tile):
        return {"walk": {"C": chunk, "BD": whole, "BE": width, **exact}}
    state = tile.constants["BS"]
    return {
        "states": {"C": chunk, "BD": min(state, whole), "BE": state, **exact},
        "outputs": {"C": chunk, "BD": whole, "BE": width, **exact},
    }


def slopes(heads: int) -> list[float]:
    """The decay of TransNormerLLM's heads: exp(-slope) a token, 2^(-8 (h + 1) / H) as slope."""
    return [2.0 ** (-8 * (head + 1) / heads) for head in range(heads)]


def prepare(case: Case, tile: Tile, device: str, seed: int) -> Call:
    """Queries, keys and values of normal numbers, queries scaled by the root of D."""
    import torch

    from .device import linear_attention as on_device

    b, h = case.sizes["B"], case.sizes["H"]
    tokens, deep, wide, chunks = _sizes(case, tile)
    draw = randoms(device, seed, case.dtype)
    q, k, v = draw(b * h, tokens, deep, scale=deep**-0.5), draw(b * h, tokens, deep), draw(b * h, tokens, wide)
    slope = torch.tensor(slopes(h), dtype=torch.float32, device=device)
    o = torch.empty_like(v)
    blocks = _blocks(case, tile)
    between = (
        None if _walks(tile) else torch.empty((b * h, chunks, deep, wide), dtype=torch_type(case.dtype), device=device)
    )

    def run() -> None:
        shape = {"num_warps": tile.warps, "num_stages": tile.stages}
        slices = ceil_div(wide, tile.constants["BE"])
        if between is None:
            on_device.walk[(b * h, slices)](q, k, v, slope, o, h, tokens, deep, wide, **blocks["walk"], **shape)
            return
        made = blocks["states"]
        grid = (b * h, ceil_div(deep, made["BD"]), ceil_div(wide, made["BE"]))
        states = {"num_warps": _STATES["warps"], "num_stages": _STATES["stages"]}
        on_device.states[grid](k, v, slope, between, h, tokens, deep, wide, chunks, **made, **states)
        on_device.outputs[(chunks, slices, b * h)](
            q, k, v, slope, between, o, h, tokens, deep, wide, chunks, **blocks["outputs"], **shape
        )

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
    macs = _heads(case) * tokens * ((64 + 1) / 2 * (deep + wide) + 2 * deep * wide)
    return Work(macs, 0, _heads(case) * tokens * 2 * (deep + wide) * WORD_BYTES[case.dtype])


def compiled(case: Case, tile: Tile) -> Sequence[Compiled]:
    """The walk; or the states and the outputs."""
    tokens, deep, wide, chunks = _sizes(case, tile)
    numbers = {"H": case.sizes["H"], "T": tokens, "D": deep, "E": wide}
    made = []
    for function, constants in _blocks(case, tile).items():
        mine = numbers if function == "walk" else {**numbers, "CHUNKS": chunks}
        tensors = {"walk": "qkvo", "states": "kvs", "outputs": "qkvso"}[function]
        types, ones = integers(mine)
        shape = (_STATES["warps"], _STATES["stages"]) if function == "states" else (tile.warps, tile.stages)
        made.append(
            Compiled(
                "linear_attention",
                function,
                {**signature(case.dtype, tensors, (), ["slope"]), **types},
                {**constants, **ones},
                divisible([*tensors, "slope"], mine),
                *shape,
            )
        )
    return made


def launches(case: Case, tile: Tile, capability: int) -> Sequence[Launch]:
    """Both ways as mappings of the cascade in blocks, with whole chunks."""
    chunk, width = tile.constants["C"], tile.constants["BE"]
    chunks = ceil_div(case.sizes["N"], chunk)
    sizes = {**case.sizes, "N": chunks * chunk, "N0": chunk, "J": chunk}
    setting: dict[str, int | str] = {"BE": width, "WARPS": tile.warps, "STAGES": tile.stages}
    mapping = "walk"
    if not _walks(tile):
        mapping = "apart"
        setting |= {"BS": tile.constants["BS"]}
    unit = "alu" if case.dtype == "fp32" else "tensor" if 90 <= capability < 120 and chunk >= 64 else "tensor_sync"
    words = WORD_BYTES[case.dtype]
    return [Launch("lightning_attention", sizes, f"{mapping}_{unit}", setting, word_bytes=words)]


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
    tile=tile,
    tiles=tiles,
    prepare=prepare,
    work=work,
    compiled=compiled,
    blocks={
        "walk": row_blocks.linear_walk,
        "states": row_blocks.linear_states,
        "outputs": row_blocks.linear_outputs,
    },
    launches=launches,
    tiny=[
        *(_case(1, 2, tokens, deep, wide, "fp32") for tokens, deep, wide in ((50, 16, 24), (1, 20, 8))),
        *(_case(b, h, tokens, 32, 40, "fp16") for b, h, tokens in ((1, 2, 150), (2, 1, 64), (17, 4, 33))),
    ],
)
KERNELS = (LINEAR_ATTENTION,)
