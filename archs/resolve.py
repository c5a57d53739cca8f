"""From a checked file to a Machine: evaluates formulas and tables, and notes where each number comes from.

A formula may use the machine's params and instance axes, `clock`, after the levels ``<level>_bytes``, and
what its own block has before it: in a level, the fields that stand before it in LevelBlock; in a unit, the
axes of its shape; in registers, both. Its result is in SI units.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np

from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import Number, evaluate, is_array

from .composition import composed
from .lacks import lacks
from .machine import Fixed, Level, Link, Machine, Occupancy, Registers, Source, SustainedLoad, Unit
from .schema import Block, LevelBlock, MachineFile, UnitBlock
from .units import as_count
from .values import ByCapacity, Stated


def resolve(file: MachineFile, where: str) -> Machine:
    """The Machine that a checked file describes. LightboundError names a field that comes to nonsense."""
    r = _Resolver(where, file)
    for section, table in (("params", file.params), ("instances", file.instances)):
        for name, stated in table.items():
            r.env[name] = r.number(f"{section}.{name}", stated, r.env)
    r.env["clock"] = r.number("clock", file.clock, r.env)
    levels = tuple(_level(r, name, block) for name, block in file.levels.items())
    for level in levels:
        if level.capacity_bytes is not None:
            r.env[f"{level.name}_bytes"] = level.capacity_bytes
    units = Fixed({name: _unit(r, name, block) for name, block in file.units.items()})
    occupancy = None
    if file.occupancy is not None:
        r.known("occupancy.scope", file.occupancy.scope, file.instances, "an instance axis")
        occupancy = Occupancy(file.occupancy.scope, **r.block("occupancy", file.occupancy, r.env))
    load = None
    if file.sustained_load is not None:
        r.known("sustained_load.unit", file.sustained_load.unit, units, "a unit")
        load = SustainedLoad(file.sustained_load.unit, **r.block("sustained_load", file.sustained_load, r.env))
    return Machine(
        name=file.name,
        title=file.title,
        source=file.source or "",
        params=Fixed({name: r.env[name] for name in file.params}),
        instances=Fixed({name: r.env[name] for name in file.instances}),
        levels=levels,
        units=units,
        links=Fixed(
            {
                name: Link(name, block.title, **r.block(f"links.{name}", block, r.env))
                for name, block in file.links.items()
            }
        ),
        occupancy=occupancy,
        sustained_load=load,
        **r.block("", file, r.env),
        sources=Fixed(r.sources),
        stated=Fixed(r.stated),
        lacks=(*file.lacks, *lacks(file.name, levels, units, file.launch_latency is not None)),
    )


def _level(r: _Resolver, name: str, block: LevelBlock) -> Level:
    r.known(f"levels.{name}.scope", block.scope, r.file.instances, "an instance axis")
    level = Level(name, block.title, block.scope, block.cache, **r.block(f"levels.{name}", block, r.env))
    priced = level.read_energy_j is not None or level.write_energy_j is not None
    if priced and level.row_bytes is None:
        remedy = "Say how many bytes one access moves: row: 8 B."
        raise LightboundError(f"{r.where}: levels.{name}.row", None, "is missing: energies are those of a row", remedy)
    return level


def _unit(r: _Resolver, name: str, block: UnitBlock) -> Unit:
    path = f"units.{name}"
    r.known(f"{path}.scope", block.scope, r.file.instances, "an instance axis")
    for operand, level in block.operands.items():
        r.known(f"{path}.operands.{operand}", level, r.file.levels, "a level")
    for operand, axis in block.multicast.items():
        r.known(f"{path}.multicast.{operand}", axis, block.shape, "an axis of this unit")
    for ops, taken in block.also.items():
        for other in taken:
            r.known(f"{path}.also.{ops}", other, r.file.units, "a unit")
    for other in block.blocks:
        r.known(f"{path}.blocks", other, r.file.units, "a unit")
    shape = r.table(f"{path}.shape", block.shape, r.env, block)
    env = {**r.env, **shape}
    registers = None
    if block.registers is not None:
        registers = Registers(**r.block(f"{path}.registers", block.registers, env, block))
    cost, energy = (r.table(f"{path}.{name}", getattr(block, name), env, block) for name in ("cost", "energy"))
    also = {ops: r.table(f"{path}.also.{ops}", table, env, block) for ops, table in block.also.items()}
    needs = {port: r.table(f"{path}.needs.{port}", table, env, block) for port, table in block.needs.items()}
    if block.composes:
        cost, energy = (r.composed(f"{path}.{name}", table) for name, table in (("cost", cost), ("energy", energy)))
        needs = {port: r.composed(f"{path}.needs.{port}", table) for port, table in needs.items()}
    return Unit(
        name,
        block.title,
        block.scope,
        shape=shape,
        cost=cost,
        energy_j=energy,
        registers=registers,
        operands=Fixed(block.operands),
        multicast=Fixed(block.multicast),
        also=Fixed(also),
        blocks=r.table(f"{path}.blocks", block.blocks, env, block),
        holds=r.table(f"{path}.holds", block.holds, env, block),
        needs=Fixed(needs),
        shares=block.shares,
        **r.block(path, block, env),
    )


class _Resolver:
    """Evaluates the numbers of one file in turn; keeps what each came to, and its source, by path."""

    def __init__(self, where: str, file: MachineFile) -> None:
        self.where = where
        self.file = file
        self.env: dict[str, Number] = {}
        self.stated: dict[str, Number] = {}
        self.sources: dict[str, Source] = {}

    def known(self, path: str, name: str | None, names: Iterable[str], what: str) -> None:
        """Refuse a name that the file does not define."""
        if name is not None and name not in names:
            problem = f"is not {what} of this machine"
            raise LightboundError(f"{self.where}: {path}", name, problem, choose_from(names, name))

    def block(self, path: str, block: Block, env: Mapping[str, Number], *around: Block) -> dict[str, Number]:
        """The numbers that a block states itself, by name and unit (``capacity_bytes``); each is known to the
        formulas after it."""
        known = dict(env)
        found: dict[str, Number] = {}
        for name in type(block).model_fields:
            stated = getattr(block, name)
            if isinstance(stated, Stated):
                place = f"{path}.{name}" if path else name
                known[name] = found[name + stated.dimension.suffix] = self.number(place, stated, known, block, *around)
        return found

    def table(self, path: str, table: Mapping[str, Stated], env: Mapping[str, Number], *around: Block) -> Fixed:
        """The numbers of a table by their keys."""
        return Fixed({key: self.number(f"{path}.{key}", item, env, *around) for key, item in table.items()})

    def composed(self, path: str, table: Fixed) -> Fixed:
        """The table with the functions that follow from it."""
        made = dict(table)
        for name, value, source in composed(table):
            made[name] = self.stated[f"{path}.{name}"] = value
            self.sources[f"{path}.{name}"] = source
        return Fixed(made)

    def number(self, path: str, stated: Stated, env: Mapping[str, Number], *around: Block) -> Number:
        """The value at a path. The blocks `around` it, nearest first, lend it their source."""
        try:
            value = _value(stated.value, env)
        except LightboundError as error:
            given = stated.value if isinstance(stated.value, str) else None
            raise LightboundError(f"{self.where}: {path}", given, error.problem, error.remedy) from error
        wrong = stated.dimension.fault(value)
        if wrong:
            given, problem = (stated.value, f"comes to {value}, which {wrong}")
            raise LightboundError(f"{self.where}: {path}", given, problem, stated.dimension.advice)
        if stated.dimension.whole and not is_array(value):
            value = as_count(value)
        holder = next((item for item in (stated, *around, self.file) if item.source), None)
        if holder is None or not holder.source:
            remedy = "Write {value: ..., source: ...}, or a source in a block around it; say so if it is assumed."
            raise LightboundError(f"{self.where}: {path}", value, "has no source", remedy)
        self.stated[path] = value
        self.sources[path] = Source(holder.source, holder.kind)
        return value


def _value(value: Number | str | ByCapacity, env: Mapping[str, Number]) -> Number:
    if not isinstance(value, ByCapacity):
        return evaluate(value, env)
    if "capacity" not in env:
        remedy = "Give the level a capacity, or the energy as one number."
        raise LightboundError("", None, "is tabulated by capacity, but no capacity is stated", remedy)
    return power_law(env["capacity"], value.points) * evaluate(value.times, env)


def power_law(x: Number, points: tuple[tuple[float, float], ...]) -> Number:
    """Straight lines through the points in logarithms, the outer ones prolonged; exact at every point."""
    if len(points) == 1:
        return points[0][1]
    slopes = [math.log(high[1] / low[1]) / math.log(high[0] / low[0]) for low, high in pairwise(points)]
    table = np.array([(*point, slope) for point, slope in zip(points, [*slopes, slopes[-1]], strict=True)])
    nearest = np.clip(np.searchsorted(table[:, 0], x, side="right") - 1, 0, len(points) - 1)
    known, value, slope = table[nearest].T
    result = value * (x / known) ** slope
    return result if is_array(x) else float(result)
