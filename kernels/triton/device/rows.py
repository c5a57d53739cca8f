"""Softmax and normalizations of the rows of a matrix: rows that stay in registers, and rows that are read twice.

ALIGN divides N. Said in the arithmetic of N, it lets vectors of so many words move, where Triton itself knows only of
16.
"""

import triton
import triton.language as tl

LOG2E: tl.constexpr = tl.constexpr(1.4426950408889634)  # exponentials are powers of two on the device
LEAST: tl.constexpr = tl.constexpr(-3.4028234663852886e38)  # finite, and no number of FP32 is below it


@triton.jit
def softmax(x, y, R, N, ROWS: tl.constexpr, BLOCK: tl.constexpr, ALIGN: tl.constexpr):
    """Y[R,N]: ROWS rows a block, each whole in its registers (BLOCK columns, a power of two).

    Numbers are scaled after the largest is taken from them, so that none overflows. A row of minus infinity alone
    gives NaN, as in PyTorch.
    """
    N = N // ALIGN * ALIGN
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, BLOCK)
    inside = (rows < R)[:, None] & (columns < N)[None, :]
    at = rows[:, None] * N + columns[None, :]
    values = tl.load(x + at, inside, -float("inf")).to(tl.float32)
    largest = tl.max(values, 1)
    largest = tl.where(rows < R, largest, 0.0)
    numerator = tl.exp2((values - largest[:, None]) * LOG2E)
    result = numerator * (1.0 / tl.sum(numerator, 1))[:, None]
    tl.store(y + at, result.to(y.dtype.element_ty), inside)


@triton.jit
def softmax_twice(x, y, N, BLOCK: tl.constexpr, ALIGN: tl.constexpr):
    """Y[R,N], a row a block: every lane keeps a running maximum and sum of its columns, then the row is read again.

    A lane that has seen nothing but minus infinity keeps LEAST and a sum of zero. A row of it alone gives NaN, as in
    PyTorch: zeros over a sum of zero.
    """
    N = N // ALIGN * ALIGN
    row = tl.program_id(0).to(tl.int64) * N
    columns = tl.arange(0, BLOCK)
    largest = tl.full((BLOCK,), LEAST, tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    for at in range(0, N, BLOCK):
        values = tl.load(x + row + at + columns, columns < N - at, -float("inf")).to(tl.float32)
        more = tl.maximum(largest, values)
        total = total * tl.exp2((largest - more) * LOG2E) + tl.exp2((values - more) * LOG2E)
        largest = more
    most = tl.max(largest, 0)
    scale = 1.0 / tl.sum(total * tl.exp2((largest - most) * LOG2E), 0)
    for at in range(0, N, BLOCK):
        values = tl.load(x + row + at + columns, columns < N - at, 0.0).to(tl.float32)
        result = tl.exp2((values - most) * LOG2E) * scale
        tl.store(y + row + at + columns, result.to(y.dtype.element_ty), columns < N - at)


@triton.jit
def layernorm(x, w, c, y, R, N, EPS, ROWS: tl.constexpr, BLOCK: tl.constexpr, ALIGN: tl.constexpr):
    """Y[R,N] with scale W[N] and shift C[N]: ROWS rows a block in registers; the variance is about the mean."""
    N = N // ALIGN * ALIGN
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, BLOCK)
    inside = (rows < R)[:, None] & (columns < N)[None, :]
    at = rows[:, None] * N + columns[None, :]
    values = tl.load(x + at, inside, 0.0).to(tl.float32)
    share = 1.0 / N
    mean = tl.sum(values, 1) * share
    centred = tl.where(inside, values - mean[:, None], 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, 1) * share + EPS)
    weight = tl.load(w + columns, columns < N, 0.0).to(tl.float32)
    shift = tl.load(c + columns, columns < N, 0.0).to(tl.float32)
    result = centred * scale[:, None] * weight[None, :] + shift[None, :]
    tl.store(y + at, result.to(y.dtype.element_ty), inside)


@triton.jit
def layernorm_twice(x, w, c, y, N, EPS, BLOCK: tl.constexpr, ALIGN: tl.constexpr):
    """Y[R,N], a row a block: both moments about the row's first value in one pass, then the row is read again."""
    N = N // ALIGN * ALIGN
    row = tl.program_id(0).to(tl.int64) * N
    columns = tl.arange(0, BLOCK)
    first = tl.load(x + row).to(tl.float32)
    sums = tl.zeros((BLOCK,), tl.float32)
    squares = tl.zeros((BLOCK,), tl.float32)
    for at in range(0, N, BLOCK):
        values = tl.load(x + row + at + columns, columns < N - at, 0.0).to(tl.float32)
        distance = tl.where(columns < N - at, values - first, 0.0)
        sums += distance
        squares += distance * distance
    share = 1.0 / N
    offset = tl.sum(sums, 0) * share
    variance = tl.maximum(tl.sum(squares, 0) * share - offset * offset, 0.0)
    mean = first + offset
    scale = tl.rsqrt(variance + EPS)
    for at in range(0, N, BLOCK):
        inside = columns < N - at
        values = tl.load(x + row + at + columns, inside, 0.0).to(tl.float32)
        weight = tl.load(w + at + columns, inside, 0.0).to(tl.float32)
        shift = tl.load(c + at + columns, inside, 0.0).to(tl.float32)
        result = (values - mean) * scale * weight + shift
        tl.store(y + row + at + columns, result.to(y.dtype.element_ty), inside)


@triton.jit
def rmsnorm(x, w, y, R, N, EPS, ROWS: tl.constexpr, BLOCK: tl.constexpr, ALIGN: tl.constexpr):
    """Y[R,N] with scale W[N]: ROWS rows a block in registers."""
    N = N // ALIGN * ALIGN
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, BLOCK)
    inside = (rows < R)[:, None] & (columns < N)[None, :]
    at = rows[:, None] * N + columns[None, :]
    values = tl.load(x + at, inside, 0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(values * values, 1) * (1.0 / N) + EPS)
    weight = tl.load(w + columns, columns < N, 0.0).to(tl.float32)
    result = values * scale[:, None] * weight[None, :]
    tl.store(y + at, result.to(y.dtype.element_ty), inside)


@triton.jit
def rmsnorm_twice(x, w, y, N, EPS, BLOCK: tl.constexpr, ALIGN: tl.constexpr):
    """Y[R,N], a row a block, which is read for its squares and again for its result."""
    N = N // ALIGN * ALIGN
    row = tl.program_id(0).to(tl.int64) * N
    columns = tl.arange(0, BLOCK)
    squares = tl.zeros((BLOCK,), tl.float32)
    for at in range(0, N, BLOCK):
        values = tl.load(x + row + at + columns, columns < N - at, 0.0).to(tl.float32)
        squares += values * values
    scale = tl.rsqrt(tl.sum(squares, 0) * (1.0 / N) + EPS)
    for at in range(0, N, BLOCK):
        inside = columns < N - at
        values = tl.load(x + row + at + columns, inside, 0.0).to(tl.float32)
        weight = tl.load(w + at + columns, inside, 0.0).to(tl.float32)
        result = values * scale * weight
        tl.store(y + row + at + columns, result.to(y.dtype.element_ty), inside)
