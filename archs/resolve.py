"""From a checked file to a Machine: evaluates formulas and tables, and notes where each number comes from.

A formula may use the machine's params and instances, `clock`, and, inside a level, registers or a unit, that block's
fields written before it in the schema (a unit's axes by their names). Its result is in SI units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, evaluate, is_array

from .lacks import lacks
from .machine import Fixed, Level, Link, Machine, Occupancy, Registers, Source, Unit
from .schema import Block, ByCapacity, MachineFile, Stated, UnitBlock
from .units import as_count


class _Resolver:
    """Evaluates the numbers of one file in turn; keeps what each came to, and its source, by path."""

    def __init__(self, where: str, file: MachineFile) -> None:
        self.where = where
        self.default = Source(file.source, file.kind) if file.source else None
        self.env: dict[str, Number] = {}
        self.stated: dict[str, Number] = {}
        self.sources: dict[str, Source] = {}

    def number(self, path: str, stated: Stated, env: Mapping[str, Number], *blocks: Block) -> Number:
        """The value at a path, in SI units. `blocks` enclose it, the nearest first: their source covers it."""
        try:
            value = self._value(stated.value, env)
        except LightboundError as error:
            raise LightboundError(
                f"{self.where}: {path}", stated.value, error.problem, error.remedy
            ) from error
        fault = stated.dimension.fault(value)
        if fault:
            shown = f"comes to {value}, which {fault}" if isinstance(stated.value, str) else fault
            raise LightboundError(
                f"{self.where}: {path}",
                stated.value,
                shown,
                f"Change it so that it comes to {stated.dimension.name} as in {stated.dimension.example}.",
            )
        if stated.dimension.whole and not is_array(value):
            value = as_count(value)
        source = next(
            (Source(item.source, item.kind) for item in (stated, *blocks) if item.source), self.default
        )
        if source is None:
            raise LightboundError(
                f"{self.where}: {path}",
                stated.value if isinstance(stated.value, str) else value,
                "has no source",
                "Write {value: ..., source: ...}, or a source: in a block around it, also where it is assumed.",
            )
        self.stated[path], self.sources[path] = value, source
        return value

    def _value(self, value: Number | str | ByCapacity, env: Mapping[str, Number]) -> Number:
        if not isinstance(value, ByCapacity):
            return evaluate(value, env)
        if "capacity" not in env:
            raise LightboundError(
                "", "", "is given by capacity, but the level has no capacity", "Add a capacity."
            )
        found = power_law(env["capacity"], value.points)
        return found if value.times is None else found * evaluate(value.times, env)

    def block(
        self, path: str, block: Block, env: dict[str, Number], names: tuple[str, ...]
    ) -> dict[str, Number]:
        """The numbers of a block in this order; each is known to the formulas after it. Those not stated are left out."""
        found: dict[str, Number] = {}
        for name in names:
            stated = getattr(block, name)
            if stated is not None:
                found[name] = self.number(f"{path}.{name}", stated, {**env, **found}, block)
        return found

    def table(
        self, path: str, table: Mapping[str, Stated], env: Mapping[str, Number], *blocks: Block
    ) -> Fixed:
        return Fixed({key: self.number(f"{path}.{key}", value, env, *blocks) for key, value in table.items()})


def power_law(x: Number, points: tuple[tuple[float, float], ...]) -> Number:
    """Through the points, straight lines in logarithms, the outer ones prolonged; exact at every point."""
    if len(points) == 1:
        return points[0][1] + 0.0 * x
    base = np.searchsorted([known for known, _ in points], x, side="right") - 1
    base = np.clip(base, 0, len(points) - 1)
    slopes = [
        math.log(high_y / low_y) / math.log(high_x / low_x)
        for (low_x, low_y), (high_x, high_y) in zip(points[:-1], points[1:], strict=True)
    ]
    slopes.append(slopes[-1])
    at, value, slope = (
        np.asarray(column)[base] for column in ([p[0] for p in points], [p[1] for p in points], slopes)
    )
    result = value * (x / at) ** slope
    return result if is_array(x) else float(result)


def resolve(file: MachineFile, where: str) -> Machine:
    """The Machine that a checked file describes; a LightboundError names the field that comes to nonsense."""
    r = _Resolver(where, file)
    for section in (file.params, file.instances):
        name = "params" if section is file.params else "instances"
        for key, stated in section.items():
            r.env[key] = r.number(f"{name}.{key}", stated, r.env)
    clock = r.env["clock"] = r.number("clock", file.clock, r.env)
    levels = tuple(_level(r, name, file) for name in file.levels)
    units = Fixed({name: _unit(r, name, block) for name, block in file.units.items()})
    links = Fixed(
        {
            name: Link(
                name,
                block.title,
                bandwidth_bytes_per_s=found.get("bandwidth"),
                latency_s=found.get("latency", 0.0),
            )
            for name, block in file.links.items()
            for found in [r.block(f"links.{name}", block, r.env, ("bandwidth", "latency"))]
        }
    )
    launch = r.number("launch_latency", file.launch_latency, r.env) if file.launch_latency else 0.0
    sustained = r.number("sustained_clock", file.sustained_clock, r.env) if file.sustained_clock else None
    occupancy = _occupancy(r, file)
    return Machine(
        name=file.name,
        title=file.title,
        source=file.source or "",
        clock_hz=clock,
        params=Fixed({name: r.env[name] for name in file.params}),
        instances=Fixed({name: r.env[name] for name in file.instances}),
        levels=levels,
        units=units,
        links=links,
        launch_latency_s=launch,
        sustained_clock_hz=sustained,
        occupancy=occupancy,
        sources=Fixed(r.sources),
        stated=Fixed(r.stated),
        lacks=(*file.lacks, *lacks(levels, units, file)),
    )


def _level(r: _Resolver, name: str, file: MachineFile) -> Level:
    block = file.levels[name]
    found = r.block(
        f"levels.{name}",
        block,
        r.env,
        ("capacity", "row", "bandwidth", "latency", "read_energy", "write_energy"),
    )
    return Level(
        name,
        block.title,
        block.scope,
        capacity_bytes=found.get("capacity"),
        bandwidth_bytes_per_s=found.get("bandwidth"),
        latency_s=found.get("latency", 0.0),
        row_bytes=found.get("row"),
        read_energy_j=found.get("read_energy"),
        write_energy_j=found.get("write_energy"),
    )


def _unit(r: _Resolver, name: str, block: UnitBlock) -> Unit:
    path = f"units.{name}"
    shape = r.table(f"{path}.shape", block.shape, r.env, block)
    env = {**r.env, **shape}
    registers = None
    if block.registers is not None:
        inner = (
            block.registers
            if block.registers.source
            else block.registers.model_copy(update={"source": block.source})
        )
        found = r.block(f"{path}.registers", inner, env, ("depth", "write_energy", "read_energy"))
        registers = Registers(found.get("depth"), found.get("read_energy"), found.get("write_energy"))
    return Unit(
        name,
        block.title,
        block.scope,
        shape=shape,
        cost=r.table(f"{path}.cost", block.cost, env, block),
        energy_j=r.table(f"{path}.energy", block.energy, env, block),
        drain_cycles=r.number(f"{path}.drain", block.drain, env, block) if block.drain else 0,
        registers=registers,
        operands=Fixed(block.operands),
        multicast=Fixed(block.multicast),
        also=Fixed(
            {ops: r.table(f"{path}.also.{ops}", table, env, block) for ops, table in block.also.items()}
        ),
    )


def _occupancy(r: _Resolver, file: MachineFile) -> Occupancy | None:
    block = file.occupancy
    if block is None:
        return None
    names = (
        "ctas",
        "warps",
        "warp_lanes",
        "registers",
        "registers_per_thread",
        "shared",
        "shared_per_cta",
        "shared_reserved",
    )
    found = r.block("occupancy", block, r.env, names)
    return Occupancy(
        block.scope,
        **{name.replace("shared", "shared_bytes"): value for name, value in found.items()},
    )
