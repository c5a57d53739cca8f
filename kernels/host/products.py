"""Matrix product, softmax and exponential on the host: controls, whose costs need no knowledge of attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from lightbound._core import host

from .arrays import Floats, floats, instruction_set, keep, result, same, thread_count


def gemm(
    a: Any,
    b: Any,
    transposed: bool = False,
    scale: float = 1.0,
    threads: int | None = None,
    seconds: list[float] | None = None,
    out: Any = None,
) -> Floats:
    """Products [batch, M, N] of a [batch, M, K] and b [batch, K, N], or with `transposed` [batch, N, K]."""
    left, right = floats("a", a, 3, "batch, M, K"), floats("b", b, 3, "batch, K, N")
    same("batch of b", right.shape[0], left.shape[0], "that of a")
    same("K of b", right.shape[2 if transposed else 1], left.shape[2], "that of a")
    made = result(out, (*left.shape[:2], right.shape[1 if transposed else 2]))
    number = thread_count(threads)
    instruction_set()
    keep(seconds, host.product(left, right, made, bool(transposed), float(scale), number))
    return made


def softmax(x: Any, threads: int | None = None, seconds: list[float] | None = None, out: Any = None) -> Floats:
    """Softmax of every row of x [rows, columns]."""
    given = floats("x", x, 2, "rows, columns")
    made = result(out, given.shape)
    number = thread_count(threads)
    instruction_set()
    keep(seconds, host.softmax(given, made, number))
    return made


def exp(x: Any, threads: int | None = None, seconds: list[float] | None = None, out: Any = None) -> Floats:
    """Exponentials of x, of any shape; zero below 2^-126.5, where fp32 would be denormal."""
    given = np.asarray(x)
    given = floats("x", given, given.ndim, "any")
    made = result(out, given.shape)
    number = thread_count(threads)
    instruction_set()
    keep(seconds, host.exp(given, made, number))
    return made
