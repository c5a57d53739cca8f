"""Text to Einsums: Python's own syntax, read with `ast` and never evaluated.

A line is ``Output[ranks] = expression`` or a declaration (``X: [T, D]``, ``W: size``). What a single line can
get wrong is caught here, with a caret under the column; what lines can get wrong between them is
`structure`'s matter.
"""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass, replace

from lightbound.base.errors import LightboundError

from .einsum import Einsum
from .expression import (
    Access,
    Affine,
    Coefficient,
    Expr,
    Gather,
    Index,
    free_ranks,
    is_constant,
    reduced_ranks,
)
from .indices import elements, read_affine, read_indices, read_symbol, read_tensor
from .source import Source, error_at
from .values import read_opaque, read_scatter, read_topk, read_value


@dataclass(frozen=True)
class Program:
    """What a text says: Einsums, first values of iterative tensors, declared dimensions, parameters, sizes."""

    einsums: tuple[Einsum, ...]
    initial: tuple[Einsum, ...]
    declared: dict[str, tuple[Coefficient, ...]]
    parameters: tuple[str, ...]
    sizes: dict[str, int]


def parse(text: str, name: str = "cascade") -> Program:
    """The lines of a cascade. `name` is what errors call it.

    Raises LightboundError with the line, a caret and a remedy where a line is not part of the language.
    """
    if not isinstance(text, str):
        raise LightboundError(name, type(text).__name__, "is not text", "Pass the lines of a cascade as a string.")
    text = textwrap.dedent(text)
    source = Source(name, tuple(text.splitlines()))
    try:
        statements = _statements(source, text)
        return _program(replace(source, scalars=_scalars(statements)), statements)
    except RecursionError as error:
        raise LightboundError(name, None, "is nested too deeply", "Split the expression into lines.") from error


def _statements(source: Source, text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError as error:
        line = min(error.lineno or 1, len(source.lines))
        row = source.lines[line - 1] if line else ""
        column = min(max((error.offset or 1) - 1, 0), len(row))
        problem = f"cannot be read: {error.msg.split('. ')[0]}"
        remedy = "Correct the line at the caret; one Einsum is `Output[ranks] = expression`."
        raise error_at(source.name, line, row, column, row.strip() or None, problem, remedy) from error
    except (ValueError, MemoryError) as error:
        problem = f"cannot be read: {error or 'nested too deeply'}"
        raise LightboundError(source.name, None, problem, "Remove what is no text, and split long lines.") from error


def _scalars(statements: list[ast.stmt]) -> frozenset[str]:
    """Capital words that are tensors without indices: written bare on the left, or declared as ``X: []``."""
    found: set[str] = set()
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.add(name)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.List(elts=[])):
                found.add(name)
            case _:
                pass
    return frozenset(found)


def _program(source: Source, statements: list[ast.stmt]) -> Program:
    einsums: list[Einsum] = []
    initial: list[Einsum] = []
    declared: dict[str, tuple[Coefficient, ...]] = {}
    parameters: list[str] = []
    sizes: dict[str, int] = {}
    for statement in statements:
        match statement:
            case ast.Assign(targets=[target], value=value):
                einsum = _einsum(source, statement, target, value)
                first = any(isinstance(index, Affine) and index.is_constant for index in einsum.output.indices)
                (initial if first else einsums).append(einsum)
            case ast.AnnAssign(target=ast.Name(id=word) as target, annotation=annotation, value=None):
                is_size = isinstance(annotation, ast.Constant)
                if word in declared or word in (sizes if is_size else parameters):
                    raise source.error(target, word, "is declared twice", "Keep one of the two lines.")
                if isinstance(annotation, ast.Name) and annotation.id == "size":
                    parameters.append(read_symbol(source, target))
                elif isinstance(annotation, ast.Constant):
                    sizes[read_symbol(source, target)] = _size(source, annotation)
                else:
                    declared[read_tensor(source, target)] = _dimensions(source, annotation)
            case _:
                raise source.error(
                    statement, ast.unparse(statement).splitlines()[0], "is not a line of a cascade",
                    "Write `Output[ranks] = expression`, `Tensor: [SIZES]`, `NAME: size` or `SIZE: 1024`.",
                )  # fmt: skip
    if not einsums:
        remedy = "Write at least one line such as `Y[m] = sum(A[m,k] * X[k], k)`."
        raise LightboundError(source.name, None, "has no Einsum", remedy)
    return Program(tuple(einsums), tuple(initial), declared, tuple(parameters), sizes)


def _size(source: Source, node: ast.Constant) -> int:
    value = node.value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise source.error(node, ast.unparse(node), "is not a size", "Write a positive integer, such as `M: 1024`.")
    return value


def _dimensions(source: Source, node: ast.expr) -> tuple[Coefficient, ...]:
    if not isinstance(node, ast.List):
        raise source.error(
            node, ast.unparse(node), "is not a declaration",
            "Write the stored dimensions, `X: [T, D]`, or `W: size` for a free parameter.",
        )  # fmt: skip
    dimensions: list[Coefficient] = []
    for element in node.elts:
        index = read_affine(source, element)
        if index.terms:
            remedy = "Dimensions are sizes in upper case, such as `T` or `2*T`."
            raise source.error(element, ast.unparse(element), "has a rank in it", remedy)
        dimensions.append(index.offset)
    return tuple(dimensions)


def _einsum(source: Source, statement: ast.Assign, target: ast.expr, value: ast.expr) -> Einsum:
    output = _output(source, target)
    match value:
        case ast.Call(func=ast.Name(id="topk")):
            expr: Expr = read_topk(source, value, output, target)
        case ast.Call(func=ast.Name(id="scatter")):
            expr = read_scatter(source, value, output, target)
        case ast.Call(func=ast.Name(id="opaque")):
            expr = read_opaque(source, value, output)
        case _:
            expr = read_value(source, value)
    _check_ranks(source, target, value, output, expr)
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    return Einsum(output.tensor, output, expr, "\n".join(source.lines[first - 1 : last]), first)


def _output(source: Source, target: ast.expr) -> Access:
    match target:
        case ast.Name():
            return Access(read_tensor(source, target), ())
        case ast.Subscript(value=ast.Name() as name, slice=brackets):
            output = Access(read_tensor(source, name), read_indices(source, brackets))
        case _:
            remedy = "Write one tensor on the left: `Y[p,f] = ...`."
            raise source.error(target, ast.unparse(target), "cannot be written to", remedy)
    for index, node in zip(output.indices, elements(brackets), strict=True):
        _check_written(source, node, index)
    written = [rank for index in output.indices for rank in index.ranks]
    for rank in written:
        if written.count(rank) > 1:
            remedy = "Use each rank for one dimension of the output."
            raise source.error(_find(target, rank), rank, "is on the left twice", remedy)
    return output


def _check_written(source: Source, node: ast.expr, index: Index) -> None:
    if isinstance(index, Gather):
        raise source.error(
            node, ast.unparse(node), "writes through an index tensor",
            "Only reads can gather. Write `Y[v] = scatter(sum, X[n], I[n], n)` to scatter.",
        )  # fmt: skip
    if not (index == Affine() or index.radix or (index.shift is not None and index.shift[1] == 1)):
        raise source.error(
            node, ast.unparse(node), "cannot be an index on the left",
            "Write a rank (`m`), the next iterate (`m1+1`), the first (`0`) or a split rank (`m1*M0+m0`).",
        )  # fmt: skip


def _check_ranks(source: Source, target: ast.expr, value: ast.expr, output: Access, expr: Expr) -> None:
    kept, free, reduced = output.ranks, free_ranks(expr), reduced_ranks(expr)
    for rank in free:
        if rank not in kept:
            raise source.error(
                _find(value, rank), rank, "is a rank on the right that is neither on the left nor reduced",
                f"Put {rank} among the indices of {output.tensor}, or reduce it: `sum(..., {rank})`.",
            )  # fmt: skip
    for rank in kept:
        if rank in reduced:
            raise source.error(
                _find(target, rank), rank, "is a rank on the left that is also reduced on the right",
                "Drop it on the left, or write the reduction on a line of its own.",
            )  # fmt: skip
        if rank not in free and not is_constant(expr):
            raise source.error(
                _find(target, rank), rank, "is a rank on the left that is unknown on the right",
                f"Ranks on the right: {', '.join(free) or 'none'}.",
            )  # fmt: skip


def _find(tree: ast.AST, name: str) -> ast.AST:
    """Where a name stands first."""
    return next((node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name), tree)
