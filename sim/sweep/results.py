"""What a sweep found: its file, asked in SQL, by what is best, or for the front of what cannot be bettered at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightbound.base.errors import LightboundError, choose_from

from .pareto import front
from .plan import Plan, plan_of
from .spec import Goal, goal
from .store import ABOUT, POINTS, check_ours, connect

_ASKED = 10_000  # rows of one query
_READ = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


class SweepResults:
    """The results of a sweep, from the file that holds them. Nothing here changes the file.

    file: where they are. columns: those of the points, fields that vary before what was kept and derived. Rows are
    dictionaries of a point's fields and answers; `error` says why a point has none.
    """

    def __init__(self, file: str | Path, held: TemporaryDirectory[str] | None = None) -> None:
        self.file = Path(file)
        self._held = held  # a folder that lives as long as these results
        with self._open() as db:
            self.about: dict[str, str] = dict(db.execute(f"SELECT name, value FROM {ABOUT}"))
        try:
            self.columns: tuple[str, ...] = tuple(map(str, json.loads(self.about["columns"])))
            self._spec = self.about["spec"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged() from error

    @cached_property
    def plan(self) -> Plan:
        """The sweep that the file is of."""
        try:
            return plan_of(self._spec)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise self._damaged() from error

    @property
    def complete(self) -> bool:
        """Whether all points are there."""
        return self.about.get("complete") == "yes"

    @cached_property
    def points(self) -> int:
        """How many points are there."""
        return self.query(f"SELECT count(*) AS n FROM {POINTS}")[0]["n"]

    @cached_property
    def failed(self) -> int:
        """How many of them failed."""
        return self.query(f"SELECT count(*) AS n FROM {POINTS} WHERE error IS NOT NULL")[0]["n"]

    def errors(self, most: int = 20) -> list[dict[str, Any]]:
        """Errors with the number of points that have each, the most frequent first."""
        return self.query(
            f"SELECT error, count(*) AS points FROM {POINTS} WHERE error IS NOT NULL "
            "GROUP BY error ORDER BY points DESC, error LIMIT ?", (most,)
        )  # fmt: skip

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows that a query in SQL (SQLite's) gives; the points are the table ``points``.

        It can read and nothing else. Raises LightboundError where it is no query, or names what is not there.
        """
        return list(self.rows(sql, values))

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """As `query`, one row after the other."""
        with self._open() as db:
            db.set_authorizer(_only_reading)
            db.set_progress_handler(lambda: 0, 100_000)  # Python is asked now and then, so that Ctrl-C is heard
            try:
                found = db.execute(sql, values)
                if found.description is None:
                    raise LightboundError("query", sql, "is no query", "Begin it with SELECT.")
                names = [column[0] for column in found.description]
                for row in found:
                    yield {name: _shown(value) for name, value in zip(names, row, strict=True) if name != "key"}
            except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
                if str(error) == "interrupted":  # the handler was, by Ctrl-C
                    raise KeyboardInterrupt from error
                remedy = f"The table is {POINTS}; its columns are {', '.join((*self.columns, 'error'))}."
                raise LightboundError("query", sql, f"cannot be answered ({error})", remedy) from error

    def column(self, name: str) -> NDArray[Any]:
        """A column of all points in the order of the file: float64 if it holds numbers (NaN for none), else objects."""
        self._known("column", name)
        with self._open() as db:
            values = [value for (value,) in db.execute(f"SELECT {_quoted(name)} FROM {POINTS} ORDER BY rowid")]
        numbers = set(map(type, values)) <= {int, float, type(None)}
        return np.array(values, dtype=np.float64 if numbers else object)  # of None a NaN

    def best(self, count: int = 10, objective: str | None = None) -> list[dict[str, Any]]:
        """The best points by an objective (``min latency_s``), that of the sweep if none is given."""
        chosen = goal("objective", objective, self.columns) if objective is not None else self.objective
        if chosen is None:
            raise LightboundError("objective", None, "is not stated by this sweep", "Give one: min latency_s.")
        way = "DESC" if chosen.maximize else "ASC"
        name = _quoted(chosen.column)
        return self.query(
            f"SELECT * FROM {POINTS} WHERE {name} IS NOT NULL ORDER BY {name} {way}, rowid LIMIT ?", (count,)
        )

    def pareto(self, axes: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The points that no other beats on all axes (``min latency_s``, ``max utilization_2d``), by the first axis.

        The axes are those of the sweep if none are given. Of points with equal answers the first is taken.
        """
        goals = [goal("pareto", text, self.columns) for text in axes] if axes is not None else self.axes
        if len(goals) < 2:
            raise LightboundError("pareto", axes, "is not two goals or more", "Write min latency_s, min energy_j.")
        ids, costs = self._costs(goals)
        chosen = front(costs)
        chosen = ids[chosen[np.argsort(costs[chosen, 0], kind="stable")]]
        place = {number: at for at, number in enumerate(chosen.tolist())}
        found = [
            row
            for at in range(0, len(chosen), _ASKED)
            for row in self.query(
                f"SELECT rowid AS number_of_row, * FROM {POINTS} "
                f"WHERE rowid IN ({', '.join(map(str, chosen[at : at + _ASKED].tolist()))})"
            )
        ]
        found.sort(key=lambda row: place[row["number_of_row"]])
        return [{name: value for name, value in row.items() if name != "number_of_row"} for row in found]

    def _costs(self, goals: Sequence[Goal]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The points that have all of these figures: their rows in the file, and the figures, less of each better."""
        for one in goals:
            self._known("column", one.column)
        names = [_quoted(one.column) for one in goals]
        numbers = " AND ".join(f"typeof({name}) IN ('integer', 'real')" for name in names)
        with self._open() as db:
            rows = db.execute(f"SELECT rowid, {', '.join(names)} FROM {POINTS} WHERE {numbers} ORDER BY rowid")
            table = np.fromiter(chain.from_iterable(rows), dtype=np.float64).reshape(-1, len(goals) + 1)
        signs = [-1.0 if one.maximize else 1.0 for one in goals]
        return table[:, 0].astype(np.int64), table[:, 1:] * signs

    @property
    def objective(self) -> Goal | None:
        """What the sweep says is best."""
        return self.plan.spec.objective

    @property
    def axes(self) -> tuple[Goal, ...]:
        """The axes of the front that the sweep asks for."""
        return self.plan.spec.pareto

    def empty(self) -> list[str]:
        """Columns that the sweep names and in which no point has anything: most likely a name that is wrong."""
        names = self.plan.spec.named
        if not names:
            return []
        counts = ", ".join(f"count({_quoted(name)}) AS c{at}" for at, name in enumerate(names))
        found = self.query(f"SELECT {counts} FROM {POINTS}")[0]
        return [name for at, name in enumerate(names) if not found[f"c{at}"]] if self.points > self.failed else []

    def to_dict(self) -> dict[str, Any]:
        """What a sweep came to, as plain JSON values: counts, the best points and the front that it asks for."""
        return {
            **self.counts(),
            "objective": self.objective.text if self.objective else None,
            "best": self.best() if self.objective else [],
            "pareto": self.pareto() if len(self.axes) > 1 else [],
            "errors": self.errors(),
        }

    def counts(self) -> dict[str, Any]:
        """Which file it is, how many points it has, how many of them failed, and whether all are there."""
        return {"file": str(self.file), "points": self.points, "failed": self.failed, "complete": self.complete}

    def _damaged(self) -> LightboundError:
        return LightboundError("results file", str(self.file), "does not say what it holds", "Run its sweep again.")

    def _known(self, what: str, name: str) -> None:
        if name not in (*self.columns, "error", "rowid"):
            raise LightboundError(what, name, "is not there", choose_from((*self.columns, "error"), name))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = connect(self.file)
        try:
            check_ours(db, self.file)
            yield db
        finally:
            db.close()


def _only_reading(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _READ else sqlite3.SQLITE_DENY


def _shown(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
