"""Softmax attention on the host: fused in one pass under a mask, over listed blocks, and in three passes.

Shapes: q [batch, heads, queries, E], k [batch, kv_heads, keys, E], v [batch, kv_heads, keys, F]; the result is
[batch, heads, queries, F]. `heads` is a multiple of `kv_heads`: so many heads share their keys (GQA). A query that
sees no key gets zeros. Scores must lie above -3e38.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lightbound._core import host
from lightbound.base.errors import LightboundError

from .arrays import Floats, factor, floats, instruction_set, keep, result, same, thread_count, whole
from .windows import DEFAULT_KEYS, KEY_TILE, Windows, line, neighbourhood

ShapeLike = int | Sequence[int]


def attention(
    q: Any,
    k: Any,
    v: Any,
    causal: bool = False,
    scale: float | None = None,
    threads: int | None = None,
    kv_tile: int = DEFAULT_KEYS,
    seconds: list[float] | None = None,
    out: Any = None,
) -> Floats:
    """Fused attention. With `causal`, query i sees keys up to i + keys - queries: the last query sees all."""
    checked = _checked(q, k, v)
    windows = line(checked[0].shape[2], checked[1].shape[2], bool(causal), None, whole("kv_tile", kv_tile, 1, KEY_TILE))
    return _windowed(*checked, windows, scale, threads, seconds, out)


def sliding_window_attention(
    q: Any,
    k: Any,
    v: Any,
    before: int,
    causal: bool = True,
    scale: float | None = None,
    threads: int | None = None,
    seconds: list[float] | None = None,
    out: Any = None,
) -> Floats:
    """Fused attention to the `before` keys in front of a query's own and to its own; without `causal` also as many
    behind it. Query i stands at key i + keys - queries."""
    checked = _checked(q, k, v)
    windows = line(checked[0].shape[2], checked[1].shape[2], bool(causal), whole("before", before, 0))
    return _windowed(*checked, windows, scale, threads, seconds, out)


def gna_attention(
    q: Any,
    k: Any,
    v: Any,
    grid: ShapeLike,
    window: ShapeLike,
    stride: ShapeLike = 1,
    dilation: ShapeLike = 1,
    causal: bool | Sequence[bool] = False,
    q_tile: Sequence[int] | None = None,
    kv_tile: Sequence[int] | None = None,
    scale: float | None = None,
    threads: int | None = None,
    seconds: list[float] | None = None,
    out: Any = None,
) -> Floats:
    """Generalized neighbourhood attention on a grid of 1 to 3 axes (tokens row by row), skipping what no query sees.

    A single number stands for every axis. Tiles are boxes of the grid, of at most 64 queries and 128 keys. Keys beyond
    the grid, at the end of k and v, are seen by every query.
    """
    checked = _checked(q, k, v)
    extents = _shape("grid", grid, None)
    axes = len(extents)
    if not 1 <= axes <= 3:
        raise LightboundError("grid", extents, f"has {axes} axes", "Give a grid of 1 to 3 axes.")
    windows, strides = _shape("window", window, axes), _shape("stride", stride, axes)
    dilations = _shape("dilation", dilation, axes)
    flags = (causal,) * axes if isinstance(causal, bool) else tuple(causal)
    same("causal", len(flags), axes, "the number of axes")
    for axis, (extent, width, step, apart) in enumerate(zip(extents, windows, strides, dilations, strict=True)):
        if width * apart > extent:
            raise LightboundError(
                "window", windows, f"spans {width * apart} of {extent} tokens on axis {axis}", "Choose a smaller one."
            )
        if step > width:
            raise LightboundError(
                "stride", strides, f"is larger than the window on axis {axis}", f"Choose 1 to {width} there."
            )
    tokens = int(np.prod(extents, dtype=np.int64))
    same("q", checked[0].shape[2], tokens, "the number of tokens of the grid")
    extra = checked[1].shape[2] - tokens
    if extra < 0:
        raise LightboundError("k", checked[1].shape[2], f"has fewer keys than the grid's {tokens}", "Give one a token.")
    mask = neighbourhood(extents, windows, strides, dilations, flags, q_tile, kv_tile, extra)
    return _windowed(*checked, mask, scale, threads, seconds, out)


def block_sparse_attention(
    q: Any,
    k: Any,
    v: Any,
    visits: Any,
    q_block: int = 64,
    kv_block: int = 64,
    scale: float | None = None,
    threads: int | None = None,
    seconds: list[float] | None = None,
    out: Any = None,
) -> Floats:
    """Fused attention over listed blocks: `visits` is a table of booleans [blocks of queries, blocks of keys]."""
    checked = _checked(q, k, v)
    rows = -(-checked[0].shape[2] // whole("q_block", q_block, 1))
    columns = -(-checked[1].shape[2] // whole("kv_block", kv_block, 1))
    table = np.asarray(visits)
    if table.dtype != np.bool_ or table.shape != (rows, columns):
        raise LightboundError(
            "visits",
            f"{table.dtype} {table.shape}",
            "is not the table of blocks",
            f"Give booleans [{rows}, {columns}].",
        )
    offsets = np.concatenate([[0], np.cumsum(table.sum(axis=1))]).astype(np.int64)
    listed = np.nonzero(table)[1].astype(np.int64)
    queries, keys, values = checked
    made = _result(out, queries, values)
    number, times = thread_count(threads), factor(scale, queries.shape[3])
    instruction_set()
    keep(seconds, host.attention_blocks(queries, keys, values, made, times, q_block, kv_block, offsets, listed, number))
    return made


def three_pass_attention(
    q: Any,
    k: Any,
    v: Any,
    scale: float | None = None,
    threads: int | None = None,
    seconds: list[float] | None = None,
    out: Any = None,
    scores: Any = None,
) -> Floats:
    """Attention as it is written: all scores, then all softmaxes, then all averages. It keeps every score in memory,
    in `scores` [batch, heads, queries, keys] where given."""
    queries, keys, values = _checked(q, k, v)
    made = _result(out, queries, values)
    if keys.shape[2] == 0:
        made[...] = 0
        return made
    shape = (*queries.shape[:3], keys.shape[2])
    room = np.empty(shape, np.float32) if scores is None else floats("scores", scores, 4, "batch, heads, queries, keys")
    for axis, (found, expected) in enumerate(zip(room.shape, shape, strict=True)):
        same("scores", found, expected, f"axis {axis} of the scores")
    number, times = thread_count(threads), factor(scale, queries.shape[3])
    instruction_set()
    keep(seconds, host.attention_three_pass(queries, keys, values, made, room, times, number))
    return made


def _windowed(
    q: Floats,
    k: Floats,
    v: Floats,
    mask: Windows,
    scale: float | None,
    threads: int | None,
    seconds: list[float] | None,
    out: Any,
) -> Floats:
    made = _result(out, q, v)
    number, times = thread_count(threads), factor(scale, q.shape[3])
    instruction_set()
    found = host.attention_windows(
        q, k, v, made, times, mask.queries, mask.keys, mask.step, mask.first, mask.last, mask.q_tile, mask.kv_tile,
        mask.extra, number,
    )  # fmt: skip
    keep(seconds, found)
    return made


def _result(out: Any, q: Floats, v: Floats) -> Floats:
    return result(out, (*q.shape[:3], v.shape[3]))


def _checked(q: Any, k: Any, v: Any) -> tuple[Floats, Floats, Floats]:
    axes = "batch, heads, tokens, head dimension"
    queries, keys, values = (floats(name, array, 4, axes) for name, array in (("q", q), ("k", k), ("v", v)))
    for name, array in (("k", keys), ("v", values)):
        same(f"batch of {name}", array.shape[0], queries.shape[0], "that of q")
    same("head dimension of k", keys.shape[3], queries.shape[3], "that of q")
    same("heads of v", values.shape[1], keys.shape[1], "those of k")
    same("tokens of v", values.shape[2], keys.shape[2], "those of k")
    heads, kv_heads = queries.shape[1], keys.shape[1]
    if kv_heads == 0 or heads % kv_heads:
        raise LightboundError(
            "heads of q", heads, f"is no multiple of the {kv_heads} of k", "Give as many queries a head of keys."
        )
    return queries, keys, values


def _shape(name: str, given: ShapeLike, axes: int | None) -> tuple[int, ...]:
    if isinstance(given, int):
        return (whole(name, given, 1),) * (axes or 1)
    shape = tuple(whole(name, extent, 1) for extent in given)
    if axes is not None:
        same(name, len(shape), axes, "the number of axes")
    return shape
