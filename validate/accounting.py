"""The FuseMax artifact's way to charge energy, as a re-pricing of what the engine counted.

The engine counts every action on every instance (sim/energy.py). Published energies rest on other conventions. Each
is a switch here and touches only the counts of a finished `Prediction`, never its latency or traffic, so that a
published energy can be scored without the engine repeating what its authors left out. The conventions were found by
comparing counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lightbound.archs.machine import Level
from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, evaluate, is_array
from lightbound.sim.analytical import GroupResult
from lightbound.sim.flow import Flow, Held
from lightbound.sim.nests import Nests
from lightbound.sim.plan import GroupPlan, Plan
from lightbound.sim.prediction import Prediction
from lightbound.sim.traffic import READ, WRITE


@dataclass(frozen=True)
class Accounting:
    """What is charged. The defaults are the artifact's conventions for its whole table. In brackets, the most that
    each moves the energy of a published point.

    one_register_file: charge the register files of one lane of each unit, not of all (-32 %).
    free: operations that are not charged, although they take their time (exponentials in +Cascade: -3.3 %).
    spill_free: charge accesses to a level as if everything held there were there; only the outermost level sees what
        was spilled (-0.1 %).
    drain_free: do not charge a level for reading a result when it leaves for the outermost level (-0.2 %).
    pass_through: charge the innermost level with one write and one read of each value that one pass hands to a later
        one, also where the mapping keeps it beside its unit (+0.01 %).
    staged: the unit whose registers hold, for one write and one read, results that go straight to another unit
        (+0.05 %).
    counter_bits: an intermediate's first reads after a write cost nothing, but they are counted as its words times
        the words of its tile, in a counter of so many bits. Where that wraps, reads are charged that never were
        (+7.6 %, from 64K tokens on).
    tiles: words of an intermediate's tile for that counter, as formulas of sizes, where they are not those held.
    """

    one_register_file: bool = True
    free: frozenset[str] = frozenset()
    spill_free: bool = True
    drain_free: bool = True
    pass_through: bool = True
    staged: str | None = None
    counter_bits: int | None = 64
    tiles: Mapping[str, str] = field(default_factory=dict)


def reprice(prediction: Prediction, accounting: Accounting) -> dict[str, Number]:
    """Joules by component (``2d.mac``, ``dram.read``, ``1d.staged``) under an accounting. Their sum is the energy.

    Raises LightboundError for the prediction of a sweep, whose counts are not exact, or one without a plan, and where
    the machine states no energy for an access.
    """
    if is_array(prediction.latency_s) or prediction.plan is None:
        remedy = "Price one point that simulate returned."
        raise LightboundError("prediction", prediction.mapping, "is a sweep or has no plan", remedy)
    parts: dict[str, Number] = {}
    for name, joules in _charges(prediction, prediction.plan, accounting):
        parts[name] = parts.get(name, 0.0) + joules
    return parts


def _charges(prediction: Prediction, plan: Plan, accounting: Accounting) -> Iterator[tuple[str, Number]]:
    """Components and joules, one action at a time."""
    machine, word_bytes = plan.machine, _word_bytes(prediction, plan)

    def charge(level: Level, action: str, words: Number) -> tuple[str, Number]:
        return f"{level.name}.{action}", words * word_bytes * _per_byte(level, action)

    for name, joules in prediction.energy_by_component.items():
        unit = machine.units.get(name.partition(".")[0])
        if unit is not None:
            one = accounting.one_register_file and name.endswith(".registers")
            yield name, joules / unit.lanes if one else joules
    for group, result in zip(plan.groups, prediction.groups, strict=True):
        yield from _not_charged(prediction, group, accounting.free)
        for number, action, words in _accesses(plan, group, result, accounting):
            yield charge(machine.levels[number], action, words)
        for flow in group.flows:
            if accounting.pass_through and _crosses_pass(flow):
                yield charge(machine.levels[-1], WRITE, _words(prediction, flow))
                yield charge(machine.levels[-1], READ, _words(prediction, flow))
            if accounting.staged is not None and _crosses_unit(flow):
                registers = machine.unit(accounting.staged).registers
                each = 0 if registers is None else (registers.read_energy_j or 0) + (registers.write_energy_j or 0)
                yield f"{accounting.staged}.staged", _words(prediction, flow) * each
            if accounting.counter_bits is not None and flow.home:
                words = result.words[flow.home, WRITE, flow.tensor]
                counted = words * _tile(prediction, plan, flow, accounting)
                yield charge(machine.levels[flow.home], READ, words * wrapped(counted, accounting.counter_bits))


def wrapped(count: int, bits: int) -> float:
    """The part of a count that a counter of so many bits loses."""
    return (count - count % 2**bits) / count


def _word_bytes(prediction: Prediction, plan: Plan) -> Number:
    """Bytes of a word, as traffic in bytes over the same in words tells."""
    words = sum(count for result in prediction.groups for (level, _, _), count in result.words.items() if level == 0)
    return prediction.traffic_bytes[plan.machine.levels[0].name] / words


def _per_byte(level: Level, action: str) -> Number:
    row = level.read_energy_j if action == READ else level.write_energy_j
    if row is None or level.row_bytes is None:
        remedy = f"Give {level.name} a row and an energy for each {action} of it."
        raise LightboundError(f"machine.levels.{level.name}.{action}_energy", None, "is not stated", remedy)
    return row / level.row_bytes


def _accesses(
    plan: Plan, group: GroupPlan, result: GroupResult, accounting: Accounting
) -> Iterator[tuple[int, str, Number]]:
    """Words by level and action, spilled and draining words as the accounting has them."""
    flows = {flow.tensor: flow for flow in group.flows}
    for (number, action, tensor), words in result.words.items():
        flow = flows[tensor]
        missing = result.spilled.get(plan.machine.levels[number].name) if accounting.spill_free else None
        if missing is not None and flow.writer is None and action == WRITE:
            # Of a held input the engine brings in (1 - s) x once + s x used, where the fraction s is not there.
            used = result.words[number, READ, tensor]
            words = (words - missing * used) / (1 - missing)
        if number and accounting.drain_free and flow.leaves and flow.home is None and action == READ:
            words = words - result.words[0, WRITE, tensor]
        yield number, action, words


def _not_charged(prediction: Prediction, group: GroupPlan, free: frozenset[str]) -> Iterator[tuple[str, Number]]:
    """What the engine charged for operations that are free, to be taken off."""
    for site in group.sites.values():
        for work in site.einsum.work:
            for op in free.intersection(work.ops):
                points: Number = work.ops.count(op)
                for rank in work.ranks:
                    points = points * prediction.sizes[rank.upper()]
                yield f"{site.unit.name}.{'+'.join(work.ops)}", -points * (site.unit.energy((op,)) or 0)


def _crosses_pass(flow: Flow) -> bool:
    writer = flow.writer
    if writer is None or flow.home is not None:
        return False
    return any(site.passes != writer.passes for site, _ in flow.readers)


def _crosses_unit(flow: Flow) -> bool:
    writer = flow.writer
    if writer is None or flow.home is not None:
        return False
    return any(site.unit.name != writer.unit.name for site, _ in flow.readers)


def _words(prediction: Prediction, flow: Flow) -> Number:
    """Words of the whole tensor that a flow writes."""
    assert flow.writer is not None
    total: Number = 1
    for rank in flow.writer.einsum.output.ranks:
        total = total * prediction.sizes[rank.upper()]
    return total


def _tile(prediction: Prediction, plan: Plan, flow: Flow, accounting: Accounting) -> int:
    """Words of an intermediate's tile at its home."""
    if flow.tensor in accounting.tiles:
        return int(evaluate(accounting.tiles[flow.tensor], prediction.sizes))
    assert flow.writer is not None
    held: Held = flow.writer.holds[flow.tensor][0]
    by_rank = {rank: prediction.sizes[rank.upper()] for rank in plan.cascade.ranks}
    sizes = {**prediction.sizes, **by_rank}
    names = {**plan.machine.quantities, **sizes, **prediction.params}
    nest = Nests(sizes, names).below(held.loops)
    return int(nest.footprint(flow.writer.einsum.output, len(held.loops), flow.running))
