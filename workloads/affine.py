"""Whole-number arithmetic on index expressions, with coefficients that may be formulas of sizes.

Just enough algebra to bring ``(m1*M0 + m0) - 1`` or ``2*(i - j)`` into the one form an Affine has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from .expression import Affine, Coefficient


def constant(value: Coefficient) -> Affine:
    return Affine((), value)


def add(left: Affine, right: Affine) -> Affine:
    return Affine(_collect((*left.terms, *right.terms)), _add(left.offset, right.offset))


def negate(index: Affine) -> Affine:
    return Affine(tuple((_negate(coefficient), rank) for coefficient, rank in index.terms), _negate(index.offset))


def multiply(left: Affine, right: Affine) -> Affine | None:
    """The product, or None where it is not affine (both sides have ranks)."""
    if left.terms and right.terms:
        return None
    index, factor = (right, left.offset) if right.terms else (left, right.offset)
    terms = ((_multiply(coefficient, factor), rank) for coefficient, rank in index.terms)
    return Affine(_collect(terms), _multiply(index.offset, factor))


def is_whole(text: str) -> bool:
    """Whether a formula is whole for whole sizes: ``2*M0 - 1`` is, ``sqrt(M0)`` and ``M0 / 2`` are not."""
    allowed = (ast.Name, ast.Load, ast.UnaryOp, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv)
    return all(
        isinstance(node, allowed) or (isinstance(node, ast.Constant) and isinstance(node.value, int))
        for node in ast.walk(ast.parse(text, mode="eval").body)
    )


def floor_divide(left: Affine, right: Affine) -> Affine | None:
    """The whole quotient of two constants, or None where a rank is in it or the divisor is zero."""
    if left.terms or right.terms or right.offset == 0:
        return None
    if isinstance(left.offset, int) and isinstance(right.offset, int):
        return constant(left.offset // right.offset)
    return constant(_canonical(f"({left.offset}) // ({right.offset})"))


def _collect(terms: Iterable[tuple[Coefficient, str]]) -> tuple[tuple[Coefficient, str], ...]:
    total: dict[str, Coefficient] = {}
    for coefficient, rank in terms:
        total[rank] = _add(total[rank], coefficient) if rank in total else coefficient
    return tuple((coefficient, rank) for rank, coefficient in total.items() if coefficient != 0)


def _add(left: Coefficient, right: Coefficient) -> Coefficient:
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    if left == 0 or right == 0:
        return right if left == 0 else left
    if isinstance(right, int) and right < 0:
        return _canonical(f"({left}) - {-right}")
    return _canonical(f"({left}) + ({right})")


def _negate(value: Coefficient) -> Coefficient:
    return -value if isinstance(value, int) else _canonical(f"-({value})")


def _multiply(left: Coefficient, right: Coefficient) -> Coefficient:
    if isinstance(left, int) and isinstance(right, int):
        return left * right
    if left == 0 or right == 0:
        return 0
    if left == 1 or right == 1:
        return right if left == 1 else left
    return _canonical(f"({left}) * ({right})")


def _canonical(text: str) -> str:
    """One spelling of a formula: single spaces, and only the parentheses it needs."""
    return ast.unparse(ast.parse(text, mode="eval"))
