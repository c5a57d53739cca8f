"""Matrix products as a kernel in Triton does them: one tile of BM x BN a block, STEP of the sum at a time, STAGES of it
on the way to shared memory, as many blocks on an SM as registers and shared memory allow.

`tiled_tensor` uses the instructions of a group of warps (wgmma, tcgen05), which read both operands from shared memory;
`tiled_tensor_sync` those of a warp (mma.sync), whose operands pass through its registers; `tiled_alu` the FP32 lanes.
In parts, blocks share a sum: each leaves its part, of K0, in memory, and a second kernel adds them up.
"""

from __future__ import annotations

from typing import Any

from .products import Product
from .rows import CACHE, MEMORY, delay

_SOURCE = (
    "kernels/triton/device/matmul.py as Triton 3.7 compiles it for sm_80 and sm_90: buffers of shared memory are "
    "STAGES for wgmma and one less for mma.sync; a thread has its sums and about 64 registers more (72 to 222 in all). "
    "A step costs a barrier (30 cycles) and the latency of the first operands from shared memory (33), or what its "
    "control words say of a block that is alone; a block starts and ends as they say (`lightbound resources`), and "
    "awaits its first operands and its last stores"
)
_ADDED = 1024  # elements that a block of the second kernel adds up
_BUFFERS = {"tensor": "STAGES", "tensor_sync": "(STAGES - 1)", "alu": "(STAGES - 1)"}
# Rows and columns of a warp, or of a group of them: as Triton lays four or eight warps over a tile.
_WARPS = {
    "tensor": {"WM": "mma_rows", "WN": "BN"},
    "tensor_sync": {"WM": "where(BM * BN >= 4096 * WARPS, min(64, BM), min(32, BM))", "WN": "BM * BN // (WARPS * WM)"},
    "alu": {"WM": "where(BM * BN >= 4096 * WARPS, min(64, BM), min(32, BM))", "WN": "BM * BN // (WARPS * WM)"},
}


_STARVED = {
    "EACH": "BM * BN / (32 * WARPS)",
    "TM": "2 ** ceil(log2(sqrt(EACH)))",
    "STARVED": "max(0, 4 * (TM + EACH / TM) / EACH - 1)",  # 4 bytes a word, and as many bytes a cycle as lanes
}


def _height() -> str:
    """Rows of tiles that go together. In the kernel these are GROUP, and what is left in the last group. Here all
    groups are equal, so that none counts blocks that are not there: as many rows as divide their number (TALL), the
    nearest to GROUP; else all of them, or groups as equal as they can be where these are many.
    """
    found = "where(TALL <= 32, TALL, ceil_div(TALL, ceil_div(TALL, GROUP)))"
    for away in (4, -4, 3, -3, 2, -2, 1, -1, 0):
        rows = f"max(1, GROUP + {away})"
        found = f"where(TALL % {rows} == 0, {rows}, {found})"
    return found


def _vector(rank: str) -> str:
    """Words, up to those of 16 bytes, that divide a row of so many."""
    return f"min(16 / word_bytes, where({rank} % 8 == 0, 8, where({rank} % 4 == 0, 4, where({rank} % 2 == 0, 2, 1))))"


def _same_line(blocks: str, product: Product) -> str:
    """Cycles of a step in which the L2 cache sends one line of A to all blocks that walk the same rows in step. Rows of
    a tile beyond the matrix repeat those in it, and copies past the registers ask for each. A slice sends 64 bytes a
    cycle, and either half of the cache has a copy of the line: one request a cycle.
    """
    parts = f"(ceil_div(M, BM) * {product.batch[0].upper() if product.batch else 1})"
    return f"min({blocks}, CTAS * sm) / {parts} * BM / min(BM, M) / CTAS"


def _added() -> dict[str, Any]:
    """The kernel that adds up the parts of sums."""
    return {
        "einsums": ["Z"],
        "nest": [
            {"for": "m", "tile": f"min(M, max(1, {_ADDED} // N))", "over": "sm"},
            {"for": "n", "tile": f"min(N, {_ADDED})", "over": "sm"},
        ],
        "contexts": f"min(max_blocks, max_warps // 4, max(1, ceil_div(M * N, {_ADDED} * sm)))",
        "delay": delay(MEMORY),
        "awaits": ["dram", "l2"],
    }


def _tiled(unit: str, parts: bool) -> dict[str, Any]:
    product = Product("P", batch=("k1",), summed="k0") if parts else Product()
    tile = {"BM": 128, "BN": "where(M * N >= 16384 * sm, 256, 128)" if unit != "alu" else 64}
    if unit == "alu":
        tile["BM"] = 64
    blocks = "ceil_div(M, BM) * ceil_div(N, BN)" + (" * K1" if parts else "")
    first = f"min(1, STAGES * STEP / {product.summed.upper()})"  # steps that are loaded before the first product
    groups = "ceil_div(BM, WR)" if unit == "tensor" else "1"
    params = {
        **tile,
        "WARPS": "where(BM * BN > 16384, 8, 4)",
        "GROUP": 8,
        "TALL": "ceil_div(M, BM)",
        "HEIGHT": _height(),
        **_WARPS[unit],
        **{
            name: value
            for name, value in product.params(unit, [{}], 32).items()
            if name not in ("STEP", "STAGES", "SPLIT", "PARTS")
        },
        "SPLIT": 1,
        "PARTS": 1,
        # words that a copy moves at once: of 16 bytes where rows start at their multiples, else of fewer
        "A_WORDS": _vector("K"),
        "B_WORDS": _vector("N"),
        # copies of less than 4 bytes pass through registers, when they are wanted
        "LATE": "where(min(A_WORDS, B_WORDS) * word_bytes < 4, 1, 0)",
        # of a block alone by its control words: a step, and the code before and behind all of them; about so many
        # cycles where the code is not on record
        "TURN": 0,
        "START": "1200 + 150 * max(0, WARPS - 4)",
        "END": "110 + BM * BN / 21",
        "STEP": 16 if unit == "alu" else 64 if unit == "tensor" else 32,
        "STAGES": 3,
        # with two stages, the next step is asked for behind the product, and awaited at once
        "WANTED": "where(STAGES < 3, 1, 0)",
        "PIECES": "(BM / A_WORDS + BN / B_WORDS) * STEP / (32 * WARPS)",  # that a thread copies in a step
        "REGISTERS": "BM * BN / (32 * WARPS) + 64",
        **_STARVED,
        "SHARED": f"{_BUFFERS[unit]} * STEP * (BM + BN) * word_bytes + 1024",
        "CTAS": (
            "max(1, floor(min(registers_bytes / 4 / (32 * WARPS * REGISTERS), shared_bytes / SHARED, max_blocks, "
            f"max_warps / WARPS, ceil_div({blocks}, sm))))"
        ),
    }
    group = product.group(
        warp_groups=unit == "tensor",
        together=True,
        wide_sums=parts,
        contexts=f"CTAS * {groups}",
        resident="CTAS",
        awaits={"dram": f"max({first}, LATE)", "l2": f"max({first}, LATE)"},
        least=f"max({_same_line(blocks, product)}, where(CTAS < 2, TURN / ({groups}), 0))",
        settles=["dram"],
        overhead=f"block_gap + START + {MEMORY} + END + {CACHE}",
        # blocks at work walk the sum in step: what one of them fetches from memory the others await; by control words,
        # copies that pass through registers take 8 cycles each beside their instructions
        delay=f"63 + (LATE + WANTED) * {MEMORY} + LATE * 8 * PIECES"
        + (" + STEP / 16 * 24 * where(WM * WN <= 256, 1, 0)" if unit == "tensor_sync" else ""),
    )
    # for copies beyond those of 16 bytes tests, addresses, loads and stores: 123 instructions more for 20 of them
    full = "word_bytes / 16"
    words = {"mac": f"6 * ((1 / A_WORDS - {full}) / BN + (1 / B_WORDS - {full}) / BM)"}
    alone = {"einsums": [product.einsum], "unit": "alu", "space": {"lanes": ["m", "n"]}, "implied": words}
    # FP32 lanes wait for operands: a thread with TM x TN sums loads TM + TN words from shared memory for every step
    starved = {
        "einsums": [product.einsum],
        "unit": "alu",
        "space": {"lanes": ["m", "n"]},
        "implied": {"mac": "STARVED"},
    }
    return {
        "source": _SOURCE,
        "variant": "parts" if parts else "plain",
        **({"sizes": {"K0": "ceil_div(K, 4)"}, "widths": {"P": 4}} if parts else {}),
        "word_bytes": 4 if unit == "alu" else 2,
        "params": params,
        "bind": [
            *product.bind(unit),
            alone,
            *([starved] if unit == "alu" else []),
            *([{"einsums": ["Z"], "unit": "alu", "space": {"lanes": ["n", "m"]}}] if parts else []),
        ],
        "groups": [group, _added()] if parts else [group],
    }


_UNITS = ("tensor", "tensor_sync", "alu")
TILED = {f"tiled_{unit}": _tiled(unit, parts=False) for unit in _UNITS}
TILED_PARTS = {f"tiled_{unit}": _tiled(unit, parts=True) for unit in _UNITS}
