"""The backward pass of attention on the device: products of rows, then gradients of keys and values, then of queries.

Weights are computed again from the sums that the forward pass left. A block of threads keeps a tile of keys and walks
the queries that see them, another kernel the reverse: no block adds to what another one writes. Tensors lie as in
attention.py; `upper` is the gradient of the outputs.
"""

import triton
import triton.language as tl

from .attention import block_place, tile

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit(do_not_specialize=["rows"])
def row_products(out, upper, products, rows, DIM: tl.constexpr, BLOCK: tl.constexpr):
    """The sum of out * upper over every row, in FP32."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    place = row[:, None] * DIM + tl.arange(0, DIM)[None, :]
    exists = row[:, None] < rows
    left = tl.load(out + place, mask=exists, other=0.0).to(tl.float32)
    right = tl.load(upper + place, mask=exists, other=0.0).to(tl.float32)
    tl.store(products + row, tl.sum(left * right, 1), mask=row < rows)


@triton.jit(do_not_specialize=["queries", "keys", "heads_kv", "group", "section"])
def keys_gradient(
    q, k, v, upper, logsumexp, products, dk, dv, scale, queries, keys, heads_kv, group, section,
    DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, TMA: tl.constexpr,
    CAUSAL: tl.constexpr, RAGGED: tl.constexpr, PRECISION: tl.constexpr, LOOP: tl.constexpr,
):  # fmt: skip
    """Gradients of BLOCK_K keys and values of one head, from all heads of queries that share it. RAGGED is 1 where
    BLOCK_Q does not divide the queries: those past the end are zeros and add nothing. LOOP is 0
    for one head that needs no loop.
    """
    block, head_kv = block_place(tl.program_id(0), heads_kv, section, tl.cdiv(keys, BLOCK_K), 0)
    first = block * BLOCK_K
    ahead = keys - queries
    if not TMA:
        k += head_kv.to(tl.int64) * keys * DIM
        v += head_kv.to(tl.int64) * keys * DIM
    key_rows = tile(k, head_kv, first, keys, BLOCK_K, DIM, TMA, 1)
    value_rows = tile(v, head_kv, first, keys, BLOCK_K, DIM, TMA, 1)
    of_keys = tl.zeros([BLOCK_K, DIM], tl.float32)
    of_values = tl.zeros([BLOCK_K, DIM], tl.float32)
    start = 0
    full = 0
    if CAUSAL:  # the first query that sees any of the keys, and that from which on all see all
        start = tl.maximum(first - ahead, 0) // BLOCK_Q * BLOCK_Q
        full = first + BLOCK_K - 1 - ahead
    for member in range(group if LOOP else 1):
        head = head_kv * group + member
        rows_at = head.to(tl.int64) * queries
        sums_at = logsumexp + rows_at
        products_at = products + rows_at
        if TMA:
            q_at = q
            upper_at = upper
        else:
            q_at = q + rows_at * DIM
            upper_at = upper + rows_at * DIM
        for query in range(start, queries, BLOCK_Q):
            row = query + tl.arange(0, BLOCK_Q)
            if RAGGED:
                sums = tl.load(sums_at + row, mask=row < queries, other=0.0)
                product = tl.load(products_at + row, mask=row < queries, other=0.0)
            else:
                sums = tl.load(sums_at + row)
                product = tl.load(products_at + row)
            queries_here = tile(q_at, head, query, queries, BLOCK_Q, DIM, TMA, RAGGED)
            scores = tl.dot(key_rows, queries_here.T, input_precision=PRECISION)
            weights = tl.exp2(scores * (scale * LOG2_E) - (sums * LOG2_E)[None, :])
            if CAUSAL:  # noqa: SIM102 (a constant)
                if query < full:
                    column = first - ahead - query + tl.arange(0, BLOCK_K)[:, None]
                    weights = tl.where(column <= tl.arange(0, BLOCK_Q)[None, :], weights, 0.0)
            upper_here = tile(upper_at, head, query, queries, BLOCK_Q, DIM, TMA, RAGGED)
            of_values = tl.dot(weights.to(upper_here.dtype), upper_here, of_values, input_precision=PRECISION)
            of_weights = tl.dot(value_rows, upper_here.T, input_precision=PRECISION)
            of_scores = (weights * (of_weights - product[None, :])).to(queries_here.dtype)
            of_keys = tl.dot(of_scores, queries_here, of_keys, input_precision=PRECISION)
    key = first + tl.arange(0, BLOCK_K)[:, None]
    place = (head_kv.to(tl.int64) * keys + key) * DIM + tl.arange(0, DIM)[None, :]
    tl.store(dk + place, (of_keys * scale).to(dk.dtype.element_ty), mask=key < keys)
    tl.store(dv + place, of_values.to(dv.dtype.element_ty), mask=key < keys)


@triton.jit(do_not_specialize=["queries", "keys", "heads", "group", "section"])
def queries_gradient(
    q, k, v, upper, logsumexp, products, dq, scale, queries, keys, heads, group, section,
    DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, TMA: tl.constexpr,
    CAUSAL: tl.constexpr, RAGGED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of BLOCK_Q queries of one head. RAGGED is 1 where BLOCK_K does not divide the keys."""
    block, head = block_place(tl.program_id(0), heads, section, tl.cdiv(queries, BLOCK_Q), CAUSAL)
    first = block * BLOCK_Q
    ahead = keys - queries
    head_kv = head // group
    rows_at = head.to(tl.int64) * queries
    if not TMA:
        q += rows_at * DIM
        upper += rows_at * DIM
        k += head_kv.to(tl.int64) * keys * DIM
        v += head_kv.to(tl.int64) * keys * DIM
    query_rows = tile(q, head, first, queries, BLOCK_Q, DIM, TMA, 1)
    upper_rows = tile(upper, head, first, queries, BLOCK_Q, DIM, TMA, 1)
    row = first + tl.arange(0, BLOCK_Q)
    sums = tl.load(logsumexp + rows_at + row, mask=row < queries, other=0.0) * LOG2_E
    product = tl.load(products + rows_at + row, mask=row < queries, other=0.0)
    of_queries = tl.zeros([BLOCK_Q, DIM], tl.float32)
    stop = keys
    partial = keys // BLOCK_K * BLOCK_K
    if CAUSAL:
        stop = tl.minimum(keys, first + BLOCK_Q + ahead)
        partial = tl.minimum(partial, (first + ahead + 1) // BLOCK_K * BLOCK_K)
    for key in range(0, stop, BLOCK_K):
        keys_here = tile(k, head_kv, key, keys, BLOCK_K, DIM, TMA, RAGGED)
        scores = tl.dot(query_rows, keys_here.T, input_precision=PRECISION)
        weights = tl.exp2(scores * (scale * LOG2_E) - sums[:, None])
        if CAUSAL or RAGGED:  # noqa: SIM102 (a constant)
            if key >= partial:
                column = key + tl.arange(0, BLOCK_K)[None, :]
                seen = column < keys
                if CAUSAL:
                    nearest = first + ahead + tl.arange(0, BLOCK_Q)[:, None]
                    seen = (seen & (column <= nearest)) if RAGGED else (column <= nearest)
                weights = tl.where(seen, weights, 0.0)
        values_here = tile(v, head_kv, key, keys, BLOCK_K, DIM, TMA, RAGGED)
        of_weights = tl.dot(upper_rows, values_here.T, input_precision=PRECISION)
        of_scores = (weights * (of_weights - product[:, None])).to(keys_here.dtype)
        of_queries = tl.dot(of_scores, keys_here, of_queries, input_precision=PRECISION)
    place = (rows_at + row[:, None]) * DIM + tl.arange(0, DIM)[None, :]
    tl.store(dq + place, (of_queries * scale).to(dq.dtype.element_ty), mask=row[:, None] < queries)
