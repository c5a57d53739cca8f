"""Numbers that are known while tracing: constants, and scalars that Python asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import affine
from ..evaluate import POINTWISE_NUMBERS
from ..expression import Apply, Expr, Number, RankValue, Symbol, is_constant
from ..values import combined

if TYPE_CHECKING:
    import torch

    from .builder import Builder


def constant_of(tensor: torch.Tensor) -> Number | None:
    """The value of a real scalar tensor, or of a fake one that remembers it."""
    import torch
    from torch.utils._python_dispatch import _disable_current_modes

    known: Any = tensor
    if isinstance(tensor, torch._subclasses.FakeTensor):
        known = tensor.constant
    if known is None or known.dim() or known.device.type == "meta":
        return None
    with _disable_current_modes():
        number = known.item()
    return Number(int(number) if isinstance(number, bool) else number)


def number_of(build: Builder, expr: Expr) -> float:
    """A constant expression's value at the traced sizes."""
    import re

    from lightbound.base.formula import formula

    match expr:
        case Number(value=value):
            return value
        case Symbol(text=text):
            names = {word: build.ranks.size(word.lower()) for word in re.findall(r"R\d+_", text)}
            return formula(text)(names)
        case RankValue(index=index):
            assert not index.terms
            return number_of(build, Symbol(str(index.offset)))
        case Apply(op=op, args=args):
            return POINTWISE_NUMBERS[op](*(number_of(build, arg) for arg in args))
        case _:
            raise AssertionError(expr)


def folded(op: str, *args: Expr) -> Expr:
    """An operation, done at once where its operands are numbers; adding 0 and multiplying by 1 are nothing."""
    if all(isinstance(arg, Number) for arg in args) and all(is_constant(arg) for arg in args):
        with np.errstate(all="ignore"):
            value = POINTWISE_NUMBERS[op](*(arg.value for arg in args if isinstance(arg, Number)))
        if not np.isnan(value):
            number = value.item() if hasattr(value, "item") else value
            return Number(int(number) if isinstance(number, bool) else number)
    match op, args:
        case (("mul" | "div"), (left, Number(value=1))):
            return left
        case "mul", (Number(value=1), right):
            return right
        case (("add" | "sub"), (left, Number(value=0))):
            return left
        case "add", (Number(value=0), right):
            return right
        case "pow", (left, Number(value=1)):
            return left
        case ("and", (Number(value=1), other)) | ("and", (other, Number(value=1))):
            return other
        case ("or", (Number(value=0), other)) | ("or", (other, Number(value=0))):
            return other
        case "neg", (RankValue(index=index),):
            return RankValue(affine.negate(index))
        case (("add" | "sub" | "mul"), (left, right)):
            return combined(op, left, right)
        case _:
            return Apply(op, args)
