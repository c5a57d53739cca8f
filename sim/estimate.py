"""How long a kernel that skips tiles of keys takes, from a machine's constants and a mapping: a prediction, no bound.

The engine gives the cycles of one visit (one tile of queries meets one tile of keys) and of a block beside its visits;
the mask gives the visits of every tile of queries, and in which of them the kernel tests each score. The blocks are
then dealt over the machine in launch order. No number here is fitted to a timing of such a kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Dictionary
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.workloads.masks.tile_count import TileCount
from lightbound.workloads.registry import Workload

from .blocks import Blocks, blocks_of, masked_group
from .clock import clock_hz
from .makespan import dealt_resident, in_sections
from .mapping import For, Mapping
from .masked import Problem, masked_mapping
from .prediction import Prediction
from .simulate import MappingLike, predict, resolve_mapping


@dataclass(frozen=True)
class Estimate:
    """A predicted kernel: times in seconds, cycles of one instance of the machine (an SM).

    A visit takes `visit_cycles`, or `tested_visit_cycles` where the kernel tests its scores, which it does in the share
    `tested` of them; a block takes `block_cycles` beside its visits. `limit` is what the time is that of: the schedule,
    or the bandwidth of a level. Launches are not in it: there are `launches`, of this kernel and of those that the
    mapping runs beside it, which take `beside_s` more. An instance works for `busiest_cycles` until the last one is
    done, and for `mean_cycles` on average.
    """

    mapping: str
    kernel_s: float
    limit: str
    visit_cycles: float
    tested_visit_cycles: float
    block_cycles: float
    tested: float
    clock_hz: float
    busiest_cycles: float
    mean_cycles: float
    beside_s: float = 0.0
    launches: int = 1

    def latency_s(self, machine: Machine) -> float:
        """All kernels of the mapping, with their launches."""
        return self.kernel_s + self.beside_s + self.launches * float(machine.launch_latency_s)

    @property
    def tax(self) -> float:
        """How much longer a tested visit takes than one without tests."""
        return self.tested_visit_cycles / self.visit_cycles

    def to_dict(self) -> dict[str, Any]:
        """The fields and the tax, as plain data."""
        return {**asdict(self), "tax": self.tax}


@dataclass(frozen=True)
class _Visit:
    """One visit on one instance: its cycles, and those of each unit; and of a whole run, seconds of each level.

    block_cycles: of a block, beside its visits: what it takes, or where others work meanwhile, what it adds.
    """

    mapping: str
    cycles: float
    block_cycles: float
    resident: int
    busy: Dictionary[str, float]
    memory_s: Dictionary[str, float]


def estimate(
    problem: Problem,
    machine: Machine,
    count: TileCount,
    mapping: MappingLike = None,
    untested: Prediction | None = None,
) -> Estimate:
    """The predicted kernel of a problem under a tiling; by the first mapping of the workload that fits, or the given.

    untested: the prediction of its blocks where all visit equally many tiles and test none, where it is known.
    Raises LightboundError where no mapping does: what the first one lacks on this machine.
    """
    failed: LightboundError | None = None
    for candidate in _candidates(problem, mapping):
        try:
            return _estimate(problem, machine, count, candidate, untested)
        except LightboundError as error:
            failed = failed or error
    if failed is None:
        remedy = "Name a mapping with `masked` (docs/mapping.md)."
        failed = LightboundError(f"mappings of {problem.work.name}", None, "say of no kernel how it masks", remedy)
    raise failed


def _candidates(problem: Problem, mapping: MappingLike) -> Iterator[MappingLike]:
    if mapping is not None:
        yield mapping
        return
    for name, made in problem.work.method.mappings.items():
        if not callable(made) and "masked" in made:
            yield name


def _estimate(
    problem: Problem, machine: Machine, count: TileCount, mapping: MappingLike, untested: Prediction | None
) -> Estimate:
    work = replace(problem.work, mask=None)
    work, chosen = resolve_mapping(work, machine, mapping)
    blocks = blocks_of(problem.mask, count, chosen, work.method.mask_ranks)
    run = _Run(work, machine, chosen, blocks)
    visits_total = float(blocks.visits.sum())
    share = float(blocks.tested.sum()) / max(visits_total, 1)
    plain = _visit(run, {}, untested)
    masked = _visit(run, problem.mask.score_test) if share else plain
    times = blocks.visits * plain.cycles + blocks.tested * (masked.cycles - plain.cycles) + plain.block_cycles
    tasks, copies = np.concatenate([times, np.full(blocks.empty, plain.block_cycles)]), problem.copies
    workers = machine.copies(_dealt_over(chosen))
    if chosen.masked is not None and chosen.masked.order == "longest":
        tasks, copies = in_sections(np.sort(tasks)[::-1], copies, chosen.masked.section), 1
    full = (plain.cycles + (plain.block_cycles / blocks.each if plain.resident > 1 else 0)) * plain.resident
    speeds = [full / (n * _fewer(run, plain, n)) for n in range(1, plain.resident + 1)]
    cycles = dealt_resident(tasks, copies, workers, [speed / plain.resident for speed in speeds])
    visits = visits_total * problem.copies / workers
    busy = {unit: visits * (share * masked.busy[unit] + (1 - share) * plain.busy[unit]) for unit in plain.busy}
    scale = visits_total / (blocks.launched * blocks.each)
    memory = {level: seconds * scale for level, seconds in (masked if share else plain).memory_s.items()}
    clock = clock_hz(machine, busy, max(cycles, *(float(seconds) * machine.clock_hz for seconds in memory.values())))
    limits = {"schedule": cycles / clock, **_memory_s(problem, machine, memory, alone=len(chosen.groups) == 1)}
    limit = max(limits, key=lambda name: limits[name])
    return Estimate(
        mapping=plain.mapping,
        kernel_s=limits[limit],
        limit=limit,
        visit_cycles=plain.cycles,
        tested_visit_cycles=masked.cycles,
        block_cycles=plain.block_cycles,
        tested=share,
        clock_hz=clock,
        busiest_cycles=cycles,
        mean_cycles=float(tasks.sum()) * copies / workers,
        beside_s=_beside_s(run),
        launches=len(chosen.groups),
    )


@dataclass(frozen=True, eq=False)
class _Run:
    """What is estimated: a workload without its mask, under a mapping, in blocks."""

    work: Workload
    machine: Machine
    mapping: Mapping
    blocks: Blocks

    @property
    def tiles(self) -> tuple[int, int]:
        """Queries and keys of a visit."""
        return self.blocks.tile


def _visit(run: _Run, test: dict[str, int], prediction: Prediction | None = None) -> _Visit:
    """One visit out of a simulation in which every block makes the mean number of visits, rounded."""
    kernel = masked_mapping(run.mapping, *run.tiles, test)
    if prediction is None:
        even = replace(run.work, cascade=run.work.cascade.with_sizes(**run.blocks.sizes))
        prediction = predict(even, run.machine, kernel)
    number = masked_group(kernel)
    group = prediction.groups[number]
    schedule = group.schedule
    visits = schedule.tasks * run.blocks.each
    mine = schedule.busiest * run.blocks.each
    cycles = schedule.epochs * schedule.full_epoch_cycles / visits
    block_cycles = schedule.overhead_cycles
    if schedule.resident > 1 and kernel.groups[number].overhead != 0:
        # Hidden behind other blocks it lengthens visits; but every block has it once, however many visits it makes.
        whole = cycles
        cycles = _visit(replace(run, mapping=_without_overhead(run.mapping)), test).cycles
        block_cycles = (whole - cycles) * run.blocks.each
    return _Visit(
        mapping=kernel.name,
        cycles=cycles,
        block_cycles=block_cycles,
        resident=int(schedule.resident),
        busy={unit: cycles / mine for unit, cycles in schedule.busy.items()},
        memory_s=group.memory_s,
    )


def _without_overhead(mapping: Mapping) -> Mapping:
    number = masked_group(mapping)
    bare = mapping.groups[number].model_copy(update={"overhead": 0})
    return mapping.model_copy(update={"groups": (*mapping.groups[:number], bare, *mapping.groups[number + 1 :])})


def _fewer(run: _Run, visit: _Visit, tasks: int) -> float:
    """Cycles of a visit where an instance works on so many tasks at once, no more than it could."""
    if tasks == visit.resident:
        return visit.cycles + (visit.block_cycles / run.blocks.each if visit.resident > 1 else 0)
    number = masked_group(run.mapping)
    group = run.mapping.groups[number]
    fewer = group.model_copy(
        update={"contexts": f"({group.contexts}) * {tasks} // {visit.resident}", "resident": tasks}
    )
    groups = (*run.mapping.groups[:number], fewer, *run.mapping.groups[number + 1 :])
    lone = _visit(replace(run, mapping=run.mapping.model_copy(update={"groups": groups})), {})
    return lone.cycles + lone.block_cycles / run.blocks.each


def _beside_s(run: _Run) -> float:
    """Seconds of the kernels that a mapping runs beside the one that skips tiles, without launches, at real sizes."""
    if len(run.mapping.groups) == 1:
        return 0.0
    results = predict(run.work, run.machine, masked_mapping(run.mapping, *run.tiles, {})).groups
    masked = masked_group(run.mapping)
    return sum(float(one.latency_s - one.launch_s) for number, one in enumerate(results) if number != masked)


def _dealt_over(mapping: Mapping) -> str | None:
    """The instance axis over which a mapping deals its blocks."""
    axes = [node.over for group in mapping.groups for node in group.nest if isinstance(node, For) and node.over]
    return axes[-1] if axes else None


def _memory_s(problem: Problem, machine: Machine, memory: Dictionary[str, float], alone: bool) -> dict[str, float]:
    """Seconds of each level: words of the visits, and where the kernel is alone, at the outermost level at least every
    input and output once.
    """
    outermost = machine.levels[0]
    found = dict(memory)
    if alone and outermost.bandwidth_bytes_per_s is not None:
        once = problem.io_bytes / outermost.bandwidth_bytes_per_s
        found[outermost.name] = max(found.get(outermost.name, 0.0), once)
    return found
