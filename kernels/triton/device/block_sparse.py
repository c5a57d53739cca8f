"""Attention over chosen blocks of keys, on the device: of each block of queries, a table says which.

The table is in compressed rows: the key blocks of row r are columns[offsets[r] : offsets[r + 1]], the first untested[r]
of which every query of the block sees whole; scores of the others are tested. Rows are query blocks, head by head, or
those of one head for all of them.
"""

import triton
import triton.language as tl

from .hiding import without_later
from .online_softmax import normalized, rows_of, take


@triton.jit
def some_rows(source, head, start, rows, BLOCK: tl.constexpr, DIM: tl.constexpr, TMA: tl.constexpr):
    """As rows_of, but zero from row number `rows` on, which need not exist."""
    if TMA:
        found = rows_of(source, head, start, BLOCK, DIM, 1)
    else:
        row = start + tl.arange(0, BLOCK)
        place = row[:, None] * DIM + tl.arange(0, DIM)[None, :]
        found = tl.load(source + place, mask=row[:, None] < rows, other=0.0)
    return found


@triton.jit(do_not_specialize=["queries", "keys"])
def block_sparse_forward(
    q, k, v, out, offsets, untested, columns, positions, scale_log2, queries, keys,
    BLOCK: tl.constexpr, BLOCK_K: tl.constexpr, DIM: tl.constexpr, PER_HEAD: tl.constexpr,
    CAUSAL: tl.constexpr, MOVED: tl.constexpr, TMA: tl.constexpr, PTX: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head; tensors are heads x tokens x DIM, of which q, k and v are descriptors where TMA
    is 1.

    BLOCK_K: keys taken at a time, which divide a block. CAUSAL: a query sees no key behind it. MOVED: keys are not
    where they were; positions[head, place] tells where.
    """
    block = tl.num_programs(0) - 1 - tl.program_id(0)  # of a causal table, the longest rows first
    head = tl.program_id(1)
    row = block + PER_HEAD * head * tl.num_programs(0)
    query = block * BLOCK + tl.arange(0, BLOCK)
    exists = query < queries
    channel = tl.arange(0, DIM)
    if TMA:  # beyond the last row it reads zeros
        chosen = rows_of(q, head, block * BLOCK, BLOCK, DIM, 1)
    else:
        q += head.to(tl.int64) * queries * DIM
        k += head.to(tl.int64) * keys * DIM
        v += head.to(tl.int64) * keys * DIM
        chosen = tl.load(q + query[:, None] * DIM + channel[None, :], mask=exists[:, None], other=0.0)
    total = tl.zeros([BLOCK, DIM], tl.float32)
    denominator = tl.zeros([BLOCK], tl.float32)
    maximum = tl.full([BLOCK], float("-inf"), tl.float32)

    PARTS: tl.constexpr = BLOCK // BLOCK_K
    LAST: tl.constexpr = 2147483647
    start = tl.load(offsets + row)
    stop = tl.load(offsets + row + 1)
    whole = start + tl.load(untested + row)
    for number in range(start * PARTS, whole * PARTS):
        key = tl.load(columns + number // PARTS) * BLOCK + number % PARTS * BLOCK_K
        scores = tl.dot(chosen, rows_of(k, head, key, BLOCK_K, DIM, TMA).T, input_precision=PRECISION)
        values = rows_of(v, head, key, BLOCK_K, DIM, TMA)
        total, denominator, maximum = take(total, denominator, maximum, scores, values, scale_log2, 0, PRECISION)
    for number in range(whole * PARTS, stop * PARTS):
        key = tl.load(columns + number // PARTS) * BLOCK + number % PARTS * BLOCK_K
        scores = tl.dot(chosen, some_rows(k, head, key, keys, BLOCK_K, DIM, TMA).T, input_precision=PRECISION)
        place = key + tl.arange(0, BLOCK_K)
        inside = place < keys
        position = place
        if MOVED:
            position = tl.load(positions + head * keys + place, mask=inside, other=0)
        position = tl.where(inside, position, LAST)
        limit = query
        if not CAUSAL:
            limit = tl.full([BLOCK], LAST - 1, tl.int32)
        scores = without_later(scores, limit[:, None], position[None, :], PTX)
        values = some_rows(v, head, key, keys, BLOCK_K, DIM, TMA)
        total, denominator, maximum = take(total, denominator, maximum, scores, values, scale_log2, 1, PRECISION)

    found = normalized(total, denominator).to(out.dtype.element_ty)
    place = head.to(tl.int64) * queries * DIM + query[:, None] * DIM + channel[None, :]
    tl.store(out + place, found, mask=exists[:, None])
