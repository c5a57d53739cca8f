"""Softmax averages of all prefixes (Aaren): O[t] = sum over s <= t of exp(X[s]) V[s], over the sum of the exponentials.

The state of a prefix is a maximum m, a sum u of exponentials and a weighted sum w, and two states join into one: an
associative operation. Within a chunk the maxima of all prefixes come from a parallel scan; with them the sums of all
prefixes are one product with a triangular matrix of exponentials, none of which is above 1. Chunks follow each other in
a block, with the state in registers. Long sequences are cut into segments, side by side: first the state of every
segment, then its prefixes on top of the states before it.
"""

import triton
import triton.language as tl


@triton.jit
def _larger(x, y):
    return tl.maximum(x, y)


@triton.jit
def segments(
    x, v, m, u, w, T, E, SEGMENT, SEGMENTS,
    C: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """M, U [B*H,SEGMENTS] and W [B*H,SEGMENTS,E], FP32: the state of each segment of SEGMENT tokens by itself."""
    segment = tl.program_id(0)
    columns = tl.program_id(1) * BE + tl.arange(0, BE)
    head = tl.program_id(2).to(tl.int64)
    place = tl.arange(0, C)
    first = segment * SEGMENT
    end = min(first + SEGMENT, T)
    largest = tl.full((C,), -1e30, tl.float32)
    for at in range(first, end, C):
        score = tl.load(x + head * T + at + place, at + place < end, -1e30).to(tl.float32)
        largest = tl.maximum(largest, score)
    most = tl.max(largest, 0)
    sums = tl.zeros((C,), tl.float32)
    total = tl.zeros((C, BE), tl.float32)
    for at in range(first, end, C):
        tokens = at + place
        score = tl.load(x + head * T + tokens, tokens < end, -float("inf")).to(tl.float32)
        weight = tl.exp(score - most)
        inside = (tokens < end)[:, None] & (columns < E)[None, :]
        values = tl.load(v + (head * T + tokens)[:, None] * E + columns[None, :], inside, 0.0)
        sums += weight
        total += values.to(tl.float32) * weight[:, None]
    state = head * SEGMENTS + segment
    if tl.program_id(1) == 0:
        tl.store(m + state, most)
        tl.store(u + state, tl.sum(sums, 0))
    tl.store(w + state * E + columns, tl.sum(total, 0), columns < E)


@triton.jit
def prefixes(
    x, v, m, u, w, o, T, E, SEGMENT, SEGMENTS,
    C: tl.constexpr, BE: tl.constexpr, BEFORE: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """O[B*H,T,E] of X[B*H,T] and V[B*H,T,E]. A block: BE features of one segment of SEGMENT tokens of one head.

    BEFORE, at least 2 and no less than SEGMENTS, is the width of the tile of states that stand before a segment; with 0
    there is one segment, and no state is read.
    """
    segment = tl.program_id(0)
    columns = tl.program_id(1) * BE + tl.arange(0, BE)
    head = tl.program_id(2).to(tl.int64)
    place = tl.arange(0, C)
    first = segment * SEGMENT
    end = min(first + SEGMENT, T)
    before_m = -1e30
    before_u = 0.0
    before_w = tl.zeros((BE,), tl.float32)
    if BEFORE > 0:
        others = tl.arange(0, BEFORE)
        read = others < segment
        theirs = tl.load(m + head * SEGMENTS + others, read, -1e30)
        before_m = tl.max(theirs, 0)
        share = tl.where(read, tl.exp(theirs - before_m), 0.0)
        before_u = tl.sum(share * tl.load(u + head * SEGMENTS + others, read, 0.0), 0)
        at = (head * SEGMENTS + others)[:, None] * E + columns[None, :]
        weighted = tl.load(w + at, read[:, None] & (columns < E)[None, :], 0.0)
        before_w = tl.sum(share[:, None] * weighted, 0)
    for at in range(first, end, C):
        tokens = at + place
        score = tl.load(x + head * T + tokens, tokens < end, -1e30).to(tl.float32)
        inside = (tokens < end)[:, None] & (columns < E)[None, :]
        values = tl.load(v + (head * T + tokens)[:, None] * E + columns[None, :], inside, 0.0)
        largest = tl.maximum(tl.associative_scan(score, 0, _larger), before_m)
        weight = tl.exp(score[None, :] - largest[:, None])
        weight = tl.where(place[None, :] <= place[:, None], weight, 0.0)
        fade = tl.exp(before_m - largest)
        sums = before_u * fade + tl.sum(weight, 1)
        if EXACT:
            made = tl.dot(weight, values.to(tl.float32), input_precision="ieee")
        else:
            made = tl.dot(weight.to(values.dtype), values)
        made += before_w[None, :] * fade[:, None]
        where = o + (head * T + tokens)[:, None] * E + columns[None, :]
        tl.store(where, (made / sums[:, None]).to(o.dtype.element_ty), inside)
        last = place == C - 1
        before_m = tl.max(largest, 0)
        before_u = tl.sum(tl.where(last, sums, 0.0), 0)
        before_w = tl.sum(tl.where(last[:, None], made, 0.0), 0)
