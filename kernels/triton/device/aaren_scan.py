"""Softmax averages of all prefixes (Aaren): O[t] = sum over s <= t of exp(X[s]) V[s], over the sum of the exponentials.

The state of a prefix is a maximum m, a sum u of exponentials and a weighted sum w, and two states join into one: an
associative operation. Scores become exponents of two as they are read, and m is one of those. Within a chunk the maxima
and sums of all prefixes come from a parallel scan; with them the weighted sums of all prefixes are one product with a
triangular matrix of exponentials, none of which is above 1. Chunks follow each other in a block, with the state in
registers. Long sequences are cut into segments, side by side: first the state of every segment, then its prefixes on
top of the states before it.
"""

import triton
import triton.language as tl

LOG2E: tl.constexpr = tl.constexpr(1.4426950408889634)  # exponentials are powers of two on the device
# The least number of FP32, which stands for minus infinity: infinities would be subtracted where padding comes first.
LEAST: tl.constexpr = tl.constexpr(-3.4028234663852886e38)


@triton.jit
def _join(m, u, other_m, other_u):
    """The maximum and the sum of exponentials of two neighbouring stretches of tokens together."""
    both = tl.maximum(m, other_m)
    return both, u * tl.exp2(m - both) + other_u * tl.exp2(other_m - both)


@triton.jit
def _product(weight, values, EXACT: tl.constexpr):
    if EXACT:
        return tl.dot(weight, values.to(tl.float32), input_precision="ieee")
    return tl.dot(weight.to(values.dtype), values)


@triton.jit
def _scores(x, tokens, end):
    """Scores of tokens before `end` as exponents of two, none below LEAST, which also stands for tokens beyond."""
    score = tl.load(x + tokens, tokens < end, -float("inf")).to(tl.float32) * LOG2E
    return tl.maximum(score, LEAST, tl.PropagateNan.ALL)  # what is no number stays none


@triton.jit
def _values(v, tokens, columns, end, E):
    """Values of tokens before `end`, zeros beyond."""
    inside = (tokens < end)[:, None] & (columns < E)[None, :]
    return tl.load(v + tokens.to(tl.int64)[:, None] * E + columns[None, :], inside, 0.0)


@triton.jit
def segments(
    x, v, m, u, w, T, E, SEGMENT, SEGMENTS,
    C: tl.constexpr, BE: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """M, U [B*H,SEGMENTS] and W [B*H,SEGMENTS,E], FP32: the state of each segment of SEGMENT tokens by itself.

    First the maximum, WIDE scores at a time. What the next chunk needs is loaded ahead into registers. Tokens beyond
    `end` weigh nothing, unless all scores are minus infinity: the last segment alone has any, whose state nobody reads.
    """
    segment = tl.program_id(0)
    columns = tl.program_id(1) * BE + tl.arange(0, BE)
    head = tl.program_id(2).to(tl.int64)
    place = tl.arange(0, C)
    first = segment * SEGMENT
    end = min(first + SEGMENT, T)
    many = tl.arange(0, WIDE)
    largest = tl.full((WIDE,), LEAST, tl.float32)
    for at in range(first, end, WIDE):
        largest = tl.maximum(largest, _scores(x + head * T, at + many, end))
    most = tl.max(largest, 0)
    sums = tl.zeros((C,), tl.float32)
    total = tl.zeros((C, BE), tl.float32)
    score = _scores(x + head * T, first + place, end)
    values = _values(v + head * T * E, first + place, columns, end, E)
    for at in range(first, end, C):
        ahead = at + C + place
        next_score = _scores(x + head * T, ahead, end)
        next_values = _values(v + head * T * E, ahead, columns, end, E)
        weight = tl.exp2(score - most)
        sums += weight
        total += values.to(tl.float32) * weight[:, None]
        score = next_score
        values = next_values
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
    there is one segment, and no state is read. The weighted sum of what stands before a chunk is the same in every row
    of its tile: a second product carries it on, so that no row has to be taken out of registers. Scores of the next
    chunk are loaded ahead. A prefix whose scores are all minus infinity gives the plain mean of its values.
    """
    segment = tl.program_id(0)
    columns = tl.program_id(1) * BE + tl.arange(0, BE)
    head = tl.program_id(2).to(tl.int64)
    place = tl.arange(0, C)
    first = segment * SEGMENT
    end = min(first + SEGMENT, T)
    before_m = LEAST
    before_u = 0.0
    before_w = tl.zeros((C, BE), tl.float32)
    if BEFORE > 0:
        others = tl.arange(0, BEFORE)
        read = others < segment
        theirs = tl.load(m + head * SEGMENTS + others, read, LEAST)
        before_m = tl.max(theirs, 0)
        part = tl.where(read, tl.exp2(theirs - before_m), 0.0)
        before_u = tl.sum(part * tl.load(u + head * SEGMENTS + others, read, 0.0), 0)
        at = (head * SEGMENTS + others)[:, None] * E + columns[None, :]
        weighted = tl.load(w + at, read[:, None] & (columns < E)[None, :], 0.0)
        before_w += tl.sum(part[:, None] * weighted, 0)[None, :]
    score = _scores(x + head * T, first + place, end)
    for at in range(first, end, C):
        tokens = at + place
        inside = (tokens < end)[:, None] & (columns < E)[None, :]
        values = tl.load(v + (head * T + tokens)[:, None] * E + columns[None, :], inside, 0.0)
        next_score = _scores(x + head * T, tokens + C, end)
        own_m, own_u = tl.associative_scan((score, tl.full((C,), 1.0, tl.float32)), 0, _join)
        largest, sums = _join(before_m, before_u, own_m, own_u)
        weight = tl.exp2(score[None, :] - largest[:, None])
        weight = tl.where(place[None, :] <= place[:, None], weight, 0.0)
        fade = tl.exp2(before_m - largest)
        made = before_w * fade[:, None] + _product(weight, values, EXACT)
        where = o + (head * T + tokens)[:, None] * E + columns[None, :]
        tl.store(where, (made * (1.0 / sums)[:, None]).to(o.dtype.element_ty), inside)
        most = tl.max(largest, 0)
        fade_all = tl.exp2(before_m - most)
        share = tl.exp2(score - most)
        before_m = most
        before_u = before_u * fade_all + tl.sum(share, 0)
        rows = tl.broadcast_to(share[None, :], (C, C))
        before_w = before_w * fade_all + _product(rows, values, EXACT)
        score = next_score
