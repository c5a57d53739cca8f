"""Pooling: reductions over windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ... import affine
from ...expression import Affine, Apply, Expr, Number, RankValue
from ..builder import Builder, summed
from ..values import Dims, Value, stored, substitute
from .convolution import LETTERS, bounded
from .pointwise import f, hint
from .registry import lowers

if TYPE_CHECKING:
    from ..record import Call


def _pool(
    call: Call, value: Value, count: int, size: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], op: str, outside: float, finish: Any = None,
) -> Value:  # fmt: skip
    build = call.build
    windows = _windows(call, value, count, size, stride, padding, dilation)
    body = windows.body(build, outside)
    expr: Expr = summed(body, windows.taps, build, op)
    return build.emit(windows.dims, expr if finish is None else finish(expr), hint(call))


@dataclass(frozen=True)
class _Windows:
    """Where each window reads: the value, its first pooled dimension, an index each, and the ranks inside one."""

    value: Value
    first: int
    indices: list[Affine]
    taps: list[str]
    dims: Dims

    def body(self, build: Builder, outside: float) -> Expr:
        """The elements of the windows."""
        return bounded(build, build.read(self.value), self.value.dims[self.first :], self.indices, outside)


def _windows(
    call: Call, value: Value, count: int, size: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], lengths: Sequence[int] | None = None,
) -> _Windows:  # fmt: skip
    build = call.build
    first = len(value.dims) - count
    for place in range(first, len(value.dims)):
        if len(value.dims[place]) > 1:
            value = build.flat(value, place)
    out: list[tuple[str, ...]] = []
    taps: list[str] = []
    indices: list[Affine] = []
    for at in range(count):
        taken = [*value.atoms, *taps, *(rank for dim in out for rank in dim)]
        length = lengths[at] if lengths is not None else call.shape()[first + at]
        rank = build.fresh(length, LETTERS[at], taken) if length > 1 else None
        tap = build.fresh(size[at], "rkl"[at], [*taken, *([rank] if rank else [])]) if size[at] > 1 else None
        terms = [(factor, one) for factor, one in ((stride[at], rank), (dilation[at], tap)) if one is not None]
        indices.append(Affine(tuple(terms), -padding[at]))
        out.append((rank,) if rank else ())
        taps += [tap] if tap else []
    return _Windows(value, first, indices, taps, (*value.dims[:first], *out))


def _full(given: Any, count: int, default: Any) -> list[int]:
    chosen = list(given) if isinstance(given, list | tuple) else [given]
    chosen = chosen or list(default)
    return chosen * count if len(chosen) == 1 else chosen


@lowers("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices")
def _max_pool(
    call: Call, value: Value, size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """With the positions of the maxima, the first among equals, counted through all but batch and channels."""
    count = int(call.word.split("pool")[1][0])
    size = _full(size, count, ())
    stride, padding, dilation = _full(stride, count, size), _full(padding, count, ()), _full(dilation, count, ())
    made = _pool(call, value, count, size, stride, padding, dilation, "max", -math.inf)
    if "indices" not in call.word:
        return made
    windows = _windows(call, value, count, size, stride, padding, dilation)
    return [made, _positions(call, made, windows, call.build.shape(value)[-count:])]


def _positions(call: Call, made: Value, windows: _Windows, lengths: Sequence[int]) -> Value:
    build = call.build
    place = Affine()
    for index, length in zip(windows.indices, lengths, strict=True):
        place = affine.add(_times(place, length), index)
    space = build.space([made, stored(Number(0), windows.dims)], [list("abcdefg"[: len(made.dims)])] * 2)
    moves = space.moves[1]
    body = substitute(build.ranks, windows.body(build, -math.inf), moves)
    where = substitute(build.ranks, RankValue(place), moves)
    expr = f("where", Apply("eq", (body, space.exprs[0])), where, math.inf)
    return build.emit(space.dims(space.labels[0]), summed(expr, windows.taps, build, "min"), hint(call, "positions"))


def _times(index: Affine, factor: int) -> Affine:
    made = affine.multiply(index, affine.constant(factor))
    assert made is not None  # one side is a constant
    return made


@lowers("max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward")
def _max_pool_backward(call: Call, grad: Value, value: Value, *rest: Any) -> Any:
    """Every gradient goes back to where the maximum was."""
    from .indexing import scattered
    from .views import reshaped

    build = call.build
    shape = build.shape(value)
    count = 2 if "2d" in call.word else 3
    if len(shape) != count + 2:
        return NotImplemented
    area = math.prod(shape[2:])
    rank = build.fresh(area, "i", grad.atoms)
    labels = list("ncyxz"[: count + 2])
    flat = stored(Number(0), (grad.dims[0], grad.dims[1], (rank,)))
    full = scattered(call, flat, [(2, rest[-1], labels)], grad, labels, "sum", ["n", "c", "to2"])
    return full if full is NotImplemented else reshaped(build, full, shape)


@lowers("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(
    call: Call, value: Value, size: Any, stride: Any = (), padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    count = int(call.word.split("pool")[1][0])
    size = _full(size, count, ())
    stride, padding = _full(stride, count, size), _full(padding, count, ())
    if ceil_mode or (any(padding) and not count_include_pad):
        return NotImplemented
    area = divisor_override or math.prod(size)
    return _pool(
        call, value, count, size, stride, padding, [1] * count, "sum", 0, lambda total: f("div", total, Number(area))
    )


@lowers("im2col")
def _im2col(call: Call, value: Value, size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """Windows laid out as columns: channels and taps joined, positions joined."""
    from ..values import through

    if len(value.dims) != 4:
        return NotImplemented
    build = call.build
    lengths = build.shape(value)
    rows = [
        (lengths[2 + at] + 2 * padding[at] - dilation[at] * (size[at] - 1) - 1) // stride[at] + 1 for at in range(2)
    ]
    windows = _windows(call, value, 2, size, stride, padding, dilation, rows)
    expr = windows.body(build, 0)
    taps = tuple(windows.taps)
    dims = (windows.dims[0], (*windows.dims[1], *taps), (*windows.dims[2], *windows.dims[3]))
    made = build.emit(dims, expr, hint(call, "windows"), moves=True)
    return through(build.ranks, made, made.dims, {})


@lowers("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d")
def _adaptive(call: Call, value: Value, size: Any) -> Any:
    count = len(size)
    shape = call.build.shape(value)[-count:]
    if any(length % parts for length, parts in zip(shape, size, strict=True)):
        return NotImplemented
    window = [length // parts for length, parts in zip(shape, size, strict=True)]
    zeros, ones = [0] * count, [1] * count
    area = math.prod(window)
    return _pool(call, value, count, window, window, zeros, ones, "sum", 0, lambda total: f("div", total, area))
