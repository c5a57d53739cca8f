"""Operators that create and move elements: constants, concatenation, padding, rolling, repetition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...expression import Affine, Apply, Expr, Number, RankValue
from ..builder import Builder
from ..values import Value, plain, stored, substitute, through
from .pointwise import f, hint, number
from .registry import lowers
from .views import around, broadcast, fixed, reshaped

if TYPE_CHECKING:
    from ..record import Call


def filled(call: Call, value: Expr, place: int = 0) -> Value:
    """A constant in the shape of the result; it is stored nowhere."""
    dims: list[tuple[str, ...]] = []
    for size in call.shape(place):
        taken = [rank for dim in dims for rank in dim]
        dims.append((call.build.fresh(size, "n", taken),) if size > 1 else ())
    call.build.ranks.keep_apart(rank for dim in dims for rank in dim)
    return stored(value, tuple(dims))


@lowers(
    "zeros", "zeros_like", "new_zeros", "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided",
    "empty_permuted", "zero",
)  # fmt: skip
def _zeros(call: Call, *_: Any, **__: Any) -> Value:
    return filled(call, Number(0))


@lowers("ones", "ones_like", "new_ones")
def _ones(call: Call, *_: Any, **__: Any) -> Value:
    return filled(call, Number(1))


@lowers("full", "full_like", "new_full", "fill")
def _full(call: Call, shape: Any, value: Any, **_: Any) -> Value:
    if isinstance(value, Value):
        return broadcast(call.build, value, call.shape())
    return filled(call, number(value))


@lowers("scalar_tensor")
def _scalar(call: Call, value: Any, **_: Any) -> Value:
    return stored(number(value), ())


@lowers("arange")
def _arange(call: Call, *args: Any, **_: Any) -> Value:
    start, step = (0, 1) if len(args) == 1 else (args[0], args[2] if len(args) > 2 else 1)
    (length,) = call.shape()
    if length == 1:
        return stored(number(start), ((),))
    rank = call.build.fresh(length, "s")
    value: Expr = RankValue(plain(rank))
    if isinstance(start, int) and isinstance(step, int):
        value = RankValue(Affine(((step, rank),), start))
        return stored(value, ((rank,),))
    return call.build.emit([(rank,)], f("add", f("mul", value, step), start), hint(call))


@lowers("linspace")
def _linspace(call: Call, start: float, end: float, steps: int, **_: Any) -> Value:
    if steps == 1:
        return stored(number(start), ((),))
    rank = call.build.fresh(steps, "s")
    step = (end - start) / (steps - 1)
    return stored(f("add", f("mul", RankValue(plain(rank)), number(step)), number(start)), ((rank,),))


@lowers("eye")
def _eye(call: Call, *_: Any, **__: Any) -> Value:
    rows, columns = call.shape()
    i = call.build.fresh(rows, "i")
    j = call.build.fresh(columns, "j", [i])
    call.build.ranks.keep_apart([i, j])
    return stored(Apply("eq", (RankValue(plain(i)), RankValue(plain(j)))), ((i,), (j,)))


@lowers("tril", "triu")
def _triangle(call: Call, value: Value, diagonal: int = 0) -> Value:
    build = call.build
    space = build.space([value], [[str(at) for at in range(len(value.dims))]])
    dims = space.dims(space.labels[0])
    row, column = (RankValue(_counted(build, dim)) for dim in dims[-2:])
    shifted = f("add", row, diagonal) if diagonal else row
    test = Apply("le" if call.word == "tril" else "ge", (column, shifted))
    body = space.exprs[0]
    if body == Number(1):
        return build.emit(dims, test, hint(call))
    return build.emit(dims, f("where", test, body, 0), hint(call))


def _counted(build: Builder, dim: Sequence[str]) -> Affine:
    return build.ranks.count(dim) if dim else Affine()


@lowers("cat", "concatenate", "concat")
def _cat(call: Call, tensors: list[Value], dim: int = 0) -> Any:
    """Where along the joined dimension a position lies says which tensor it is read from."""
    build = call.build
    shapes = [tuple(one.shape) for one in call.args[0]]
    tensors = [one for one, shape in zip(tensors, shapes, strict=True) if shape != (0,) and math.prod(shape)]
    if len(tensors) == 1:
        return tensors[0]
    place = around(dim, len(call.shape()))
    labels = [[str(at) if at != place else f"{at}.{n}" for at in range(len(one.dims))] for n, one in enumerate(tensors)]
    tensors = [_single(build, one, place) for one in tensors]
    space = build.space(tensors, labels)
    kept = {str(at) for at in range(len(call.shape())) if at != place}
    first = next((space.ranks[f"{place}.{n}"] for n in range(len(tensors)) if space.ranks[f"{place}.{n}"]), ())
    word = build.ranks.hint(first[0]) if first else "n"
    joined = build.fresh(call.shape()[place], word, [*space.used, *space.flat(kept)])
    expr: Expr | None = None
    end = call.shape()[place]
    for n in reversed(range(len(tensors))):
        size = build.size(tensors[n].dims[place])
        start = end - size
        moves = {rank: Affine(((1, joined),), -start) for rank in space.ranks[f"{place}.{n}"]}
        read = substitute(build.ranks, space.exprs[n], moves)
        expr = read if expr is None else f("where", Apply("lt", (RankValue(plain(joined)), Number(end))), read, expr)
        end = start
    assert expr is not None
    dims = [space.ranks[str(at)] if at != place else (joined,) for at in range(len(call.shape()))]
    return build.emit(dims, expr, hint(call, "cat"), moves=True)


def _single(build: Builder, value: Value, place: int) -> Value:
    return build.flat(value, place) if len(value.dims[place]) > 1 else value


@lowers("stack")
def _stack(call: Call, tensors: list[Value], dim: int = 0) -> Any:
    place = around(dim, len(call.shape()))
    build = call.build
    space = build.space(tensors, [[str(at) for at in range(len(one.dims))] for one in tensors])
    joined = build.fresh(len(tensors), "t", space.used) if len(tensors) > 1 else None
    expr = space.exprs[-1]
    for n in reversed(range(len(tensors) - 1)):
        assert joined is not None
        expr = f("where", Apply("eq", (RankValue(plain(joined)), Number(n))), space.exprs[n], expr)
    dims = list(space.dims([str(at) for at in range(len(tensors[0].dims))]))
    dims.insert(place, (joined,) if joined else ())
    return build.emit(dims, expr, hint(call, "stack"), moves=True)


@lowers("constant_pad_nd", "pad")
def _pad(call: Call, value: Value, pad: list[int], fill: Any = 0, *_: Any) -> Any:
    from .convolution import bounded
    from .views import sliced

    if call.word == "pad":
        return NotImplemented
    build = call.build
    count = len(pad) // 2
    first = len(value.dims) - count
    low = [pad[2 * at] for at in reversed(range(count))]
    for at in range(count):
        if low[at] < 0:
            value = sliced(build, value, first + at, -low[at], build.size(value.dims[first + at]) + low[at])
            low[at] = 0
        value = _single(build, value, first + at)
    dims = list(value.dims)
    indices: list[Affine] = []
    for at in range(count):
        dim = value.dims[first + at]
        if call.shape()[first + at] == build.size(dim) and not low[at]:
            indices.append(_counted(build, dim))
            continue
        word = build.ranks.hint(dim[0]) if dim else "n"
        rank = build.fresh(call.shape()[first + at], word, [*value.atoms, *(r for d in dims for r in d)])
        dims[first + at] = (rank,)
        indices.append(Affine(((1, rank),), -low[at]))
    expr = bounded(build, build.read(value), value.dims[first:], indices, 0 if fill is None else fill)
    return build.emit(dims, expr, hint(call, "pad"), moves=True)


@lowers("roll")
def _roll(call: Call, value: Value, shifts: Any, dims: Any = ()) -> Any:
    build = call.build
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    places = [dims] if isinstance(dims, int) else list(dims)
    if not places:
        return NotImplemented
    for shift, place in zip(shifts, places, strict=True):
        at = around(place, len(value.dims))
        length = build.size(value.dims[at])
        shift %= length
        if not shift:
            continue
        value = _single(build, value, at)
        rank = build.ranks.find(value.dims[at][0])
        body = build.read(value)
        wrapped = substitute(build.ranks, body, {rank: Affine(((1, rank),), length - shift)})
        straight = substitute(build.ranks, body, {rank: Affine(((1, rank),), -shift)})
        expr = f("where", Apply("lt", (RankValue(plain(rank)), Number(shift))), wrapped, straight)
        value = build.emit(value.dims, expr, hint(call), moves=True)
    return value


@lowers("repeat", "tile")
def _repeat(call: Call, value: Value, times: list[int]) -> Any:
    """Each dimension is read again and again: a broadcast beside it."""
    build = call.build
    dims: list[tuple[str, ...]] = [()] * (len(call.shape()) - len(value.dims)) + list(value.dims)
    for at, count in enumerate(([1] * (len(dims) - len(times))) + list(times)):
        if count > 1:
            taken = [rank for dim in dims for rank in dim]
            dims[at] = (build.fresh(count, "g", taken), *dims[at])
    return through(build.ranks, value, tuple(dims), {})


@lowers("repeat_interleave")
def _repeat_interleave(call: Call, value: Value, repeats: Any, dim: int | None = None, **_: Any) -> Any:
    if not isinstance(repeats, int) or dim is None:
        return NotImplemented
    at = around(dim, len(value.dims))
    rank = call.build.fresh(repeats, "g", value.atoms)
    dims = tuple((*one, rank) if place == at and repeats > 1 else one for place, one in enumerate(value.dims))
    return through(call.build.ranks, value, dims, {})


@lowers(
    "rand", "rand_like", "randn", "randn_like", "bernoulli", "uniform", "normal", "randint", "randperm", "exponential"
)
def _random(call: Call, *_: Any, **__: Any) -> Value:
    """Random numbers are given: an input that no module owns."""
    shape = call.shape()
    return call.build.input("Random", shape, ["n"] * len(shape), keep_ones=False)


@lowers("copy", "_copy_from")
def _copy(call: Call, target: Value, source: Value, *_: Any) -> Value:
    return broadcast(call.build, source, call.build.shape(target)) if target.dims else source


@lowers("select_backward")
def _select_backward(call: Call, grad: Value, shape: list[int], dim: int, index: int) -> Value:
    at = around(dim, len(shape))
    return _embedded(call, grad, at, int(index) % int(shape[at]), unsqueeze=True)


@lowers("slice_backward")
def _slice_backward(
    call: Call, grad: Value, shape: list[int], dim: int, start: int | None, end: int | None, step: int
) -> Any:
    at = around(dim, len(shape))
    first, _, _ = slice(start, end, step).indices(int(shape[at]))
    if call.build.shape(grad) == tuple(shape):
        return grad
    if step == 1:
        return _embedded(call, grad, at, first, unsqueeze=False)
    return _spread(call, grad, at, first, step, int(shape[at]))


def _spread(call: Call, grad: Value, at: int, start: int, step: int, length: int) -> Any:
    """The gradient at every `step`-th place: one of the places that a rank inside counts."""
    build = call.build
    if length % step or build.size(grad.dims[at]) * step != length or not grad.dims[at]:
        return NotImplemented
    inside = build.fresh(step, "i", grad.atoms)
    expr = f("where", Apply("eq", (RankValue(plain(inside)), Number(start))), build.read(grad), 0)
    dims = tuple((*dim, inside) if place == at else dim for place, dim in enumerate(grad.dims))
    return build.emit(dims, expr, hint(call), moves=True)


def _embedded(call: Call, grad: Value, at: int, start: int, unsqueeze: bool) -> Value:
    """The gradient at its place, zero around it."""
    build = call.build
    if unsqueeze:
        grad = Value(grad.buffer, (*grad.dims[:at], (), *grad.dims[at:]), grad.index)
    grad = _single(build, grad, at)
    word = build.ranks.hint(grad.dims[at][0]) if grad.dims[at] else "n"
    rank = build.fresh(call.shape()[at], word, grad.atoms)
    dims = tuple((rank,) if place == at else dim for place, dim in enumerate(grad.dims))
    if grad.dims[at]:
        from .convolution import bounded

        expr = bounded(build, build.read(grad), [grad.dims[at]], [Affine(((1, rank),), -start)], 0)
    else:
        expr = f("where", Apply("eq", (RankValue(plain(rank)), Number(start))), build.read(grad), 0)
    return build.emit(dims, expr, hint(call), moves=True)


__all__ = ["filled", "fixed", "reshaped"]
