"""Quantities as people write them, ``16 MiB`` or ``4.8 TB/s``, to plain numbers in SI units.

A `Dimension` says what a field of a machine measures. pint does the arithmetic, over a list of units that
holds only what machines need, so that data is a dimension of its own: ``400 MHz`` is no bandwidth. Not here:
which field has which dimension (schema.py).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pint

Number = Any  # int, float or float64 array, as in lightbound.base.formula

_DEFINITIONS = """
k- = 1e3
M- = 1e6
G- = 1e9
T- = 1e12
P- = 1e15
Ki- = 2**10
Mi- = 2**20
Gi- = 2**30
Ti- = 2**40
m- = 1e-3
u- = 1e-6 = µ- = μ-
n- = 1e-9
p- = 1e-12
f- = 1e-15
s = [time]
B = [data]
b = B / 8
J = [energy]
W = J / s
Hz = 1 / s
"""
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-zµμ%°].*?)?\s*")
_LOOSE = {"KB": "kB (1000 bytes) or KiB (1024)", "KHz": "kHz", "mhz": "MHz", "ghz": "GHz", "sec": "s"}


@dataclass(frozen=True)
class Dimension:
    """What a field measures: its name in messages, its SI unit, a correct example, and the values allowed."""

    name: str
    unit: str
    example: str
    zero: bool = False  # may the value be zero?
    whole: bool = False  # must it be a whole number?

    @property
    def suffix(self) -> str:
        """What the name of a field ends in once its value is in SI units: ``capacity_bytes``."""
        return _SUFFIXES[self.unit] if self.unit else "_cycles" * (self is CYCLES)

    @property
    def advice(self) -> str:
        """What to write instead."""
        return f"Write {self.name}, such as {self.example}."

    def fault(self, value: Number) -> str | None:
        """What is wrong with a value in SI units, or nothing. Arrays are judged by all of their elements."""
        try:
            numbers = np.asarray(value, dtype=np.float64)
        except (OverflowError, TypeError, ValueError):
            return "is not a number of any size that a machine has"
        if not np.all(np.isfinite(numbers)):
            return "is not a finite number"
        if self.zero and np.any(numbers < 0):
            return "is negative"
        if not self.zero and np.any(numbers <= 0):
            return "is not positive"
        if self.whole and np.any(np.floor(numbers) != numbers):
            return "is not a whole number"
        return None


_SUFFIXES = {"B": "_bytes", "B/s": "_bytes_per_s", "Hz": "_hz", "s": "_s", "J": "_j"}
SIZE = Dimension("an amount of data", "B", "16 MiB", whole=True)
BANDWIDTH = Dimension("data per time", "B/s", "400 GiB/s")
FREQUENCY = Dimension("a frequency", "Hz", "940 MHz")
TIME = Dimension("a time", "s", "1 us", zero=True)
ENERGY = Dimension("an energy", "J", "249.6 pJ", zero=True)
COUNT = Dimension("a whole number", "", "256", whole=True)
FACTOR = Dimension("a plain number", "", "0.5")
CYCLES = Dimension("a number of cycles", "", "256", zero=True)


class UnitError(ValueError):
    """A text that is no quantity of the expected dimension; `problem` and `remedy` know of no field."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}. {remedy}")


@cache
def _registry() -> pint.UnitRegistry[float]:
    import pint  # a quarter of a second, and only needed where a machine file is read

    # None: without pint's own units. Its signature says str, its documentation None.
    registry: pint.UnitRegistry[float] = pint.UnitRegistry(None)  # pyright: ignore[reportArgumentType]
    registry.load_definitions(_DEFINITIONS.strip().splitlines())
    return registry


def is_quantity(text: str) -> bool:
    """Whether a text is a number with or without a unit; anything else is a formula."""
    return _QUANTITY.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def parse_quantity(text: str, dimension: Dimension) -> int | float:
    """The SI value of ``16 MiB``: an int where it is whole and counts things (bytes, lanes), else a float.

    Raises `UnitError` where the text has no unit, an unknown one, or one of another dimension.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise UnitError("is not a number with a unit", dimension.advice)
    number, unit = float(match[1]), match[2]
    if not dimension.unit:
        if unit:
            raise UnitError(f"has the unit {unit!r}, but {dimension.name} has none", dimension.advice)
        return as_count(number)
    if not unit:
        raise UnitError("has no unit", dimension.advice)
    value = number * _factor(unit, dimension)
    return as_count(value) if dimension.unit == "B" else value


def _factor(unit: str, dimension: Dimension) -> float:
    """How many SI units of the dimension one of `unit` is."""
    import pint

    try:
        return float(_registry().Quantity(1, unit).to(dimension.unit).magnitude)
    except pint.DimensionalityError as error:
        raise UnitError(f"has the unit {unit!r}, but {dimension.name} is expected", dimension.advice) from error
    except Exception as error:  # pint parses units with Python's tokenizer, and lets its errors through
        loose = next((part for part in re.split(r"[^A-Za-z]+", unit) if part in _LOOSE), None)
        hint = f"Did you mean {_LOOSE[loose]}? " if loose else ""
        raise UnitError(f"has the unit {unit!r}, which is not known", hint + dimension.advice) from error


def as_count(value: float) -> int | float:
    """A float that is a whole number as an int, so that counts stay exact."""
    if isinstance(value, int):
        return value
    return int(value) if math.isfinite(value) and value == int(value) else value
