"""The numbers a cascade computes, in numpy, at tiny sizes: proof that we simulate what a method does.

Einsums outside a recurrence are computed whole, by broadcasting over their ranks; those inside one are
stepped along its rank (see `schedule`). Nothing here is fast, and nothing is approximate: float64 throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from lightbound.base.errors import LightboundError, choose_from

from .cascade import Cascade
from .einsum import Einsum
from .expression import (
    Access,
    Affine,
    Apply,
    Expr,
    Index,
    Number,
    Opaque,
    RankValue,
    Reduce,
    Scan,
    Scatter,
    Symbol,
    TopK,
    family_of,
    size_symbol,
)
from .schedule import Loop, Step
from .sizes import Size

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))  # no overflow for large negative x


POINTWISE_NUMBERS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
    "floordiv": np.floor_divide, "mod": np.mod, "pow": np.power, "max": np.maximum, "min": np.minimum,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "where": np.where,
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "tanh": np.tanh,
    "sigmoid": _sigmoid, "relu": lambda x: np.maximum(x, 0), "silu": lambda x: x * _sigmoid(x), "abs": np.abs,
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))), "erf": _erf, "sin": np.sin, "cos": np.cos,
    "softplus": lambda x: np.logaddexp(0, x),
}  # fmt: skip
_IDENTITY = {"sum": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf}
_REDUCE: dict[str, np.ufunc] = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


def evaluate(
    cascade: Cascade, inputs: Mapping[str, Any], *, keep: Literal["outputs", "all"] = "outputs", **sizes: Size
) -> dict[str, np.ndarray]:
    """Every output (or every tensor) of a cascade, as float64 arrays in the dimensions of ``cascade.shape``.

    `inputs` holds an array for each input, index tensors included; sizes that are not given are read off
    their dimensions. A read outside a tensor gives zero (padding). LightboundError for a missing or unknown
    input, a wrong shape, a size that cannot be told.
    """
    if keep not in ("outputs", "all"):
        raise LightboundError("keep", keep, "is not known", "Choose from: outputs, all.")
    if sizes:
        cascade = cascade.with_sizes(**sizes)
    arrays = _arrays(cascade, inputs)
    cascade = _sized(cascade, arrays)
    for tensor, array in arrays.items():
        if array.shape != cascade.shape(tensor):
            raise LightboundError(
                f"inputs.{tensor}", array.shape, f"does not have the shape {cascade.shape(tensor)}",
                f"Check the sizes ({_described(cascade)}), or declare `{tensor}: [...]` in the cascade.",
            )  # fmt: skip
    run = _Run(cascade, arrays)
    for einsum in cascade.einsums:
        if isinstance(einsum.expr, Opaque):
            raise LightboundError(
                f"{cascade.name}: {einsum.name}", einsum.expr.name, "is opaque: nobody knows its values",
                "Evaluate up to it, or write it in Einsums.",
            )  # fmt: skip
    with np.errstate(all="ignore"):
        run.steps(cascade.structure.steps)
    kept = cascade.outputs if keep == "outputs" else cascade.tensors
    return {tensor: run.tensors[tensor] for tensor in kept}


def _arrays(cascade: Cascade, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    for tensor in inputs:
        if tensor not in cascade.inputs:
            remedy = choose_from(cascade.inputs, tensor)
            raise LightboundError(f"inputs.{tensor}", None, f"is not an input of {cascade.name}", remedy)
    arrays: dict[str, np.ndarray] = {}
    for tensor in cascade.inputs:
        if tensor not in inputs:
            remedy = f"Pass an array for each of {', '.join(cascade.inputs)}."
            raise LightboundError(f"inputs.{tensor}", None, "is missing", remedy)
        try:
            arrays[tensor] = np.asarray(inputs[tensor], dtype=np.float64)
        except (TypeError, ValueError) as error:
            remedy = "Pass numbers in a regular grid."
            raise LightboundError(f"inputs.{tensor}", type(inputs[tensor]).__name__, "is no array", remedy) from error
    return arrays


def _sized(cascade: Cascade, arrays: Mapping[str, np.ndarray]) -> Cascade:
    """The cascade with the sizes that the dimensions of its inputs tell."""
    told: dict[str, int] = {}
    for tensor, array in arrays.items():
        for access in cascade.accesses(tensor):
            if len(access.indices) == array.ndim:
                for index, length in zip(access.indices, array.shape, strict=True):
                    if symbol := _told(index):
                        told.setdefault(symbol, length)
        for dimension, length in zip(cascade.declared.get(tensor, ()), array.shape, strict=False):
            told.setdefault(str(dimension), length)
    fresh = {s: n for s, n in told.items() if s in cascade.structure.symbols and s not in cascade.sizes and n}
    cascade = cascade.with_sizes(**fresh) if fresh else cascade
    if cascade.missing_sizes:
        symbol = cascade.missing_sizes[0]
        remedy = f"Pass it: evaluate(inputs, {symbol}=...)."
        raise LightboundError(f"sizes.{symbol}", None, "cannot be told from the inputs", remedy)
    for symbol, size in cascade.sizes.items():
        if not isinstance(size, int):
            raise LightboundError(f"sizes.{symbol}", "an array", "is a sweep", "Evaluate one size at a time.")
    return cascade


def _told(index: Index) -> str | None:
    """The size that the length of an input's dimension tells, where it tells one."""
    if not isinstance(index, Affine):
        return None
    if index.rank is not None:
        return size_symbol(index.rank)
    families = {family_of(rank) for rank in index.radix or ()}
    return size_symbol(families.pop()) if len(families) == 1 else None


def _described(cascade: Cascade) -> str:
    return ", ".join(f"{symbol}={size}" for symbol, size in cascade.sizes.items())


class _Run:
    """One evaluation under way: the tensors so far, and where the stepped ranks stand."""

    def __init__(self, cascade: Cascade, arrays: Mapping[str, np.ndarray]) -> None:
        self.cascade = cascade
        self.tensors = dict(arrays)
        self.at: dict[str, int] = {}
        self.axes: tuple[str, ...] = ()

    def steps(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step, Loop):
                for coordinate in range(self.cascade.size(step.rank)):
                    self.at[step.rank] = coordinate
                    self.steps(step.body)
                del self.at[step.rank]
            else:
                self.einsum(step)

    def einsum(self, einsum: Einsum) -> None:
        """Compute one Einsum at the coordinates in `at`, over all coordinates of its other ranks."""
        if einsum.name not in self.tensors:
            # What no line writes stays not-a-number, so that a read of it shows.
            self.tensors[einsum.name] = np.full(self.cascade.shape(einsum.name), np.nan)
        self.axes = tuple(rank for rank in einsum.ranks if rank not in self.at)
        value = self.value(einsum.expr)
        kept = tuple(rank for rank in self.axes if rank in einsum.output.ranks)
        value = np.broadcast_to(value, np.broadcast_shapes(np.shape(value), (1,) * len(self.axes)))
        value = value.reshape(value.shape[: len(kept)])  # reduced ranks come last, and are 1 long by now
        self.axes = kept
        place = tuple(self.position(index) for index in einsum.output.indices)
        self.tensors[einsum.name][place] = value

    def value(self, expr: Expr) -> Any:
        """The value of an expression as an array over `axes`, 1 long where it does not depend on a rank."""
        match expr:
            case Number(value=value):
                return np.float64(value)
            case Symbol(text=text):
                return np.float64(self.cascade.value(text))
            case RankValue(index=index):
                return np.asarray(self.position(index), dtype=np.float64)
            case Access():
                return self.read(expr)
            case Apply(op=op, args=args):
                return POINTWISE_NUMBERS[op](*(self.value(arg) for arg in args))
            case Reduce(op=op, body=body, ranks=ranks):
                axes = tuple(self.axes.index(rank) for rank in ranks)
                return _REDUCE[op].reduce(self.value(body), axis=axes, keepdims=True)
            case Scan(op=op, body=body, rank=rank):
                return _REDUCE[op].accumulate(self.value(body), axis=self.axes.index(rank))
            case TopK():
                return self.largest(expr)
            case Scatter():
                return self.scattered(expr)
            case Opaque(name=name):
                raise AssertionError(name)  # refused before the run

    def largest(self, expr: TopK) -> np.ndarray:
        """Positions of the largest along a rank, the lowest position first among equals."""
        count, length = self.cascade.size(expr.new), self.cascade.size(expr.rank)
        if count > length:
            symbol = size_symbol(expr.new)
            remedy = f"Choose {symbol} of at most {length}."
            raise LightboundError(f"sizes.{symbol}", count, f"is more than the {length} to choose from", remedy)
        axis = self.axes.index(expr.rank)
        order = np.argsort(-self.value(expr.body), axis=axis, kind="stable")
        chosen = np.take(order, np.arange(count), axis=axis)
        return np.swapaxes(chosen, axis, self.axes.index(expr.new)).astype(np.float64)

    def scattered(self, expr: Scatter) -> np.ndarray:
        """Every element put where its positions say; positions outside are dropped."""
        lengths = [1 if rank in (*expr.consumed, *expr.new) else self.cascade.size(rank) for rank in self.axes]
        for rank in expr.new:
            lengths[self.axes.index(rank)] = self.cascade.size(rank)
        found = np.full(lengths, _IDENTITY[expr.op])
        space = [self.cascade.size(rank) if rank not in expr.new else 1 for rank in self.axes]
        body = np.broadcast_to(self.value(expr.body), space)
        where = list(np.indices(space, sparse=True))
        inside: Any = np.ones(space, dtype=bool)
        for rank, place in zip(expr.new, expr.places, strict=True):
            position = np.rint(np.broadcast_to(self.read(place), space)).astype(np.int64)
            inside = inside & (position >= 0) & (position < self.cascade.size(rank))
            where[self.axes.index(rank)] = position
        for rank in expr.consumed:
            where[self.axes.index(rank)] = np.zeros_like(where[self.axes.index(rank)])
        index = tuple(np.broadcast_to(one, space)[inside] for one in where)
        _REDUCE[expr.op].at(found, index, body[inside])
        return found

    def read(self, access: Access) -> np.ndarray:
        """The elements an access names, zero where a position is outside the tensor."""
        array = self.tensors[access.tensor]
        inside: Any = True
        place: list[np.ndarray] = []
        for index, length in zip(access.indices, array.shape, strict=True):
            position = self.position(index)
            inside = inside & (position >= 0) & (position < length)
            place.append(np.clip(position, 0, length - 1))
        found = array[tuple(place)]
        return found if np.all(inside) else np.where(inside, found, 0.0)

    def position(self, index: Index) -> np.ndarray:
        """Where an index points, as whole numbers over `axes`."""
        if not isinstance(index, Affine):
            return np.rint(self.read(index.access)).astype(np.int64)
        total = np.full((1,) * len(self.axes), int(self.cascade.value(index.offset)), dtype=np.int64)
        for coefficient, rank in index.terms:
            total = total + int(self.cascade.value(coefficient)) * self.coordinates(rank)
        return total

    def coordinates(self, rank: str) -> Any:
        if rank in self.at:
            return self.at[rank]
        shape = [1] * len(self.axes)
        shape[self.axes.index(rank)] = -1
        return np.arange(self.cascade.size(rank)).reshape(shape)
