"""Machines as the simulator sees them: frozen values in SI units, with every formula evaluated.

A `Machine` is storage levels, compute units, the instances that hold copies of both, and links. Any number
may be a float64 array where a machine was asked for with arrays: one Machine then stands for a sweep. Not
here: the YAML file and its checks (schema.py), making a Machine of one (resolve.py), finding files and
overrides (library.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from math import inf, prod
from typing import Any, NoReturn

import numpy as np

from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import maximum, minimum

Number = Any  # int, float or float64 array


def _unchangeable(*_: object, **__: object) -> NoReturn:
    raise TypeError("a machine cannot be changed; ask for another one: machine(name, field=value)")


class Fixed(dict[str, Any]):
    """A dict that cannot be changed: machines are shared between callers, and pickled to workers."""

    _refuse: Any = _unchangeable
    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = __ior__ = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Fixed, (dict(self),)


@dataclass(frozen=True)
class Source:
    """Where a number comes from: a document, and what kind of evidence it is."""

    text: str
    kind: str | None = None  # datasheet | microbenchmark | paper | derived | assumed | override


@dataclass(frozen=True, eq=False)
class Level:
    """A storage level. `None` says that the file does not state it: no bound and no cost follows from it.

    Capacity and bandwidth are those of one copy; `scope` names the instance axis that owns a copy each, and
    is None where the machine has one. Energies are per access of `row_bytes`. `bandwidth_bytes_per_s` is the most that
    the hardware could ever move, for bounds; `sustained_bandwidth_bytes_per_s` what long streams are measured to reach,
    `sustained_write_bandwidth_bytes_per_s` those that only write, where that is another number, and
    `sustained_shared_bandwidth_bytes_per_s` what several instances get that read the same words, and
    `sustained_copy_bandwidth_bytes_per_s` what many get that each copy a part of their own. The bandwidth of a
    `cache` is that of the way to those who read it: what comes from the level outside takes none of it.
    """

    name: str
    title: str = ""
    scope: str | None = None
    cache: bool = False
    capacity_bytes: Number | None = None
    bandwidth_bytes_per_s: Number | None = None
    sustained_bandwidth_bytes_per_s: Number | None = None
    sustained_write_bandwidth_bytes_per_s: Number | None = None
    sustained_shared_bandwidth_bytes_per_s: Number | None = None
    sustained_copy_bandwidth_bytes_per_s: Number | None = None
    latency_s: Number = 0.0
    row_bytes: Number | None = None
    read_energy_j: Number | None = None
    write_energy_j: Number | None = None

    @property
    def clocked(self) -> bool:
        """Whether the level slows down with the units: what an instance owns does, what all share has its own clock."""
        return self.scope is not None

    @property
    def rate_bytes_per_s(self) -> Number | None:
        """The bandwidth to predict with: the sustained one where it is stated; None where none is."""
        if self.sustained_bandwidth_bytes_per_s is not None:
            return self.sustained_bandwidth_bytes_per_s
        return self.bandwidth_bytes_per_s

    @property
    def write_rate_bytes_per_s(self) -> Number | None:
        """The same for what is written."""
        if self.sustained_write_bandwidth_bytes_per_s is not None:
            return self.sustained_write_bandwidth_bytes_per_s
        return self.rate_bytes_per_s

    @property
    def shared_rate_bytes_per_s(self) -> Number | None:
        """The same for what several instances read alike."""
        if self.sustained_shared_bandwidth_bytes_per_s is not None:
            return self.sustained_shared_bandwidth_bytes_per_s
        return self.rate_bytes_per_s

    @property
    def apart(self) -> Number:
        """The part of the rates of reads and writes that is left to copies of parts that lie far from each other."""
        reads, writes, copies = (
            self.rate_bytes_per_s, self.write_rate_bytes_per_s, self.sustained_copy_bandwidth_bytes_per_s,
        )  # fmt: skip
        if reads is None or writes is None or copies is None:
            return 1
        return copies * (1 / reads + 1 / writes) / 2


@dataclass(frozen=True, eq=False)
class Registers:
    """The register file beside every lane of a unit: depth in words, and energy per access of one word."""

    depth: Number | None = None
    read_energy_j: Number | None = None
    write_energy_j: Number | None = None


@dataclass(frozen=True, eq=False)
class Unit:
    """A compute unit: an array of lanes that all do the same operation.

    `shape` is lanes by axis; `cost` is cycles per element and lane of an operation, or of operations fused
    into one (``sub+exp``); `energy_j` is joules per operation, by the same names; `drain_cycles` pass
    between the last operand and the last result. `operands` names the level that an operand is read from,
    `multicast` the axis over which one read serves all lanes, `also` the cycles an operation takes of other
    units besides, `blocks` the part of another unit's work that cannot run beside this one's. `shares` names
    a unit that is the same hardware under other instructions: while the one works, the other cannot. `clock_hz` is the
    highest clock of the machine while this unit works, where that is below the machine's, and `sustained_clock_hz` what
    it is on average over a second of such work, whatever power it takes.

    Ports are what units have in common, such as issue slots: one cycle a cycle of each copy. `holds` is the part of a
    unit's cycles in which it holds a port, before all who wait for it; `needs` are the cycles for which an operation of
    this unit needs the port to be free, per element and lane, as in `cost`, and as long as there where it is not named.
    """

    name: str
    title: str = ""
    scope: str | None = None
    shape: Mapping[str, Number] = field(default_factory=Fixed)
    cost: Mapping[str, Number] = field(default_factory=Fixed)
    energy_j: Mapping[str, Number] = field(default_factory=Fixed)
    drain_cycles: Number = 0
    registers: Registers | None = None
    operands: Mapping[str, str] = field(default_factory=Fixed)
    multicast: Mapping[str, str] = field(default_factory=Fixed)
    also: Mapping[str, Mapping[str, Number]] = field(default_factory=Fixed)
    blocks: Mapping[str, Number] = field(default_factory=Fixed)
    holds: Mapping[str, Number] = field(default_factory=Fixed)
    needs: Mapping[str, Mapping[str, Number]] = field(default_factory=Fixed)
    clock_hz: Number | None = None
    sustained_clock_hz: Number | None = None
    shares: str | None = None

    @property
    def lanes(self) -> Number:
        """Lanes of one copy of the unit."""
        return prod(self.shape.values())

    def cycles(self, ops: Iterable[str]) -> Number | None:
        """Cycles a lane spends on the operations of one element, None where it cannot do one of them.

        The longest fused cost that matches comes first: of ``sub, exp`` first ``sub+exp``, then ``sub`` and
        ``exp``.
        """
        return self._once("cost", self.cost, ops)

    def energy(self, ops: Iterable[str]) -> Number | None:
        """Joules of the operations of one element, by the rule of `cycles`; None where one is not stated."""
        return _fused(self.energy_j, tuple(ops))

    def needed(self, port: str, ops: Iterable[str]) -> Number:
        """Cycles for which the operations of one element need a port, by the rule of `cycles`: as long as they take,
        where `needs` does not say.
        """
        return self._once(port, {**self.cost, **self.needs[port]}, ops) if port in self.needs else 0

    @cached_property
    def _found(self) -> dict[tuple[str, tuple[str, ...]], Number | None]:
        return {}

    def _once(self, name: str, table: Mapping[str, Number], ops: Iterable[str]) -> Number | None:
        """The entry of operations, found once: a search asks for the same ones many times."""
        key = name, tuple(ops)
        if key not in self._found:
            self._found[key] = _fused(table, key[1])
        return self._found[key]


OPAQUE = "opaque"
"""An operation of unknown kind, one for each element an opaque operator touches: it costs what an addition does."""


def _fused(table: Mapping[str, Number], ops: tuple[str, ...]) -> Number | None:
    total: Number = 0
    ops = tuple("add" if op == OPAQUE else op for op in ops)
    while ops:
        length = next((n for n in range(len(ops), 0, -1) if "+".join(ops[:n]) in table), 0)
        if not length:
            return None
        total = total + table["+".join(ops[:length])]
        ops = ops[length:]
    return total


@dataclass(frozen=True, eq=False)
class Link:
    """A connection to other machines: bandwidth in one direction of one machine."""

    name: str
    title: str = ""
    bandwidth_bytes_per_s: Number | None = None
    latency_s: Number = 0.0


@dataclass(frozen=True, eq=False)
class SustainedLoad:
    """The load under which a machine holds its sustained clock: `unit` busy for the share `utilization` of all cycles.

    At another share u the clock is that one times (utilization / u) ** (1 / exponent), since power rises with both, and
    never above the machine's clock. Until a run has lasted `after_s` the same holds of `first_clock_hz`, where that is
    stated; otherwise nothing limits it there.
    """

    unit: str
    utilization: Number
    exponent: Number
    after_s: Number
    first_clock_hz: Number | None = None
    before: Number | None = None  # the part of a run in which it has not lasted `after_s`; None: each kernel is a run


@dataclass(frozen=True, eq=False)
class Occupancy:
    """What bounds how many blocks of threads (CTAs) a multiprocessor holds at once. None: not stated."""

    scope: str
    ctas: Number | None = None
    warps: Number | None = None
    warp_lanes: Number | None = None
    registers: Number | None = None  # 32-bit registers of one multiprocessor
    registers_per_thread: Number | None = None
    shared_bytes: Number | None = None
    shared_per_cta_bytes: Number | None = None
    shared_reserved_bytes: Number | None = None  # taken from every CTA's share by the system


@dataclass(frozen=True, eq=False)
class Machine:
    """A machine in SI units. Levels run from the outermost (dram) inwards, and so do instance axes.

    Machines are compared by identity: equal calls of `machine` give the same object, except with arrays.
    """

    name: str
    title: str
    source: str
    clock_hz: Number
    params: Mapping[str, Number]
    levels: tuple[Level, ...]
    units: Mapping[str, Unit]
    instances: Mapping[str, Number]
    links: Mapping[str, Link] = field(default_factory=Fixed)
    launch_latency_s: Number = 0.0
    graph_launch_latency_s: Number | None = None
    sustained_clock_hz: Number | None = None
    sustained_load: SustainedLoad | None = None
    occupancy: Occupancy | None = None
    sources: Mapping[str, Source] = field(default_factory=Fixed, repr=False)
    stated: Mapping[str, Number] = field(default_factory=Fixed, repr=False)
    lacks: tuple[str, ...] = field(default=(), repr=False)
    origin: tuple[str, tuple[tuple[str, Any], ...]] | None = field(default=None, repr=False)  # its file and overrides

    def level(self, name: str) -> Level:
        """The level of this name; LightboundError lists those there are."""
        for level in self.levels:
            if level.name == name:
                return level
        raise LightboundError(
            f"{self.name}.levels",
            name,
            "is not a level of this machine",
            choose_from((level.name for level in self.levels), name),
        )

    def unit(self, name: str) -> Unit:
        """The unit of this name; LightboundError lists those there are."""
        if name in self.units:
            return self.units[name]
        raise LightboundError(
            f"{self.name}.units", name, "is not a unit of this machine", choose_from(self.units, name)
        )

    def copies(self, scope: str | None) -> Number:
        """How many copies the whole machine has of what `scope` owns: the product of the axes down to it."""
        if scope is None:
            return 1
        total: Number = 1
        for axis, count in self.instances.items():
            total = total * count
            if axis == scope:
                return total
        raise LightboundError(
            f"{self.name}.instances",
            scope,
            "is not an instance axis of this machine",
            choose_from(self.instances, scope),
        )

    def peak_per_s(self, ops: str) -> Number:
        """Operations per second of the fastest unit for `ops` (``mac``, ``sub+exp``), all its copies busy."""
        rates = [
            unit.lanes * self.copies(unit.scope) * self.clock_of(unit) / cycles
            for unit in self.units.values()
            if (cycles := unit.cycles(ops.split("+"))) is not None
        ]
        if not rates:
            known = {op for unit in self.units.values() for op in unit.cost}
            raise LightboundError(
                f"{self.name}.units",
                ops,
                "is an operation that no unit of this machine does",
                choose_from(known, ops),
            )
        return maximum(*rates)

    def clock_of(self, unit: Unit) -> Number:
        """The highest clock while a unit works."""
        return self.clock_hz if unit.clock_hz is None else minimum(unit.clock_hz, self.clock_hz)

    @property
    def quantities(self) -> dict[str, Number]:
        """Names for the formulas of mappings: params, instance axes, `clock`, of every level and unit
        ``<level>_bytes``, ``<level>_latency`` (in cycles; 0 where none is stated) and ``<level>_rate`` (bytes a cycle
        of one copy, sustained; infinite where none is stated), ``<unit>_lanes`` and ``<unit>_<axis>``, and
        `max_blocks` and `max_warps` of an SM, and the `warp_lanes` of a warp, where its occupancy states them.

        A unit or level whose name begins with a digit gets a word before it (``unit_2d_lanes``,
        ``level_3_bytes``), since a formula could not hold it otherwise.
        """
        names: dict[str, Number] = {**self.params, **self.instances, "clock": self.clock_hz}
        for level in self.levels:
            if level.capacity_bytes is not None:
                names[f"{_word(level.name, 'level')}_bytes"] = level.capacity_bytes
            names[f"{_word(level.name, 'level')}_latency"] = level.latency_s * self.clock_hz
            rate = inf if level.rate_bytes_per_s is None else level.rate_bytes_per_s / self.clock_hz
            names[f"{_word(level.name, 'level')}_rate"] = rate
        for unit in self.units.values():
            stem = _word(unit.name, "unit")
            names[f"{stem}_lanes"] = unit.lanes
            names.update({f"{stem}_{axis}": count for axis, count in unit.shape.items() if axis != "lanes"})
        if self.occupancy is not None:
            most = self.occupancy.ctas if self.occupancy.ctas is not None else self.occupancy.warps
            bounds = {
                "max_blocks": most,
                "max_warps": self.occupancy.warps,
                "warp_lanes": self.occupancy.warp_lanes,
            }
            names.update({name: bound for name, bound in bounds.items() if bound is not None})
        return names

    def in_run_of(self, run_s: float | None) -> Machine:
        """The machine while it does one kind of work for so many seconds, such as one kernel after the other.

        In a run that is long enough for power to limit it (`SustainedLoad.after_s`) the clock follows the load from the
        first kernel on, however short each is; in a shorter one it is what it is before. None: every kernel is a run of
        its own.
        """
        load = self.sustained_load
        if run_s is None or load is None:
            return self
        return replace(self, sustained_load=replace(load, before=float(run_s <= load.after_s)))

    def fields(self) -> dict[str, Number]:
        """Every number the machine states, in SI units, by its path (``levels.dram.bandwidth``)."""
        return dict(self.stated)

    def to_dict(self) -> dict[str, Any]:
        """The machine as plain values for JSON: SI units, arrays as lists, with sources and what it lacks."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self) if item.name != "origin"}


def _word(name: str, before: str) -> str:
    return f"{before}_{name}" if name[0].isdigit() else name


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
