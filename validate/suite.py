"""What a validation suite is and what it reports. Which points it scores, and how, is said by the files of `suites`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lightbound.archs.library import machine as find_machine
from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError, choose_from

from .statistics import ErrorStatistics, error_statistics, relative_error


@dataclass(frozen=True)
class Check:
    """One statement that a suite holds lightbound to: `value` must not exceed `bar`. Both are fractions of a
    reference unless `what` says otherwise. Without a bar it is reported and cannot fail.
    """

    what: str
    bar: float | None
    value: float

    @property
    def passed(self) -> bool:
        return self.bar is None or self.value <= self.bar


@dataclass(frozen=True)
class Score:
    """One figure of one point: where it belongs (`keys`, such as model and length), and reference and prediction in
    the unit that `metric` names.
    """

    group: str
    metric: str
    keys: dict[str, Any]
    published: float
    predicted: float

    @property
    def error(self) -> float:
        """Signed relative error."""
        return relative_error(self.predicted, self.published)

    def to_dict(self) -> dict[str, Any]:
        """The score as one flat row."""
        return {
            "group": self.group,
            "metric": self.metric,
            **self.keys,
            "published": self.published,
            "predicted": self.predicted,
            "relative_error": self.error,
        }


@dataclass(frozen=True)
class SuiteReport:
    """What a suite found. It passes where every check does.

    groups: error statistics by group and metric. rows: every figure scored, as flat dictionaries. notes: what the
    figures rest on, in sentences. shown: which fields of the rows are worth a table to a reader.
    """

    name: str
    title: str
    source: str
    checks: tuple[Check, ...]
    groups: tuple[ErrorStatistics, ...]
    rows: tuple[dict[str, Any], ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "name": self.name,
            "title": self.title,
            "source": self.source,
            "passed": self.passed,
            "checks": [{**asdict(check), "passed": check.passed} for check in self.checks],
            "groups": [asdict(group) for group in self.groups],
            "rows": [dict(row) for row in self.rows],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Suite:
    """A suite: `run` scores the figures that ship with lightbound, `score` those of a user's file, where it can.

    `score_on` does so on a machine of the user's choice, and without a file scores what ships. `columns` are those that
    such a file has, for help texts. A suite that measures this machine, or takes minutes, runs where it is named
    (`by_name`), and not among all others.
    """

    name: str
    title: str
    source: str
    run: Callable[[], SuiteReport]
    score: Callable[[Path], SuiteReport] | None = None
    columns: tuple[str, ...] = ()
    by_name: bool = False
    score_on: Callable[[Path | None, Machine], SuiteReport] | None = None

    def report(self, checks: Iterable[Check], scores: Sequence[Score], notes: tuple[str, ...]) -> SuiteReport:
        """What a run of the suite found: its checks, its scores and their statistics by group."""
        return SuiteReport(
            name=self.name,
            title=self.title,
            source=self.source,
            checks=tuple(checks),
            groups=group_statistics(scores),
            rows=tuple(score.to_dict() for score in scores),
            notes=notes,
        )


def suite_names() -> list[str]:
    """The names that `run_suite` takes."""
    from .suites import suite_names as names

    return names()


def find_suite(name: str) -> Suite:
    """The suite of a name; LightboundError lists those there are."""
    from .suites import load_suite

    if name not in suite_names():
        raise LightboundError("suite", name, "does not exist", choose_from(suite_names(), name))
    return load_suite(name)


def run_suite(name: str, cases: str | Path | None = None, machine: Machine | str | None = None) -> SuiteReport:
    """Score lightbound on a suite, or on the figures of a file with the columns of that suite; with `machine`, as if
    they were measured there (a probed one, say), where the suite can.

    Raises LightboundError for an unknown suite, a suite that takes no files, and a file that cannot be used.
    """
    suite = find_suite(name)
    if machine is not None:
        if suite.score_on is None:
            problem = f"is not for suite {name!r}, whose figures name their machines"
            raise LightboundError("machine", str(machine), problem, "Run it without.")
        named = find_machine(machine) if isinstance(machine, str) else machine
        return suite.score_on(Path(cases) if cases is not None else None, named)
    if cases is None:
        return suite.run()
    if suite.score is None:
        raise LightboundError("cases", str(cases), f"cannot be scored by suite {name!r}", "Run it without a file.")
    return suite.score(Path(cases))


def group_statistics(scores: Iterable[Score]) -> tuple[ErrorStatistics, ...]:
    """Error statistics for each (group, metric), in the order in which they first appear."""
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.group, score.metric), []).append(score)
    return tuple(
        error_statistics(*key, [score.predicted for score in one], [score.published for score in one])
        for key, one in groups.items()
    )


def largest_error(scores: Sequence[Score]) -> float:
    """The largest absolute relative error, 0 of none."""
    return max((abs(score.error) for score in scores), default=0.0)
