"""Attention on the device: a block of threads keeps a tile of queries and walks the keys that its mask lets it see.

Tensors are contiguous: queries and outputs of heads x queries x DIM, keys and values of heads_kv x keys x DIM, where
`heads` counts those of all sequences. A kernel reads tiles either through tensor descriptors, which the memory engine
of Hopper and later serves (TMA is 1), or through pointers.
"""

import triton
import triton.language as tl

# Finite, so that of a row that sees nothing no infinities are subtracted, and below every score that FP32 can weigh: of
# scaled ones past 2^28 it keeps no fractions, and what rounding leaves of the largest is too large an exponent.
LEAST = tl.constexpr(-1e30)


@triton.jit
def tile(source, head, start, rows, BLOCK: tl.constexpr, DIM: tl.constexpr, TMA: tl.constexpr, CHECK: tl.constexpr):
    """BLOCK rows of a head from `start` on, zero past the last of `rows`. CHECK is 0 where all of them exist.

    source: a descriptor of all heads, or a pointer to the first row of this one.
    """
    if TMA:
        found = source.load([head, start, 0]).reshape(BLOCK, DIM)
    else:
        row = start + tl.arange(0, BLOCK)
        place = source + row[:, None] * DIM + tl.arange(0, DIM)[None, :]
        if CHECK:  # noqa: SIM108
            found = tl.load(place, mask=row[:, None] < rows, other=0.0)
        else:
            found = tl.load(place)
    return found


@triton.jit
def block_place(number, heads, section, QUERY_BLOCKS, LONGEST_FIRST: tl.constexpr):
    """The block of queries and the head of a program. Programs take the heads in sections whose keys and values fit
    the L2 cache, and within one all heads of a block of queries before the next.
    """
    first = number // (section * QUERY_BLOCKS) * section
    width = tl.minimum(section, heads - first)
    inside = number - first * QUERY_BLOCKS
    block = inside // width
    if LONGEST_FIRST:
        block = QUERY_BLOCKS - 1 - block
    return block, first + inside % width


@triton.jit(do_not_specialize=["queries", "keys", "heads", "group", "before", "section"])
def attention_forward(
    q, k, v, out, logsumexp, scale_log2, queries, keys, heads, group, before, section,
    DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    TMA: tl.constexpr, CAUSAL: tl.constexpr, WINDOW: tl.constexpr, RAGGED: tl.constexpr, LSE: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """One tile of BLOCK_Q queries of one head.

    CAUSAL: query i sees keys up to i + keys - queries; WINDOW: and no more than `before` ahead of that one. RAGGED is 1
    where BLOCK_K does not divide the keys. LSE: whether the logarithm of the sum of exponentials is written. `group`
    heads of queries share one of keys.
    """
    block, head = block_place(tl.program_id(0), heads, section, tl.cdiv(queries, BLOCK_Q), CAUSAL)
    first = block * BLOCK_Q
    ahead = keys - queries
    query = first + tl.arange(0, BLOCK_Q)
    head_kv = head // group
    if not TMA:
        q += head.to(tl.int64) * queries * DIM
        k += head_kv.to(tl.int64) * keys * DIM
        v += head_kv.to(tl.int64) * keys * DIM
    chosen = tile(q, head, first, queries, BLOCK_Q, DIM, TMA, 1)
    total = tl.zeros([BLOCK_Q, DIM], tl.float32)
    denominator = tl.zeros([BLOCK_Q], tl.float32)
    maximum = tl.full([BLOCK_Q], LEAST, tl.float32)

    # Tiles from `start` to `stop` are visited, those from `full` to `partial` without a test of the mask.
    start = 0
    full = 0
    stop = keys
    partial = keys // BLOCK_K * BLOCK_K
    if CAUSAL:
        stop = tl.minimum(keys, first + BLOCK_Q + ahead)
        partial = tl.minimum(partial, (first + ahead + 1) // BLOCK_K * BLOCK_K)
    if WINDOW:
        start = tl.maximum(first + ahead - before, 0) // BLOCK_K * BLOCK_K
        full = first + BLOCK_Q - 1 + ahead - before
    for key in range(start, stop, BLOCK_K):
        scores = tl.dot(chosen, tile(k, head_kv, key, keys, BLOCK_K, DIM, TMA, RAGGED).T, input_precision=PRECISION)
        if CAUSAL or RAGGED:  # noqa: SIM102 (a constant: the compiler drops the test in the loop)
            if (key >= partial) | (key < full):
                column = key + tl.arange(0, BLOCK_K)[None, :]
                row = first + ahead + tl.arange(0, BLOCK_Q)[:, None]
                seen = column < keys
                if CAUSAL:
                    seen = (seen & (column <= row)) if RAGGED else (column <= row)
                if WINDOW:
                    seen = seen & (column >= row - before)
                scores = tl.where(seen, scores, float("-inf"))
        larger = tl.maximum(maximum, tl.max(scores, 1))
        shift = larger * scale_log2
        weights = tl.exp2(scores * scale_log2 - shift[:, None])
        # Not the difference of two products: of a row that has seen nothing yet they are huge and equal, but one is
        # rounded and the other, inside a fused multiply-add, is not.
        shrink = tl.exp2((maximum - larger) * scale_log2)
        denominator = denominator * shrink + tl.sum(weights, 1)
        total = total * shrink[:, None]
        values = tile(v, head_kv, key, keys, BLOCK_K, DIM, TMA, RAGGED)
        total = tl.dot(weights.to(values.dtype), values, total, input_precision=PRECISION)
        maximum = larger

    exists = query < queries
    if LSE:  # of no key at all it is minus infinity
        found = (maximum * scale_log2 + tl.log2(denominator)) * 0.6931471805599453
        tl.store(logsumexp + head * queries + query, found, mask=exists)
    total = total / tl.where(denominator == 0, 1.0, denominator)[:, None]
    place = head.to(tl.int64) * queries * DIM + query[:, None] * DIM + tl.arange(0, DIM)[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=exists[:, None])
