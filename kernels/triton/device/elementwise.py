"""A function of every element of one or two tensors of the same shape."""

import triton
import triton.language as tl


@triton.jit
def _normal(x):
    """The share of a normal distribution below x, within 1e-7 (Abramowitz and Stegun, 7.1.26, the error function)."""
    near = 1.0 / (1.0 + tl.abs(x) * 0.23164189)
    tail = near * 1.061405429 - 1.453152027
    tail = (tail * near + 1.421413741) * near - 0.284496736
    tail = (tail * near + 0.254829592) * near
    tail = 0.5 * tail * tl.exp2(x * x * -0.7213475204444817)
    return tl.where(x > 0, 1.0 - tail, tail)


@triton.jit
def _function(x, z, y, at, SIZE, OP: tl.constexpr, WHOLE: tl.constexpr):
    """A tile of Y, all of it inside the tensors with WHOLE: without a test, words move by vectors at any SIZE."""
    inside = None if WHOLE else at < SIZE
    value = tl.load(x + at, inside).to(tl.float32)
    if OP == 0:
        result = value * _normal(value)
    else:
        other = tl.load(z + at, inside).to(tl.float32)
        result = value + other if OP == 1 else value / (1.0 + tl.exp2(value * -1.4426950408889634)) * other
    tl.store(y + at, result.to(y.dtype.element_ty), inside)


@triton.jit
def elementwise(x, z, y, SIZE, OP: tl.constexpr, BLOCK: tl.constexpr):
    """Y[SIZE]: OP 0 is GELU of X; 1 is X + Z; 2 is SiLU(X) * Z. With OP 0, Z is not read."""
    first = tl.program_id(0).to(tl.int64) * BLOCK
    at = first + tl.arange(0, BLOCK)
    if first + BLOCK <= SIZE:
        _function(x, z, y, at, SIZE, OP, True)
    else:
        _function(x, z, y, at, SIZE, OP, False)
