"""Attention of a few new queries against a cache of keys and values, on the device: parts side by side, then merged.

The queries that share a head of keys (grouped queries, and new tokens) are the rows of one tile, row = group * NEW +
token. Partial sums are fp32 and unscaled: outputs heads x parts x rows x DIM, maxima and sums of exponentials heads x
parts x rows; heads are those of keys, of all sequences.
"""

import triton
import triton.language as tl

from .online_softmax import rows_of, take


@triton.jit(do_not_specialize=["cache", "part", "heads_kv"])
def decode_part(
    q, k, v, lengths, partial_out, partial_max, partial_sum, scale_log2, cache, part, heads_kv,
    ROWS: tl.constexpr, BLOCK_Q: tl.constexpr, NEW: tl.constexpr, BLOCK_K: tl.constexpr, DIM: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """One part of the keys of one head; all of its tiles that the cache fills, and one that it may cut.

    q: heads x ROWS x DIM; k, v: heads x cache x DIM, of which a sequence fills lengths[sequence], the new tokens last.
    part: keys of a part, whole tiles.
    """
    head = tl.program_id(0)
    number = tl.program_id(1)
    length = tl.load(lengths + head // heads_kv)
    start = number * part
    stop = tl.minimum(start + part, length)
    # keys that every new token sees; with several tokens the last ones are tested
    whole = tl.maximum(tl.minimum(stop, length - NEW + 1) - start, 0) // BLOCK_K * BLOCK_K + start
    row = tl.arange(0, BLOCK_Q)
    channel = tl.arange(0, DIM)
    used = (row < ROWS)[:, None]
    chosen = tl.load(q + (head.to(tl.int64) * ROWS + row[:, None]) * DIM + channel[None, :], mask=used, other=0.0)
    k += head.to(tl.int64) * cache * DIM
    v += head.to(tl.int64) * cache * DIM
    total = tl.zeros([BLOCK_Q, DIM], tl.float32)
    denominator = tl.zeros([BLOCK_Q], tl.float32)
    maximum = tl.full([BLOCK_Q], float("-inf"), tl.float32)
    for step in range((whole - start) // BLOCK_K):
        key = start + step * BLOCK_K
        scores = tl.dot(chosen, rows_of(k, head, key, BLOCK_K, DIM, 0).T, input_precision=PRECISION)
        values = rows_of(v, head, key, BLOCK_K, DIM, 0)
        total, denominator, maximum = take(total, denominator, maximum, scores, values, scale_log2, 0, PRECISION)
    for key in range(whole, stop, BLOCK_K):
        at = key + tl.arange(0, BLOCK_K)
        place = at[:, None].to(tl.int64) * DIM + channel[None, :]
        scores = tl.dot(chosen, tl.load(k + place, mask=(at < stop)[:, None], other=0.0).T, input_precision=PRECISION)
        last = length - NEW + row % NEW
        seen = (at[None, :] <= last[:, None]) & (at[None, :] < stop)
        scores = tl.where(seen, scores, float("-inf"))
        values = tl.load(v + place, mask=(at < stop)[:, None], other=0.0)
        total, denominator, maximum = take(total, denominator, maximum, scores, values, scale_log2, 1, PRECISION)
    at = (head.to(tl.int64) * tl.num_programs(1) + number) * ROWS + row
    tl.store(partial_max + at, maximum, mask=row < ROWS)
    tl.store(partial_sum + at, denominator, mask=row < ROWS)
    tl.store(partial_out + at[:, None] * DIM + channel[None, :], total, mask=used)


@triton.jit(do_not_specialize=["parts"])
def decode_merge(
    partial_out, partial_max, partial_sum, out, scale_log2, parts,
    ROWS: tl.constexpr, PARTS: tl.constexpr, TOGETHER: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """One row of one head from its `parts` partial sums, TOGETHER at a time; zero where no part has seen a key.

    PARTS: the next power of two.
    """
    row = tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    channel = tl.arange(0, DIM)
    every = tl.arange(0, PARTS)
    at = (head * parts + every) * ROWS + row
    maxima = tl.load(partial_max + at, mask=every < parts, other=float("-inf"))
    largest = tl.max(maxima, 0)
    largest = tl.where(largest == float("-inf"), 0.0, largest)
    sums = tl.load(partial_sum + at, mask=every < parts, other=0.0)
    denominator = tl.sum(sums * tl.exp2((maxima - largest) * scale_log2), 0)
    total = tl.zeros([TOGETHER, DIM], tl.float32)
    for first in range(0, parts, TOGETHER):
        number = first + tl.arange(0, TOGETHER)
        exists = number < parts
        place = (head * parts + number) * ROWS + row
        weight = tl.exp2((tl.load(partial_max + place, mask=exists, other=float("-inf")) - largest) * scale_log2)
        found = tl.load(partial_out + place[:, None] * DIM + channel[None, :], mask=exists[:, None], other=0.0)
        total += weight[:, None] * found
    result = tl.sum(total, 0) / tl.where(denominator == 0, 1.0, denominator)
    tl.store(out + (head * ROWS + row) * DIM + channel, result.to(out.dtype.element_ty))
