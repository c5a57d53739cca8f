"""Shapes as users give them: one whole number an axis, or one for all axes. Not what a shape means."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from lightbound.base.errors import LightboundError

Shape = tuple[int, ...]
ShapeLike = SupportsIndex | Sequence[SupportsIndex] | NDArray[np.integer[Any]]
FlagsLike = bool | Sequence[bool]
LARGEST = 2**31 - 1


def shape(field: str, value: ShapeLike, rank: int | None = None, least: int = 1) -> Shape:
    """`value` as one whole number an axis, each at least `least`; a single number stands for every axis.

    Without a `rank`, a number is a shape of one axis and a sequence brings its own rank.
    """
    numbers = _sequence(value)
    if numbers is None:
        return (whole(field, value, least),) * (1 if rank is None else rank)
    if rank is not None and len(numbers) != rank:
        raise _mismatch(field, value, len(numbers), rank)
    if not numbers:
        raise LightboundError(field, value, "has no axis", "Give one whole number an axis.")
    return tuple(whole(field, number, least) for number in numbers)


def flags(field: str, value: FlagsLike, rank: int) -> tuple[bool, ...]:
    """`value` as one yes or no an axis."""
    values = _sequence(value)
    if values is None:
        values = [value] * rank
    if len(values) != rank:
        raise _mismatch(field, value, len(values), rank)
    if any(each not in (True, False) for each in values):
        raise LightboundError(field, value, "is not yes or no", "Give True or False, one for all axes or one each.")
    return tuple(bool(each) for each in values)


def whole(field: str, value: Any, least: int = 0) -> int:
    """`value` as a whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise LightboundError(field, value, "is not a whole number", f"Give a whole number of at least {least}.")
    if number < least:
        raise LightboundError(field, value, "is too small", f"Give a whole number of at least {least}.")
    if number > LARGEST:
        raise LightboundError(field, value, "is too large", f"Give a whole number of at most {LARGEST}.")
    return number


def tokens(field: str, grid: Shape) -> int:
    """How many tokens a grid holds; it must stay below 2^31, as native indices do."""
    count = prod(grid)
    if count > LARGEST:
        raise LightboundError(field, grid, f"holds {count:,} tokens", f"Use a grid of at most {LARGEST:,} tokens.")
    return count


def text(numbers: Sequence[int]) -> str:
    """``30x48x80``."""
    return "x".join(map(str, numbers))


def _sequence(value: Any) -> list[Any] | None:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or not hasattr(value, "__iter__"):
        return None
    return list(value)


def _mismatch(field: str, value: object, given: int, rank: int) -> LightboundError:
    return LightboundError(
        field,
        value,
        f"has {given} axes where the token grid has {rank}",
        f"Give {rank} values, or one for all axes.",
    )
