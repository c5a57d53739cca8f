"""Reading and writing through index tensors: embeddings, gathers, scatters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...expression import Access, Apply, RankValue, Scatter
from ..values import Value, plain, stored
from .pointwise import f, hint, number
from .reductions import as_index, gathered, stored_copy
from .registry import lowers
from .views import around, sliced

if TYPE_CHECKING:
    from ..builder import Builder
    from ..record import Call


@lowers("embedding")
def _embedding(call: Call, weight: Value, index: Value, *_: Any, **__: Any) -> Any:
    return along(call, weight, 0, index, "embedding")


@lowers("index_select")
def _index_select(call: Call, value: Value, dim: int, index: Value) -> Any:
    return along(call, value, around(dim, len(value.dims)), index, "selected")


@lowers("gather")
def _gather(call: Call, value: Value, dim: int, index: Value, **_: Any) -> Any:
    if not value.dims:
        return value
    return gathered(call, value, index, around(dim, len(value.dims)), "gathered")


def along(call: Call, value: Value, place: int, index: Value, role: str) -> Any:
    """``Y[.., i, ..] = X[.., I[i], ..]``: the index's dimensions take the place of one."""
    return indexed(call, value, [index if at == place else None for at in range(len(value.dims))], role)


@lowers("index", "_unsafe_index")
def _index(call: Call, value: Value, indices: list[Value | None]) -> Any:
    import torch

    tensors = [one for one in call.args[1] if one is not None]
    if any(one.dtype in (torch.bool, torch.uint8) for one in tensors):
        return NotImplemented
    return indexed(call, value, [*indices, *[None] * (len(value.dims) - len(indices))], "gathered")


def indexed(call: Call, value: Value, indices: list[Value | None], role: str) -> Any:
    """Index tensors broadcast against each other; where they stand apart, their dimensions come first."""
    build = call.build
    places = [at for at, one in enumerate(indices) if one is not None]
    if not places:
        return value
    for at in places:
        if len(value.dims[at]) > 1:
            value = build.flat(value, at)
    if not isinstance(build.read(value), Access):
        value = stored_copy(call, value)
        if not isinstance(build.read(value), Access):
            value = build.material(value, hint(call, "source"))
    given = [one for one in indices if one is not None]
    count = max(len(one.dims) for one in given)
    kept = [f"x{at}" for at in range(len(value.dims)) if at not in places]
    labels = [[f"x{at}" for at in range(len(value.dims))]]
    labels += [[f"i{count - len(one.dims) + at}" for at in range(len(one.dims))] for one in given]
    for at, one in enumerate(given):
        if as_index(build, build.read(one), one, call) is None:
            given[at] = build.emit(one.dims, build.read(one), hint(call, "index"))
    space = build.space([value, *given], labels)
    source, *positions = space.exprs
    if not isinstance(source, Access):
        return NotImplemented
    replaced: dict[Any, Any] = {}
    for at, position, index in zip(places, positions, given, strict=True):
        where = as_index(build, position, index, call)
        if where is None:
            return NotImplemented
        if space.ranks[f"x{at}"]:
            replaced[plain(space.ranks[f"x{at}"][0])] = where
    found = tuple(replaced.get(one, one) for one in source.indices)
    if sum(one in replaced for one in source.indices) != len(replaced):
        return indexed(call, _whole(call, value), indices, role)
    fresh = [f"i{at}" for at in range(count)]
    together = places == list(range(places[0], places[0] + len(places)))
    before = sum(at < places[0] for at in range(len(value.dims)) if at not in places) if together else 0
    order = [*kept[:before], *fresh, *kept[before:]]
    return build.emit(space.dims(order), Access(source.tensor, found), hint(call, role), moves=True)


def _whole(call: Call, value: Value) -> Value:
    return stored_copy(call, value)


@lowers("histc")
def _histogram(call: Call, value: Value, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall into each bin; the last one holds its upper end too."""
    if min == max:
        return NotImplemented  # the ends are those of the data
    build = call.build
    x = build.read(value)
    place = f("min", f("floordiv", f("mul", f("sub", x, min), bins), max - min), bins - 1)
    index = build.emit(value.dims, f("where", f("le", x, max), place, -1), hint(call, "bin"))
    rank = build.fresh(bins, "v", index.atoms)
    labels = [str(at) for at in range(len(index.dims))]
    return scattered(
        call, stored(number(0), ((rank,),)), [(0, index, labels)], stored(number(1), index.dims), labels, "sum", ["to0"]
    )


@lowers("one_hot")
def _one_hot(call: Call, index: Value, classes: int = -1) -> Any:
    build = call.build
    size = call.shape()[-1]
    rank = build.fresh(size, "v", index.atoms)
    expr = Apply("eq", (build.read(index), RankValue(plain(rank))))
    return build.emit([*index.dims, (rank,)], expr, hint(call))


@lowers("scatter", "scatter_add", "scatter_reduce")
def _scatter(call: Call, value: Value, dim: int, index: Value, source: Any, *rest: Any, **kwargs: Any) -> Any:
    """``Y[i, I[i,k]] = X[i,k]`` for every k: what is written, or what was there where nothing is."""
    build = call.build
    how = kwargs.get("reduce", rest[0] if rest else None)
    op = (
        "sum"
        if call.word == "scatter_add"
        else {"sum": "sum", "add": "sum", "amax": "max", "amin": "min"}.get(str(how))
    )
    if (op is None and how is not None) or not kwargs.get("include_self", True) or not value.dims:
        return NotImplemented
    at = around(dim, len(value.dims))
    if not isinstance(source, Value):
        source = stored(number(source), index.dims)
    source = cut(build, source, build.shape(index))
    shapes = (build.shape(value), build.shape(index))
    if any(mine != theirs for p, (mine, theirs) in enumerate(zip(*shapes, strict=True)) if p != at):
        return NotImplemented
    labels = [str(p) if p != at else "k" for p in range(len(value.dims))]
    return scattered(call, value, [(at, index, labels)], source, labels, op)


def cut(build: Builder, value: Value, shape: tuple[int, ...]) -> Value:
    """The corner of a value that an index tensor covers."""
    for at, size in enumerate(shape):
        value = sliced(build, value, at, 0, size)
    return value


def scattered(
    call: Call, value: Value, indices: list[tuple[int, Value, list[str]]], source: Value, labels: list[str],
    op: str | None, named: list[str] | None = None,
) -> Any:  # fmt: skip
    """`source` put into `value` at positions along some of its dimensions; reduced by `op`, or in its place.

    `labels` are those of the source; a dimension of the value that no index names has its place as a label.
    """
    build = call.build
    places = [at for at, _, _ in indices]
    for at in places:
        if len(value.dims[at]) > 1:
            value = build.flat(value, at)
    written = [_named(call, one) for _, one, _ in indices]
    full = named or [f"to{at}" if at in places else str(at) for at in range(len(value.dims))]
    space = build.space([value, source, *written], [full, labels, *(names for _, _, names in indices)])
    old, body, *positions = space.exprs
    keep = [label for label in full if not label.startswith("to")]
    gone = space.flat(
        dict.fromkeys(one for names in (labels, *(n for _, _, n in indices)) for one in names if one not in keep)
    )
    new = tuple(rank for at in places for rank in space.ranks[f"to{at}"])
    accesses = tuple(position for position in positions if isinstance(position, Access))
    if len(new) != len(places) or len(accesses) != len(places) or not gone:
        return NotImplemented
    dims = space.dims(full)
    if op is not None:
        made = build.emit(dims, Scatter(op, body, accesses, gone, new), hint(call))
        if old == number(0) and op == "sum":
            return made
        joined = {"sum": "add", "max": "max", "min": "min"}[op]
        return build.emit(dims, f(joined, old, build.read(made)), hint(call))
    hits = build.emit(dims, Scatter("sum", number(1), accesses, gone, new), hint(call, "hits"), moves=True)
    made = build.emit(dims, Scatter("sum", body, accesses, gone, new), hint(call), moves=True)
    expr = f("where", f("gt", build.read(hits), 0), build.read(made), old)
    return build.emit(dims, expr, hint(call), moves=True)


def _named(call: Call, index: Value) -> Value:
    """The index as a tensor that a scatter can name."""
    build = call.build
    if isinstance(build.read(index), Access):
        return index
    return build.material(index, hint(call, "index"))


@lowers("index_add", "index_copy")
def _index_add(call: Call, value: Value, dim: int, index: Value, source: Value, alpha: float = 1) -> Any:
    at = around(dim, len(value.dims))
    labels = [str(p) if p != at else "k" for p in range(len(value.dims))]
    if alpha != 1:
        source = call.build.emit(source.dims, f("mul", call.build.read(source), alpha), hint(call, "scaled"))
    op = "sum" if call.word == "index_add" else None
    return scattered(call, value, [(at, index, ["k"])], source, labels, op)


@lowers("index_put", "_unsafe_index_put", "_index_put_impl")
def _index_put(
    call: Call, value: Value, indices: list[Value | None], source: Value, accumulate: bool = False, *_: Any
) -> Any:
    import torch

    tensors = [one for one in call.args[1] if one is not None]
    if any(one.dtype == torch.bool for one in tensors):
        if len(tensors) != 1 or source.dims or len(tensors[0].shape) != len(value.dims) or accumulate:
            return NotImplemented
        from .pointwise import pointwise

        return pointwise(call, lambda mask, new, old: f("where", mask, new, old), (indices[0], source, value), {})
    given = [(at, one) for at, one in enumerate(indices) if one is not None]
    places = [at for at, _ in given]
    count = max(len(one.dims) for _, one in given)
    fresh = [f"i{at}" for at in range(count)]
    kept = [str(at) for at in range(len(value.dims)) if at not in places]
    together = places == list(range(places[0], places[0] + len(places)))
    before = sum(at < places[0] for at in range(len(value.dims)) if at not in places) if together else 0
    labels = [*kept[:before], *fresh, *kept[before:]]
    labels = labels[len(labels) - len(source.dims) :]
    put = [(at, one, fresh[count - len(one.dims) :]) for at, one in given]
    return scattered(call, value, put, source, labels, "sum" if accumulate else None)


@lowers("embedding_dense_backward")
def _embedding_backward(call: Call, grad: Value, index: Value, count: int, *_: Any) -> Any:
    """The gradient of each row of the table: the sum over the places it was read in."""
    build = call.build
    names = [f"i{at}" for at in range(len(index.dims))]
    rank = build.fresh(int(count), "v", (*grad.atoms, *index.atoms))
    table = stored(number(0), ((rank,), grad.dims[-1]))
    return scattered(call, table, [(0, index, names)], grad, [*names, "1"], "sum")
