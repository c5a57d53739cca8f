"""How a block of threads that walks keys is told to the simulator: a mapping of fused attention and what differs.

The warps of one of Triton's blocks march together, so what contends for an SM are its blocks.
"""

from __future__ import annotations

from .kernel import Tile

REGISTERS = 65536  # of a multiprocessor, four bytes each
MOST = 256  # of a thread, as they are allocated
SHARED_BYTES = {80: 166912, 90: 232448, 100: 232448}


def fused(
    at: Tile, q_tile: int, kv_tile: int, dim: int, word_bytes: int, capability: int
) -> tuple[str, dict[str, int]]:
    """The mapping's name, and its params for tiles of so many queries and keys."""
    if capability not in SHARED_BYTES or capability < 90:
        return "flash_sync", {"BR": q_tile, "M0": kv_tile, "WARPS": at.warps}
    shared = word_bytes * dim * (q_tile + 2 * at.stages * kv_tile) + 1024
    resident = max(1, min(REGISTERS // (MOST * 32 * at.warps), SHARED_BYTES[capability] // shared))
    rows = q_tile * 4 // at.warps  # queries of four warps, which share a matrix instruction
    return "flash", {
        "BR": q_tile, "ROWS": rows, "M0": kv_tile, "STAGES": at.stages, "CONTEXTS": resident, "RESIDENT": resident,
    }  # fmt: skip
