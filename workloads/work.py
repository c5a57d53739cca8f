"""What one Einsum costs in operations: which are done, and over which ranks.

The rules are those of a careful programmer, not of a compiler: an operation is done once at each point of the
ranks of its own operands (a loop invariant is computed outside the loop), constants are folded, and nothing
else is rearranged. Sizes come later, in `counts`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .expression import (
    COMPARISONS,
    LOGIC,
    Access,
    Apply,
    Expr,
    Number,
    Opaque,
    Reduce,
    Scan,
    Scatter,
    TopK,
    free_ranks,
    is_constant,
    is_index_arithmetic,
    unique,
)

_REDUCE_OPS = {"sum": "add", "prod": "mul", "max": "max", "min": "min"}


@dataclass(frozen=True)
class Work:
    """Operations done once at every point of the ranks, in order of execution: ``(("sub", "exp"), ("p",
    "m"))``."""

    ops: tuple[str, ...]
    ranks: tuple[str, ...]


def work_of(expr: Expr, order: tuple[str, ...]) -> tuple[Work, ...]:
    """The operations of an expression; ranks are listed in `order`, the Einsum's iteration space.

    Kinds: ``mac`` (a product that is summed at once), ``add sub mul div pow max min select compare`` and the
    names of the functions. Division by a constant is a ``mul``, a square is a ``mul``, ``topk`` is a
    ``select`` at every point it looks at, and ``scatter(sum, ...)`` an ``add`` for every element put somewhere; an
    ``opaque`` operator counts each element of its operands and its result. Sign changes, index arithmetic and
    comparisons of indices are free.
    """
    steps: list[tuple[str, tuple[str, ...]]] = []
    _collect(expr, steps)
    merged: list[Work] = []
    for op, used in steps:
        ranks = tuple(rank for rank in order if rank in used)
        if merged and merged[-1].ranks == ranks:
            merged[-1] = Work((*merged[-1].ops, op), ranks)
        else:
            merged.append(Work((op,), ranks))
    return tuple(merged)


def _collect(expr: Expr, steps: list[tuple[str, tuple[str, ...]]]) -> None:
    if isinstance(expr, Access) or is_constant(expr) or is_index_arithmetic(expr):
        return
    match expr:
        case Reduce(op="sum", body=body) if (factors := _factors(body)) is not None:
            for factor in factors:
                _collect(factor, steps)
            steps.append(("mac", free_ranks(body)))
        case Reduce(op=op, body=body) | Scan(op=op, body=body):
            _collect(body, steps)
            steps.append((_REDUCE_OPS[op], free_ranks(body)))
        case TopK(body=body):
            _collect(body, steps)
            steps.append(("select", free_ranks(body)))
        case Scatter(op=op, body=body, places=places):
            _collect(body, steps)
            steps.append((_REDUCE_OPS[op], unique(rank for part in (body, *places) for rank in free_ranks(part))))
        case Opaque(args=args):
            steps.extend(("opaque", ranks) for ranks in (*(arg.ranks for arg in args), free_ranks(expr)))
        case Apply(args=args):
            for arg in args:
                _collect(arg, steps)
            ranks = free_ranks(expr)
            steps.extend((op, ranks) for op in _pointwise(expr))
        case _:
            pass


def _factors(body: Expr) -> tuple[Expr, ...] | None:
    """The operands of a product whose sum is one multiply-accumulate a point; None where it is no product."""
    match body:
        case Apply(op="neg", args=(inner,)):
            return _factors(inner)
        case Apply(op="mul", args=args) if not is_index_arithmetic(body):
            return args
        case Apply(op="pow", args=(base, Number(value=2))) if not is_index_arithmetic(base):
            return (base,)
        case _:
            return None


def _pointwise(expr: Apply) -> tuple[str, ...]:
    match expr:
        case Apply(op="neg"):
            return ()
        case Apply(op="div", args=(_, divisor)) if is_constant(divisor):
            return ("mul",)
        case Apply(op="pow", args=(_, Number(value=int() as exponent))) if 1 < exponent < 4:
            return ("mul",) * (exponent - 1)
        case Apply(op="where"):
            return ("select",)
        case Apply(op=op) if op in COMPARISONS or op in LOGIC:
            return ("compare",)
        case Apply(op="floordiv" | "mod"):
            return ("div",)
        case _:
            return (expr.op,)
