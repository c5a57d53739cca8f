"""From points to answers, in whatever process: groups in one call where they can be, one by one where not.

A point that fails is an answer too: its error. The others of its call go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightbound.archs.library import field_path
from lightbound.archs.library import machine as find_machine
from lightbound.base.document import read_yaml
from lightbound.base.errors import LightboundError
from lightbound.base.formula import formula
from lightbound.base.points import PointsError
from lightbound.base.version import VERSION
from lightbound.workloads.masks.named import named_mask
from lightbound.workloads.method import Method
from lightbound.workloads.registry import Workload
from lightbound.workloads.registry import method as find_method
from lightbound.workloads.registry import workload as find_workload
from lightbound.workloads.sizes import legal
from lightbound.workloads.structure import Structure

from ..mapping import Mapping as Layout
from ..overrides import with_values
from ..prediction import Prediction
from ..simulate import simulate
from ..what_if import kept
from .fields import NO_MASK, part_of
from .plan import Plan, Positions, plan_of

ZERO = ("decomposition_s", "account_s", "energy_by_component")  # tables without entries for what takes nothing


@dataclass(frozen=True)
class Rows:
    """Finished points, their keys of 16 bytes a row, what was kept of them, and the seconds that they took.

    kept: columns of numbers, NaN for none, or of objects. errors: why a point has nothing, None where it has.
    """

    positions: Positions
    keys: NDArray[np.uint8]
    kept: Mapping[str, NDArray[Any]]
    errors: NDArray[np.object_]
    seconds: float


def compute(text: str, positions: Positions, version: str = VERSION) -> Rows:
    """The answers of these points of a carried sweep. Runs anywhere; raises where another lightbound runs there."""
    if version != VERSION:
        remedy = f"Install lightbound {version} on every worker."
        raise LightboundError("worker", VERSION, f"runs another lightbound than {version}", remedy)
    return answers(plan_of(text), positions)


def answers(plan: Plan, positions: Positions) -> Rows:
    """The answers of these points, in their order."""
    begin = perf_counter()
    edges = np.flatnonzero(np.diff(plan.groups(positions))) + 1
    kept, errors = _joined([_group(plan, part) for part in np.split(positions, edges)])
    for at in np.flatnonzero(errors != None).tolist():  # noqa: E711 (of every element)
        errors[at] = plan.files.without_places(errors[at])
    return Rows(positions, plan.keys(positions), kept, errors, perf_counter() - begin)


Answers = tuple[dict[str, NDArray[Any]], NDArray[np.object_]]


def _group(plan: Plan, positions: Positions) -> Answers:
    """The answers of points of one group."""
    setting = plan.setting(int(positions[0]))
    try:
        if in_one_call(plan, setting):
            return _many(plan, setting, positions)
    except LightboundError as error:
        return nothing(plan, [str(error)] * len(positions))
    return _joined([_one(plan, setting, positions[at : at + 1]) for at in range(len(positions))])


def in_one_call(plan: Plan, setting: Mapping[str, Any]) -> bool:
    """Whether points of a group with this setting can be computed together: closed forms, under one mapping."""
    closed = setting.get("engine", "analytical") == "analytical"
    if plan.inner == 1 or not closed or setting.get("mask", NO_MASK) != NO_MASK:
        return False
    if any(part_of(field)[0] in ("mapping", "options") for field in (*setting, *plan.spec.follow)):
        return False
    chosen = setting.get("mapping")
    if chosen in (None, "default"):
        return False
    method = _method(plan.files.place("workload", setting["workload"]))
    if method.mask is not None:
        return False
    return not callable(method.mappings.get(chosen))


@lru_cache(maxsize=256)
def _method(place: str) -> Method:
    return find_method(place)


def _many(plan: Plan, setting: Mapping[str, Any], positions: Positions) -> Answers:
    """Points in one call; those that it refuses are found, and the rest is called again."""
    vectors = plan.vectors(positions)
    try:
        base = _workload(plan, setting)
        mapping = _mapping(plan, setting)
        machine = plan.files.place("machine", setting["machine"])
        find_machine(machine)
    except LightboundError as error:
        return nothing(plan, [str(error)] * len(positions))
    fields = {**setting, **vectors}
    foreign = _foreign(plan, base, machine, fields, positions)
    if foreign is not None:
        return foreign
    try:
        work = base.with_sizes(**_of("sizes", fields))
        found = simulate(work, find_machine(machine, **_of("machine", fields)), mapping)
        return _kept(plan, found, plan.named({**_numeric(setting), **vectors}), len(positions))
    except PointsError as error:
        wrong = np.broadcast_to(error.wrong, positions.shape)
        told = [str(error.at(int(at))) if error.wrong.size > 1 else str(error) for at in np.flatnonzero(wrong)]
        bad = nothing(plan, told)
        return _merged(wrong, bad, _many(plan, setting, positions[~wrong])) if not wrong.all() else bad
    except Exception:
        if len(positions) == 1:
            return _one(plan, setting, positions)
        half = len(positions) // 2
        return _joined([_many(plan, setting, positions[:half]), _many(plan, setting, positions[half:])])


def _foreign(
    plan: Plan, base: Workload, machine: str, fields: Mapping[str, Any], positions: Positions
) -> Answers | None:
    """The failures of all points of a group, where a field is none of its workload or of its machine."""
    structure = base.cascade.structure
    for symbol in _of("sizes", fields):
        if symbol not in structure.symbols:
            values = _each(plan, f"sizes.{symbol}", positions)
            return nothing(plan, [_refusal(structure, symbol, one) for one in values])
    for name in _of("machine", fields):
        try:
            field_path(machine, name)
        except LightboundError as error:
            values = _each(plan, f"machine.{name}", positions)
            told = [LightboundError(error.field, one, error.problem, error.remedy) for one in values]
            return nothing(plan, [str(one) for one in told])
    return None


def _each(plan: Plan, field: str, positions: Positions) -> list[Any]:
    fixed = plan.spec.fixed
    return [fixed[field]] * len(positions) if field in fixed else plan.plain(field, positions)


def _refusal(structure: Structure, symbol: str, value: Any) -> str:
    try:
        legal(structure, symbol, value)
    except LightboundError as error:
        return str(error)
    raise AssertionError(symbol)


def _one(plan: Plan, setting: Mapping[str, Any], position: Positions) -> Answers:
    """A point by itself."""
    try:
        own = {field: plan.plain(field, position)[0] for field in plan.spec.varying}
        fields = {**setting, **own}
        work = _workload(plan, fields).with_sizes(**_of("sizes", fields))
        if fields.get("mask", NO_MASK) != NO_MASK:
            kind, arguments = next(iter(fields["mask"].items()))
            queries, keys = (work.sizes.get(rank.upper(), 0) for rank in work.method.mask_ranks)
            work = work.with_mask(named_mask(kind, arguments, queries, keys))
        machine = find_machine(plan.files.place("machine", fields["machine"]), **_of("machine", fields))
        mapping, engine = _mapping(plan, fields), fields.get("engine", "analytical")
        if values := _of("mapping", fields):
            work, chosen = kept(work, machine, mapping, engine)
            mapping = with_values(chosen, values)
        found = simulate(work, machine, mapping, engine, fields.get("seed", 0), fields.get("fill", "counted"))
        return _kept(plan, found, plan.named(_numeric(fields)), 1)
    except LightboundError as error:
        return nothing(plan, [str(error)])
    except Exception as error:  # a fault of ours at one point must not cost the others
        return nothing(plan, [f"{type(error).__name__}: {error}"])


def _workload(plan: Plan, fields: Mapping[str, Any]) -> Workload:
    place = plan.files.place("workload", fields["workload"])
    options = {
        name: tuple(value) if isinstance(value, list) else value for name, value in _of("options", fields).items()
    }
    return find_workload(
        place, fields.get("preset"), fields.get("variant"), word_bytes=fields.get("word_bytes", 2), **options
    )


def _mapping(plan: Plan, fields: Mapping[str, Any]) -> Layout | str | None:
    name = fields.get("mapping")
    place = plan.files.place("mapping", name) if name is not None else None
    return place if place == name else _layout(place, name)


@lru_cache(maxsize=64)
def _layout(place: str, name: str) -> Layout:
    data = read_yaml(place, "mapping file")
    if isinstance(data, dict):
        data.setdefault("name", Path(name).stem)
    return Layout.from_data(data, f"mapping file {name}")


def _of(part: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of one part, by their names in it."""
    return {field[len(part) + 1 :]: value for field, value in fields.items() if field.startswith(f"{part}.")}


def _numeric(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in fields.items() if isinstance(value, int | float)}


def _kept(plan: Plan, found: Prediction, known: Mapping[str, Any], points: int) -> Answers:
    """What is kept of a prediction, as columns."""
    columns: dict[str, NDArray[Any]] = {}
    numbers: dict[str, Any] = dict(known)
    for name, path in plan.spec.metrics.items():
        value = _at(found, path)
        array = np.broadcast_to(np.asarray(np.nan if value is None else value), (points,))
        if array.dtype.kind in "US":
            columns[name] = _texts(array)
        else:
            columns[name] = numbers[name] = array.astype(np.float64)
    for name, text in plan.spec.derive.items():
        with np.errstate(all="ignore"):
            value = formula(text)(numbers)
        columns[name] = numbers[name] = np.broadcast_to(np.asarray(value, dtype=np.float64), (points,))
    return columns, np.full(points, None, dtype=object)


def _texts(array: NDArray[Any]) -> NDArray[np.object_]:
    """Texts as objects, equal ones as one, so that they are sent to another process once."""
    known: dict[str, str] = {}
    found = np.empty(len(array), dtype=object)
    found[:] = [known.setdefault(one, one) for one in array.tolist()]
    return found


def _at(found: Prediction, path: str) -> Any:
    root, *rest = path.split(".")
    value: Any = getattr(found, root)
    for part in rest:
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None and root in ZERO:
        return 0.0
    return value


def nothing(plan: Plan, errors: Sequence[str]) -> Answers:
    """The answers of points that have these errors instead."""
    told = np.empty(len(errors), dtype=object)
    told[:] = errors
    return {name: np.full(len(errors), np.nan) for name in (*plan.spec.metrics, *plan.spec.derive)}, told


def _joined(parts: Sequence[Answers]) -> Answers:
    columns = {name: np.concatenate([found[name] for found, _ in parts]) for name in parts[0][0]}
    return columns, np.concatenate([errors for _, errors in parts])


def _merged(wrong: NDArray[np.bool_], bad: Answers, good: Answers) -> Answers:
    """The answers of all points, from those that are wrong and those that are not."""
    order = np.empty(len(wrong), dtype=np.int64)
    order[wrong] = np.arange(len(bad[1]))
    order[~wrong] = len(bad[1]) + np.arange(len(good[1]))
    columns, errors = _joined([bad, good])
    return {name: column[order] for name, column in columns.items()}, errors[order]
