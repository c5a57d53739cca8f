"""Reductions, softmax, norms, prefix sums and selections of the largest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...expression import Access, Apply, Expr, Gather, Scan, TopK, free_ranks
from ..builder import Builder, summed
from ..values import Value, stored
from .pointwise import f, hint
from .registry import lowers
from .views import around

if TYPE_CHECKING:
    from ..record import Call


def places_of(dims: int | Sequence[int] | None, count: int) -> list[int]:
    """The dimensions meant: all where none are named."""
    if dims is None or (not isinstance(dims, int) and not len(dims)):
        return list(range(count))
    return [around(place, count) for place in ([dims] if isinstance(dims, int) else dims)]


def over(value: Value, places: Sequence[int]) -> tuple[str, ...]:
    """The ranks of some dimensions."""
    return tuple(rank for place in places for rank in value.dims[place])


def kept(value: Value, places: Sequence[int], keepdim: bool) -> list[tuple[str, ...]]:
    """The dimensions of a reduction's result."""
    dims = [() if place in places else dim for place, dim in enumerate(value.dims)]
    return dims if keepdim else [dim for place, dim in enumerate(value.dims) if place not in places]


def reduced(build: Builder, op: str, body: Expr, ranks: Sequence[str]) -> Expr:
    """``sum(body, ranks)``, the ranks by those that stand for them."""
    return summed(body, [build.ranks.find(rank) for rank in ranks], build, op)


def _reduce(call: Call, op: str, value: Value, dims: Any, keepdim: bool, body: Expr | None = None) -> Value:
    places = places_of(dims, len(value.dims))
    expr = reduced(call.build, op, call.build.read(value) if body is None else body, over(value, places))
    return call.build.emit(kept(value, places, keepdim), expr, hint(call))


@lowers("sum")
def _sum(call: Call, value: Value, dims: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _reduce(call, "sum", value, dims, keepdim)


@lowers("prod")
def _prod(call: Call, value: Value, dims: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _reduce(call, "prod", value, dims, keepdim)


@lowers("amax")
def _amax(call: Call, value: Value, dims: Any = None, keepdim: bool = False) -> Value:
    return _reduce(call, "max", value, dims, keepdim)


@lowers("amin")
def _amin(call: Call, value: Value, dims: Any = None, keepdim: bool = False) -> Value:
    return _reduce(call, "min", value, dims, keepdim)


@lowers("any")
def _any(call: Call, value: Value, dims: Any = None, keepdim: bool = False) -> Value:
    return _reduce(call, "max", value, dims, keepdim, f("ne", call.build.read(value), 0))


@lowers("all")
def _all(call: Call, value: Value, dims: Any = None, keepdim: bool = False) -> Value:
    return _reduce(call, "min", value, dims, keepdim, f("ne", call.build.read(value), 0))


@lowers("max", "min")
def _extreme(call: Call, value: Value, dim: Any = None, keepdim: bool = False) -> Any:
    op = call.word
    if isinstance(dim, Value):  # max(a, b)
        from .pointwise import pointwise

        return pointwise(call, lambda a, b: f(op, a, b), (value, dim), {})
    found = _reduce(call, op, value, dim, keepdim)
    return found if dim is None else [found, _position(call, value, dim, keepdim, largest=op == "max")]


@lowers("argmax", "argmin")
def _argmax(call: Call, value: Value, dim: int | None = None, keepdim: bool = False) -> Any:
    if dim is None:
        return NotImplemented
    return _position(call, value, dim, keepdim, largest=call.word == "argmax")


def _position(call: Call, value: Value, dim: int, keepdim: bool, largest: bool) -> Value | None:
    place = around(dim, len(value.dims)) if value.dims else 0
    if not value.dims or len(value.dims[place]) > 1:
        return None
    found = largest_of(call, value, place, 1, largest)
    if found is None:
        return None
    if keepdim:
        return found
    return Value(found.buffer, tuple(d for at, d in enumerate(found.dims) if at != place), found.index)


def largest_of(call: Call, value: Value, place: int, count: int, largest: bool) -> Value | None:
    """Positions of the largest (or smallest) along a dimension, best first."""
    build = call.build
    if not value.dims[place]:
        from ...expression import Number

        return stored(Number(0), tuple(d if at != place else () for at, d in enumerate(value.dims)))
    if len(value.dims[place]) > 1:
        value = build.flat(value, place)
    body = build.read(value)
    rank = build.ranks.find(value.dims[place][0])
    if rank not in free_ranks(body):
        return None
    if not isinstance(body, Access):
        body = build.read(build.emit(value.dims, body, hint(call, "scores")))
    new = build.fresh(count, "k" if count < build.ranks.size(rank) else "i", value.atoms)
    dims = [(new,) if at == place else dim for at, dim in enumerate(value.dims)]
    made = build.emit(dims, TopK(body if largest else f("neg", body), rank, new), hint(call, "index"))
    if count == 1:
        from ...expression import Affine
        from .views import through

        moved = tuple(() if at == place else dim for at, dim in enumerate(made.dims))
        return through(build.ranks, made, moved, {new: Affine()})
    return made


@lowers("topk", "sort", "kthvalue")
def _topk(call: Call, value: Value, *args: Any, **kwargs: Any) -> Any:
    """Values are gathered by their positions. Among equals the lowest position comes first."""
    named = dict(zip([argument.name for argument in call.func._schema.arguments][1:], args, strict=False)) | kwargs
    if call.word == "kthvalue":
        return NotImplemented
    place = around(named.get("dim", -1), len(value.dims))
    sort = call.word == "sort"
    count = call.build.size(value.dims[place]) if sort else int(named["k"])
    largest = bool(named.get("descending", False)) if sort else bool(named.get("largest", True))
    if len(value.dims[place]) > 1:
        value = call.build.flat(value, place)
    index = largest_of(call, value, place, count, largest)
    if index is None:
        return NotImplemented
    return [gathered(call, value, index, place, "values"), index]


@lowers("argsort")
def _argsort(call: Call, value: Value, dim: int = -1, descending: bool = False, **_: Any) -> Any:
    found = largest_of(call, value, around(dim, len(value.dims)), call.build.size(value.dims[dim]), descending)
    return NotImplemented if found is None else found


def gathered(call: Call, value: Value, index: Value, place: int, role: str) -> Value | Any:
    """``Y[i, k] = X[i, I[i, k]]``: other dimensions run together (and may be shorter in the index)."""
    build = call.build
    from ..values import plain
    from .views import sliced

    for at, (mine, theirs) in enumerate(zip(value.dims, index.dims, strict=True)):
        if at != place and build.size(mine) != build.size(theirs):
            value = sliced(build, value, at, 0, build.size(theirs))
    if len(value.dims[place]) > 1:
        value = build.flat(value, place)
    labels = [[str(at) if at != place else "from" for at in range(len(value.dims))]]
    labels.append([str(at) if at != place else "to" for at in range(len(value.dims))])
    space = build.space([value, index], labels)
    source, position = space.exprs
    dims = space.dims(labels[1])
    if not space.ranks["from"]:
        return build.emit(dims, source, hint(call, role), moves=True)
    if not isinstance(source, Access):
        value = build.emit(value.dims, build.read(value), hint(call, "source"))
        return gathered(call, value, index, place, role)
    where = as_index(build, position, index, call)
    if where is None:
        return gathered(call, value, build.emit(index.dims, build.read(index), hint(call, "index")), place, role)
    rank = space.ranks["from"][0]
    indices = tuple(where if one == plain(rank) else one for one in source.indices)
    if indices == source.indices:  # read through a map of its own: written plainly first
        value = stored_copy(call, value)
        return gathered(call, value, index, place, role)
    return build.emit(dims, Access(source.tensor, indices), hint(call, role), moves=True)


def stored_copy(call: Call, value: Value) -> Value:
    """The value as a tensor of its own, in the order of its dimensions."""
    return call.build.emit(value.dims, call.build.read(value), hint(call, "source"), moves=True)


def as_index(build: Builder, position: Expr, index: Value, call: Call) -> Any:
    """A position as an index: read from a tensor, or affine; None where it must be written first."""
    from ...expression import Affine, Number, RankValue, Symbol

    match position:
        case Access():
            return Gather(position)
        case RankValue(index=affine):
            return affine
        case Number(value=int() as value):
            return Affine((), value)
        case Symbol(text=text):
            return Affine((), text)
        case _:
            return None


# ---- softmax


def softmax(call: Call, value: Value, place: int, log: bool = False, safe: bool = False) -> Value:
    """Four lines: the maximum, the exponentials, their sum, and the quotient (or the logarithm)."""
    build = call.build
    dims = kept(value, [place], True)
    ranks = over(value, [place])
    largest = build.emit(dims, reduced(build, "max", build.read(value), ranks), hint(call, "max"))
    top = build.read(largest)
    if log:
        shifted = build.emit(value.dims, f("sub", build.read(value), top), hint(call, "shifted"))
        total = f("log", reduced(build, "sum", f("exp", build.read(shifted)), ranks))
        norm = build.emit(dims, total, hint(call, "log_sum"))
        return build.emit(value.dims, f("sub", build.read(shifted), build.read(norm)), hint(call))
    exps = build.emit(value.dims, f("exp", f("sub", build.read(value), top)), hint(call, "exp"))
    total = build.emit(dims, reduced(build, "sum", build.read(exps), ranks), hint(call, "sum_exp"))
    quotient = f("div", build.read(exps), build.read(total))
    if safe:  # a row that nothing may attend is zero
        quotient = f("where", f("eq", top, -float("inf")), 0, quotient)
    return build.emit(value.dims, quotient, hint(call, "softmax"))


@lowers("_softmax", "softmax")
def _softmax(call: Call, value: Value, dim: int, *_: Any, **__: Any) -> Value:
    return softmax(call, value, around(dim, len(value.dims)))


@lowers("_safe_softmax")
def _safe_softmax(call: Call, value: Value, dim: int, *_: Any, **__: Any) -> Value:
    return softmax(call, value, around(dim, len(value.dims)), safe=True)


@lowers("_log_softmax", "log_softmax")
def _log_softmax(call: Call, value: Value, dim: int, *_: Any, **__: Any) -> Value:
    return softmax(call, value, around(dim, len(value.dims)), log=True)


@lowers("logsumexp")
def _logsumexp(call: Call, value: Value, dims: Any, keepdim: bool = False) -> Value:
    build = call.build
    places = places_of(dims, len(value.dims))
    ranks = over(value, places)
    largest = build.emit(kept(value, places, True), reduced(build, "max", build.read(value), ranks), hint(call, "max"))
    top = build.read(largest)
    total = reduced(build, "sum", f("exp", f("sub", build.read(value), top)), ranks)
    return build.emit(kept(value, places, keepdim), f("add", f("log", total), top), hint(call))


@lowers("_softmax_backward_data", "_log_softmax_backward_data")
def _softmax_backward(call: Call, grad: Value, out: Value, dim: int, *_: Any) -> Value:
    build = call.build
    labels = [str(at) for at in range(len(out.dims))]
    space = build.space([grad, out], [labels, labels])
    place = around(dim, len(out.dims))
    dims = space.dims(labels)
    ranks = space.ranks[str(place)]
    g, y = space.exprs
    short = [() if at == place else one for at, one in enumerate(dims)]
    if "log" in call.word:
        total = build.emit(short, reduced(build, "sum", g, ranks), hint(call, "sum"))
        return build.emit(dims, f("sub", g, f("mul", f("exp", y), build.read(total))), hint(call))
    total = build.emit(short, reduced(build, "sum", Apply("mul", (g, y)), ranks), hint(call, "sum"))
    return build.emit(dims, f("mul", y, f("sub", g, build.read(total))), hint(call))


# ---- prefixes


@lowers("cumsum", "cumprod")
def _cumulative(call: Call, value: Value, dim: int, **_: Any) -> Any:
    return scanned(call, value, dim, "sum" if call.word == "cumsum" else "prod")


@lowers("cummax", "cummin")
def _cumulative_extreme(call: Call, value: Value, dim: int) -> Any:
    return [scanned(call, value, dim, call.word.removeprefix("cum")), None]


def scanned(call: Call, value: Value, dim: int, op: str) -> Value:
    """A prefix along one dimension."""
    build = call.build
    place = around(dim, len(value.dims)) if value.dims else 0
    if not value.dims or not value.dims[place]:
        return value
    if len(value.dims[place]) > 1:
        value = build.flat(value, place)
    value = build.material(value, "Operand")
    rank = build.ranks.find(value.dims[place][0])
    return build.emit(value.dims, Scan(op, build.read(value), rank), hint(call))
