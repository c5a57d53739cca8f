"""Matrix products: multiply-accumulates over the inner dimension, and the bias in the same line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...expression import Apply, Expr
from ..builder import Space, summed
from ..values import Value, is_free
from .pointwise import f, hint
from .registry import lowers

if TYPE_CHECKING:
    from ..record import Call


def product(
    call: Call, a: Value, b: Value, left: str, right: str, result: str, bias: tuple[Value, str] | None = None,
    scale: float = 1, beta: float = 1, role: str = "",
) -> Value:  # fmt: skip
    """``sum(a * b) * scale + bias * beta``, dimensions by letters as in an einsum."""
    build = call.build
    operands = [written(call, a), written(call, b)]
    labels = [list(left), list(right)]
    if bias is not None:
        operands.append(bias[0])
        labels.append(list(bias[1]))
    space = build.space(operands, labels)
    expr = contraction(space, result)
    expr = f("mul", expr, scale)
    if bias is not None:
        expr = f("add", expr, f("mul", space.exprs[2], beta))
    return build.emit(space.dims(list(result)), expr, hint(call, role), product=True)


def contraction(space: Space, result: str, places: tuple[int, int] = (0, 1)) -> Expr:
    """The sum of products over every label that the result lacks."""
    exprs = space.exprs
    labels = [label for place in places for label in space.labels[place]]
    reduced = space.flat(dict.fromkeys(label for label in labels if label not in result))
    return summed(Apply("mul", (exprs[places[0]], exprs[places[1]])), reduced, space.build)


def written(call: Call, value: Value) -> Value:
    """A factor of a product has all its elements somewhere, be they constants or repeated."""
    build = call.build
    expr = build.read(value)
    if is_free(expr) and value.atoms:
        return build.material(value, "Constants")
    return value


@lowers("mm")
def _mm(call: Call, a: Value, b: Value, *_: Any) -> Value:
    return product(call, a, b, "ik", "kj", "ij")


@lowers("bmm")
def _bmm(call: Call, a: Value, b: Value, *_: Any) -> Value:
    return product(call, a, b, "bik", "bkj", "bij")


@lowers("addmm")
def _addmm(call: Call, bias: Value, a: Value, b: Value, beta: float = 1, alpha: float = 1) -> Value:
    return product(call, a, b, "ik", "kj", "ij", (bias, "ij"[2 - len(bias.dims) :]), alpha, beta)


@lowers("baddbmm")
def _baddbmm(call: Call, bias: Value, a: Value, b: Value, beta: float = 1, alpha: float = 1) -> Value:
    if beta == 0:
        return product(call, a, b, "bik", "bkj", "bij", scale=alpha)
    return product(call, a, b, "bik", "bkj", "bij", (bias, "bij"[3 - len(bias.dims) :]), alpha, beta)


@lowers("addbmm")
def _addbmm(call: Call, bias: Value, a: Value, b: Value, beta: float = 1, alpha: float = 1) -> Value:
    return product(call, a, b, "bik", "bkj", "ij", (bias, "ij"), alpha, beta)


@lowers("mv")
def _mv(call: Call, a: Value, b: Value) -> Value:
    return product(call, a, b, "ik", "k", "i")


@lowers("addmv")
def _addmv(call: Call, bias: Value, a: Value, b: Value, beta: float = 1, alpha: float = 1) -> Value:
    return product(call, a, b, "ik", "k", "i", (bias, "i"), alpha, beta)


@lowers("dot", "vdot")
def _dot(call: Call, a: Value, b: Value) -> Value:
    return product(call, a, b, "k", "k", "")


@lowers("linear")
def _linear(call: Call, a: Value, weight: Value, bias: Value | None = None) -> Value:
    lead = "abcdefgh"[: len(a.dims) - 1]
    return product(call, a, weight, f"{lead}k", "jk", f"{lead}j", (bias, "j") if bias is not None else None)


@lowers("_grouped_mm")
def _grouped_mm(
    call: Call, a: Value, b: Value, offs: Value | None = None, bias: Value | None = None, out_dtype: Any = None
) -> Any:
    """Rows sorted by group, a matrix for each: row t uses that of the group whose end is the first beyond t."""
    from ...expression import Access, Gather, RankValue
    from ..values import plain

    build = call.build
    if len(a.dims) != 2 or len(b.dims) != 3 or offs is None or bias is not None:
        return NotImplemented
    space = build.space([a, b], [["t", "k"], ["g", "k", "j"]])
    rows = space.ranks["t"]
    if len(rows) != 1:
        a = build.flat(a, 0)
        return _grouped_mm(call, a, b, offs)
    groups = build.space([offs, a], [["g"], ["t", "k"]])
    end, row = groups.exprs[0], groups.ranks["t"][0]
    before = summed(Apply("le", (end, RankValue(plain(row)))), groups.ranks["g"], build)
    index = build.read(build.emit([(row,)], before, hint(call, "group")))
    weights = build.read(b)
    if not isinstance(index, Access) or not isinstance(weights, Access) or len(space.ranks["g"]) != 1:
        return NotImplemented
    group = space.ranks["g"][0]
    moved = space.exprs[1]
    assert isinstance(moved, Access)
    gathered = Access(moved.tensor, tuple(Gather(index) if one == plain(group) else one for one in moved.indices))
    if gathered == moved:
        return NotImplemented
    expr = summed(Apply("mul", (space.exprs[0], gathered)), space.flat("k"), build)
    return build.emit(space.dims(["t", "j"]), expr, hint(call, "mm"), product=True)
