"""The clocks of a GPU as its multiprocessors see them, read by a kernel of one warp a block."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def read_clocks(out):
    """Row of each block in `out` (blocks, 3), int64: cycles of its multiprocessor, nanoseconds, which one it is."""
    cycles, nanoseconds, place = tl.inline_asm_elementwise(
        "mov.u64 $0, %clock64; mov.u64 $1, %globaltimer; mov.u32 $2, %smid;",
        "=l,=l,=r",
        [],
        dtype=(tl.int64, tl.int64, tl.int32),
        is_pure=False,
        pack=1,
    )
    row = out + 3 * tl.program_id(0)
    tl.store(row, cycles)
    tl.store(row + 1, nanoseconds)
    tl.store(row + 2, place.to(tl.int64))
