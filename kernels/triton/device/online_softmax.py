"""One step of attention over tiles of keys: what every kernel that walks keys does with a tile of scores."""

import triton
import triton.language as tl


@triton.jit
def take(
    total, denominator, maximum, scores, values, scale_log2, MASKED: tl.constexpr, PRECISION: tl.constexpr
):  # fmt: skip
    """The running sums after one more tile.

    total: rows x DIM, fp32; denominator, maximum: rows; scores: rows x keys, fp32, minus infinity where a row does not
    see a key, which only happens where MASKED is 1; values: keys x DIM. scale_log2: what scores are multiplied with
    before a power of two is taken. The maximum is that of scores before they are scaled.
    """
    larger = tl.maximum(maximum, tl.max(scores, 1))
    taken = larger
    if MASKED:  # a row may have seen nothing yet
        taken = tl.where(larger == float("-inf"), 0.0, larger)
    weights = tl.exp2(scores * scale_log2 - (taken * scale_log2)[:, None])
    # Not the difference of two products: one of them is rounded and the other, inside a fused multiply-add, is not, so
    # that under a large maximum that stays every tile would multiply the sums by a little more or less than one.
    shrink = tl.exp2((maximum - taken) * scale_log2)
    denominator = denominator * shrink + tl.sum(weights, 1)
    total = tl.dot(weights.to(values.dtype), values, total * shrink[:, None], input_precision=PRECISION)
    return total, denominator, larger


@triton.jit
def rows_of(source, head, start, BLOCK: tl.constexpr, DIM: tl.constexpr, TMA: tl.constexpr):
    """BLOCK rows of a head from `start` on, all of which exist.

    source: a descriptor of heads x rows x DIM where TMA is 1, otherwise a pointer to the first row of this head.
    """
    if TMA:
        found = source.load([head, start, 0]).reshape(BLOCK, DIM)
    else:
        place = start.to(tl.int64) * DIM + tl.arange(0, BLOCK)[:, None] * DIM + tl.arange(0, DIM)[None, :]
        found = tl.load(source + place)
    return found


@triton.jit
def normalized(total, denominator):
    """The output of rows; zero where a row has seen no key."""
    return total / tl.where(denominator == 0, 1.0, denominator)[:, None]
