"""Formulas in text, over named quantities: ``P / pe_dim``, ``min(P, 4 * rows)``, ``where(P > 4096, 1, 2)``.

Machines write fields as formulas of their own parameters, and mappings write tile sizes as formulas of rank sizes and
machine fields. A formula is parsed once and checked (only arithmetic, comparisons and the functions below; nothing is
ever handed to ``eval``), and works on integers, floats and numpy arrays alike: with arrays, one evaluation answers a
whole sweep.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from .errors import LightboundError, choose_from

Number = Any  # int, float or float64 array: the engines are written once for all three

_ONE = 1


def is_array(value: Number) -> bool:
    """Whether a number stands for a sweep."""
    return isinstance(value, np.ndarray)


def divide(a: Number, b: Number) -> Number:
    """Exact quotient: an integer where the integers divide, a float otherwise."""
    if isinstance(a, int) and isinstance(b, int) and b and a % b == 0:
        return a // b
    return a / b


def ceil_div(a: Number, b: Number) -> Number:
    """``ceil(a / b)``, exact for whole numbers below 2^53 and elementwise for arrays."""
    if is_array(a) or is_array(b):
        return np.ceil(a / b)  # ten times faster than //; a quotient that is not whole is never rounded to one that is
    return -(-a // b)


def times(a: Number, b: Number) -> Number:
    """``a * b``, which costs nothing where one of them is the number 1: CPython has that number once, and a 1 that is
    another one is multiplied by like any number.
    """
    if b is _ONE:
        return a
    return b if a is _ONE else a * b


def maximum(*values: Number) -> Number:
    """The largest, elementwise where any operand is an array."""
    result = values[0]
    for value in values[1:]:
        if isinstance(value, np.ndarray) or isinstance(result, np.ndarray):
            result = np.maximum(result, value)
        elif value > result:
            result = value
    return result


def minimum(*values: Number) -> Number:
    """The smallest, elementwise where any operand is an array."""
    result = values[0]
    for value in values[1:]:
        if isinstance(value, np.ndarray) or isinstance(result, np.ndarray):
            result = np.minimum(result, value)
        elif value < result:
            result = value
    return result


def where(condition: Number, yes: Number, no: Number) -> Number:
    """`yes` where the condition holds, else `no`, elementwise where the condition is an array."""
    return np.where(condition, yes, no) if is_array(condition) else (yes if condition else no)


def _elementwise(scalar: Callable[[Number], Number], array: Callable[[Number], Number]) -> Callable[[Number], Number]:
    return lambda value: array(value) if is_array(value) else scalar(value)


FUNCTIONS: dict[str, Callable[..., Number]] = {
    "min": minimum,
    "max": maximum,
    "where": where,
    "ceil_div": ceil_div,
    "ceil": _elementwise(math.ceil, np.ceil),
    "floor": _elementwise(math.floor, np.floor),
    "sqrt": _elementwise(math.sqrt, np.sqrt),
    "log2": _elementwise(math.log2, np.log2),
}


def _power(base: Number, exponent: Number) -> Number:
    """A power that cannot run away: a text like ``9**9**9`` must not cost more than an error."""
    if np.any(np.abs(exponent) > 64):
        raise LightboundError("formula", exponent, "is an exponent beyond 64", "Write the quantity in another way.")
    if isinstance(base, int) and base.bit_length() * abs(exponent) > 4096:
        raise LightboundError("formula", exponent, "makes too large a number", "Write the quantity in another way.")
    return base**exponent


_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: divide,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Number, Number], Number]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
Environment = Mapping[str, Number]
_Closure = Callable[[Environment], Number]


class Formula:
    """A checked formula. `names` are the quantities it needs; call it with an environment that has them."""

    __slots__ = ("_closure", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        names: set[str] = set()
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError) as error:
            raise LightboundError("formula", text, "is not a formula", "Write arithmetic over names.") from error
        self._closure = _compile(tree, text, names)
        self.names = frozenset(names)

    def __call__(self, environment: Environment) -> Number:
        try:
            return self._closure(environment)
        except KeyError as error:
            name = str(error.args[0])
            raise LightboundError(
                "formula",
                self.text,
                f"needs the quantity {name!r}, which is not known here",
                choose_from((key for key in environment if not key.startswith("_")), name),
            ) from error
        except ZeroDivisionError as error:
            raise LightboundError("formula", self.text, "divides by zero", "Check the sizes it uses.") from error
        except (ArithmeticError, IndexError, ValueError, TypeError) as error:
            problem = f"cannot be computed ({error})"
            raise LightboundError("formula", self.text, problem, "Check its functions and sizes.") from error

    def __repr__(self) -> str:
        return f"Formula({self.text!r})"


@lru_cache(maxsize=4096)
def formula(text: str) -> Formula:
    """The parsed formula of a text, cached."""
    return Formula(text)


def evaluate(value: Number | str, environment: Environment) -> Number:
    """A number as it is, a text as a formula in the environment."""
    return formula(value)(environment) if isinstance(value, str) else value


def _compile(node: ast.expr, text: str, names: set[str]) -> _Closure:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value):
            return lambda _: value
        case ast.Name(id=name):
            names.add(name)
            return lambda environment: environment[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _compile(operand, text, names)
            return lambda environment: -inner(environment)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _compile(operand, text, names)
            return lambda environment: np.logical_not(inner(environment))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            apply, a, b = _BINARY[type(op)], _compile(left, text, names), _compile(right, text, names)
            return lambda environment: apply(a(environment), b(environment))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            apply, a, b = _COMPARE[type(op)], _compile(left, text, names), _compile(right, text, names)
            return lambda environment: apply(a(environment), b(environment))
        case ast.BoolOp(op=op, values=values):
            parts = [_compile(value, text, names) for value in values]
            combine = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return lambda environment: reduce(combine, (part(environment) for part in parts))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            condition = _compile(test, text, names)
            yes, no = _compile(body, text, names), _compile(orelse, text, names)
            return lambda environment: where(condition(environment), yes(environment), no(environment))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            function, parts = FUNCTIONS[name], [_compile(argument, text, names) for argument in arguments]
            return lambda environment: function(*(part(environment) for part in parts))
        case _:
            pass
    raise LightboundError(
        "formula",
        text,
        f"has {ast.unparse(node)!r}, which formulas do not have",
        f"Use numbers, names, + - * / // % **, comparisons and {', '.join(sorted(FUNCTIONS))}.",
    )
