"""The description of a sweep, as people write it, read and checked: which points, what is kept of each, what is best.

A description is data from a file or a dictionary. Values that need a machine to be understood (``8 MiB`` of a level)
are turned into SI units here, so that the rest of the room sees numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from lightbound.archs.library import stated_value
from lightbound.archs.units import is_quantity
from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import formula
from lightbound.base.schema import check

from .axes import Axis, ToNumber, read_axis, read_zip
from .fields import check_field, column_name, may_follow, part_of, read_value

KEPT = ("latency_s", "bottleneck", "energy_j", "compulsory_bytes")
MOST_COLUMNS = 500
LONGEST_FORMULA = 2000
RESERVED = ("key", "error", "rowid")
NUMBERS = ("latency_s", "energy_j", "compulsory_bytes", "bottleneck", "mapping", "engine", "word_bytes")
"""What a prediction offers to keep by itself."""
TABLES = {
    "account_s": 1, "busy_s": 1, "decomposition_s": 1, "energy_by_component": 1, "occupancy_bytes": 1, "params": 1,
    "sizes": 1, "traffic_bytes": 1, "traffic_by_tensor": 2, "utilization": 1,
}  # fmt: skip
"""What it offers with the names of so many entries behind: ``traffic_bytes.dram``."""


class SweepFile(BaseModel):
    """A sweep as its YAML file has it.

    fixed: fields that are the same at every point. grid: fields with lists or ranges of values, every combination of
    which is a point. zip: fields whose values go side by side. follow: fields that are formulas of others. where:
    formulas that a point must satisfy. keep: what is kept of each prediction. derive: columns that are formulas of
    fields and of what is kept. objective: what is best (``min latency_s``). pareto: the axes of a front.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = ""
    fixed: dict[str, Any] = {}
    grid: dict[str, Any] = {}
    zip: list[dict[str, list[Any]]] = []
    follow: dict[str, str | int] = {}
    where: list[str] = []
    keep: list[str] = list(KEPT)
    derive: dict[str, str] = {}
    objective: str | None = None
    pareto: list[str] = []


@dataclass(frozen=True)
class Goal:
    """A column, and whether more of it is better."""

    column: str
    maximize: bool = False

    @property
    def text(self) -> str:
        """``min latency_s``."""
        return f"{'max' if self.maximize else 'min'} {self.column}"


@dataclass(frozen=True, eq=False)
class Spec:
    """A sweep that was read: see SweepFile. Columns are named for SQL and formulas (``dram_bandwidth``).

    axes: in the order written. columns: of every field, by field. metrics: where in a prediction each kept column is.
    named: columns of answers that the description names itself; those kept by default are not among them.
    """

    name: str
    fixed: Mapping[str, Any]
    axes: tuple[Axis, ...]
    follow: Mapping[str, str]
    where: tuple[str, ...]
    columns: Mapping[str, str]
    metrics: Mapping[str, str]
    derive: Mapping[str, str]
    objective: Goal | None
    pareto: tuple[Goal, ...]
    named: tuple[str, ...]

    @property
    def varying(self) -> tuple[str, ...]:
        """The fields that differ from point to point, in the order written."""
        return (*(field for axis in self.axes for field in axis.values), *self.follow)

    @property
    def table(self) -> tuple[str, ...]:
        """The columns that hold a point's fields and then its answers."""
        return (*(self.columns[field] for field in self.varying), *self.metrics, *self.derive)


def read_spec(data: Any, where: str, place: Callable[[str, str], str]) -> Spec:
    """The sweep of plain data; `where` names it in errors. `place` says where the file that a field names is.

    Raises LightboundError for a field, value, range, formula or metric that cannot be used.
    """
    if not isinstance(data, Mapping):
        remedy = "Begin it with 'fixed:' and 'grid:' (docs/sweeps.md)."
        raise LightboundError(where, None, "is not a mapping of fields", remedy)
    file = check(SweepFile, dict(data), where)
    _once(where, file)
    if not file.name.isprintable():
        raise LightboundError(f"{where}: name", ascii(file.name), "is not a line of text", "Write one.")
    fixed = {check_field(f"{where}: fixed", field): value for field, value in file.fixed.items()}
    fixed = {field: read_value(f"{where}: fixed.{field}", field, value) for field, value in fixed.items()}
    to_number = _converter(file, fixed, place)
    fixed = {field: to_number(field, value) for field, value in fixed.items()}
    axes = [read_axis(f"{where}: grid.{field}", check_field(f"{where}: grid", field), given, to_number)
            for field, given in file.grid.items()]  # fmt: skip
    for number, group in enumerate(file.zip):
        for field in group:
            check_field(f"{where}: zip[{number}]", field)
        if group:
            axes.append(read_zip(f"{where}: zip[{number}]", group, to_number))
    follow = {check_field(f"{where}: follow", field): str(text) for field, text in file.follow.items()}
    for field in follow:
        if not may_follow(field):
            raise LightboundError(f"{where}: follow", field, "is no number", "Give it in fixed, grid or zip.")
    for required in ("workload", "machine"):
        if required not in {*fixed, *(field for axis in axes for field in axis.values)}:
            raise LightboundError(where, None, f"names no {required}", f"Add fixed: {{{required}: ...}}.")
    for text in (*follow.values(), *file.where, *file.derive.values()):
        _check_formula(where, text)
    columns = _columns(where, (*(field for axis in axes for field in axis.values), *follow, *fixed))
    metrics = _metrics(where, file, columns)
    known = (*columns.values(), *metrics, *file.derive)
    goals = [goal(f"{where}: pareto", text, known) for text in file.pareto]
    objective = goal(f"{where}: objective", file.objective, known) if file.objective is not None else None
    named = (*(metrics if "keep" in file.model_fields_set else ()), *file.derive)
    return Spec(
        file.name, fixed, tuple(axes), follow, tuple(file.where), columns, metrics, file.derive, objective,
        tuple(goals), named,
    )  # fmt: skip


def goal(where: str, text: str, columns: Sequence[str]) -> Goal:
    """``min latency_s``, ``max utilization.2d`` or ``latency_s`` (which is to be small), of these columns."""
    words = text.split()
    way = words[0] if len(words) == 2 else "min"
    if not words or len(words) > 2 or way not in ("min", "max"):
        raise LightboundError(where, text, "is not a goal", "Write min or max and a column: min latency_s.")
    name = column_name(words[-1])
    if name not in columns:
        raise LightboundError(where, words[-1], "is not a column of this sweep", choose_from(columns, words[-1]))
    return Goal(name, way == "max")


def _check_formula(where: str, text: str) -> None:
    try:
        if len(text) <= LONGEST_FORMULA:
            formula(text)
            return
    except (RecursionError, MemoryError):
        pass
    raise LightboundError(where, f"{text[:40]}...", "is too long a formula", "Write a shorter one, or several.")


def _once(where: str, file: SweepFile) -> None:
    """No field twice, in whatever parts of the description."""
    seen: dict[str, str] = {}
    parts = [
        ("fixed", file.fixed),
        ("grid", file.grid),
        *(("zip", group) for group in file.zip),
        ("follow", file.follow),
    ]
    for part, fields in parts:
        for field in fields:
            if field in seen:
                problem = f"is given in {seen[field]} already"
                raise LightboundError(f"{where}: {part}", field, problem, "Give every field once.")
            seen[str(field)] = part


def _converter(file: SweepFile, fixed: Mapping[str, Any], place: Callable[[str, str], str]) -> ToNumber:
    """Turns a quantity of a machine into SI units, by the first of the sweep's machines that has the field."""
    named: list[Any] = [fixed["machine"]] if "machine" in fixed else []
    for group in (file.grid, *file.zip):
        given = group.get("machine", [])
        named += given if isinstance(given, list) else [given]
    known: dict[tuple[str, str], Any] = {}

    def convert(field: str, value: Any) -> Any:
        part, name = part_of(field)
        if part != "machine" or not isinstance(value, str) or not is_quantity(value):
            return value
        if (name, value) not in known:
            known[name, value] = _in_si([place("machine", str(one)) for one in named], name, value)
        return known[name, value]

    return convert


def _in_si(machines: Sequence[str], name: str, value: str) -> Any:
    refused: LightboundError | None = None
    for machine in machines:
        try:
            return stated_value(machine, name, value)
        except LightboundError as error:
            refused = refused or error
    raise refused or LightboundError(f"machine.{name}", value, "is of no machine", "Name one: fixed: {machine: ...}.")


def _columns(where: str, fields: Sequence[str]) -> dict[str, str]:
    """A name for each field, short where that is clear: ``M``, ``dram_bandwidth``; else ``machine_clock``."""
    plain = [column_name(part_of(field)[1]) for field in fields]
    folded = [name.casefold() for name in plain]
    columns = {
        field: name if folded.count(name.casefold()) == 1 and name.casefold() not in RESERVED else column_name(field)
        for field, name in zip(fields, plain, strict=True)
    }
    _distinct(where, columns)
    return columns


def _metrics(where: str, file: SweepFile, columns: Mapping[str, str]) -> dict[str, str]:
    metrics: dict[str, str] = {}
    for path in file.keep:
        root, *rest = path.split(".")
        if root not in NUMBERS and root not in TABLES:
            remedy = choose_from((*NUMBERS, *TABLES), root)
            raise LightboundError(f"{where}: keep", path, "is nothing that a prediction tells", remedy)
        if len(rest) != TABLES.get(root, 0):
            example = ".".join((root, *("dram", "Q")[: TABLES.get(root, 0)]))
            raise LightboundError(f"{where}: keep", path, "is not one number", f"Write one such as {example}.")
        metrics[column_name(path)] = path
    if not metrics:
        raise LightboundError(f"{where}: keep", None, "keeps nothing", f"Name a number: {', '.join(KEPT)}.")
    for name in file.derive:
        if column_name(name) != name or name.casefold() in RESERVED:
            raise LightboundError(f"{where}: derive", name, "is no name for a column", "Write letters, digits and _.")
    kept, derived = {path: name for name, path in metrics.items()}, {f"derive {name}": name for name in file.derive}
    _distinct(where, {**columns, **kept, **derived})
    if len(columns) + len(kept) + len(derived) > MOST_COLUMNS:
        raise LightboundError(where, None, f"has more than {MOST_COLUMNS} columns", "Keep fewer numbers.")
    return metrics


def _distinct(where: str, columns: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for what, name in columns.items():
        if name.casefold() in seen:
            problem = f"would be the column {name!r}, as {seen[name.casefold()]}"
            raise LightboundError(where, what, problem, "Give derive another name, or sweep one of them alone.")
        seen[name.casefold()] = what
