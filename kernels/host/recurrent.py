"""Attention as a recurrence on the host: chunked linear attention, and softmax averages of all prefixes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lightbound._core import host
from lightbound.base.errors import LightboundError

from .arrays import Floats, factor, floats, instruction_set, keep, result, same, thread_count, whole

CHUNK = 64  # the most tokens of a chunk of linear attention


def linear_attention(
    q: Any,
    k: Any,
    v: Any,
    decay: Any = None,
    chunk: int = CHUNK,
    scale: float | None = None,
    state: Any = None,
    threads: int | None = None,
    seconds: list[float] | None = None,
    out: Any = None,
) -> tuple[Floats, Floats]:
    """Causal linear attention, chunk by chunk: out[t] = scale * sum over s <= t of decay^(t - s) (q[t] . k[s]) v[s].

    q, k [heads, tokens, E], v [heads, tokens, F]; batches are heads here. decay [heads], from 0 to 1, none by default.
    state [heads, E, F] stands before the first token (zero by default): out[t] takes up scale * decay^(t + 1) q[t]
    state. Returns the outputs [heads, tokens, F] and the state behind the last token. A head is one thread's.
    """
    axes = "heads, tokens, features"
    queries, keys, values = (floats(name, array, 3, axes) for name, array in (("q", q), ("k", k), ("v", v)))
    heads, tokens, e = queries.shape
    f = values.shape[2]
    for name, array in (("k", keys), ("v", values)):
        same(f"heads of {name}", array.shape[0], heads, "those of q")
        same(f"tokens of {name}", array.shape[1], tokens, "those of q")
    same("features of k", keys.shape[2], e, "those of q")
    fading = np.ones(heads, np.float32) if decay is None else floats("decay", decay, 1, "heads")
    same("decay", fading.size, heads, "the number of heads")
    if fading.size and not (fading.min() >= 0 and fading.max() <= 1):
        raise LightboundError("decay", fading, "leaves the range from 0 to 1", "Give factors of at most 1.")
    carried = np.zeros((heads, e, f), np.float32)
    if state is not None:
        given = floats("state", state, 3, "heads, features of k, features of v")
        for axis in range(3):
            same("state", given.shape[axis], carried.shape[axis], f"axis {axis} of the state")
        carried[:] = given
    made = result(out, (heads, tokens, f))
    length, number, times = whole("chunk", chunk, 1, CHUNK), thread_count(threads), factor(scale, e)
    instruction_set()
    keep(seconds, host.linear_attention(queries, keys, values, fading, carried, made, length, times, number))
    return made, carried


def prefix_attention(
    scores: Any,
    v: Any,
    chunk: int = 0,
    threads: int | None = None,
    seconds: list[float] | None = None,
    out: Any = None,
) -> Floats:
    """Softmax averages of all prefixes (Aaren): out[t] = sum over s <= t of exp(scores[s]) v[s], divided by the sum of
    the exponentials.

    scores [heads, tokens], v [heads, tokens, F]. With chunk = 0 token after token, a thread a head; otherwise chunks
    of so many tokens side by side: each but the last is walked twice, first for what it adds up to, then with what
    stands before.
    """
    weights, values = floats("scores", scores, 2, "heads, tokens"), floats("v", v, 3, "heads, tokens, features")
    same("heads of v", values.shape[0], weights.shape[0], "those of scores")
    same("tokens of v", values.shape[1], weights.shape[1], "those of scores")
    made = result(out, values.shape)
    length, number = whole("chunk", chunk, 0), thread_count(threads)
    instruction_set()
    keep(seconds, host.prefix_attention(weights, values, made, length, number))
    return made
