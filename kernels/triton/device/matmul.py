"""Matrix products for a GPU: one tile of the result a block, and the sum of parts where the sum itself is split."""

import triton
import triton.language as tl


@triton.jit
def _tile_of(block, rows, columns, GROUP: tl.constexpr):
    """The row and column of tiles that a block makes: GROUP rows of tiles go together, column by column, so that the
    blocks which run at once share their operands in the cache."""
    group_size = GROUP * columns
    group = block // group_size
    first = group * GROUP
    height = min(rows - first, GROUP)
    inside = block % group_size
    return first + inside % height, inside // height


@triton.jit
def product(
    a, b, c, M, N, K, PART,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, GROUP: tl.constexpr,
    EVEN: tl.constexpr, SPLIT: tl.constexpr, EXACT: tl.constexpr, K_ALIGN: tl.constexpr, N_ALIGN: tl.constexpr,
):  # fmt: skip
    """C[M,N] = A[M,K] @ B[K,N], all row by row. With SPLIT parts, part s sums PART of K into C[s,M,N].

    EVEN: BK divides what each part sums, so that no operand needs a mask. EXACT: products in full FP32. K_ALIGN and
    N_ALIGN divide K and N: said in their arithmetic, they let vectors of so many words move where Triton itself knows
    of 16 only. Rows and columns beyond the matrix repeat others, and are not stored.
    """
    K = K // K_ALIGN * K_ALIGN
    N = N // N_ALIGN * N_ALIGN
    tile_m, tile_n = _tile_of(tl.program_id(0), tl.cdiv(M, BM), tl.cdiv(N, BN), GROUP)
    part = tl.program_id(1)
    first = part * PART if SPLIT > 1 else 0
    rows = tile_m * BM + tl.arange(0, BM)
    columns = tile_n * BN + tl.arange(0, BN)
    steps = tl.arange(0, BK)
    row_at = tl.max_contiguous(tl.multiple_of(rows % M, BM), BM).to(tl.int64)
    column_at = tl.max_contiguous(tl.multiple_of(columns % N, BN), BN)
    a_at = a + row_at[:, None] * K + (first + steps)[None, :]
    b_at = b + (first + steps).to(tl.int64)[:, None] * N + column_at[None, :]
    end = min(first + PART, K) if SPLIT > 1 else K
    total = tl.zeros((BM, BN), tl.float32)
    for at in range(first, end, BK):
        if EVEN:
            x = tl.load(a_at)
            y = tl.load(b_at)
        else:
            x = tl.load(a_at, steps[None, :] < end - at, 0.0)
            y = tl.load(b_at, steps[:, None] < end - at, 0.0)
        total = tl.dot(x, y, total, input_precision="ieee") if EXACT else tl.dot(x, y, total)
        a_at += BK
        b_at += BK * N
    inside = (rows < M)[:, None] & (columns < N)[None, :]
    out = c + part.to(tl.int64) * M * N + rows.to(tl.int64)[:, None] * N + columns[None, :]
    tl.store(out, total.to(c.dtype.element_ty), inside)


@triton.jit
def sum_parts(parts, c, SIZE, SPLIT: tl.constexpr, BLOCK: tl.constexpr):
    """C[SIZE] = the sum of SPLIT parts [SPLIT, SIZE] in FP32."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < SIZE
    size = tl.cast(SIZE, tl.int64)
    total = tl.zeros((BLOCK,), tl.float32)
    for part in tl.static_range(SPLIT):
        total += tl.load(parts + part * size + at, inside, 0.0)
    tl.store(c + at, total.to(c.dtype.element_ty), inside)
