"""One number of a machine file, as it was written: a quantity with a unit, a formula, or a table by capacity.

`read` turns what stands at one place of a file into a `Stated`, or says what is wrong there. Formulas are
checked here and evaluated in resolve.py. What a caller sets in place of it is an `Override`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import Number, formula
from lightbound.base.schema import fault

from .units import ENERGY, FACTOR, SIZE, Dimension, UnitError, as_count, is_quantity, parse_quantity

KINDS = ("datasheet", "microbenchmark", "paper", "derived", "assumed", "override")


@dataclass(frozen=True)
class ByCapacity:
    """Energies in joules, known at some capacities in bytes; between and beyond them a power law.

    `times` is a formula that scales what the table gives.
    """

    points: tuple[tuple[float, float], ...]
    times: Number | str = 1


@dataclass(frozen=True)
class Stated:
    """A value in SI units, a formula or a table, with its dimension and where it comes from."""

    value: Number | str | ByCapacity
    dimension: Dimension
    source: str | None = None
    kind: str | None = None


class Override:
    """What a caller set in place of what a file says. Numbers and arrays are in SI units; arrays become
    float64."""

    def __init__(self, value: Any) -> None:
        if isinstance(value, np.ndarray):
            value = value.astype(np.float64)
        elif isinstance(value, np.generic):
            value = value.item()
        self.value: Any = value

    def __repr__(self) -> str:
        return str(self.value)


def read(given: object, dimension: Dimension) -> Stated:
    """What stands at one place of a file, as a `Stated`; a validator's fault where it cannot be used."""
    if isinstance(given, Override):
        return Stated(_number(given, dimension), dimension, "set by the caller", "override")
    if not isinstance(given, Mapping):
        return Stated(_number(given, dimension), dimension)
    allowed = ("value", "by_capacity", "times", "source", "kind")
    for key in given:
        if key not in allowed:
            raise fault(given, f"has the unknown field {key!r}", choose_from(allowed, str(key)))
    source, kind = given.get("source"), given.get("kind")
    if source is not None and (not isinstance(source, str) or not source.strip()):
        raise fault(source, "is a source without text", "Name the document that the number is from.")
    if kind is not None and kind not in KINDS:
        raise fault(kind, "is not a known kind of source", choose_from(KINDS, str(kind)))
    if "by_capacity" in given:
        return Stated(_table(given), dimension, source, kind)
    if "value" not in given:
        raise fault(given, "has no value", f"Write {{value: {dimension.example}, source: ...}}.")
    return Stated(_number(given["value"], dimension), dimension, source, kind)


def _number(given: object, dimension: Dimension) -> Number | str:
    """The value in SI units, or the text of a formula."""
    in_si = isinstance(given, Override)
    given = given.value if isinstance(given, Override) else given
    if isinstance(given, str):
        if not is_quantity(given):
            return _formula(given, dimension)
        try:
            value: Number = parse_quantity(given, dimension)
        except UnitError as error:
            raise fault(given, error.problem, error.remedy) from error
    elif in_si and isinstance(given, np.ndarray):
        value = given
    elif isinstance(given, bool) or not isinstance(given, int | float):
        raise fault(given, "is not a number", dimension.advice)
    elif dimension.unit and not in_si:
        raise fault(given, "has no unit", dimension.advice)
    else:
        value = as_count(given)
    wrong = dimension.fault(value)
    if wrong:
        raise fault(given, wrong, dimension.advice)
    return value


def _formula(text: str, dimension: Dimension) -> str:
    try:
        formula(text)
    except LightboundError as error:
        problem = f"is neither a number with a unit nor a formula: it {error.problem}"
        raise fault(text, problem, f"{dimension.advice} {error.remedy}") from error
    return text


def _table(given: Mapping[str, Any]) -> ByCapacity:
    table = given["by_capacity"]
    form = "Write by_capacity: {16 MiB: 12.5 nJ, 32 MiB: 23.9 nJ}."
    if "value" in given or not isinstance(table, Mapping) or not table:
        raise fault(given, "is not one table of energies by capacity", form)
    points = []
    for capacity, energy in table.items():
        x, y = _number(capacity, SIZE), _number(energy, ENERGY)
        if isinstance(x, str) or isinstance(y, str) or y == 0:
            raise fault(table, "has a formula or a zero in a table", form)
        points.append((float(x), float(y)))
    return ByCapacity(tuple(sorted(points)), _number(given.get("times", 1), FACTOR))
