"""Means, variances and the norms made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...expression import Expr, free_ranks
from ..builder import Builder
from ..values import Value
from .pointwise import f, hint
from .reductions import kept, over, places_of, reduced
from .registry import lowers

if TYPE_CHECKING:
    from ..record import Call


@lowers("mean")
def _mean(call: Call, value: Value, dims: Any = None, keepdim: bool = False, **_: Any) -> Value:
    places = places_of(dims, len(value.dims))
    ranks = over(value, places)
    expr = mean_of(call.build, call.build.read(value), ranks)
    return call.build.emit(kept(value, places, keepdim), expr, hint(call))


def mean_of(build: Builder, body: Expr, ranks: Sequence[str]) -> Expr:
    """The mean over ranks; those that the body does not depend on do not matter."""
    inside = [build.ranks.find(rank) for rank in ranks if build.ranks.find(rank) in free_ranks(body)]
    return f("div", reduced(build, "sum", body, inside), build.extent(inside)) if inside else body


def moments(call: Call, value: Value, ranks: Sequence[str], dims: Any) -> tuple[Value, Value, Expr]:
    """Mean, centred values, and the mean of their squares."""
    build = call.build
    mean = build.emit(dims, mean_of(build, build.read(value), ranks), hint(call, "mean"))
    centred = build.emit(value.dims, f("sub", build.read(value), build.read(mean)), hint(call, "centred"))
    square = f("pow", build.read(centred), 2)
    return mean, centred, mean_of(build, square, ranks)


@lowers("native_layer_norm")
def _layer_norm(
    call: Call, value: Value, shape: list[int], weight: Value | None, bias: Value | None, eps: float
) -> list[Value]:
    build = call.build
    places = list(range(len(value.dims) - len(shape), len(value.dims)))
    ranks = over(value, places)
    dims = kept(value, places, True)
    mean, centred, variance = moments(call, value, ranks, dims)
    scale = build.emit(dims, f("rsqrt", f("add", variance, eps)), hint(call, "scale"))
    return [affine(call, centred, scale, weight, bias, places), mean, scale]


def affine(
    call: Call, centred: Value, scale: Value, weight: Value | None, bias: Value | None, places: Sequence[int]
) -> Value:
    """``centred * scale * weight + bias``; weight and bias run along `places`."""
    build = call.build
    full = [str(at) for at in range(len(centred.dims))]
    part = [str(at) for at in places]
    given = [one for one in (weight, bias) if one is not None]
    space = build.space([centred, *given], [full, *[part] * len(given)])
    exprs = iter(space.exprs)
    expr = f("mul", next(exprs), build.read(scale))
    if weight is not None:
        expr = f("mul", expr, next(exprs))
    if bias is not None:
        expr = f("add", expr, next(exprs))
    return build.emit(space.dims(full), expr, hint(call, "native_layer_norm"))


@lowers("native_group_norm")
def _group_norm(
    call: Call, value: Value, weight: Value | None, bias: Value | None, n: int, c: int, area: int, groups: int,
    eps: float,
) -> list[Value]:  # fmt: skip
    from .views import reshaped

    build = call.build
    shape = build.shape(value)
    grouped = reshaped(build, value, (shape[0], groups, c // groups, *shape[2:]))
    places = list(range(2, len(grouped.dims)))
    dims = kept(grouped, places, True)
    mean, centred, variance = moments(call, grouped, over(grouped, places), dims)
    scale = build.emit(dims, f("rsqrt", f("add", variance, eps)), hint(call, "scale"))
    wide = [reshaped(build, one, (groups, c // groups)) if one is not None else None for one in (weight, bias)]
    made = affine(call, centred, scale, wide[0], wide[1], [1, 2])
    flat = [reshaped(build, one, (n, groups)) for one in (mean, scale)]
    return [reshaped(build, made, shape), *flat]


@lowers("_native_batch_norm_legit_no_training", "cudnn_batch_norm", "native_batch_norm", "_native_batch_norm_legit")
def _batch_norm(call: Call, value: Value, weight: Value | None, bias: Value | None, *rest: Any, **_: Any) -> Any:
    """In inference by the running statistics; in training by those of the batch."""
    build = call.build
    names = [argument.name for argument in call.func._schema.arguments][3:]
    named = dict(zip(names, rest, strict=False))
    training = bool(named.get("training", "no_training" not in call.word and "running_mean" not in named))
    eps = float(named["eps"])
    places = [at for at in range(len(value.dims)) if at != 1]
    if training:
        dims = kept(value, places, False)
        mean, centred, variance = moments(call, value, over(value, places), dims)
        scale = build.emit(dims, f("rsqrt", f("add", variance, eps)), hint(call, "scale"))
    else:
        given = named["running_mean"], named["running_var"]
        space = build.space([value, given[0]], [[str(at) for at in range(len(value.dims))], ["1"]])
        labels = [str(at) for at in range(len(value.dims))]
        centred = build.emit(space.dims(labels), f("sub", space.exprs[0], space.exprs[1]), hint(call, "centred"))
        mean = given[0]
        scale = build.emit(given[1].dims, f("rsqrt", f("add", build.read(given[1]), eps)), hint(call, "scale"))
    full = [str(at) for at in range(len(value.dims))]
    rest_values = [one for one in (scale, weight, bias) if one is not None]
    space = build.space([centred, *rest_values], [full, *[["1"]] * len(rest_values)])
    exprs = iter(space.exprs)
    expr = f("mul", next(exprs), next(exprs))
    if weight is not None:
        expr = f("mul", expr, next(exprs))
    if bias is not None:
        expr = f("add", expr, next(exprs))
    return [build.emit(space.dims(full), expr, hint(call, "native_layer_norm")), mean, scale, None]


@lowers("var", "std", "var_mean", "std_mean")
def _variance(call: Call, value: Value, dims: Any = None, *args: Any, **kwargs: Any) -> Any:
    named = dict(zip([argument.name for argument in call.func._schema.arguments][2:], args, strict=False)) | kwargs
    if isinstance(dims, bool):
        named["unbiased"], dims = dims, None
    keepdim = bool(named.get("keepdim", False))
    correction = named.get("correction", 1 if named.get("unbiased", True) else 0)
    correction = 1 if correction is None else correction
    build = call.build
    places = places_of(dims, len(value.dims))
    ranks = over(value, places)
    mean, centred, _ = moments(call, value, ranks, kept(value, places, True))
    total = reduced(build, "sum", f("pow", build.read(centred), 2), ranks)
    count = build.extent(ranks) if correction == 0 else number_less(build, ranks, correction)
    expr = f("div", total, count)
    expr = f("sqrt", expr) if call.word.startswith("std") else expr
    found = build.emit(kept(value, places, keepdim), expr, hint(call))
    if not call.word.endswith("mean"):
        return found
    from .views import drop

    return [found, mean if keepdim else drop(build, mean, set(places))]


def number_less(build: Builder, ranks: Sequence[str], correction: float) -> Expr:
    """The number of elements less a correction, as one constant."""
    from ...expression import Number, Symbol

    count = build.extent(ranks)
    return Symbol(f"{count.text} - {correction}") if isinstance(count, Symbol) else Number(1 - correction)


@lowers("linalg_vector_norm")
def _norm(call: Call, value: Value, order: float = 2, dims: Any = None, keepdim: bool = False, **_: Any) -> Any:
    build = call.build
    places = places_of(dims, len(value.dims))
    body, ranks = build.read(value), over(value, places)
    if order == 2:
        expr = f("sqrt", reduced(build, "sum", f("pow", body, 2), ranks))
    elif order == 1:
        expr = reduced(build, "sum", f("abs", body), ranks)
    elif order == float("inf"):
        expr = reduced(build, "max", f("abs", body), ranks)
    else:
        return NotImplemented
    return build.emit(kept(value, places, keepdim), expr, hint(call, "norm"))
