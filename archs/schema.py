"""The YAML file of a machine as pydantic models: which fields there are, and the dimension of each.

Every number is written as ``16 MiB``, as a formula of the machine's own parameters in SI units (``2*pe_dim``), or as
``{value: ..., source: ..., kind: ...}``; energies may also be tabulated by capacity. Not here: evaluating formulas
(resolve.py), reading files (library.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import FUNCTIONS, Number, formula

from .units import (
    BANDWIDTH,
    COUNT,
    CYCLES,
    ENERGY,
    FACTOR,
    FREQUENCY,
    SIZE,
    TIME,
    Dimension,
    UnitError,
    as_count,
    is_quantity,
    parse_quantity,
)

Kind = Literal["datasheet", "microbenchmark", "paper", "derived", "assumed", "override"]

OPERATIONS = frozenset(
    "mac add sub mul div pow neg abs max min exp log sqrt rsqrt tanh sigmoid relu gelu silu softplus erf sin cos "
    "select compare cast".split()
)
"""Operations that a unit may state a cost and an energy of, alone or fused with ``+``."""


@dataclass(frozen=True)
class ByCapacity:
    """Energies known at some capacities, in bytes: between them, and beyond, a power law through the nearest two."""

    points: tuple[tuple[float, float], ...]
    times: str | None = None


@dataclass(frozen=True)
class Stated:
    """One number of the file: a value in SI units, a formula, or a table; and where it comes from."""

    value: Number | str | ByCapacity
    dimension: Dimension
    source: str | None = None
    kind: str | None = None


def _fault(problem: str, remedy: str, value: object = None) -> PydanticCustomError:
    return PydanticCustomError(
        "lightbound", "{problem}", {"problem": problem, "remedy": remedy, "given": value}
    )


def _read(given: object, dimension: Dimension) -> Stated:
    """What a file, or a caller's override, says at one place, as a `Stated`."""
    if isinstance(given, Stated):
        return given
    if not isinstance(given, Mapping):
        return Stated(_number(given, dimension), dimension)
    extra = [key for key in given if key not in ("value", "by_capacity", "times", "source", "kind")]
    if extra:
        raise _fault(
            f"has the unknown field {extra[0]!r}",
            choose_from(("value", "source", "kind"), str(extra[0])),
            given,
        )
    source, kind = given.get("source"), given.get("kind")
    if source is not None and (not isinstance(source, str) or not source.strip()):
        raise _fault("has a source that is no text", "Name the document that the number is from.", source)
    if kind is not None and kind not in Kind.__args__:
        raise _fault("has an unknown kind of source", choose_from(Kind.__args__, str(kind)), kind)
    if "by_capacity" in given:
        return Stated(_table(given), dimension, source, kind)
    if "value" not in given:
        raise _fault("has no value", f"Write {{value: {dimension.example}, source: ...}}.", given)
    return Stated(_number(given["value"], dimension), dimension, source, kind)


def _number(given: object, dimension: Dimension) -> Number | str:
    example = f"Write {dimension.name}, such as {dimension.example}."
    if isinstance(given, str):
        if not is_quantity(given):
            return _formula(given, example)
        try:
            value: Number = parse_quantity(given, dimension)
        except UnitError as error:
            raise _fault(error.problem, error.remedy, given) from error
    elif isinstance(given, InSI):
        value = given.value
    elif isinstance(given, bool) or not isinstance(given, int | float):
        raise _fault("is not a number", example, given)
    elif dimension.unit:
        raise _fault("has no unit", example, given)
    else:
        value = as_count(given)
    fault = dimension.fault(value)
    if fault:
        raise _fault(fault, example, given.value if isinstance(given, InSI) else given)
    return value


def _formula(text: str, example: str) -> str:
    try:
        formula(text)
    except LightboundError as error:
        raise _fault(
            f"is neither a number with a unit nor a formula: it {error.problem}",
            f"{example} {error.remedy}",
            text,
        ) from error
    return text


def _table(given: Mapping[str, Any]) -> ByCapacity:
    table, times = given["by_capacity"], given.get("times")
    if "value" in given or not isinstance(table, Mapping) or not table:
        raise _fault(
            "is not a table of values by capacity",
            "Write by_capacity: {16 MiB: 12.5 nJ, 32 MiB: 23.9 nJ}.",
            table,
        )
    points = sorted(
        (float(_plain_number(capacity, SIZE)), float(_plain_number(value, ENERGY)))
        for capacity, value in table.items()
    )
    if any(value <= 0 for _, value in points):
        raise _fault("has an energy of zero in a table", "A power law needs energies above zero.", table)
    return ByCapacity(tuple(points), None if times is None else str(_number(times, FACTOR)))


def _plain_number(given: object, dimension: Dimension) -> Number:
    value = _number(given, dimension)
    if isinstance(value, str):
        raise _fault(
            "has a formula in a table", f"Write {dimension.name}, such as {dimension.example}.", given
        )
    return value


@dataclass(frozen=True)
class InSI:
    """A number given from Python instead of a file: it is in SI units already, and may be an array."""

    value: Number

    def __post_init__(self) -> None:
        if isinstance(self.value, np.ndarray):
            object.__setattr__(self, "value", self.value.astype(np.float64))
        else:
            object.__setattr__(self, "value", as_count(self.value))


def _stated(dimension: Dimension) -> PlainValidator:
    return PlainValidator(lambda given: _read(given, dimension))


def _shared_source(given: object) -> object:
    """A table of numbers with one ``source`` among them: hand it to each number that has none of its own."""
    if not isinstance(given, Mapping):
        return given
    common = {key: given[key] for key in ("source", "kind") if key in given}
    return {
        key: {**common, **value} if isinstance(value, Mapping) else {**common, "value": value}
        for key, value in given.items()
        if key not in common
    }


_RESERVED = {
    *FUNCTIONS,
    "clock",
    "capacity",
    "row",
    "bandwidth",
    "latency",
    "read_energy",
    "write_energy",
    "depth",
}


def _name(given: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", given):
        raise _fault("is not a name", "Use small letters, digits and _.", given)
    return given


def _formula_name(given: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", given) or given in _RESERVED:
        raise _fault(
            "is not a name for a formula",
            f"Use small letters, digits and _, and none of {', '.join(sorted(_RESERVED))}.",
            given,
        )
    return given


def _operations(given: str) -> str:
    for op in given.split("+"):
        if op not in OPERATIONS:
            raise _fault(f"has the unknown operation {op!r}", choose_from(OPERATIONS, op), given)
    return given


Size = Annotated[Stated, _stated(SIZE)]
Bandwidth = Annotated[Stated, _stated(BANDWIDTH)]
Frequency = Annotated[Stated, _stated(FREQUENCY)]
Time = Annotated[Stated, _stated(TIME)]
Energy = Annotated[Stated, _stated(ENERGY)]
Count = Annotated[Stated, _stated(COUNT)]
Factor = Annotated[Stated, _stated(FACTOR)]
Cycles = Annotated[Stated, _stated(CYCLES)]
Name = Annotated[str, AfterValidator(_name)]
FormulaName = Annotated[str, AfterValidator(_formula_name)]
Operations = Annotated[str, AfterValidator(_operations)]
Shared = BeforeValidator(_shared_source)


class Block(BaseModel):
    """A mapping of the file. Its `source` covers all of its numbers that have none of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str = ""
    source: str | None = Field(default=None, min_length=1)
    kind: Kind | None = None


class LevelBlock(Block):
    """``levels.<name>``: storage, outermost level first. Capacity and bandwidth are those of one copy."""

    scope: str | None = None
    capacity: Size | None = None
    row: Size | None = None
    bandwidth: Bandwidth | None = None
    latency: Time | None = None
    read_energy: Energy | None = None
    write_energy: Energy | None = None


class RegistersBlock(Block):
    """``units.<name>.registers``: the register file of every lane; energies are per word."""

    depth: Count | None = None
    write_energy: Energy | None = None
    read_energy: Energy | None = None


class UnitBlock(Block):
    """``units.<name>``: lanes by axis, and what each operation costs a lane in cycles and in energy."""

    scope: str | None = None
    shape: Annotated[dict[FormulaName, Count], Shared] = Field(min_length=1)
    cost: Annotated[dict[Operations, Factor], Shared] = Field(min_length=1)
    energy: Annotated[dict[Operations, Energy], Shared] = {}
    drain: Cycles | None = None
    registers: RegistersBlock | None = None
    operands: dict[str, str] = {}
    multicast: dict[str, str] = {}
    also: dict[Operations, Annotated[dict[Name, Factor], Shared]] = {}


class LinkBlock(Block):
    """``links.<name>``: bandwidth in one direction, and latency."""

    bandwidth: Bandwidth | None = None
    latency: Time | None = None


class OccupancyBlock(Block):
    """``occupancy``: what bounds the blocks of threads that a multiprocessor holds at once."""

    scope: str
    ctas: Count | None = None
    warps: Count | None = None
    warp_lanes: Count | None = None
    registers: Count | None = None
    registers_per_thread: Count | None = None
    shared: Size | None = None
    shared_per_cta: Size | None = None
    shared_reserved: Size | None = None


class MachineFile(Block):
    """A whole file. ``params`` are numbers that formulas and mappings may use, and overrides may set."""

    name: Name
    clock: Frequency
    params: Annotated[dict[FormulaName, Factor], Shared] = {}
    instances: Annotated[dict[FormulaName, Count], Shared] = {}
    levels: dict[Name, LevelBlock] = Field(min_length=1)
    units: dict[Name, UnitBlock] = Field(min_length=1)
    links: dict[Name, LinkBlock] = {}
    occupancy: OccupancyBlock | None = None
    launch_latency: Time | None = None
    sustained_clock: Frequency | None = None
    lacks: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_and_scopes(self) -> MachineFile:
        taken: dict[str, str] = {}
        for section in ("params", "instances", "levels", "units", "links"):
            for name in getattr(self, section):
                if name in taken:
                    raise _fault(
                        f"is the name of two things, in {taken[name]} and in {section}",
                        "Give each a name of its own: overrides go by name.",
                        name,
                    )
                taken[name] = section
        holders = {**self.levels, **self.units, **({"occupancy": self.occupancy} if self.occupancy else {})}
        for name, block in holders.items():
            if block.scope is not None and block.scope not in self.instances:
                raise _fault(
                    f"is the scope of {name}, but not an instance axis",
                    choose_from(self.instances, block.scope),
                    block.scope,
                )
        return self


def check(document: object, where: str) -> MachineFile:
    """The document as a MachineFile; a LightboundError names the first field that is wrong."""
    try:
        return MachineFile.model_validate(document)
    except ValidationError as error:
        raise _explain(error.errors(include_url=False)[0], where) from None


def _explain(fault: ErrorDetails, where: str) -> LightboundError:
    path = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    place, value, context = f"{where}: {path}" if path else where, fault["input"], fault.get("ctx", {})
    match fault["type"]:
        case "lightbound":
            given = context["given"]
            return LightboundError(
                place, value if given is None else given, context["problem"], context["remedy"]
            )
        case "extra_forbidden":
            known = _fields_at(fault["loc"][:-1])
            return LightboundError(
                place, value, "is not a field of a machine file", choose_from(known, str(fault["loc"][-1]))
            )
        case "missing" | "too_short":
            return LightboundError(
                place, None, "is required and missing", f"Add {fault['loc'][-1]!r} to the file."
            )
        case "literal_error":
            return LightboundError(
                place, value, "is not one of the known kinds", choose_from(Kind.__args__, str(value))
            )
        case _:
            return LightboundError(
                place,
                value,
                f"cannot be used: {fault['msg'][:1].lower()}{fault['msg'][1:]}",
                "See the page 'Write your own machine' for the form of this field.",
            )


_BLOCKS: dict[str, type[Block]] = {"levels": LevelBlock, "units": UnitBlock, "links": LinkBlock}


def _fields_at(path: tuple[int | str, ...]) -> set[str]:
    """The fields a block may have, by the path of the block."""
    if not path:
        return set(MachineFile.model_fields)
    if path[-1] == "registers":
        return set(RegistersBlock.model_fields)
    return set(_BLOCKS.get(str(path[0]), OccupancyBlock).model_fields)
