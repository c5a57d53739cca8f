"""A machine in blocks: levels, units, peak rates, params, where its numbers are from, and what it does not state."""

from __future__ import annotations

from typing import Any

from lightbound.archs.machine import Level, Machine, Unit
from lightbound.sim.explain import joules, seconds, size

from .answer import Block, Table, Text


def describe(machine: Machine) -> tuple[list[Block], dict[str, Any]]:
    """The blocks to read and the data of a machine."""
    blocks = [_head(machine), _levels(machine), _units(machine), _peaks(machine)]
    if machine.links:
        blocks.append(_links(machine))
    blocks.append(_sources(machine))
    if machine.lacks:
        blocks.append(Text("\n".join(machine.lacks), title="What it does not state"))
    return blocks, machine.to_dict()


def _head(machine: Machine) -> Block:
    lines = [machine.title, f"Source: {machine.source}", f"Clock: {_rate(machine.clock_hz, 'Hz')}"]
    if machine.sustained_clock_hz is not None:
        lines[-1] += f", sustained {_rate(machine.sustained_clock_hz, 'Hz')}"
    if machine.params:
        lines.append(f"Params: {', '.join(f'{name} = {value}' for name, value in machine.params.items())}")
    if machine.instances:
        lines.append(f"Instances: {', '.join(f'{count} {axis}' for axis, count in machine.instances.items())}")
    if machine.launch_latency_s:
        lines.append(f"Launch latency: {seconds(machine.launch_latency_s)}")
    return Text("\n".join(lines), title=f"Machine {machine.name}")


def _levels(machine: Machine) -> Block:
    rows = [
        (
            level.name,
            _copies(machine, level),
            size(level.capacity_bytes) if level.capacity_bytes is not None else "",
            _rate(level.bandwidth_bytes_per_s, "B/s") if level.bandwidth_bytes_per_s is not None else "",
            seconds(level.latency_s) if level.latency_s else "",
            size(level.row_bytes) if level.row_bytes is not None else "",
            joules(level.read_energy_j) if level.read_energy_j is not None else "",
            joules(level.write_energy_j) if level.write_energy_j is not None else "",
        )
        for level in machine.levels
    ]
    columns = ("level", "copies", "capacity", "bandwidth", "latency", "row", "read of a row", "write of a row")
    return Table(columns, rows, title="Storage levels, outermost first", right=frozenset(columns[2:]))


def _units(machine: Machine) -> Block:
    rows = [
        (
            unit.name,
            _copies(machine, unit),
            " x ".join(f"{count} {axis}" for axis, count in unit.shape.items()),
            ", ".join(f"{op} {cycles:g}" for op, cycles in unit.cost.items()),
            f"{unit.drain_cycles:g}" if unit.drain_cycles else "",
        )
        for unit in machine.units.values()
    ]
    columns = ("unit", "copies", "shape", "cycles of an operation", "drain cycles")
    return Table(columns, rows, title="Compute units", right=frozenset({"drain cycles"}))


def _peaks(machine: Machine) -> Block:
    """The fastest unit for each operation; operations of one rate share a row."""
    groups: dict[tuple[str, str], list[str]] = {}
    for op in dict.fromkeys(op for unit in machine.units.values() for op in unit.cost):
        fastest = max(machine.units.values(), key=lambda unit: _rate_of(machine, unit, op))
        rate = _rate(_rate_of(machine, fastest, op), "op/s")
        groups.setdefault((fastest.name, rate), []).append(op)
    rows = [(unit, rate, ", ".join(ops)) for (unit, rate), ops in groups.items()]
    return Table(("unit", "peak", "operations"), rows, title="Peak rates", right=frozenset({"peak"}))


def _rate_of(machine: Machine, unit: Unit, op: str) -> float:
    """Operations per second of all copies of a unit; 0 where it does not do the operation."""
    cycles = unit.cycles(op.split("+"))
    return 0.0 if cycles is None else unit.lanes * machine.copies(unit.scope) * machine.clock_hz / cycles


def _links(machine: Machine) -> Block:
    rows = [
        (
            link.name,
            _rate(link.bandwidth_bytes_per_s, "B/s") if link.bandwidth_bytes_per_s is not None else "",
            seconds(link.latency_s) if link.latency_s else "",
        )
        for link in machine.links.values()
    ]
    columns = ("link", "bandwidth", "latency")
    return Table(columns, rows, title="Links", right=frozenset(columns[1:]))


def _sources(machine: Machine) -> Block:
    """Each source with the fields that rest on it."""
    fields: dict[tuple[str, str], list[str]] = {}
    for field, source in machine.sources.items():
        fields.setdefault((source.text, source.kind or ""), []).append(field)
    rows = [(_short(names), kind, text) for (text, kind), names in fields.items()]
    return Table(("fields", "kind", "source"), rows, title="Where the numbers are from")


def _short(fields: list[str]) -> str:
    """Paths of fields with what they share said once: ``units.alu.cost: add, sub``."""
    below: dict[str, list[str]] = {}
    for field in fields:
        parent, _, last = field.rpartition(".")
        below.setdefault(parent, []).append(last)
    return "; ".join(f"{parent}: {', '.join(names)}" if parent else ", ".join(names) for parent, names in below.items())


def _copies(machine: Machine, owned: Level | Unit) -> str:
    return "" if owned.scope is None else f"{machine.copies(owned.scope)}, one for each {owned.scope}"


def _rate(value: float, unit: str) -> str:
    """A rate with a decimal prefix: ``940 MHz``, ``61.6 Top/s``."""
    scale, prefix = next((pair for pair in _PREFIXES if value >= pair[0]), (1.0, ""))
    return f"{value / scale:.4g} {prefix}{unit}"


_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
