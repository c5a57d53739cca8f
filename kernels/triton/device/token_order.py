"""Tokens of a grid of three axes between row-by-row order and the order of tiles, on the device."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["extent0", "extent1", "extent2"])
def reorder(
    source, target, extent0, extent1, extent2,
    T0: tl.constexpr, T1: tl.constexpr, T2: tl.constexpr, DIM: tl.constexpr, BACK: tl.constexpr,
):  # fmt: skip
    """One tile of T0 x T1 x T2 tokens of one head.

    Forward: source is heads x tokens x DIM, target heads x tiles x tokens of a tile x DIM, zero where a tile leaves the
    grid. BACK is 1 for the other direction, which leaves those out.
    """
    BLOCK: tl.constexpr = T0 * T1 * T2
    tile = tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    wide1 = tl.cdiv(extent1, T1)
    wide2 = tl.cdiv(extent2, T2)
    inside = tl.arange(0, BLOCK)
    at0 = tile // (wide1 * wide2) * T0 + inside // (T1 * T2)
    at1 = tile // wide2 % wide1 * T1 + inside // T2 % T1
    at2 = tile % wide2 * T2 + inside % T2
    exists = ((at0 < extent0) & (at1 < extent1) & (at2 < extent2))[:, None]
    channel = tl.arange(0, DIM)[None, :]
    token = (at0 * extent1 + at1) * extent2 + at2
    tokens = extent0.to(tl.int64) * extent1 * extent2
    plain = (head * tokens + token[:, None]) * DIM + channel
    tiled = ((head * tl.num_programs(0) + tile) * BLOCK + inside[:, None]) * DIM + channel
    if BACK:
        tl.store(target + plain, tl.load(source + tiled, mask=exists, other=0.0), mask=exists)
    else:
        tl.store(target + tiled, tl.load(source + plain, mask=exists, other=0.0))
