"""The values of a grid: lists and ranges of them, and fields that go side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightbound.base.errors import LightboundError, choose_from

from .fields import number, part_of, read_value

LONGEST = 1_000_000  # values of one axis
_RANGE = ("from", "to", "step", "times", "count")
ToNumber = Callable[[str, Any], Any]  # of a field and what was written: a number in SI units, or the text as it is


@dataclass(frozen=True, eq=False)
class Values:
    """What a field takes, one after the other: plain values, and the same as `numbers` where all of them are."""

    plain: Sequence[Any]
    numbers: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Axis:
    """One dimension of a sweep: fields that move together, and the values of each, equally many."""

    values: Mapping[str, Values]

    @cached_property
    def count(self) -> int:
        """How many settings the axis has."""
        return len(next(iter(self.values.values())).plain)


def read_axis(where: str, field: str, given: Any, to_number: ToNumber) -> Axis:
    """The axis of one field: a list, a range (``{from: 1K, to: 64K, times: 2}``), or one value."""
    return Axis({field: _read(where, field, given, to_number)})


def read_zip(where: str, given: Mapping[str, Any], to_number: ToNumber) -> Axis:
    """The axis of fields whose values go side by side, the first with the first, the second with the second."""
    read = {field: _values(f"{where}.{field}", field, values, to_number) for field, values in given.items()}
    counts = {field: len(values.plain) for field, values in read.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of {field}" for field, count in counts.items())
        raise LightboundError(where, told, "are not equally many values", "Give each field of a zip as many.")
    rows = list(zip(*(values.plain for values in read.values()), strict=True))
    _no_repetition(where, [repr(row) for row in rows])
    return Axis(read)


def _read(where: str, field: str, given: Any, to_number: ToNumber) -> Values:
    values = _values(where, field, given, to_number)
    if isinstance(given, list):
        _no_repetition(where, [repr(one) for one in values.plain])
    return values


def _values(where: str, field: str, given: Any, to_number: ToNumber) -> Values:
    if isinstance(given, Mapping) and field != "mask":
        return _range(where, field, given, to_number)
    if isinstance(given, list) and not given:
        raise LightboundError(where, given, "holds no value", "Write at least one.")
    listed = given if isinstance(given, list) else [given]
    plain = [to_number(field, read_value(f"{where}[{at}]", field, value)) for at, value in enumerate(listed)]
    every = part_of(field)[0] in ("sizes", "machine", "mapping") and all(isinstance(one, int | float) for one in plain)
    return Values(plain, np.array(plain, dtype=np.float64) if every else None)


def _no_repetition(where: str, told: Sequence[str]) -> None:
    if len(set(told)) == len(told):
        return
    seen: set[str] = set()
    twice = next(one for one in told if one in seen or seen.add(one))
    raise LightboundError(where, twice, "is given twice", "Give every value once.")


def _range(where: str, field: str, given: Mapping[Any, Any], to_number: ToNumber) -> Values:
    form = "Write {from: 1K, to: 64K, times: 2}, or step: or count: in place of times:."
    for key in given:
        if key not in _RANGE:
            raise LightboundError(
                f"{where}.{key}", given[key], "is not a part of a range", choose_from(_RANGE, str(key))
            )
    how = [key for key in ("step", "times", "count") if key in given]
    if len(how) != 1 or not {"from", "to"} <= set(given):
        raise LightboundError(where, dict(given), "is not a range", form)
    if part_of(field)[0] not in ("sizes", "machine", "mapping", "options") and field != "seed":
        raise LightboundError(where, dict(given), f"is a range, and {field} is no number", "Write a list.")
    low, high = (_bound(f"{where}.{key}", field, given[key], to_number) for key in ("from", "to"))
    if low > high:
        raise LightboundError(where, dict(given), "ends before it begins", "Write the smaller number as from.")
    kind = how[0]
    if kind == "times":
        plain = _geometric(where, low, high, number(f"{where}.times", given["times"]))
    elif kind == "count":
        plain = _even(where, low, high, given["count"])
    else:
        plain = _stepped(where, low, high, _bound(f"{where}.step", field, given["step"], to_number))
    if part_of(field)[0] in ("sizes", "options") or field == "seed":
        odd = next((one for one in plain if not isinstance(one, int)), None)
        if odd is not None:
            raise LightboundError(where, odd, "is in this range and not whole", "Choose a range of whole numbers.")
    vectors = part_of(field)[0] != "options" and field != "seed"
    return Values(plain, np.array(plain, dtype=np.float64) if vectors else None)


def _bound(where: str, field: str, given: Any, to_number: ToNumber) -> int | float:
    value = to_number(field, read_value(where, field, given))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LightboundError(where, given, "is not a number", "Write numbers, with a unit where the field has one.")
    return value


def _few(where: str, count: float) -> int:
    if not count <= LONGEST:
        remedy = "Take fewer: larger steps, or a shorter range."
        raise LightboundError(where, f"{count:,.0f}", f"are more than {LONGEST:,} values of one field", remedy)
    return int(count)


def _stepped(where: str, low: int | float, high: int | float, step: int | float) -> list[int | float]:
    if step <= 0:
        raise LightboundError(f"{where}.step", step, "does not lead from one value to the next", "Write it above 0.")
    count = _few(where, math.floor((high - low) / step * (1 + 1e-12) + 1e-9) + 1)
    return [_tidy(low + at * step) for at in range(count)]


def _geometric(where: str, low: int | float, high: int | float, times: int | float) -> list[int | float]:
    if times <= 1 or low <= 0:
        problem = "does not lead from one value to the next"
        raise LightboundError(f"{where}.times", times, problem, "Write a factor above 1, and a range above 0.")
    count = _few(where, math.floor(math.log(high / low) / math.log(times) * (1 + 1e-12) + 1e-9) + 1)
    return [_tidy(low * times**at) for at in range(count)]


def _even(where: str, low: int | float, high: int | float, count: Any) -> list[int | float]:
    if isinstance(count, bool) or not isinstance(count, int) or count < 2 or low == high:
        raise LightboundError(f"{where}.count", count, "values do not span a range", "Write a whole number above 1.")
    last = _few(where, count) - 1
    return [_tidy(low + (high - low) * at / last) for at in range(count)]


def _tidy(value: int | float) -> int | float:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
