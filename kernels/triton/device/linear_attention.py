"""Causal linear attention with a decay per head, chunk by chunk: O[t] = sum over s <= t of lam^(t-s) (Q[t].K[s]) V[s].

Tokens of a chunk read each other through a masked product and all before it through a state of D x E. Either a block
walks the chunks of a head and a slice of its values with the state in registers, or one kernel leaves the state before
every chunk in memory and another makes all outputs at once.
"""

import triton
import triton.language as tl


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
def walk(
    q, k, v, slope, o, H, T, D, E,
    C: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Q, K [B*H,T,D], V, O [B*H,T,E], slope [H] in FP32; lam = exp(-slope). A block: one head, BE of its values."""
    head = tl.program_id(0)
    columns = tl.program_id(1) * BE + tl.arange(0, BE)
    wide = tl.arange(0, BD)
    place = tl.arange(0, C)
    rate = -tl.load(slope + head % H) * 1.4426950408889634
    into = tl.exp2((place + 1).to(tl.float32) * rate)
    out_of = tl.exp2((C - 1 - place).to(tl.float32) * rate)
    over = tl.exp2(rate * C)
    keys_at = head.to(tl.int64) * T * D
    values_at = head.to(tl.int64) * T * E
    state = tl.zeros((BD, BE), tl.float32)
    for at in range(0, T, C):
        tokens = at + place
        queries = _load(q, keys_at, D, tokens, wide, T, D)
        keys = _load(k, keys_at, D, tokens, wide, T, D)
        values = _load(v, values_at, E, tokens, columns, T, E)
        made = _within(queries, keys, values, rate, C, EXACT)
        made += _dot(queries, state.to(q.dtype.element_ty), EXACT) * into[:, None]
        inside = (tokens < T)[:, None] & (columns < E)[None, :]
        where = o + values_at + tokens.to(tl.int64)[:, None] * E + columns[None, :]
        tl.store(where, made.to(o.dtype.element_ty), inside)
        faded = (values.to(tl.float32) * out_of[:, None]).to(v.dtype.element_ty)
        state = state * over + _dot(tl.trans(keys), faded, EXACT)


@triton.jit
def states(
    k, v, slope, s, H, T, D, E, CHUNKS,
    C: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """S[B*H,CHUNKS,D,E], the state before every chunk. A block: one head, BD features of its keys, BE of its values."""
    head = tl.program_id(0)
    deep = tl.program_id(1) * BD + tl.arange(0, BD)
    columns = tl.program_id(2) * BE + tl.arange(0, BE)
    place = tl.arange(0, C)
    rate = -tl.load(slope + head % H) * 1.4426950408889634
    out_of = tl.exp2((C - 1 - place).to(tl.float32) * rate)
    over = tl.exp2(rate * C)
    inside = (deep < D)[:, None] & (columns < E)[None, :]
    where = s + head.to(tl.int64) * CHUNKS * D * E + deep[:, None] * E + columns[None, :]
    state = tl.zeros((BD, BE), tl.float32)
    for at in range(0, T, C):
        tl.store(where, state.to(s.dtype.element_ty), inside)
        tokens = at + place
        keys = _load(k, head.to(tl.int64) * T * D, D, tokens, deep, T, D)
        values = _load(v, head.to(tl.int64) * T * E, E, tokens, columns, T, E)
        faded = (values.to(tl.float32) * out_of[:, None]).to(v.dtype.element_ty)
        state = state * over + _dot(tl.trans(keys), faded, EXACT)
        where += D * E


@triton.jit
def outputs(
    q, k, v, slope, s, o, H, T, D, E, CHUNKS,
    C: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """O from the states before the chunks. A block: one chunk of one head, BE of its values; BD covers D."""
    chunk = tl.program_id(0)
    columns = tl.program_id(1) * BE + tl.arange(0, BE)
    head = tl.program_id(2)
    wide = tl.arange(0, BD)
    place = tl.arange(0, C)
    rate = -tl.load(slope + head % H) * 1.4426950408889634
    tokens = chunk * C + place
    keys_at = head.to(tl.int64) * T * D
    values_at = head.to(tl.int64) * T * E
    queries = _load(q, keys_at, D, tokens, wide, T, D)
    keys = _load(k, keys_at, D, tokens, wide, T, D)
    values = _load(v, values_at, E, tokens, columns, T, E)
    before = _load(s, (head.to(tl.int64) * CHUNKS + chunk) * D * E, E, wide, columns, D, E)
    made = _dot(queries, before, EXACT) * tl.exp2((place + 1).to(tl.float32) * rate)[:, None]
    made += _within(queries, keys, values, rate, C, EXACT)
    inside = (tokens < T)[:, None] & (columns < E)[None, :]
    tl.store(o + values_at + tokens.to(tl.int64)[:, None] * E + columns[None, :], made.to(o.dtype.element_ty), inside)
