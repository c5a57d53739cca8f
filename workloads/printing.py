"""Cascades back to text, in one spelling: what `parse` reads from it is equal to what was printed."""

from __future__ import annotations

import math

from .einsum import Einsum
from .expression import (
    Access,
    Affine,
    Apply,
    Coefficient,
    Expr,
    Gather,
    Index,
    Number,
    Opaque,
    RankValue,
    Reduce,
    Scan,
    Scatter,
    Symbol,
    TopK,
)
from .structure import Structure

_INFIX = {
    "or": ("or", 1), "and": ("and", 2),
    "lt": ("<", 4), "le": ("<=", 4), "gt": (">", 4), "ge": (">=", 4), "eq": ("==", 4), "ne": ("!=", 4),
    "add": ("+", 5), "sub": ("-", 5),
    "mul": ("*", 6), "div": ("/", 6), "floordiv": ("//", 6), "mod": ("%", 6), "pow": ("**", 8),
}  # fmt: skip
_NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = 3, 4, 5, 6, 7, 8, 9


def format_cascade(structure: Structure) -> str:
    """Declarations first, then one line an Einsum."""
    lines = [f"{name}: size" for name in structure.parameters]
    lines += [
        f"{tensor}: [{', '.join(_coefficient(size) for size in dimensions)}]"
        for tensor, dimensions in structure.declared.items()
    ]
    return "\n".join([*lines, *(format_einsum(line) for line in structure.lines)]) + "\n"


def format_einsum(einsum: Einsum) -> str:
    """The line of an Einsum."""
    return f"{format_access(einsum.output)} = {format_expr(einsum.expr)}"


def format_access(access: Access) -> str:
    """``K[b,h,m1*M0+m0,e]``; a scalar is its name."""
    indices = ",".join(format_index(index) for index in access.indices)
    return f"{access.tensor}[{indices}]" if access.indices else access.tensor


def format_index(index: Index) -> str:
    """``m1*M0+m0``, ``t*2+k-1``, ``M1``, ``I[p,k]``."""
    return format_access(index.access) if isinstance(index, Gather) else _affine(index, "")


def format_expr(expr: Expr) -> str:
    """An expression with the parentheses it needs and no others."""
    return _expr(expr)[0]


def _expr(expr: Expr) -> tuple[str, int]:
    """The text, and how tightly its outermost operation binds."""
    match expr:
        case Number(value=value):
            return _number(value)
        case Symbol(text=text):
            return text, _ATOM if text.isidentifier() else 0
        case RankValue(index=index):
            return _affine(index, " "), _ATOM if index.rank else 0
        case Access():
            return format_access(expr), _ATOM
        case Reduce(op=op, body=body, ranks=ranks):
            return f"{op}({', '.join((format_expr(body), *ranks))})", _ATOM
        case Scan(op=op, body=body, rank=rank):
            return f"scan({op}, {format_expr(body)}, {rank})", _ATOM
        case TopK(body=body, rank=rank):
            return f"topk({format_expr(body)}, {rank})", _ATOM
        case Scatter(op=op, body=body, places=places, consumed=consumed):
            parts = (op, format_expr(body), *map(format_access, places), *consumed)
            return f"scatter({', '.join(parts)})", _ATOM
        case Opaque(name=name, args=args, consumed=consumed):
            return f"opaque({', '.join((name, *map(format_access, args), *consumed))})", _ATOM
        case Apply(op="neg", args=(inner,)):
            return f"-{_inside(inner, _SIGN)}", _SIGN
        case Apply(op="not", args=(inner,)):
            return f"not {_inside(inner, _NOT)}", _NOT
        case Apply(op=op, args=(left, right)) if op in _INFIX:
            sign, binding = _INFIX[op]
            # All but ** group to the left; a comparison of comparisons would read as a chain.
            before, after = binding, binding + 1
            if op == "pow":
                before, after = _ATOM, _SIGN
            elif binding == _COMPARISON:
                before = binding + 1
            return f"{_inside(left, before)} {sign} {_inside(right, after)}", binding
        case Apply(op=op, args=args):
            return f"{op}({', '.join(format_expr(arg) for arg in args)})", _ATOM


def _inside(expr: Expr, binding: int) -> str:
    text, own = _expr(expr)
    return text if own >= binding else f"({text})"


def _number(value: float) -> tuple[str, int]:
    if math.isinf(value):
        return ("inf", _ATOM) if value > 0 else ("-inf", 0)
    return (repr(value), _ATOM) if value > 0 or str(value) == "0" else (repr(value), 0)


def _affine(index: Affine, space: str) -> str:
    text = ""
    for coefficient, rank in index.terms:
        sign, term = "+", f"{rank}*{_coefficient(coefficient, inside=True)}"
        if coefficient == 1 or coefficient == -1:
            term = rank
        elif isinstance(coefficient, int) and coefficient < 0:
            term = f"{rank}*{-coefficient}"
        if isinstance(coefficient, int) and coefficient < 0:
            sign = "-"
        text += f"{space}{sign}{space}{term}" if text else f"{'-' if sign == '-' else ''}{term}"
    if not text:
        return _coefficient(index.offset)
    if isinstance(index.offset, int):
        sign = "-" if index.offset < 0 else "+"
        return f"{text}{space}{sign}{space}{abs(index.offset)}" if index.offset else text
    return f"{text}{space}+{space}{_coefficient(index.offset, inside=True)}"


def _coefficient(value: Coefficient, inside: bool = False) -> str:
    text = str(value)
    return f"({text})" if inside and isinstance(value, str) and not text.isidentifier() else text
