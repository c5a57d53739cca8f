"""The YAML file of a machine as pydantic models: which fields there are, and the dimension of each.

Not here: how one number is written (values.py), evaluating formulas (resolve.py), finding files (library.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from keyword import iskeyword
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    model_validator,
)

from lightbound.base.errors import choose_from
from lightbound.base.formula import FUNCTIONS
from lightbound.base.schema import fault

from .units import BANDWIDTH, COUNT, CYCLES, ENERGY, FACTOR, FREQUENCY, SIZE, TIME, Dimension
from .values import Override, Stated, read

Kind = Literal["datasheet", "microbenchmark", "paper", "derived", "assumed", "override"]

_FUNCTIONS = (
    "exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "relu", "gelu", "silu", "softplus", "erf", "sin", "cos",
)  # fmt: skip
_ARITHMETIC = (
    "mac", "add", "sub", "mul", "div", "pow", "abs", "max", "min", "select", "compare", "cast", "iadd", "imad",
    "shuffle", "load", "store", "wait",
)  # fmt: skip
OPERATIONS = frozenset((*_ARITHMETIC, *_FUNCTIONS))
"""Operations that a unit may state a cost and an energy of, alone or fused with ``+``."""

SECTIONS = ("params", "instances", "levels", "units", "links")
"""The parts of a file that hold things by name; no two things share one."""


def _stated(dimension: Dimension) -> PlainValidator:
    return PlainValidator(lambda given: read(given, dimension))


def _shared_source(given: object) -> object:
    """A table of numbers with one ``source`` among them: hand it to each number that has none of its own."""
    if not isinstance(given, Mapping):
        return given
    common = {key: given[key] for key in ("source", "kind") if key in given}

    def own(value: object) -> object:
        if isinstance(value, Override):
            return value
        return {**common, **value} if isinstance(value, Mapping) else {**common, "value": value}

    return {key: own(value) for key, value in given.items() if key not in common}


_LEVEL_FIELDS = (
    "capacity",
    "row",
    "bandwidth",
    "sustained_bandwidth",
    "sustained_write_bandwidth",
    "sustained_shared_bandwidth",
    "sustained_copy_bandwidth",
    "latency",
    "depth",
    "read_energy",
    "write_energy",
)
_RESERVED = frozenset(("clock", *_LEVEL_FIELDS, *FUNCTIONS))


def _name(given: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", given):
        raise fault(given, "is not a name", "Use small letters, digits and _.")
    return given


def _formula_name(given: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", given) or iskeyword(given):
        raise fault(given, "is not a name that a formula could use", "Use small letters, digits and _.")
    if given in _RESERVED:
        raise fault(given, "is a name that formulas have already", "Choose another one.")
    return given


def _operations(given: str) -> str:
    for op in given.split("+"):
        if op not in OPERATIONS:
            raise fault(given, f"names the unknown operation {op!r}", choose_from(OPERATIONS, op))
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
    """``levels.<name>``: storage, outermost level first. Capacity and bandwidth are those of one copy. The bandwidth of
    a `cache` is that of the way to those who read it: what comes from outside takes none of it.
    """

    scope: str | None = None
    cache: bool = False
    capacity: Size | None = None
    row: Size | None = None
    bandwidth: Bandwidth | None = None
    sustained_bandwidth: Bandwidth | None = None
    sustained_write_bandwidth: Bandwidth | None = None
    sustained_shared_bandwidth: Bandwidth | None = None
    sustained_copy_bandwidth: Bandwidth | None = None
    latency: Time | None = None
    read_energy: Energy | None = None
    write_energy: Energy | None = None


class RegistersBlock(Block):
    """``units.<name>.registers``: the register file of every lane; energies are per word."""

    depth: Count | None = None
    write_energy: Energy | None = None
    read_energy: Energy | None = None


class UnitBlock(Block):
    """``units.<name>``: lanes by axis, and what each operation costs a lane in cycles and in energy.

    One that `shares` the hardware of another is that unit under other instructions: what it does not state is as
    there. One that `composes` has the functions that it states no cost of step by step, from what it has.
    """

    scope: str | None = None
    shares: str | None = None
    composes: bool = False
    shape: Annotated[dict[FormulaName, Count], Shared] = Field(min_length=1)
    cost: Annotated[dict[Operations, Factor], Shared] = Field(min_length=1)
    energy: Annotated[dict[Operations, Energy], Shared] = {}
    drain: Cycles | None = None
    clock: Frequency | None = None
    sustained_clock: Frequency | None = None
    registers: RegistersBlock | None = None
    operands: dict[str, str] = {}
    multicast: dict[str, str] = {}
    also: dict[Operations, Annotated[dict[Name, Factor], Shared]] = {}
    blocks: Annotated[dict[Name, Factor], Shared] = {}
    holds: Annotated[dict[Name, Factor], Shared] = {}
    needs: dict[Name, Annotated[dict[Operations, Cycles], Shared]] = {}


def _completed(name: object, units: Mapping[Any, Any]) -> object:
    """A unit as the file has it; where it shares the hardware of another, with what it does not state from there."""
    unit = units[name]
    if not isinstance(unit, Mapping) or not isinstance(unit.get("shares"), str):
        return unit
    whole = {other: item for other, item in units.items() if isinstance(item, Mapping) and "shares" not in item}
    if unit["shares"] not in whole:
        raise fault(
            unit["shares"], f"is not a unit whose hardware units.{name} could share", choose_from(whole, unit["shares"])
        )
    return {**whole[unit["shares"]], **unit}


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
    shared_reserved: Size | None = None
    shared_per_cta: Size | None = None


class LoadBlock(Block):
    """``sustained_load``: how busy which unit is at the sustained clock, how the clock follows that share, and what
    it is at that share in a shorter run."""

    unit: str
    utilization: Factor
    exponent: Factor
    after: Time
    first_clock: Frequency | None = None


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
    graph_launch_latency: Time | None = None
    sustained_clock: Frequency | None = None
    sustained_load: LoadBlock | None = None
    lacks: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _shared_units_are_complete(cls, given: Any) -> Any:
        units = given.get("units") if isinstance(given, Mapping) else None
        if not isinstance(units, Mapping):
            return given
        return {**given, "units": {name: _completed(name, units) for name in units}}

    @model_validator(mode="after")
    def _names_are_distinct(self) -> MachineFile:
        taken: dict[str, str] = {}
        for section in SECTIONS:
            for name in getattr(self, section):
                if name in taken:
                    problem = f"is the name of two things, in {taken[name]} and in {section}"
                    raise fault(name, problem, "Give each a name of its own: overrides go by name.")
                taken[name] = section
        return self
