"""What lightbound predicts for a kernel on a GPU: the mappings that its launches state, on a machine.

Nothing is chosen here by kernel or shape: a launch is plain data (`kernels.triton.kernel.Launch`), the machine is a
file of constants, and both go through the same engine as any workload.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain, repeat
from math import prod
from typing import Any

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.footprint import Resources
from lightbound.kernels.triton.kernel import Case, Launch, Tile, TritonKernel, Work
from lightbound.kernels.triton.table import points_of, recorded
from lightbound.kernels.triton.targets import TARGETS
from lightbound.kernels.triton.targets import capability as target_number
from lightbound.sim.bound import fastest
from lightbound.sim.mapping import Mapping as LoopMapping
from lightbound.sim.masked_prediction import predict_masked
from lightbound.sim.overrides import in_order, tiles, with_values
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import predict, resolve_mapping
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.masks.tile_count import TileCount
from lightbound.workloads.method import Method
from lightbound.workloads.registry import Workload, workload

from .kernel_times import KernelTime, kernel_times
from .masks import mask_of


@dataclass(frozen=True)
class GpuPrediction:
    """A predicted case: its kernels one after the other. Times in seconds.

    kernel_s: all kernels, without launches, of which there are `launches` that take `launch_s` together. bound_s: what
    the operations and bytes that no kernel avoids take at the machine's peaks, the longest of `bounds_s` (``mac``,
    ``exp``, a level). shares: of `latency_s`, by what it is spent on; they add up to one. waits: also of `latency_s`,
    by what binds. kernels: each by itself.
    """

    kernel_s: float
    launch_s: float
    launches: int
    bound_s: float
    bounds_s: Mapping[str, float] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    waits: Mapping[str, float] = field(default_factory=dict)
    kernels: tuple[KernelTime, ...] = ()

    @property
    def latency_s(self) -> float:
        """Kernels with their launches."""
        return self.kernel_s + self.launch_s

    @property
    def bottleneck(self) -> str:
        """What most of the time waits for."""
        return max(self.waits, key=lambda name: self.waits[name])

    @property
    def longest(self) -> KernelTime:
        """The kernel that takes most of the time."""
        return max(self.kernels, key=lambda one: one.kernel_s)

    @property
    def clock_hz(self) -> float:
        """The clock that is predicted, its mean over the time of the kernels."""
        return sum(one.kernel_s * one.clock_hz for one in self.kernels) / sum(one.kernel_s for one in self.kernels)

    def latency_at(self, clock_hz: float) -> float:
        """Seconds at another clock, of the same cycles and bytes."""
        return self.launch_s + sum(one.at(clock_hz) for one in self.kernels)

    @property
    def regime(self) -> str:
        """The resource that the bound consists of: what the case would be limited by if it were perfect."""
        return max(self.bounds_s, key=lambda name: self.bounds_s[name])


def predict_case(
    launches: Iterable[Launch],
    machine: Machine,
    work: Work | None = None,
    run_s: float | None = None,
    launch_s: float | None = None,
    code: Sequence[Mapping[str, int]] = (),
    cached: bool = False,
) -> GpuPrediction:
    """The prediction of launches that follow each other on a machine.

    work: the least that the case takes, for the bound; without it, what each launch reads, writes and computes.
    run_s: how long the machine does this and nothing else, kernels back to back in a graph; None: each kernel is a run
        of its own.
    launch_s: from the end of one kernel to the end of the next if that does nothing, where it is known better than from
        the machine.
    code: of each launch, params of its mapping that its code settles (`known_code`), where that is known.
    cached: whether all that such launches use again and again lies in the cache, so that nothing comes from memory.
    Raises LightboundError where a launch does not fit its workload or the machine.
    """
    seen = _in_conditions(_cached(machine) if cached else machine, run_s, launch_s)
    known = chain(code, repeat({}))
    found = [_launch(launch, seen, settled) for launch, settled in zip(launches, known, strict=False)]
    if not found:
        raise LightboundError("launches", None, "are none: no mapping is stated for this kernel", "State its launches.")
    each = float(seen.launch_latency_s)
    count = sum(len(one.groups) for one in found)
    total = sum(float(one.latency_s) for one in found)
    bounds = roofline(work, machine) if work is not None else _bounds(found, machine)
    return GpuPrediction(
        kernel_s=total - count * each,
        launch_s=count * each,
        launches=count,
        bound_s=max(bounds.values(), default=0.0),
        bounds_s=bounds,
        shares=_sum([one.account_s for one in found], total),
        waits=_sum([one.decomposition_s for one in found], total),
        kernels=tuple(kernel for one in found for kernel in kernel_times(one)),
    )


def predict_kernel(
    case: Case, machine: Machine, tile: Tile | None = None, run_s: float | None = None, launch_s: float | None = None
) -> GpuPrediction:
    """The prediction of a case of a kernel of the catalogue: at a tile, the kernel's default one if none is given."""
    kernel = find_kernel(case.kernel)
    capability = int(machine.params.get("compute_capability", 0))
    chosen = tile or kernel.tile(case, capability)
    launches = kernel.launches(case, chosen, capability)
    code = known_code(kernel, case, chosen, capability, len(launches))
    return predict_case(launches, machine, kernel.work(case), run_s, launch_s, code)


def known_code(
    kernel: TritonKernel, case: Case, tile: Tile, capability: int, launches: int
) -> tuple[Mapping[str, int], ...]:
    """What the code of each launch of a case says, as it was compiled, by the params of mappings that it settles:
    REGISTERS of a thread; cycles that a block takes alone for its START, for a TURN of its main loop or one of each
    innermost loop (TURNS), and for its END. Nothing where none is on record.
    """
    target = next((name for name in TARGETS if target_number(name) == capability), None)
    if target is None:
        return ()
    compiled = [recorded(point) for point in points_of(kernel, case, tile, target)]
    return tuple(_settled(one) if one is not None else {} for one in compiled[:launches])


def _settled(code: Resources) -> dict[str, int]:
    turn = code.main_loop.turn_cycles if code.main_loop is not None else None
    turns = [loop.turn_cycles or 0 for loop in code.loops if loop.innermost]
    known = {
        "REGISTERS": code.registers,
        "TURN": turn,
        "TURNS": sum(turns) or None,
        "START": code.start_cycles,
        "END": code.end_cycles,
    }
    return {name: value for name, value in known.items() if value is not None}


def roofline(work: Work, machine: Machine) -> dict[str, float]:
    """Seconds of a case's multiply-accumulates and exponentials at the machine's peak, and of its bytes at that of the
    outermost level.
    """
    found: dict[str, float] = {}
    for op, count in (("mac", work.macs), ("exp", work.exps)):
        unit = fastest(machine, op)
        if unit is not None and count:
            found[op] = count / unit[1]
    outermost = machine.levels[0]
    if outermost.bandwidth_bytes_per_s is not None:
        found[outermost.name] = work.bytes / float(outermost.bandwidth_bytes_per_s)
    return found


@lru_cache(maxsize=8)
def _cached(machine: Machine) -> Machine:
    """A machine whose memory is as near and as fast as its cache: what it takes where all is in there."""
    memory, cache = machine.levels[0], next((level for level in machine.levels if level.cache), None)
    if cache is None:
        return machine
    rates = {
        f"{kind}bandwidth_bytes_per_s": getattr(cache, f"{kind}bandwidth_bytes_per_s")
        for kind in ("", "sustained_", "sustained_write_")
    }
    near = replace(memory, latency_s=cache.latency_s, sustained_copy_bandwidth_bytes_per_s=None, **rates)
    return replace(machine, levels=(near, *machine.levels[1:]))


def _in_conditions(machine: Machine, run_s: float | None, launch_s: float | None) -> Machine:
    seen = machine.in_run_of(run_s)
    before = None if seen.sustained_load is None else seen.sustained_load.before
    if launch_s is None and run_s is not None:  # kernels back to back, replayed as a graph
        launch_s = machine.graph_launch_latency_s
    return _changed(machine, before, None if launch_s is None else _between(machine, launch_s))


def _between(machine: Machine, launch_s: float) -> float:
    """A launch without the start of a block: launches are timed by kernels that do nothing, which start one, and
    mappings count it in every block.
    """
    return max(0.0, launch_s - float(machine.params.get("block_gap", 0)) / float(machine.clock_hz))


@lru_cache(maxsize=64)
def _changed(machine: Machine, before: float | None, launch_s: float | None) -> Machine:
    """One object for equal conditions, since plans are kept by machine."""
    seen = machine
    if before is not None and machine.sustained_load is not None:
        seen = replace(machine, sustained_load=replace(machine.sustained_load, before=before))
    return seen if launch_s is None else replace(seen, launch_latency_s=launch_s)


def _launch(launch: Launch, machine: Machine, code: Mapping[str, int]) -> Prediction:
    work = _workload(launch)
    stated: Any = launch.mapping
    if not isinstance(stated, str):
        stated = LoopMapping.from_data({"name": work.name, **stated})
    work, mapping = resolve_mapping(work, machine, stated)
    known = {name: value for name, value in code.items() if name in mapping.params}
    mapping = in_order(with_values(mapping, {**launch.set, **known}), launch.order, launch.section)
    if mapping.masked is None:
        if launch.mask is not None:
            remedy = "Give the mapping `masked` (docs/mapping.md), or leave the mask out where every pair is computed."
            raise LightboundError("launch.mask", launch.mask.get("kind"), f"is not skipped by {mapping.name!r}", remedy)
        return predict(work, machine, mapping)
    query, key = (work.sizes[rank.upper()] for rank in work.method.mask_ranks)
    work = work.with_mask(mask_of(launch.mask, query, key))
    return predict_masked(work, machine, mapping, _count(launch, work, machine, mapping))


def _count(launch: Launch, work: Workload, machine: Machine, mapping: LoopMapping) -> TileCount:
    """The visits in the tiles of the mapping, or over a grid of tokens in those of the launch's mask."""
    assert work.mask is not None
    flat = tiles(mapping, work, machine)
    stated = launch.mask or {}
    shapes: list[Any] = [stated.get(name, size) for name, size in zip(("q_tile", "kv_tile"), flat, strict=True)]
    shapes = [tuple(shape) if isinstance(shape, list) else shape for shape in shapes]
    for name, shape, size in zip(("q_tile", "kv_tile"), shapes, flat, strict=True):
        if isinstance(shape, Sequence) and prod(shape) != size:
            problem = f"is not the tile of {size} tokens of mapping {mapping.name!r}"
            raise LightboundError(f"launch.mask.{name}", shape, problem, "Set both to the same size.")
    return work.mask.count(shapes[0], shapes[1])


def _workload(launch: Launch) -> Workload:
    if "=" not in launch.workload:
        sizes: dict[str, Any] = dict(launch.sizes)
        return workload(launch.workload, word_bytes=launch.word_bytes, **sizes)
    cascade = Cascade.parse(launch.workload, dict(launch.sizes), name="kernel")
    method = Method("kernel", "a kernel for a GPU", "", "its launch", {"launch": launch.workload})
    return Workload(method, "launch", None, cascade, launch.word_bytes)


def _bounds(found: Iterable[Prediction], machine: Machine) -> dict[str, float]:
    """Compulsory bytes of every launch: what is known without the operations of masked tiles."""
    outermost = machine.levels[0]
    moved = sum(float(one.compulsory_bytes) for one in found)
    if outermost.bandwidth_bytes_per_s is None:
        return {}
    return {outermost.name: moved / float(outermost.bandwidth_bytes_per_s)}


def _sum(parts: Iterable[Mapping[str, Any]], total: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in parts:
        for name, seconds in part.items():
            found[name] = found.get(name, 0.0) + float(seconds) / total
    return found
