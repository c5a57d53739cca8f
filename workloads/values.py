"""Reading the right-hand side of a line: constants, pointwise operations, reductions, scans."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from lightbound.base.errors import choose_from

from . import affine
from .expression import (
    CONSTANTS,
    FUNCTIONS,
    REDUCTIONS,
    Access,
    Affine,
    Apply,
    Expr,
    Number,
    Opaque,
    RankValue,
    Reduce,
    Scan,
    Scatter,
    Symbol,
    TopK,
    free_ranks,
)
from .indices import RESERVED, read_access, read_affine, read_rank, read_symbol
from .source import Source

CALLS = sorted({*FUNCTIONS, *REDUCTIONS, "opaque", "scan", "scatter", "topk", "where"})
_ALONE = {
    "topk": "I[p,k] = topk(S[p,m], m)",
    "opaque": "Y[i,j] = opaque(name, X[i,k], k)",
    "scatter": "Y[v,d] = scatter(sum, X[n,d], I[n], n)",
}
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div",
    ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.Pow: "pow",
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne",
}  # fmt: skip
_FOLD: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "pow": math.pow, "neg": operator.neg,
    "sqrt": math.sqrt, "max": max, "min": min,
}  # fmt: skip


def read_value(source: Source, node: ast.expr) -> Expr:
    """The expression a syntax tree stands for; constants are folded and index arithmetic is collected."""
    if (folded := _constant(source, node)) is not None:
        return folded
    match node:
        case ast.Subscript():
            return read_access(source, node)
        case ast.Name(id=name):
            return Access(name, ()) if name in source.scalars else RankValue(read_affine(source, node))
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return read_value(source, operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = read_value(source, operand)
            return RankValue(affine.negate(inner.index)) if isinstance(inner, RankValue) else Apply("neg", (inner,))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Apply("not", (read_value(source, operand),))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return combined(_BINARY[type(op)], read_value(source, left), read_value(source, right))
        case ast.BoolOp(op=op, values=values):
            return _chain("and" if isinstance(op, ast.And) else "or", [read_value(source, part) for part in values])
        case ast.Compare():
            return _comparison(source, node)
        case ast.Call():
            return _call(source, node)
        case _:
            raise source.error(
                node, ast.unparse(node), "is not part of the language",
                "Values are numbers, sizes, ranks, accesses (Q[p,e]), + - * / // % **, comparisons, and "
                f"{', '.join(CALLS)}.",
            )  # fmt: skip


def read_topk(source: Source, node: ast.Call, output: Access, target: ast.expr) -> TopK:
    """``topk(body, rank)``, the whole right-hand side of a line; only the output has the new rank."""
    _expect(source, node, 2, "topk(S[p,m], m)")
    body, rank = read_value(source, node.args[0]), read_rank(source, node.args[1])
    _require_rank(source, node.args[1], rank, body, "is searched")
    new = [other for other in output.ranks if other not in free_ranks(body)]
    if len(new) != 1:
        raise source.error(
            target, ", ".join(new) or ast.unparse(target),
            "must have exactly one new rank, which counts the largest",
            "Write `I[p,k] = topk(S[p,m], m)`: k is new, and K says how many.",
        )  # fmt: skip
    return TopK(body, rank, new[0])


def read_scatter(source: Source, node: ast.Call, output: Access, target: ast.expr) -> Scatter:
    """``scatter(sum, X[n,d], I[n], n)``, the whole right-hand side: a value, where it goes, what disappears."""
    usage = "Write `Y[v,d] = scatter(sum, X[n,d], I[n], n)`: v is new, and I[n] says where X[n,d] is added."
    op = node.args[0] if node.args else node
    if node.keywords or len(node.args) < 4 or not isinstance(op, ast.Name) or op.id not in REDUCTIONS:
        raise source.error(op, ast.unparse(op), "cannot be scattered", usage)
    split = next((place for place, one in enumerate(node.args) if place and _is_rank([one])), len(node.args))
    body, *rest = [read_value(source, one) for one in node.args[1:split]]
    places = tuple(place for place in rest if isinstance(place, Access))
    consumed = tuple(read_rank(source, one) for one in node.args[split:])
    known = {rank for part in (body, *places) for rank in free_ranks(part)}
    new = tuple(rank for rank in output.ranks if rank not in known)
    if not places or len(places) != len(rest) or not set(consumed) <= known or not consumed:
        raise source.error(node, "scatter", "does not say what goes where", usage)
    if len(new) != len(places):
        problem = f"must have {len(places)} new rank{'s' if len(places) > 1 else ''}, one for each index tensor"
        raise source.error(target, ", ".join(new) or ast.unparse(target), problem, usage)
    return Scatter(op.id, body, places, consumed, new)


def read_opaque(source: Source, node: ast.Call, output: Access) -> Opaque:
    """``opaque(name, X[i,k], Z[j], k)``, the whole right-hand side of a line; ranks after the operands disappear."""
    usage = "Write `Y[i,j] = opaque(name, X[i,k], Z[j], k)`: a name, what it reads, and the ranks that disappear."
    if not node.args or node.keywords or not isinstance(node.args[0], ast.Name):
        raise source.error(node, "opaque", "does not say which operator it stands for", usage)
    split = next((place for place, one in enumerate(node.args) if place and _is_rank([one])), len(node.args))
    operands = [read_value(source, one) for one in node.args[1:split]]
    for one, operand in zip(node.args[1:split], operands, strict=True):
        if not isinstance(operand, Access):
            raise source.error(one, ast.unparse(one), "is not a tensor", usage)
    args = tuple(operand for operand in operands if isinstance(operand, Access))
    consumed = tuple(read_rank(source, one) for one in node.args[split:])
    known = {rank for arg in args for rank in arg.ranks}
    for one, rank in zip(node.args[split:], consumed, strict=True):
        if rank not in known:
            raise source.error(one, rank, "disappears, but no operand has this rank", usage)
    new = tuple(rank for rank in output.ranks if rank not in known)
    return Opaque(node.args[0].id, args, consumed, new)


def _call(source: Source, node: ast.Call) -> Expr:
    if not isinstance(node.func, ast.Name):
        raise source.error(
            node,
            ast.unparse(node.func),
            "is not a function of the language",
            f"Choose from: {', '.join(CALLS)}.",
        )
    name, arguments = node.func.id, node.args
    if name not in CALLS:
        raise source.error(node, name, "is not a function of the language", choose_from(CALLS, name))
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in arguments):
        raise source.error(node, name, "takes plain arguments only", "Drop the keyword or the star.")
    match name:
        case "topk" | "opaque" | "scatter":
            problem, remedy = "stands inside an expression", f"Give it a line of its own: `{_ALONE[name]}`."
            raise source.error(node, name, problem, remedy)
        case "scan":
            return _scan(source, node)
        case "where":
            _expect(source, node, 3, "where(condition, value, otherwise)")
            return Apply("where", tuple(read_value(source, argument) for argument in arguments))
        case "max" | "min" if not _is_rank(arguments[-1:]):
            if len(arguments) < 2:
                raise source.error(
                    node, name, "names nothing to compare with and no rank to reduce",
                    f"Write `{name}(X[p,m], m)` to reduce m, or `{name}(A[p], B[p])` point by point.",
                )  # fmt: skip
            return _chain(name, [read_value(source, argument) for argument in arguments])
        case "sum" | "prod" | "max" | "min":
            return _reduction(source, node, name)
        case _:
            _expect(source, node, 1, f"{name}(value)")
            return Apply(name, (read_value(source, arguments[0]),))


def _reduction(source: Source, node: ast.Call, name: str) -> Reduce:
    if len(node.args) < 2:
        raise source.error(node, name, "names no rank to reduce", f"Write it after the body: `{name}(X[p,m], m)`.")
    body, ranks = read_value(source, node.args[0]), tuple(read_rank(source, rank) for rank in node.args[1:])
    for argument, rank in zip(node.args[1:], ranks, strict=True):
        _require_rank(source, argument, rank, body, "is reduced")
        if ranks.count(rank) > 1:
            raise source.error(argument, rank, "is reduced twice", "Name it once.")
    return Reduce(name, body, ranks)


def _scan(source: Source, node: ast.Call) -> Scan:
    _expect(source, node, 3, "scan(sum, X[t,d], t)")
    op, body, rank = node.args[0], read_value(source, node.args[1]), read_rank(source, node.args[2])
    if not isinstance(op, ast.Name) or op.id not in REDUCTIONS:
        raise source.error(op, ast.unparse(op), "cannot be scanned", f"Choose from: {', '.join(REDUCTIONS)}.")
    _require_rank(source, node.args[2], rank, body, "is scanned")
    return Scan(op.id, body, rank)


def _comparison(source: Source, node: ast.Compare) -> Expr:
    values = [read_value(source, part) for part in (node.left, *node.comparators)]
    for op in node.ops:
        if type(op) not in _COMPARE:
            raise source.error(node, ast.unparse(node), "is not a comparison", "Use <, <=, >, >=, == or !=.")
    pairs = zip(node.ops, values, values[1:], strict=False)
    return _chain("and", [Apply(_COMPARE[type(op)], (left, right)) for op, left, right in pairs])


def _require_rank(source: Source, node: ast.expr, rank: str, body: Expr, role: str) -> None:
    inside = free_ranks(body)
    if rank not in inside:
        raise source.error(
            node, rank, f"{role}, but what stands before it does not have this rank",
            f"Ranks there: {', '.join(inside) or 'none'}.",
        )  # fmt: skip


def _expect(source: Source, node: ast.Call, count: int, usage: str) -> None:
    if len(node.args) != count or node.keywords:
        raise source.error(node, len(node.args), "is the wrong number of arguments", f"Write `{usage}`.")


def _is_rank(arguments: list[ast.expr]) -> bool:
    return bool(arguments) and isinstance(arguments[0], ast.Name) and (
        arguments[0].id[:1].islower() and arguments[0].id not in RESERVED
    )  # fmt: skip


def _chain(op: str, values: Sequence[Expr]) -> Expr:
    return reduce(lambda left, right: Apply(op, (left, right)), values)


# ---- constants and index arithmetic


def combined(op: str, left: Expr, right: Expr) -> Expr:
    """An operation on two values; sums and products of indices become one index."""
    if isinstance(left, RankValue) or isinstance(right, RankValue):
        a, b = _as_index(left), _as_index(right)
        if a is not None and b is not None and op in ("add", "sub", "mul"):
            index = affine.multiply(a, b) if op == "mul" else affine.add(a, b if op == "add" else affine.negate(b))
            if index is not None and index.terms:
                return RankValue(index)
    return Apply(op, (left, right))


def _as_index(expr: Expr) -> Affine | None:
    match expr:
        case RankValue(index=index):
            return index
        case Number(value=int() as value):
            return affine.constant(value)
        case Symbol(text=text) if affine.is_whole(text):
            return affine.constant(text)
        case _:
            return None


def _constant(source: Source, node: ast.expr) -> Number | Symbol | None:
    """A value without tensors and ranks: a Number, or a Symbol where sizes are in it; else None."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return Number(value)
        case ast.Name(id=name) if name in CONSTANTS:
            return Number(CONSTANTS[name])
        case ast.Name(id=name) if name[:1].isupper() and name not in source.scalars:
            return Symbol(read_symbol(source, node))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _folded(source, node, "neg", [operand])
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _folded(source, node, _BINARY[type(op)], [left, right])
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument], keywords=[]):
            return _folded(source, node, "sqrt", [argument])
        case ast.Call(func=ast.Name(id="max" | "min" as name), args=[_, _, *_] as arguments, keywords=[]):
            return _folded(source, node, name, arguments)
        case _:
            return None


def _folded(source: Source, node: ast.expr, op: str, arguments: list[ast.expr]) -> Number | Symbol | None:
    parts: list[Number | Symbol] = []
    for argument in arguments:
        if (part := _constant(source, argument)) is None:
            return None
        parts.append(part)
    values = [part.value for part in parts if isinstance(part, Number)]
    if len(values) < len(parts):
        return Symbol(ast.unparse(node))
    try:
        result = _FOLD[op](*values)
    except (ArithmeticError, ValueError) as error:
        raise source.error(node, ast.unparse(node), f"has no value ({error})", "Correct the constant.") from error
    if math.isnan(result):
        raise source.error(node, ast.unparse(node), "is not a number", "Correct the constant.")
    return Number(result)
