"""Sizes: which are legal, which follow from others (``M = M1 * M0``), which are still missing."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np

from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import is_array
from lightbound.base.size import size

from .structure import Partition, Structure

Size = Any  # int, or a float64 array of whole numbers in a sweep


def complete(
    structure: Structure, known: Mapping[str, Size], derived: frozenset[str], given: Mapping[str, Size]
) -> tuple[dict[str, Size], frozenset[str]]:
    """All sizes that follow when `given` is put over the `known` ones, and which of them are derived.

    What was derived before is derived again. Of a partition that then has one size too many, the outermost
    part gives way first, then the total: a new tile size M0 keeps M and changes M1.
    """
    new = {symbol: legal(structure, symbol, value) for symbol, value in given.items()}
    sizes = {symbol: value for symbol, value in known.items() if symbol not in derived} | new
    _check_together(sizes)
    followed: set[str] = set()
    pending = list(structure.partitions)
    while pending:
        waiting = [partition for partition in pending if not _derive(partition, sizes, new, followed)]
        if len(waiting) == len(pending):
            break
        pending = waiting
    return sizes, frozenset(followed)


def legal(structure: Structure, symbol: str, value: object) -> Size:
    """The value of a size, checked: an int of at least 1, or a float64 array of such numbers. ``64K`` is read."""
    if symbol not in structure.symbols:
        if symbol.upper() in structure.symbols:
            remedy = f"Sizes are written in upper case: {symbol.upper()}={value}."
        else:
            remedy = f"{choose_from(structure.symbols, symbol)} The ranks are {', '.join(structure.ranks)}."
        raise LightboundError(f"sizes.{symbol}", value, "is not a size of this cascade", remedy)
    if isinstance(value, np.ndarray) and value.ndim:
        return _legal_array(symbol, value)
    if isinstance(value, str):
        return size(f"sizes.{symbol}", symbol, value)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        remedy = f"Write a positive integer, such as {symbol}=1024."
        raise LightboundError(f"sizes.{symbol}", value, "is not a whole number", remedy) from None
    if isinstance(value, bool) or number < 1:
        remedy = f"Write a positive integer, such as {symbol}=1024."
        raise LightboundError(f"sizes.{symbol}", value, "is not a positive whole number", remedy)
    return number


def missing(structure: Structure, sizes: Mapping[str, Size]) -> tuple[str, ...]:
    """The sizes a user has to choose: those without a value that will not follow from the others."""
    follows: set[str] = set()
    for partition in structure.partitions:
        follows.add(partition.parts[0] if partition.parts[0] not in sizes else partition.total)
    return tuple(symbol for symbol in structure.symbols if symbol not in sizes and symbol not in follows)


def _legal_array(symbol: str, value: np.ndarray) -> np.ndarray:
    array = value.astype(np.float64, copy=False) if value.dtype.kind in "iuf" else None
    if array is None or array.size == 0 or not bool(np.all((array >= 1) & (array == np.floor(array)))):
        remedy = "Every element must be a positive whole number."
        raise LightboundError(f"sizes.{symbol}", value.tolist()[:8], "is not an array of sizes", remedy)
    return array


def _check_together(sizes: Mapping[str, Size]) -> None:
    """Arrays run side by side, element by element: those of unlike shapes cannot."""
    arrays = {symbol: value for symbol, value in sizes.items() if is_array(value)}
    for (symbol, value), (other, beside) in combinations(arrays.items(), 2):
        try:
            np.broadcast_shapes(value.shape, beside.shape)
        except ValueError:
            problem = f"do not go with the {_count(beside)} values of {other}"
            remedy = f"Give arrays of one shape: the first of {symbol} goes with the first of {other}, and so on."
            raise LightboundError(f"sizes.{symbol}", f"{_count(value)} values", problem, remedy) from None


def _count(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape))


def _derive(partition: Partition, sizes: dict[str, Size], new: Mapping[str, Size], followed: set[str]) -> bool:
    """Give a partition the one size that follows from the others; False where it cannot be told yet."""
    total, parts = partition.total, partition.parts
    unknown = [symbol for symbol in (*parts, total) if symbol not in sizes]
    if not unknown:
        if _equal(sizes[total], _product(sizes, parts)):
            return True
        loose = next((symbol for symbol in (parts[0], total, *parts[1:]) if symbol not in new), None)
        if loose is None or loose in followed:
            remedy = f"{total} must equal {' * '.join(parts)}; give all but one of them."
            raise LightboundError(f"sizes.{total}", sizes[total], f"is not {_product(sizes, parts)}", remedy)
        unknown = [loose]
    if len(unknown) > 1:
        return False
    symbol = unknown[0]
    others = [part for part in parts if part != symbol]
    sizes[symbol] = _product(sizes, parts) if symbol == total else _quotient(partition, sizes, others, symbol)
    followed.add(symbol)
    return True


def _quotient(partition: Partition, sizes: Mapping[str, Size], others: list[str], symbol: str) -> Size:
    whole, tile = sizes[partition.total], _product(sizes, others)
    if is_array(whole) or is_array(tile):
        return whole / tile
    if whole % tile:
        name = " * ".join(others)
        remedy = f"{symbol} = {partition.total} / {name} must be whole: choose a divisor of {whole}."
        if len(others) == 1:
            near = max(divisor for divisor in range(1, min(tile, whole) + 1) if whole % divisor == 0)
            remedy = f"{remedy[:-1]}, such as {others[0]}={near}."
        raise LightboundError(f"sizes.{name}", tile, f"does not divide {partition.total}={whole}", remedy)
    return whole // tile


def _product(sizes: Mapping[str, Size], symbols: tuple[str, ...] | list[str]) -> Size:
    return reduce(operator.mul, (sizes[symbol] for symbol in symbols), 1)


def _equal(left: Size, right: Size) -> bool:
    return bool(np.all(left == right)) if is_array(left) or is_array(right) else left == right
