"""Errors of calls that stand for many points, in which some are wrong and the others are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import LightboundError
from .formula import Number, is_array

Pick = Callable[[Number], Number]


class PointsError(LightboundError):
    """Some points of one call are wrong: `wrong` says which, and `at` gives the error of one by its number.

    Its own text is that of the first wrong point.
    """

    def __init__(self, wrong: Any, at: Callable[[int], LightboundError]) -> None:
        self.wrong = wrong
        self.at = at
        first = at(int(np.argmax(wrong)))
        super().__init__(first.field, first.value, first.problem, first.remedy)

    def __reduce__(self) -> Any:
        return LightboundError, (self.field, self.value, self.problem, self.remedy)


def refuse(wrong: Number, error: Callable[[Pick], LightboundError]) -> None:
    """Raise where `wrong` holds, at any point. `error` is given what picks the value of a quantity at one point."""
    if not np.any(wrong):
        return
    if not is_array(wrong) or not wrong.ndim:
        raise error(lambda value: _plain(value))
    raise PointsError(
        wrong, lambda number: error(lambda value: _plain(value[number] if is_array(value) and value.ndim else value))
    )


def _plain(value: Number) -> Number:
    """A number as messages show it: a whole one without a point."""
    one = value.item() if isinstance(value, np.generic | np.ndarray) else value
    return int(one) if isinstance(one, float) and one.is_integer() else one
