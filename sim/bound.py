"""How much faster than dense attention a masked kernel can be, rung by rung, before there is a kernel.

`bound` counts (operations, tiles), then holds the counts against a machine (roofline, schedule). Each rung is a speedup
over the same kernel run dense. What a kernel will really reach is estimate.py's; it stands beside the ladder and is no
bound.
"""

from __future__ import annotations

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.workloads.masks.dense import Dense
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.masks.separable import Separable
from lightbound.workloads.masks.shape import ShapeLike
from lightbound.workloads.masks.tile_count import TileCount
from lightbound.workloads.registry import Workload

from .estimate import Estimate, estimate
from .explain import seconds
from .ladder import Ladder, Rung, chained
from .makespan import shortest
from .masked import Problem, as_problem
from .outside import COPY_SHARE, permutation
from .simulate import MappingLike, as_machine
from .tile_choice import choose_tiles

PAIR_OPERATIONS = ("mac", "exp")  # what a roofline looks at, besides memory
NOTICEABLE = 5e-4  # losses below are not told


def bound(
    workload: Workload | Mask | str,
    machine: Machine | str | None = None,
    q_tile: ShapeLike | None = None,
    kv_tile: ShapeLike | None = None,
    kv_tiling: str | None = None,
    *,
    backend: str | None = None,
    mapping: MappingLike = None,
    heads: int | None = None,
    head_dim: int | None = None,
    batch: int | None = None,
    copy_share: float = COPY_SHARE,
) -> Ladder:
    """The ladder of speedup bounds of a workload with a mask, or of a mask alone.

    machine: roofline, schedule and estimate need one.
    q_tile, kv_tile: tile shapes, one entry an axis (or one number to tile the flattened tokens); without them the best
        that a backend offers.
    kv_tiling: "static" or "dynamic"; as the backend has it if not given.
    backend: take the tiles of this one alone; or check that some backend ("any") offers the pair that is given.
    mapping: how the kernel of the estimate works.
    heads, head_dim, batch: of a mask that comes alone (1, 128, 1).
    copy_share: the part of the memory bandwidth that token permutation reaches.

    Raises LightboundError for tiles that do not fit the grid or that no backend has, and for an unknown name.
    """
    problem = as_problem(workload, heads, head_dim, batch)
    hardware = as_machine(machine) if machine is not None else None
    tiles = choose_tiles(problem, hardware, q_tile, kv_tile, kv_tiling, backend)
    return climb(problem, hardware, tiles.count, tiles.backends, mapping, copy_share)


def climb(
    problem: Problem,
    machine: Machine | None,
    count: TileCount,
    backends: tuple[str, ...],
    mapping: MappingLike = None,
    copy_share: float = COPY_SHARE,
) -> Ladder:
    """The ladder of a problem whose tiles are counted."""
    rungs = [_operations(count), _worst_tile(problem.mask, count), _total_visits(count)]
    dense_s: dict[str, float] = {}
    predicted: Estimate | None = None
    missing = "" if machine is not None else "No machine is given."
    if machine is not None:
        model = _Roofline(problem, machine, count)
        rungs += [model.roofline(), model.schedule()]
        dense_s = {"roofline": model.dense_roofline_s, "schedule": model.dense_schedule_s}
        try:
            predicted = estimate(problem, machine, count, mapping)
            dense_s["estimate"] = estimate(problem.dense(), machine, _dense_count(count), mapping).kernel_s
        except LightboundError as error:
            if mapping is not None:
                raise
            missing = str(error)
    return Ladder(
        workload=problem.name,
        mask=problem.mask,
        machine=machine.name if machine is not None else None,
        copies=problem.copies,
        count=count,
        rungs=chained(rungs),
        backends=backends,
        tested_visits=int(problem.mask.tested_visits(count).sum()),
        permutation=permutation(problem, count, machine, copy_share),
        dense_s=dense_s,
        estimate=predicted,
        no_estimate=missing,
        end_to_end=problem.work.end_to_end,
    )


def _dense_count(count: TileCount) -> TileCount:
    """Dense attention over the same tokens, in tiles of the same sizes over flattened tokens."""
    return Dense((count.queries,), (count.keys,)).count(count.tiling.q_tile_size, count.tiling.kv_tile_size)


def _operations(count: TileCount) -> Rung:
    pairs = count.queries * count.keys
    why = f"{count.attended_pairs:,} of {pairs:,} (query, key) pairs are attended, {count.density:.2%}."
    return Rung("operations", count.operations_speedup, why)


def _worst_tile(mask: Mask, count: TileCount) -> Rung:
    why = f"The Q tile with most visits {count.visits_max:,} KV tiles; dense attention visits {count.dense_kv_tiles:,}."
    if mask.is_causal:
        why += " Not informative: with a causal axis the last Q tiles see the whole window, and the others less."
    else:
        why += " The published bound: it holds where all Q tiles run at once; many in turn are bounded by the total."
    return Rung("worst tile", count.worst_tile_speedup, why, is_bound=False, informative=not mask.is_causal)


def _total_visits(count: TileCount) -> Rung:
    scores = count.visits_total * count.tiling.q_tile_size * count.tiling.kv_tile_size
    useful = count.attended_pairs / scores if scores else 1.0
    why = (
        f"All Q tiles together visit {count.visits_total:,} KV tiles; dense attention, tiled in one dimension, "
        f"{count.dense_visits:,}. {useful:.1%} of the scores in visited tiles are attended; others are masked or pad."
    )
    return Rung("total visits", count.total_visits_speedup, why)


class _Roofline:
    """Times of masked and dense visits on a machine with every unit at its peak and all units overlapping."""

    def __init__(self, problem: Problem, machine: Machine, count: TileCount) -> None:
        self.machine, self.count, self.copies = machine, count, problem.copies
        scores = count.tiling.q_tile_size * count.tiling.kv_tile_size
        self.units: dict[str, float] = {}  # seconds of one visit with the whole machine at work on it
        for op in PAIR_OPERATIONS:
            unit = fastest(machine, op)
            if unit is not None and op in problem.pair_operations:
                name, rate, _ = unit
                taken = scores * problem.pair_operations[op] / rate
                self.units[name] = max(self.units.get(name, 0.0), taken)
        self.workers = next((found[2] for op in PAIR_OPERATIONS if (found := fastest(machine, op))), 1)
        bandwidth = machine.levels[0].bandwidth_bytes_per_s
        self.memory_s = problem.io_bytes / bandwidth if bandwidth is not None else 0.0
        self.least_memory_s = self.memory_s * _read_share(problem.mask, count)
        self.visit_s = max(self.units.values(), default=0.0)
        dense = _dense_count(count)
        self.dense_roofline_s = max(dense.visits_total * self.copies * self.visit_s, self.memory_s)
        waves = shortest(dense.visits, self.copies, self.workers) * self.workers
        self.dense_schedule_s = max(waves * self.visit_s, self.memory_s)

    def roofline(self) -> Rung:
        visits = self.count.visits_total * self.copies
        limits = {name: visits * taken for name, taken in self.units.items()}
        limits[self.machine.levels[0].name] = self.least_memory_s
        ranked = sorted(limits.items(), key=lambda item: -item[1])
        name, time = ranked[0]
        others = ", ".join(f"{other} {seconds(value)}" for other, value in ranked[1:])
        why = f"On {self.machine.name} {name} is busy for {seconds(time)} at its peak" + (
            f"; {others}." if others else "."
        )
        return Rung("roofline", _ratio(self.dense_roofline_s, time), why, time_s=time)

    def schedule(self) -> Rung:
        least = shortest(self.count.visits, self.copies, self.workers)
        whole = self.count.visits_total * self.copies  # a schedule is no shorter than that, whatever rounding says
        time = max(max(least * self.workers, whole) * self.visit_s, self.least_memory_s)
        tiles = self.count.q_tiles
        mean = whole / self.workers
        why = (
            f"{tiles * self.copies:,} Q tiles ({tiles:,} in each of {self.copies:,}) on {self.workers:,} workers: in "
            f"no order does the last one end before {least:,.0f} visits; the mean is {mean:,.1f}."
        )
        dense = self.dense_schedule_s / self.dense_roofline_s - 1
        if dense > NOTICEABLE:
            why += f" Dense attention itself loses {dense:.1%} to waves: against it all rungs are higher by as much."
        return Rung("schedule", _ratio(self.dense_roofline_s, time), why, time_s=time)


def fastest(machine: Machine, op: str) -> tuple[str, float, int] | None:
    """The unit that does an operation fastest: its name, operations a second of all copies, and how many copies."""
    found = [
        (unit.lanes * machine.copies(unit.scope) * machine.clock_of(unit) / cycles, name, machine.copies(unit.scope))
        for name, unit in machine.units.items()
        if (cycles := unit.cycles((op,))) is not None
    ]
    if not found:
        return None
    rate, name, copies = max(found)
    return name, rate, copies


def _read_share(mask: Mask, count: TileCount) -> float:
    """The least share of all inputs and outputs that a kernel moves: keys that nobody attends need not be read."""
    if isinstance(mask, Separable) or count.kv_tiling != "static" or not count.visits_total:
        return 1.0
    visited = np.unique(mask.visits(count.q_tile, count.kv_tile).kv_tile).size
    keys = min(visited * count.tiling.kv_tile_size, count.keys)
    return (count.queries + keys) / (count.queries + count.keys)


def _ratio(dense: float, sparse: float) -> float:
    return dense / sparse if sparse else float("inf")
