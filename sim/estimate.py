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

from .clock import clock_hz
from .makespan import dealt_resident
from .mapping import For, Mapping
from .masked import Problem, masked_mapping
from .simulate import MappingLike, predict, resolve_mapping


@dataclass(frozen=True)
class Estimate:
    """A predicted kernel: times in seconds, cycles of one instance of the machine (an SM).

    A visit takes `visit_cycles`, or `tested_visit_cycles` where the kernel tests its scores, which it does in the share
    `tested` of them; a block takes `block_cycles` beside its visits. `limit` is what the time is that of: the schedule,
    or the bandwidth of a level. The launch itself is not in it. An instance works for `busiest_cycles` until the last
    one is done, and for `mean_cycles` on average.
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

    @property
    def tax(self) -> float:
        """How much longer a tested visit takes than one without tests."""
        return self.tested_visit_cycles / self.visit_cycles

    def to_dict(self) -> dict[str, Any]:
        """The fields and the tax, as plain data."""
        return {**asdict(self), "tax": self.tax}


@dataclass(frozen=True)
class _Visit:
    """One visit on one instance: its cycles, and those of each unit; and of a whole run, seconds of each level."""

    mapping: str
    cycles: float
    block_cycles: float
    resident: int
    busy: Dictionary[str, float]
    memory_s: Dictionary[str, float]


def estimate(problem: Problem, machine: Machine, count: TileCount, mapping: MappingLike = None) -> Estimate:
    """The predicted kernel of a problem under a tiling; by the first mapping of the workload that fits, or the given.

    Raises LightboundError where no mapping does: what the first one lacks on this machine.
    """
    failed: LightboundError | None = None
    for candidate in _candidates(problem, mapping):
        try:
            return _estimate(problem, machine, count, candidate)
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


def _estimate(problem: Problem, machine: Machine, count: TileCount, mapping: MappingLike) -> Estimate:
    work = replace(problem.work, mask=None)
    work, chosen = resolve_mapping(work, machine, mapping)
    partial = chosen.masked is not None and chosen.masked.tested == "partial"
    tested = count.visits - count.full_visits if partial else problem.mask.tested_visits(count)
    share = float(tested.sum()) / max(count.visits_total, 1)
    run = replace(problem, work=work)
    plain = _visit(run, machine, count, chosen, {})
    masked = _visit(run, machine, count, chosen, problem.mask.score_test) if share else plain
    blocks = count.visits * plain.cycles + tested * (masked.cycles - plain.cycles) + plain.block_cycles
    empty = np.full(count.launched_q_tiles - count.q_tiles, plain.block_cycles)
    workers = machine.copies(_dealt_over(chosen))
    tasks, copies = np.concatenate([blocks, empty]), problem.copies
    if chosen.masked is not None and chosen.masked.order == "longest":
        tasks, copies = np.repeat(np.sort(tasks)[::-1], copies), 1
    full = plain.cycles * plain.resident
    speeds = [full / (n * _fewer(run, machine, count, chosen, plain, n)) for n in range(1, plain.resident + 1)]
    cycles = dealt_resident(tasks, copies, workers, [speed / plain.resident for speed in speeds])
    visits = count.visits_total * problem.copies / workers
    busy = {unit: visits * (share * masked.busy[unit] + (1 - share) * plain.busy[unit]) for unit in plain.busy}
    clock = clock_hz(machine, busy, cycles)
    limits = {"schedule": cycles / clock, **_memory_s(problem, machine, masked if share else plain)}
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
    )


def _visit(problem: Problem, machine: Machine, count: TileCount, mapping: Mapping, test: dict[str, int]) -> _Visit:
    """One visit out of a simulation in which every block makes the mean number of visits, rounded."""
    work = problem.work
    query, key = (rank.upper() for rank in work.method.mask_ranks)
    q_tile, kv_tile = count.tiling.q_tile_size, count.tiling.kv_tile_size
    each = max(1, round(count.visits_mean))
    sizes = {query: q_tile * count.launched_q_tiles, key: kv_tile * each}
    kernel = masked_mapping(mapping, q_tile, kv_tile, test)
    prediction = predict(replace(work, cascade=work.cascade.with_sizes(**sizes)), machine, kernel)
    if len(prediction.groups) != 1:
        remedy = "Put all Einsums of a masked kernel in one group."
        raise LightboundError(f"mapping {mapping.name!r}: groups", len(prediction.groups), "are several", remedy)
    (group,) = prediction.groups
    schedule = group.schedule
    visits = schedule.tasks * each
    mine = schedule.busiest * each
    scale = count.visits_total * problem.copies / visits
    return _Visit(
        mapping=kernel.name,
        cycles=schedule.epochs * schedule.epoch_cycles / visits,
        block_cycles=schedule.overhead_cycles,
        resident=int(schedule.resident),
        busy={unit: cycles / mine for unit, cycles in schedule.busy.items()},
        memory_s={level: seconds * scale for level, seconds in group.memory_s.items()},
    )


def _fewer(problem: Problem, machine: Machine, count: TileCount, mapping: Mapping, visit: _Visit, tasks: int) -> float:
    """Cycles of a visit where an instance works on so many tasks at once, no more than it could."""
    if tasks == visit.resident:
        return visit.cycles
    (group,) = mapping.groups
    fewer = group.model_copy(
        update={"contexts": f"({group.contexts}) * {tasks} // {visit.resident}", "resident": tasks}
    )
    lone = _visit(problem, machine, count, mapping.model_copy(update={"groups": (fewer,)}), {})
    return lone.cycles + lone.block_cycles / max(1, round(count.visits_mean))


def _dealt_over(mapping: Mapping) -> str | None:
    """The instance axis over which a mapping deals its blocks."""
    axes = [node.over for group in mapping.groups for node in group.nest if isinstance(node, For) and node.over]
    return axes[-1] if axes else None


def _memory_s(problem: Problem, machine: Machine, visit: _Visit) -> dict[str, float]:
    """Seconds of each level: words of the visits, and at the outermost one at least every input and output once."""
    outermost = machine.levels[0]
    found = dict(visit.memory_s)
    if outermost.bandwidth_bytes_per_s is not None:
        once = problem.io_bytes / outermost.bandwidth_bytes_per_s
        found[outermost.name] = max(found.get(outermost.name, 0.0), once)
    return found
