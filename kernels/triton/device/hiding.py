"""Scores that a mask hides, on the device: tests of single scores in as few instructions as there are.

Left to LLVM, the comparisons of a thread are packed into one vector of bits and taken apart again, which takes six
instructions a score instead of two. So where PTX is 1 the test is written in it; elsewhere it is an expression.
"""

import triton
import triton.language as tl


@triton.jit
def without_bits(scores, held, wanted, PTX: tl.constexpr):
    """Scores, minus infinity where `held` (a column, of queries) lacks a bit of `wanted` (a row, of keys)."""
    if PTX:
        found = tl.inline_asm_elementwise(
            "{ .reg .b32 lacks; .reg .pred seen; lop3.b32 lacks, $2, $3, 0, 0x0c; setp.eq.b32 seen, lacks, 0; "
            "selp.f32 $0, $1, 0fFF800000, seen; }",
            "=f,f,r,r",
            [scores, held, wanted],
            dtype=tl.float32,
            is_pure=True,
            pack=1,
        )
    else:
        found = tl.where(((held ^ -1) & wanted) == 0, scores, float("-inf"))
    return found


@triton.jit
def without_later(scores, limit, position, PTX: tl.constexpr):
    """Scores, minus infinity where `position` (a row, of keys) is greater than `limit` (a column, of queries)."""
    if PTX:
        found = tl.inline_asm_elementwise(
            "{ .reg .pred seen; setp.ge.s32 seen, $2, $3; selp.f32 $0, $1, 0fFF800000, seen; }",
            "=f,f,r,r",
            [scores, limit, position],
            dtype=tl.float32,
            is_pure=True,
            pack=1,
        )
    else:
        found = tl.where(position <= limit, scores, float("-inf"))
    return found
