"""Operators that work element by element: one line each, broadcast as torch broadcasts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...expression import Access, Expr, Number, Opaque, unique
from ..evaluation import folded
from ..values import Value, stored
from .registry import POINTWISE, elementwise, lowers

if TYPE_CHECKING:
    from ..record import Call

Scalar = Expr | int | float | bool


def f(op: str, *args: Scalar) -> Expr:
    """An operation of the language on expressions and numbers."""
    return folded(op, *(arg if not isinstance(arg, int | float) else number(arg) for arg in args))


def number(value: float) -> Expr:
    """A constant; a truth value is 0 or 1, and a whole float is written as an integer."""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer() and abs(value) < 2**53):
        return Number(int(value))
    return Number(value)


def pointwise(call: Call, made: Callable[..., Expr] | None, args: Any, kwargs: Any) -> Any:
    """The line of a pointwise operator; without a lowering an opaque one over the same ranks."""
    values = [arg for arg in args if isinstance(arg, Value)]
    named = {key: arg for key, arg in kwargs.items() if key not in ("out", "dtype", "layout", "device", "pin_memory")}
    keyed = [key for key, arg in named.items() if isinstance(arg, Value)]
    operands = [*values, *(named[key] for key in keyed)]
    rank = max((len(value.dims) for value in operands), default=0)
    labels = [[str(rank - len(value.dims) + place) for place in range(len(value.dims))] for value in operands]
    if made is None:
        operands = [_stored(call, value) for value in operands]
    space = call.build.space(operands, labels)
    exprs = iter(space.exprs)
    if made is None:
        reads = [expr for expr in exprs if isinstance(expr, Access)]
        if not reads:
            return NotImplemented
        expr: Expr = Opaque(call.word, tuple(reads), (), ())
    else:
        plain = [next(exprs) if isinstance(arg, Value) else arg for arg in args]
        named.update({key: next(exprs) for key in keyed})
        expr = made(*plain, **named)
    dims = space.dims([str(place) for place in range(rank)])
    if isinstance(expr, Access):  # times 1, plus 0
        return stored(expr, dims)
    return call.build.emit(dims, expr, hint(call))


def _stored(call: Call, value: Value) -> Value:
    expr = call.build.read(value)
    return value if isinstance(expr, Access) or not value.dims else call.build.material(value, "Operand")


def hint(call: Call, role: str = "") -> str:
    """What a line is called: the path of its module and its operator or role."""
    from ..names import line_name

    return line_name(call.build, role or call.word)


# ---- arithmetic


@elementwise("add")
def _add(a: Scalar, b: Scalar, alpha: float = 1) -> Expr:
    return f("add", a, f("mul", b, alpha))


@elementwise("sub", "subtract")
def _sub(a: Scalar, b: Scalar, alpha: float = 1) -> Expr:
    return f("sub", a, f("mul", b, alpha))


@elementwise("rsub")
def _rsub(a: Scalar, b: Scalar, alpha: float = 1) -> Expr:
    return f("sub", b, f("mul", a, alpha))


@elementwise("div", "divide", "true_divide")
def _div(a: Scalar, b: Scalar, rounding_mode: str | None = None) -> Expr:
    if rounding_mode == "floor":
        return f("floordiv", a, b)
    return trunc(f("div", a, b)) if rounding_mode == "trunc" else f("div", a, b)


@elementwise("floor_divide")
def _floor_divide(a: Scalar, b: Scalar) -> Expr:
    return f("floordiv", a, b)


@elementwise("remainder")
def _remainder(a: Scalar, b: Scalar) -> Expr:
    return f("mod", a, b)


@elementwise("fmod")
def _fmod(a: Scalar, b: Scalar) -> Expr:
    return f("sub", a, f("mul", trunc(f("div", a, b)), b))


@elementwise("pow")
def _pow(a: Scalar, b: Scalar) -> Expr:
    if isinstance(b, int | float):
        if b == 0.5:
            return f("sqrt", a)
        if b == -0.5:
            return f("rsqrt", a)
        if b == -1:
            return f("div", 1, a)
    return f("pow", a, b)


@elementwise("clamp", "clip")
def _clamp(a: Scalar, min: Scalar | None = None, max: Scalar | None = None) -> Expr:
    low = f("max", a, min) if min is not None else a
    return f("min", low, max) if max is not None else f("add", low, 0)


@elementwise("clamp_min")
def _clamp_min(a: Scalar, low: Scalar) -> Expr:
    return f("max", a, low)


@elementwise("clamp_max")
def _clamp_max(a: Scalar, high: Scalar) -> Expr:
    return f("min", a, high)


@elementwise("addcmul")
def _addcmul(a: Scalar, b: Scalar, c: Scalar, value: float = 1) -> Expr:
    return f("add", a, f("mul", f("mul", b, c), value))


@elementwise("addcdiv")
def _addcdiv(a: Scalar, b: Scalar, c: Scalar, value: float = 1) -> Expr:
    return f("add", a, f("mul", f("div", b, c), value))


@elementwise("lerp")
def _lerp(a: Scalar, b: Scalar, weight: Scalar) -> Expr:
    return f("add", a, f("mul", weight, f("sub", b, a)))


@elementwise("where")
def _where(condition: Scalar, a: Scalar, b: Scalar) -> Expr:
    return f("where", condition, a, b)


@elementwise("masked_fill")
def _masked_fill(a: Scalar, mask: Scalar, value: Scalar) -> Expr:
    return f("where", mask, value, a)


@elementwise("reciprocal")
def _reciprocal(a: Scalar) -> Expr:
    return f("div", 1, a)


@elementwise("square")
def _square(a: Scalar) -> Expr:
    return f("pow", a, 2)


def trunc(a: Scalar) -> Expr:
    """Towards zero."""
    below = f("neg", f("floordiv", f("neg", a), 1))
    return f("where", f("lt", a, 0), below, f("floordiv", a, 1))


@elementwise("sign", "sgn")
def _sign(a: Scalar) -> Expr:
    return f("sub", f("gt", a, 0), f("lt", a, 0))


POINTWISE["aten.trunc"] = trunc
POINTWISE["aten.floor"] = lambda a: f("floordiv", a, 1)
POINTWISE["aten.ceil"] = lambda a: f("neg", f("floordiv", f("neg", a), 1))
for _op, _name in {
    "mul": "mul", "multiply": "mul", "neg": "neg", "maximum": "max", "minimum": "min", "fmax": "max", "fmin": "min",
    "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "exp": "exp", "log": "log", "sqrt": "sqrt",
    "rsqrt": "rsqrt", "tanh": "tanh", "sigmoid": "sigmoid", "relu": "relu", "silu": "silu", "abs": "abs", "sin": "sin",
    "cos": "cos", "erf": "erf", "logical_and": "and", "logical_or": "or", "logical_not": "not", "logical_xor": "ne",
}.items():  # fmt: skip
    POINTWISE[f"aten.{_op}"] = lambda *args, _name=_name: f(_name, *args)


@lowers("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "__and__", "__or__", "__xor__")
def _bitwise(call: Call, *args: Any) -> Any:
    """Of truth values; of integers nobody knows the bits."""
    import torch

    if any(isinstance(arg, torch.Tensor) and arg.dtype != torch.bool for arg in call.args):
        return NotImplemented
    name = {"and": "and", "or": "or", "xor": "ne", "not": "not"}[call.word.removeprefix("bitwise_")]
    return pointwise(call, lambda *operands: f(name, *operands), args, {})


# ---- activations


@elementwise("gelu")
def _gelu(a: Scalar, approximate: str = "none") -> Expr:
    if approximate == "none":
        return f("gelu", a)
    inner = f("mul", f("add", a, f("mul", f("pow", a, 3), 0.044715)), math.sqrt(2 / math.pi))
    return f("mul", f("mul", a, 0.5), f("add", f("tanh", inner), 1))


@elementwise("softplus")
def _softplus(a: Scalar, beta: float = 1, threshold: float = 20) -> Expr:
    """Torch switches to the identity above the threshold, where the two differ by less than 3e-9 (at 20)."""
    scaled = f("mul", a, beta)
    return f("where", f("gt", scaled, threshold), a, f("div", f("softplus", scaled), beta))


@elementwise("leaky_relu")
def _leaky_relu(a: Scalar, negative_slope: float = 0.01) -> Expr:
    return f("where", f("gt", a, 0), a, f("mul", a, negative_slope))


@elementwise("hardtanh")
def _hardtanh(a: Scalar, low: float = -1, high: float = 1) -> Expr:
    return f("min", f("max", a, low), high)


@elementwise("relu6")
def _relu6(a: Scalar) -> Expr:
    return f("min", f("max", a, 0), 6)


@elementwise("elu")
def _elu(a: Scalar, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Expr:
    below = f("mul", f("sub", f("exp", f("mul", a, input_scale)), 1), alpha)
    return f("mul", f("where", f("gt", a, 0), a, below), scale)


@elementwise("threshold_backward")
def _threshold_backward(grad: Scalar, a: Scalar, threshold: float) -> Expr:
    return f("where", f("gt", a, threshold), grad, 0)


@elementwise("tanh_backward")
def _tanh_backward(grad: Scalar, out: Scalar) -> Expr:
    return f("mul", grad, f("sub", 1, f("pow", out, 2)))


@elementwise("sigmoid_backward")
def _sigmoid_backward(grad: Scalar, out: Scalar) -> Expr:
    return f("mul", grad, f("mul", out, f("sub", 1, out)))


@elementwise("log1p")
def _log1p(a: Scalar) -> Expr:
    return f("log", f("add", a, 1))


@elementwise("expm1")
def _expm1(a: Scalar) -> Expr:
    return f("sub", f("exp", a), 1)


@elementwise("log2")
def _log2(a: Scalar) -> Expr:
    return f("mul", f("log", a), 1 / math.log(2))


@elementwise("log10")
def _log10(a: Scalar) -> Expr:
    return f("mul", f("log", a), 1 / math.log(10))


@elementwise("exp2")
def _exp2(a: Scalar) -> Expr:
    return f("exp", f("mul", a, math.log(2)))


@elementwise("log_sigmoid")
def _log_sigmoid(a: Scalar) -> Expr:
    return f("neg", f("softplus", f("neg", a)))


@elementwise("isnan")
def _isnan(a: Scalar) -> Expr:
    return f("ne", a, a)


@elementwise("isinf")
def _isinf(a: Scalar) -> Expr:
    return f("eq", f("abs", a), math.inf)


@lowers("_to_copy", "clone", "contiguous")
def _copy(call: Call, value: Value, **_: Any) -> Value:
    """A copy moves bytes; from a float to an integer it also drops the fraction."""
    expr = call.build.read(value)
    source, target = call.args[0].dtype, call.result.dtype
    if source.is_floating_point and not target.is_floating_point and str(target) != "torch.bool":
        return call.build.emit(value.dims, trunc(expr), hint(call, "cast"))
    if str(target) == "torch.bool" and str(source) != "torch.bool":
        return call.build.emit(value.dims, f("ne", expr, 0), hint(call, "cast"))
    dims = tuple(tuple(call.build.ranks.find(rank) for rank in dim) for dim in value.dims)
    return call.build.emit(dims, expr, hint(call, "cast" if source != target else "copy"), moves=True)


__all__ = ["f", "hint", "number", "pointwise", "trunc", "unique"]
