"""What the backward pass of an Einsum has to see again: the rules of differentiation, operation by operation."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..cascade import Cascade
from ..einsum import Einsum
from ..expression import (
    COMPARISONS,
    LOGIC,
    Access,
    Apply,
    Expr,
    Gather,
    Opaque,
    Reduce,
    Scan,
    Scatter,
    TopK,
    accesses,
    unique,
)

_BY_RESULT = ("exp", "sqrt", "rsqrt", "tanh", "sigmoid", "relu")
_FLAT = {*COMPARISONS, *LOGIC, "floordiv"}


def differentiable(cascade: Cascade, parameters: tuple[str, ...], detached: Collection[str] = ()) -> frozenset[str]:
    """The tensors with a gradient: the parameters (all inputs where none are named) and what follows from them.

    Positions (``topk``, and tensors that only index others) have none, and those named in `detached`.
    """
    indexing = {index.access.tensor for read in _reads(cascade) for index in read.indices if isinstance(index, Gather)}
    found = set(parameters or cascade.inputs) - indexing
    changed = True
    while changed:  # a running value is read before the line that writes it
        before = len(found)
        for einsum in cascade.structure.lines:
            if einsum.name not in detached and not isinstance(einsum.expr, TopK) and _carriers(einsum.expr) & found:
                found.add(einsum.name)
        changed = len(found) > before
    return frozenset(found)


def saved(einsum: Einsum, graded: frozenset[str]) -> tuple[str, ...]:
    """The tensors that the backward pass of an Einsum reads, besides the gradient of its result.

    A product needs its other factor, a function its result where that is enough and its operand where not, a
    maximum both, a gather its positions; a sum needs nothing. `graded` are the tensors with a gradient.
    """
    if einsum.name not in graded:
        return ()
    return unique(_needed(einsum, einsum.expr, graded, top=True))


def _reads(cascade: Cascade) -> Iterator[Access]:
    for line in cascade.structure.lines:
        yield from line.reads


def _carriers(expr: Expr) -> set[str]:
    """The tensors whose values, not positions, an expression is made of."""
    match expr:
        case Access(tensor=tensor):
            return {tensor}
        case Apply(op="where", args=(_, yes, no)):
            return _carriers(yes) | _carriers(no)
        case Apply(op=op, args=args):
            return set() if op in _FLAT else {name for arg in args for name in _carriers(arg)}
        case Reduce(body=body) | Scan(body=body) | Scatter(body=body):
            return _carriers(body)
        case Opaque(args=args):
            return {arg.tensor for arg in args}
        case _:
            return set()


def _tensors(expr: Expr) -> Iterator[str]:
    return (access.tensor for access in accesses(expr))


def _needed(einsum: Einsum, expr: Expr, graded: frozenset[str], top: bool) -> Iterator[str]:
    if not _carriers(expr) & graded:
        return
    match expr:
        case Access(indices=indices):
            yield from (index.access.tensor for index in indices if isinstance(index, Gather))
        case Apply(op="where", args=(condition, yes, no)):
            yield from _tensors(condition)
            yield from _needed(einsum, yes, graded, False)
            yield from _needed(einsum, no, graded, False)
        case Apply(op="mul", args=(left, right)):
            if _carriers(left) & graded:
                yield from _tensors(right)
            if _carriers(right) & graded:
                yield from _tensors(left)
            yield from _inside(einsum, expr.args, graded)
        case Apply(op="div", args=(left, right)):
            yield from _tensors(right)
            if _carriers(right) & graded:
                yield from (einsum.name,) if top else _tensors(left)
            yield from _inside(einsum, expr.args, graded)
        case Apply(op="add" | "sub" | "neg", args=args):
            yield from _inside(einsum, args, graded)
        case Apply(op=op, args=args):
            yield from (einsum.name,) if top and op in _BY_RESULT else _tensors(expr)
            yield from _inside(einsum, args, graded)
        case Reduce(op="sum", body=body) | Scan(op="sum", body=body):
            yield from _needed(einsum, body, graded, False)
        case Reduce(body=body) | Scan(body=body):
            yield einsum.name
            yield from _tensors(body)
            yield from _needed(einsum, body, graded, False)
        case Scatter(body=body, places=places):
            yield from (place.tensor for place in places)
            yield from _needed(einsum, body, graded, False)
        case Opaque():
            yield einsum.name
            yield from _tensors(expr)
        case _:
            return


def _inside(einsum: Einsum, args: tuple[Expr, ...], graded: frozenset[str]) -> Iterator[str]:
    for arg in args:
        yield from _needed(einsum, arg, graded, False)
