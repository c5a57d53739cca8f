"""Generalized neighbourhood attention on the device, over tokens in the order of their tiles.

Queries and keys stand on a grid of three axes (shorter grids have axes of one token in front), cut into tiles of
Q0 x Q1 x Q2 queries and K0 x K1 x K2 keys. Tensors hold the tokens of one tile side by side, tiles row by row, padded
to whole tiles: heads x tiles x tokens of a tile x DIM. So a tile is read like a tile of dense attention, and what a
tile of queries attends is a box of tiles of keys.
"""

import triton
import triton.language as tl

from .hiding import without_bits
from .online_softmax import normalized, rows_of, take


@triton.jit
def window_start(at, extent, window, stride, CAUSAL: tl.constexpr):
    """The first key that a query at coordinate `at` of an axis attends."""
    group = at // stride * stride
    if CAUSAL:
        leader = tl.minimum(group + stride - 1, extent - 1)
        start = tl.maximum(leader - window + 1, 0)
    else:
        left = window // 2
        leader = tl.minimum(group + stride // 2, extent - 1)
        start = tl.minimum(tl.maximum(leader, left), extent - (window - left)) - left
    return start


@triton.jit
def window_stop(at, start, window, CAUSAL: tl.constexpr):
    """One past the last key that a query attends."""
    return at + 1 if CAUSAL else start + window


@triton.jit
def axis_tiles(first, extent, window, stride, Q: tl.constexpr, K: tl.constexpr, CAUSAL: tl.constexpr):
    """Tiles of keys that queries from `first` on visit on an axis, and among them those that all queries attend whole.

    Both as first and one past the last. A tile that the end of the axis cuts counts as not whole.
    """
    last = tl.minimum(first + Q, extent) - 1
    start = window_start(first, extent, window, stride, CAUSAL)
    stop_of_first = window_stop(first, start, window, CAUSAL)
    start_of_last = window_start(last, extent, window, stride, CAUSAL)
    stop = window_stop(last, start_of_last, window, CAUSAL)
    whole = tl.cdiv(start_of_last, K)
    return start // K, tl.cdiv(stop, K), whole, tl.maximum(stop_of_first // K, whole)


@triton.jit
def past_hole(step, low, hole, width):
    """Coordinate number `step` of those that begin at `low` and leave out `width` from `hole` on."""
    at = low + step
    return tl.where(at >= hole, at + width, at)


@triton.jit
def interval_bits(start, stop, origin, K: tl.constexpr):
    """Of intervals of one axis, the coordinates of a tile of K keys from `origin` on that they hold, one bit each."""
    low = tl.minimum(tl.maximum(start - origin, 0), K)
    high = tl.minimum(tl.maximum(stop - origin, 0), K)
    return (1 << high) - (1 << low)


@triton.jit
def within(at, start, stop):
    """Whether coordinates lie in intervals, in one comparison."""
    return (at - start).to(tl.uint32, bitcast=True) < (stop - start).to(tl.uint32, bitcast=True)


@triton.jit(do_not_specialize=[
    "extent0", "extent1", "extent2", "window0", "window1", "window2", "stride0", "stride1", "stride2",
])  # fmt: skip
def gna_forward(
    q, k, v, out, scale_log2,
    extent0, extent1, extent2, window0, window1, window2, stride0, stride1, stride2,
    Q0: tl.constexpr, Q1: tl.constexpr, Q2: tl.constexpr, K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr,
    CAUSAL0: tl.constexpr, CAUSAL1: tl.constexpr, CAUSAL2: tl.constexpr,
    DIM: tl.constexpr, TMA: tl.constexpr, PTX: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One tile of queries of one head: first tiles of keys that all of its queries attend whole, then others."""
    BLOCK_Q: tl.constexpr = Q0 * Q1 * Q2
    BLOCK_K: tl.constexpr = K0 * K1 * K2
    tile = tl.program_id(0)
    head = tl.program_id(1)
    wide1 = tl.cdiv(extent1, Q1)
    wide2 = tl.cdiv(extent2, Q2)
    first0 = tile // (wide1 * wide2) * Q0
    first1 = tile // wide2 % wide1 * Q1
    first2 = tile % wide2 * Q2
    low0, high0, inner0, outer0 = axis_tiles(first0, extent0, window0, stride0, Q0, K0, CAUSAL0)
    low1, high1, inner1, outer1 = axis_tiles(first1, extent1, window1, stride1, Q1, K1, CAUSAL1)
    low2, high2, inner2, outer2 = axis_tiles(first2, extent2, window2, stride2, Q2, K2, CAUSAL2)
    tiles1 = tl.cdiv(extent1, K1)
    tiles2 = tl.cdiv(extent2, K2)

    inside = tl.arange(0, BLOCK_Q)
    row = tile * BLOCK_Q
    if not TMA:
        q += head.to(tl.int64) * tl.num_programs(0) * BLOCK_Q * DIM
        keys = tl.cdiv(extent0, K0).to(tl.int64) * tiles1 * tiles2 * BLOCK_K
        k += head * keys * DIM
        v += head * keys * DIM
    chosen = rows_of(q, head, row, BLOCK_Q, DIM, TMA)
    total = tl.zeros([BLOCK_Q, DIM], tl.float32)
    denominator = tl.zeros([BLOCK_Q], tl.float32)
    maximum = tl.full([BLOCK_Q], float("-inf"), tl.float32)

    # Whole tiles: a box, walked with the last axis fastest.
    at0 = inner0
    at1 = inner1
    at2 = inner2
    whole = (outer0 - inner0) * (outer1 - inner1) * (outer2 - inner2)
    for _ in range(whole):
        key = ((at0 * tiles1 + at1) * tiles2 + at2) * BLOCK_K
        scores = tl.dot(chosen, rows_of(k, head, key, BLOCK_K, DIM, TMA).T, input_precision=PRECISION)
        values = rows_of(v, head, key, BLOCK_K, DIM, TMA)
        total, denominator, maximum = take(total, denominator, maximum, scores, values, scale_log2, 0, PRECISION)
        at2 += 1
        end2 = at2 == outer2
        at2 = tl.where(end2, inner2, at2)
        at1 = tl.where(end2, at1 + 1, at1)
        end1 = at1 == outer1
        at1 = tl.where(end1, inner1, at1)
        at0 = tl.where(end1, at0 + 1, at0)

    # The others: the box of visited tiles less that one, as three boxes with a hole on one axis each. Axis 0 lies
    # outside; axis 0 inside and axis 1 outside; axes 0 and 1 inside and axis 2 outside.
    hole0 = tl.where(whole > 0, outer0 - inner0, 0)
    hole1 = outer1 - inner1
    hole2 = outer2 - inner2
    size1 = high1 - low1
    size2 = high2 - low2
    count0 = (high0 - low0 - hole0) * size1 * size2
    count1 = hole0 * (size1 - hole1) * size2
    count2 = hole0 * hole1 * (size2 - hole2)
    query0 = first0 + inside // (Q1 * Q2)
    query1 = first1 + inside // Q2 % Q1
    query2 = first2 + inside % Q2
    place = tl.arange(0, BLOCK_K)
    column0 = place // (K1 * K2)
    column1 = place // K2 % K1
    column2 = place % K2
    wanted = (1 << column0) | (1 << (K0 + column1)) | (1 << (K0 + K1 + column2))
    start0 = window_start(query0, extent0, window0, stride0, CAUSAL0)
    start1 = window_start(query1, extent1, window1, stride1, CAUSAL1)
    start2 = window_start(query2, extent2, window2, stride2, CAUSAL2)
    stop0 = window_stop(query0, start0, window0, CAUSAL0)
    stop1 = window_stop(query1, start1, window1, CAUSAL1)
    stop2 = window_stop(query2, start2, window2, CAUSAL2)
    step0 = 0
    step1 = 0
    step2 = 0
    for number in range(count0 + count1 + count2):
        on0 = number < count0
        on1 = number < count0 + count1
        step0 = tl.where((number == count0) | (number == count0 + count1), 0, step0)  # a box begins
        span1 = tl.where(on0, size1, tl.where(on1, size1 - hole1, hole1))
        span2 = tl.where(on1, size2, size2 - hole2)
        at0 = tl.where(on0, past_hole(step0, low0, inner0, hole0), inner0 + step0)
        at1 = tl.where(on0, low1 + step1, tl.where(on1, past_hole(step1, low1, inner1, hole1), inner1 + step1))
        at2 = tl.where(on1, low2 + step2, past_hole(step2, low2, inner2, hole2))
        key = ((at0 * tiles1 + at1) * tiles2 + at2) * BLOCK_K
        scores = tl.dot(chosen, rows_of(k, head, key, BLOCK_K, DIM, TMA).T, input_precision=PRECISION)
        if K0 + K1 + K2 < 32:  # a bit for every coordinate of a key: attended where the query has all three
            bits0 = interval_bits(start0, stop0, at0 * K0, K0)
            bits1 = interval_bits(start1, stop1, at1 * K1, K1)
            bits2 = interval_bits(start2, stop2, at2 * K2, K2)
            held = bits0 | (bits1 << K0) | (bits2 << (K0 + K1))
            scores = without_bits(scores, held[:, None], wanted[None, :], PTX)
        else:
            seen = within((at0 * K0 + column0)[None, :], start0[:, None], stop0[:, None])
            seen &= within((at1 * K1 + column1)[None, :], start1[:, None], stop1[:, None])
            seen &= within((at2 * K2 + column2)[None, :], start2[:, None], stop2[:, None])
            scores = tl.where(seen, scores, float("-inf"))
        values = rows_of(v, head, key, BLOCK_K, DIM, TMA)
        total, denominator, maximum = take(total, denominator, maximum, scores, values, scale_log2, 1, PRECISION)
        step2 += 1
        end2 = step2 == span2
        step2 = tl.where(end2, 0, step2)
        step1 = tl.where(end2, step1 + 1, step1)
        end1 = step1 == span1
        step1 = tl.where(end1, 0, step1)
        step0 = tl.where(end1, step0 + 1, step0)

    exists = (query0 < extent0) & (query1 < extent1) & (query2 < extent2)
    found = tl.where(exists[:, None], normalized(total, denominator), 0.0)
    base = (head.to(tl.int64) * tl.num_programs(0) + tile) * BLOCK_Q * DIM
    tl.store(out + base + inside[:, None] * DIM + tl.arange(0, DIM)[None, :], found.to(out.dtype.element_ty))
