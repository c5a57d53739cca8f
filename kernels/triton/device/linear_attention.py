"""Causal linear attention with a decay per head, chunk by chunk: O[t] = sum over s <= t of lam^(t-s) (Q[t].K[s]) V[s].

Tokens of a chunk read each other through a masked product, and all before it through a state of D x E in the registers
of the block that walks the chunks. Long sequences of few heads are cut into segments, side by side: first what each
adds to the state, then its outputs, on top of the states of the segments before it.
"""

import triton
import triton.language as tl

LOG2E: tl.constexpr = tl.constexpr(1.4426950408889634)  # exponentials are powers of two on the device


@triton.jit
def _load(x, base, stride, tokens, columns, T, WIDTH):
    """A tile [tokens, columns] of x[T, WIDTH], with zeros outside."""
    inside = (tokens < T)[:, None] & (columns < WIDTH)[None, :]
    return tl.load(x + base + tokens.to(tl.int64)[:, None] * stride + columns[None, :], inside, 0.0)


@triton.jit
def _dot(x, y, EXACT: tl.constexpr):
    if EXACT:
        return tl.dot(x, y, input_precision="ieee")
    return tl.dot(x, y)


@triton.jit
def _within(q, k, v, rate, C: tl.constexpr, EXACT: tl.constexpr):
    """What tokens of a chunk read of each other: (q k^T, decayed and masked) v. rate is log2 of the decay, negative."""
    place = tl.arange(0, C)
    distance = place[:, None] - place[None, :]
    decay = tl.where(distance >= 0, tl.exp2(distance.to(tl.float32) * rate), 0.0)
    scores = _dot(q, tl.trans(k), EXACT) * decay
    return _dot(scores.to(v.dtype), v, EXACT)


@triton.jit
def _fit(rate, T):
    """What brings a state into the range of FP16, which ends at 65504, though it be the sum of n tokens.

    n is 1 / (1 - lam), at most T. Products of keys and values of one sign add up to n of them, of any sign to about the
    root of n: by n^-3/4 both are as far from the ends of the range.
    """
    many = tl.minimum(1.0 / (1.0 - tl.exp2(rate)), T * 1.0)
    return tl.exp2(tl.log2(many) * -0.75)


@triton.jit
def _words(state, fit, KIND: tl.constexpr):
    """The state in the type that queries have; of FP16 `fit` times the state."""
    if KIND == tl.float16:  # noqa: SIM300 (KIND is the one that varies)
        state = state * fit
    return state.to(KIND)


@triton.jit
def walk(
    q, k, v, slope, s, o, H, T, D, E, SEGMENT, SEGMENTS,
    C: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr, BEFORE: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Q, K [B*H,T,D], V, O [B*H,T,E], slope [H] in FP32; lam = exp(-slope). A block: BE values of one segment
    of SEGMENT tokens (whole chunks) of one head. With BEFORE, the segments before it have left their states in S.
    """
    segment = tl.program_id(0)
    columns = tl.program_id(1) * BE + tl.arange(0, BE)
    head = tl.program_id(2)
    wide = tl.arange(0, BD)
    place = tl.arange(0, C)
    rate = -tl.load(slope + head % H) * LOG2E
    into = tl.exp2((place + 1).to(tl.float32) * rate)
    out_of = tl.exp2((C - 1 - place).to(tl.float32) * rate)
    over = tl.exp2(rate * C)
    fit = _fit(rate, T)
    from_state = into / fit if q.dtype.element_ty == tl.float16 else into
    keys_at = head.to(tl.int64) * T * D
    values_at = head.to(tl.int64) * T * E
    state = tl.zeros((BD, BE), tl.float32)
    if BEFORE:
        fade = tl.exp2(rate * SEGMENT)
        at = head.to(tl.int64) * SEGMENTS * D * E
        for _ in range(segment):
            state = state * fade + _load(s, at, E, wide, columns, D, E)
            at += D * E
    first = segment * SEGMENT
    for at in range(first, min(first + SEGMENT, T), C):
        tokens = at + place
        queries = _load(q, keys_at, D, tokens, wide, T, D)
        keys = _load(k, keys_at, D, tokens, wide, T, D)
        values = _load(v, values_at, E, tokens, columns, T, E)
        made = _within(queries, keys, values, rate, C, EXACT)
        made += _dot(queries, _words(state, fit, q.dtype.element_ty), EXACT) * from_state[:, None]
        inside = (tokens < T)[:, None] & (columns < E)[None, :]
        where = o + values_at + tokens.to(tl.int64)[:, None] * E + columns[None, :]
        tl.store(where, made.to(o.dtype.element_ty), inside)
        faded = (values.to(tl.float32) * out_of[:, None]).to(v.dtype.element_ty)
        state = state * over + _dot(tl.trans(keys), faded, EXACT)


@triton.jit
def states(
    k, v, slope, s, H, T, D, E, SEGMENT, SEGMENTS,
    C: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """S[B*H,SEGMENTS,D,E] in FP32: what each segment adds to the state at its end. A block: BE values of one."""
    segment = tl.program_id(0)
    columns = tl.program_id(1) * BE + tl.arange(0, BE)
    head = tl.program_id(2)
    wide = tl.arange(0, BD)
    place = tl.arange(0, C)
    rate = -tl.load(slope + head % H) * LOG2E
    out_of = tl.exp2((C - 1 - place).to(tl.float32) * rate)
    over = tl.exp2(rate * C)
    first = segment * SEGMENT
    state = tl.zeros((BD, BE), tl.float32)
    for at in range(first, min(first + SEGMENT, T), C):
        tokens = at + place
        keys = _load(k, head.to(tl.int64) * T * D, D, tokens, wide, T, D)
        values = _load(v, head.to(tl.int64) * T * E, E, tokens, columns, T, E)
        faded = (values.to(tl.float32) * out_of[:, None]).to(v.dtype.element_ty)
        state = state * over + _dot(tl.trans(keys), faded, EXACT)
    inside = (wide < D)[:, None] & (columns < E)[None, :]
    where = s + (head.to(tl.int64) * SEGMENTS + segment) * D * E + wide[:, None] * E + columns[None, :]
    tl.store(where, state, inside)
