"""Reading the inside of brackets: names, affine indices, gathers and accesses."""

from __future__ import annotations

import ast
import re

from . import affine
from .expression import CONSTANTS, FUNCTIONS, REDUCTIONS, Access, Affine, Gather, Index
from .source import Source

RESERVED = {*FUNCTIONS, *REDUCTIONS, *CONSTANTS, "opaque", "scan", "scatter", "topk", "where"}
_TENSOR = re.compile(r"[A-Z][A-Za-z0-9_]*\Z")
_RANK = re.compile(r"[a-z][a-z0-9_]*\Z")


def read_tensor(source: Source, node: ast.Name) -> str:
    if not _TENSOR.match(node.id):
        raise source.error(
            node, node.id, "is not a tensor name",
            "Tensors start with a capital letter A-Z and go on with letters, digits and _.",
        )  # fmt: skip
    return node.id


def read_symbol(source: Source, node: ast.Name) -> str:
    if not _TENSOR.match(node.id) or node.id.upper() != node.id:
        raise source.error(node, node.id, "is not a size", "Sizes are upper-case words, such as `M` or `M0`.")
    return node.id


def read_rank(source: Source, node: ast.expr) -> str:
    if not isinstance(node, ast.Name):
        raise source.error(node, ast.unparse(node), "is not a rank", "Name a rank in lower case, such as `m` or `m0`.")
    if node.id in RESERVED:
        raise source.error(node, node.id, "is a word of the language, not a rank", "Give the rank another name.")
    if not _RANK.match(node.id):
        raise source.error(node, node.id, "is not a rank", "Ranks are lower-case words a-z, such as `m` or `m0`.")
    return node.id


def read_access(source: Source, node: ast.Subscript) -> Access:
    if not isinstance(node.value, ast.Name):
        raise source.error(node, ast.unparse(node), "is not a tensor access", "Write `Tensor[index, ...]`.")
    return Access(read_tensor(source, node.value), read_indices(source, node.slice))


def read_indices(source: Source, node: ast.expr) -> tuple[Index, ...]:
    return tuple(_index(source, element) for element in elements(node))


def elements(node: ast.expr) -> list[ast.expr]:
    """The indices between the brackets, one or many."""
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _index(source: Source, node: ast.expr) -> Index:
    if isinstance(node, ast.Subscript):
        return Gather(read_access(source, node))
    if isinstance(node, ast.Name) and node.id in source.scalars:
        return Gather(Access(node.id, ()))
    return read_affine(source, node)


def read_affine(source: Source, node: ast.expr) -> Affine:
    """An index made of ranks and sizes by whole-number arithmetic."""
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return affine.constant(value)
        case ast.Name(id=name) if name[:1].isupper() and name not in source.scalars:
            return affine.constant(read_symbol(source, node))
        case ast.Name(id=name) if name not in source.scalars:
            return Affine(((1, read_rank(source, node)),))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return affine.negate(read_affine(source, operand))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return affine.add(read_affine(source, left), read_affine(source, right))
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return affine.add(read_affine(source, left), affine.negate(read_affine(source, right)))
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            product = affine.multiply(read_affine(source, left), read_affine(source, right))
            if product is not None:
                return product
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            quotient = affine.floor_divide(read_affine(source, left), read_affine(source, right))
            if quotient is not None:
                return quotient
        case _:
            pass
    raise source.error(
        node, ast.unparse(node), "is not an index",
        "Indices are whole-number sums of ranks and sizes (`m1*M0+m0`, `t+k-1`, `M1`), or an access.",
    )  # fmt: skip
