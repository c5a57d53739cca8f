"""A chart as plain data: series along two axes, marks and bands, and words for a reader who does not see it.

Nothing here draws: figure.py makes a Plotly figure of a chart, and every chart can be read as a table of its numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lightbound.sim.explain import seconds, size

from ..answer import Table

Form = Literal["line", "stairs", "points", "bars"]
Value = float | str
ROWS = 400  # of the table of a chart: more are nobody's reading, and csv has them


@dataclass(frozen=True)
class Axis:
    """What an axis shows. `unit` is one of "s", "B", "%" (of fractions), "x" (ratios) or "" (numbers, or names)."""

    title: str
    unit: str = ""
    log: bool = False

    def say(self, value: Value) -> str:
        """A value as people read it: ``3.14 ms``."""
        if isinstance(value, str):
            return value
        if self.unit == "s":
            return seconds(value)
        if self.unit == "B":
            return size(value)
        if self.unit == "%":
            return f"{value:.1%}"
        return f"{value:,.4g}{self.unit}"


@dataclass(frozen=True)
class Series:
    """Values that belong together. Bars lie on their side: x is how long they are, y their names.

    labels: words at each point. spread: least and most of x, where a value is uncertain. hollow: drawn light, since it
    is a prediction, say, beside what it predicts. like: the number of the series whose colour and shape it takes.
    """

    name: str
    x: Sequence[Value]
    y: Sequence[Value]
    form: Form = "points"
    labels: Sequence[str] = ()
    spread: Sequence[tuple[float, float]] = ()
    hollow: bool = False
    like: int | None = None


@dataclass(frozen=True)
class Mark:
    """A straight line across the chart at one value of an axis, with its words."""

    axis: Literal["x", "y"]
    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """Series along two axes. bands: around the line y = x, as fractions. says: the chart in a sentence or two, for a
    reader who does not see it.
    """

    title: str
    says: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    marks: Sequence[Mark] = ()
    bands: Sequence[float] = ()
    stacked: bool = False

    def table(self) -> Table:
        """The numbers that are drawn."""
        rows = [row for one in self.series for row in self._rows(one)]
        columns = ("series", self.x.title, self.y.title, "")
        right = {axis.title for axis in (self.x, self.y) if not all(isinstance(v, str) for v in self._values(axis))}
        return Table(columns, rows[:ROWS], right=frozenset(right)).filled()

    def _rows(self, one: Series) -> Iterator[tuple[str, ...]]:
        labels = one.labels or [""] * len(one.x)
        for x, y, label in zip(one.x, one.y, labels, strict=True):
            yield (one.name, self.x.say(x), self.y.say(y), label)

    def _values(self, axis: Axis) -> list[Value]:
        return [value for one in self.series for value in (one.x if axis is self.x else one.y)]


@dataclass(frozen=True, eq=False)
class Raster:
    """A matrix of shades from 0 (dark) to 1 (white), a row for each tile or token of queries, the first at the top.

    keys: what a shade means, from the darkest on. outlined: the first and the last row that a box is drawn around.
    """

    title: str
    says: str
    x_title: str
    y_title: str
    shades: np.ndarray
    keys: Sequence[tuple[str, float]]
    outlined: tuple[float, float] | None = None

    def table(self) -> Table:
        """How much of the matrix has which shade: its numbers would be nobody's reading."""
        rows = [(name, f"{float(np.mean(np.isclose(self.shades, shade))):.1%}") for name, shade in self.keys]
        return Table(("shade", "of the matrix"), rows, right=frozenset({"of the matrix"}))


Picture = Chart | Raster
