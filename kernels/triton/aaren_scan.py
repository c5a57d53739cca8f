"""Softmax averages of all prefixes (Aaren's scan) in Triton.

A block takes a segment of one head's tokens and walks it in chunks with the state of the prefix in its registers. Where
heads are too few for the GPU, a sequence is cut into segments: a first launch leaves the state of every segment in
memory, a second one makes all prefixes, each block on top of the states before its segment. Values are then read twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import row_blocks
from .kernel import Call, Case, Compiled, Launch, Tile, TritonKernel, Work, device_code
from .rules import fit_second_axis, options, ranks
from .shapes import WORD_BYTES, ceil_div, divisible, integers, power_of_two, processors, randoms, signature, torch_type

MOST_SEGMENTS = 128
_STATES = 4  # warps of the launch for the states of segments


def _tile(case: Case, chunk: int, segments: int, warps: int) -> Tile:
    """Segments of whole chunks, as many as asked for or the fewer that there are."""
    chunks = ceil_div(case.sizes["N"], chunk)
    length = chunk * ceil_div(chunks, min(segments, chunks))
    width = min(64, max(16, power_of_two(case.sizes["E"])))
    return Tile({"C": chunk, "BE": width, "SEGMENT": length}, warps, 2 if case.dtype == "fp32" else 3)


def tile(case: Case, capability: int) -> Tile:
    """Segments so that every processor has eight blocks; a segment has at least 256 tokens."""
    chunk = 16 if case.dtype == "fp32" else 64
    blocks = case.sizes["B"] * case.sizes["H"] * ceil_div(case.sizes["E"], 64)
    wanted = min(MOST_SEGMENTS, ceil_div(8 * processors(capability), blocks), max(1, case.sizes["N"] // 256))
    return _tile(case, chunk, 1 if 4 * blocks >= 3 * processors(capability) else wanted, 4)


def tiles(case: Case, capability: int) -> Sequence[Tile]:
    """Another chunk, other segments, and one segment."""
    chosen = tile(case, capability)
    segments = ceil_div(case.sizes["N"], chosen.constants["SEGMENT"])
    chunk = chosen.constants["C"]
    found = [_tile(case, 32, segments, 4), _tile(case, chunk, 1, 4)]
    found += [_tile(case, chunk, min(MOST_SEGMENTS, 4 * segments), 4), _tile(case, chunk, segments, 8)]
    return [one for place, one in enumerate(found) if one != chosen and one not in found[:place]]


def _blocks(case: Case, tile: Tile) -> dict[str, dict[str, Any]]:
    """Constants of each launch."""
    count = _segments(case, tile)
    tiles = {name: tile.constants[name] for name in ("C", "BE")}
    before = max(2, power_of_two(count)) if count > 1 else 0
    prefixes = {**tiles, "BEFORE": before, "EXACT": case.dtype == "fp32"}
    segments = {**tiles, "WIDE": min(1024, power_of_two(tile.constants["SEGMENT"]))}
    return {"segments": segments, "prefixes": prefixes} if count > 1 else {"prefixes": prefixes}


def _segments(case: Case, tile: Tile) -> int:
    return ceil_div(case.sizes["N"], tile.constants["SEGMENT"])


def prepare(case: Case, tile: Tile, device: str, seed: int) -> Call:
    """Scores and values of normal numbers."""
    import torch

    on_device = device_code("aaren_scan")

    heads = case.sizes["B"] * case.sizes["H"]
    tokens, wide = case.sizes["N"], case.sizes["E"]
    draw = randoms(device, seed, case.dtype)
    x, v = draw(heads, tokens, scale=2.0), draw(heads, tokens, wide)
    o = torch.empty_like(v)
    count, length = _segments(case, tile), tile.constants["SEGMENT"]
    m, u = (torch.empty((heads, count), dtype=torch.float32, device=device) for _ in range(2))
    w = torch.empty((heads, count, wide), dtype=torch.float32, device=device)
    blocks = _blocks(case, tile)
    grid = (count, ceil_div(wide, tile.constants["BE"]), heads)

    def run() -> None:
        if count > 1:
            on_device.segments[grid](
                x, v, m, u, w, tokens, wide, length, count, **blocks["segments"], num_warps=_STATES, num_stages=1
            )
        on_device.prefixes[grid](
            x, v, m, u, w, o, tokens, wide, length, count, **blocks["prefixes"],
            num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip

    return Call(run, lambda: [o], lambda: [_averages(x.double(), v.double())])


def _averages(x: Any, v: Any) -> Any:
    """Running sums of exponentials and of weighted values, from one maximum of all."""
    weights = (x - x.max(-1, keepdim=True).values).exp()
    return (weights[..., None] * v).cumsum(1) / weights.cumsum(1)[..., None]


def work(case: Case) -> Work:
    """A multiply-accumulate a value and an exponential a token; scores, values and outputs moved once."""
    tokens = case.sizes["B"] * case.sizes["H"] * case.sizes["N"]
    return Work(tokens * case.sizes["E"], tokens, tokens * (1 + 2 * case.sizes["E"]) * WORD_BYTES[case.dtype])


def compiled(case: Case, tile: Tile) -> Sequence[Compiled]:
    """The prefixes, and before them the states of segments where there are several."""
    numbers = {
        "T": case.sizes["N"],
        "E": case.sizes["E"],
        "SEGMENT": tile.constants["SEGMENT"],
        "SEGMENTS": _segments(case, tile),
    }
    types, ones = integers(numbers)
    made = []
    for function, constants in _blocks(case, tile).items():
        tensors = "xv" if function == "segments" else "xvo"
        made.append(
            Compiled(
                "aaren_scan",
                function,
                {**signature(case.dtype, tensors, (), "muw"), **types},
                {**constants, **ones},
                divisible([*tensors, *"muw"], numbers),
                _STATES if function == "segments" else tile.warps,
                1 if function == "segments" else tile.stages,
            )
        )
    return made


def launches(case: Case, tile: Tile, capability: int) -> Sequence[Launch]:
    """Chunks with a product with a triangular matrix each, in one segment or several."""
    chunk, count = tile.constants["C"], _segments(case, tile)
    words, width = WORD_BYTES[case.dtype], tile.constants["BE"]
    unit = "alu" if case.dtype == "fp32" else "tensor" if 90 <= capability < 120 and chunk >= 64 else "tensor_sync"
    # a segment is a head of its own, of whole chunks
    length = chunk * ceil_div(case.sizes["N"], chunk) if count == 1 else tile.constants["SEGMENT"]
    sizes = {"B": case.sizes["B"], "H": case.sizes["H"] * count, "N": length, "E": case.sizes["E"]}
    chunks = {**sizes, "N0": chunk, "I": chunk}
    walk = {"N0": chunk, "BE": width, "WARPS": tile.warps, "STAGES": tile.stages, "SEGMENTS": count}
    walked = Launch("prefix_attention", chunks, f"walk_{unit}", walk, word_bytes=words)
    if count == 1:
        return [walked]
    setting = {"BE": width, "WARPS": _STATES, "CHUNK": chunk}
    return [Launch("prefix_attention", chunks, "states", setting, word_bytes=words), walked]


def eager(case: Case, device: str, seed: int) -> Callable[[], Any]:
    """PyTorch's running sums over exponentials in FP32, from one maximum of all: exact only where scores are alike."""
    import torch

    heads = case.sizes["B"] * case.sizes["H"]
    draw = randoms(device, seed, case.dtype)
    x, v = draw(heads, case.sizes["N"], scale=2.0), draw(heads, case.sizes["N"], case.sizes["E"])

    def run() -> Any:
        return _averages(x.float(), v.float()).to(torch_type(case.dtype))

    return run if device == "cpu" else torch.no_grad()(run)


def _case(b: int, h: int, tokens: int, wide: int = 64, dtype: str = "bf16") -> Case:
    return Case("aaren_scan", {"B": b, "H": h, "N": tokens, "E": wide}, dtype)


AAREN_SCAN = TritonKernel(
    name="aaren_scan",
    title="Softmax averages of all prefixes",
    cases=[
        *(_case(1, 8, tokens) for tokens in (1024, 8192, 65536, 524288)),
        *(_case(32, 8, tokens) for tokens in (192, 1024, 8192)),
        *(_case(b, h, tokens, 128) for b, h, tokens in ((1, 16, 16384), (8, 32, 4096))),
        _case(2, 5, 3001, 80),
        _case(8, 16, 8192, 64, "fp16"),
        _case(4, 8, 4096, 64, "fp32"),
    ],
    varied=("B", "N"),
    tile=tile,
    tiles=tiles,
    prepare=prepare,
    work=work,
    compiled=compiled,
    blocks={"segments": row_blocks.segments, "prefixes": row_blocks.prefixes},
    launches=launches,
    peers={"torch": eager},
    tiny=[
        *(_case(1, 2, tokens, wide, "fp32") for tokens, wide in ((50, 24), (1, 8), (600, 16))),
        *(_case(b, h, tokens, 40, "fp16") for b, h, tokens in ((1, 2, 700), (2, 1, 64), (25, 4, 33))),
    ],
    rules=(ranks("B", "H", "N", "E"), fit_second_axis("B", "H"), options()),
)
KERNELS = (AAREN_SCAN,)
