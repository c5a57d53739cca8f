"""What lightbound predicts for a kernel of the host: the same cascade, mapping and engine as for any machine.

Runs are repeated, so that tensors lie in the innermost cache that holds them all: the machine then begins there. Of
those that it holds in part, each part is predicted for itself (residence.py). What is predicted is the processor time
of the busiest thread; starting threads comes on top of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lightbound.archs.library import machine as find_machine
from lightbound.archs.machine import Level, Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import evaluate
from lightbound.kernels.host.catalogue import Declared
from lightbound.kernels.host.windows import TILES
from lightbound.sim.estimate import estimate
from lightbound.sim.mapping import Mapping
from lightbound.sim.masked import as_one_tile, as_problem
from lightbound.sim.simulate import compulsory, predict, resolve_mapping
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.counts import footprint, total_operations
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.method import Method
from lightbound.workloads.registry import Workload

from .cases import HostCase
from .copying import Copied
from .residence import homes


@dataclass(frozen=True)
class HostPrediction:
    """A predicted run. `operations` counts a multiply-add as two; `bound_s` is what operations alone would take, or
    compulsory traffic, less what caches may still hold of the run before; `bottleneck` the resource that most of the
    time waits for; `home` the level of the tensors.
    """

    latency_s: float
    bound_s: float
    operations: float
    bytes: float
    bottleneck: str
    home: str


def host_machine(threads: int, name: str = "host", share: float = 1.0, clock_hz: float | None = None) -> Machine:
    """The probed machine with so many cores, and a share of the front end of each; threads are taken to run already.

    clock_hz: another clock than that of the probe. Caches move bytes with it, memory does not: 24 probes of a Zen 5, at
    4.09 to 4.27 GHz, found 24.8 to 26.7 bytes a cycle in its third cache.
    """
    machine = find_machine(name, core=threads)
    if "last_cache" not in machine.params:
        raise LightboundError("machine", name, "was probed by an earlier version", "Run lightbound probe host.")
    if share != 1.0:
        machine = find_machine(name, core=threads, issue_width=share * float(machine.params["issue_width"]))
    machine = replace(machine, launch_latency_s=0.0)
    if clock_hz is None:
        return machine
    faster = clock_hz / float(machine.clock_hz)
    return replace(
        machine,
        clock_hz=clock_hz,
        levels=(machine.levels[0], *(_clocked(level, faster) for level in machine.levels[1:])),
    )


def _clocked(level: Level, faster: float) -> Level:
    rates = {name: getattr(level, name) for name in ("bandwidth_bytes_per_s", "sustained_bandwidth_bytes_per_s")}
    return replace(level, **{name: rate * faster for name, rate in rates.items() if rate is not None})


def _as_copied(machine: Machine, held_bytes: float, copied: Copied) -> list[tuple[float, Machine]]:
    """Where a walk through so many bytes goes, as copies through as many tell: as `homes` has it."""
    if copied.cache is None:
        _, most = max(homes(machine, held_bytes), key=lambda place: place[0])
        # A word that goes past caches takes less of memory than one of a copy through them, which sets the rate.
        words = (1 + float(machine.params["dram_past"])) / 2 if copied.past else 1.0
        return [(1.0, _copying(most, words * copied.here))]
    number = [level.name for level in machine.levels].index(copied.cache)
    inside, outside = (replace(machine, levels=machine.levels[at:]) for at in (number, number - 1))
    if not copied.inside:
        near, far = (float(seen.levels[0].rate_bytes_per_s or 0.0) for seen in (inside, outside))
        copied = replace(copied, inside=near, outside=far)
    places = (
        (copied.held, _copying(inside, max(copied.inside, copied.here))),
        (1 - copied.held, _copying(outside, min(copied.outside, copied.here))),
    )
    return [place for place in places if place[0] > 0]


def _copying(seen: Machine, copied_bytes_per_s: float) -> Machine:
    """The machine whose outermost level moves so much; a bound is not lowered by it."""
    outermost = seen.levels[0]
    most = max(float(outermost.bandwidth_bytes_per_s or 0.0), copied_bytes_per_s)
    level = replace(outermost, sustained_bandwidth_bytes_per_s=copied_bytes_per_s, bandwidth_bytes_per_s=most)
    return replace(seen, levels=(level, *seen.levels[1:]))


def issue_width(machine: Machine) -> float:
    """Instructions a cycle that a core of a probed machine issues for one thread that has it for itself."""
    return float(machine.params["issue_width"])


def held_bytes(case: HostCase) -> float:
    """Bytes of all tensors of a case that lie in memory."""
    return _held_bytes(_workload(case.declared, case.ranks, case.mask), case.declared)


def goes_past(case: HostCase, machine: Machine) -> bool:
    """Whether a case writes past all caches: words that go out are declared to take less than those of a copy."""
    names = {**machine.params, **case.ranks}
    widths = case.declared.mapping.get("widths", {}).values()
    return any(float(evaluate(width, names)) < case.declared.word_bytes for width in widths)


def predict_host(case: HostCase, machine: Machine, copied: Copied | None = None) -> HostPrediction:
    """The prediction of a case on a machine of `host_machine`.

    copied: how fast one core copies through as many bytes (copying.py), in place of what the probe found of the levels
    that hold them.
    """
    declared = case.declared
    work = _workload(declared, case.ranks, case.mask)
    held = _held_bytes(work, declared)
    places = homes(machine, held) if copied is None else _as_copied(machine, held, copied)
    parts = [(part, _predicted(declared, work, seen)) for part, seen in places]
    _, most_of_it = max(parts, key=lambda one: one[0])
    latency = sum(part * one.latency_s for part, one in parts)
    return replace(most_of_it, latency_s=latency, bound_s=max(one.bound_s for _, one in parts))


def _predicted(declared: Declared, work: Workload, seen: Machine) -> HostPrediction:
    """The prediction for tensors that lie in the outermost level of a machine."""
    work, mapping = resolve_mapping(work, seen, Mapping.from_data({"name": declared.name, **declared.mapping}))
    mapping = _inside(mapping, seen)
    if work.mask is None:
        found = predict(work, seen, mapping)
        latency, bottleneck = float(found.latency_s), str(found.bottleneck)
        pairs = 1.0
    else:
        q_tile, kv_tile = TILES[len(work.mask.grid)]
        count = work.mask.count(q_tile, kv_tile)
        problem = as_problem(work, None, None, None)
        made = estimate(problem, seen, count, mapping)
        latency, bottleneck = made.kernel_s, made.limit if made.limit != "schedule" else "vector"
        pairs = count.attended_pairs / (work.mask.queries * work.mask.keys)
    cascade = as_one_tile(work.cascade)
    macs = _operations(cascade, "mac") * pairs
    exps = _operations(cascade, "exp") * pairs
    vector = seen.unit("vector")
    cores = seen.copies("core")
    arithmetic = (macs * float(vector.cost["mac"]) + exps * float(vector.cost["exp"])) / (vector.lanes * cores)
    moved = float(compulsory(cascade, work.word_bytes))
    outermost = seen.levels[0]
    fastest = max(float(rate) for rate in (outermost.bandwidth_bytes_per_s, outermost.rate_bytes_per_s) if rate)
    memory = max(moved - _room_inside(seen), 0.0) / fastest
    bound = max(arithmetic / seen.clock_hz, memory)
    return HostPrediction(latency, bound, 2 * macs, moved, bottleneck, outermost.name)


def _room_inside(seen: Machine) -> float:
    """Bytes that caches within the outermost level hold, of all cores: so many of a walk may have stayed there."""
    caches = [level for level in seen.levels[1:] if level.bandwidth_bytes_per_s is not None]
    return sum(
        float(level.capacity_bytes or 0.0) * (1 if level.scope is None else seen.copies("core")) for level in caches
    )


def predict_shared(
    case: HostCase,
    threads: int,
    share: float,
    name: str = "host",
    clock_hz: float | None = None,
    copied: Copied | None = None,
) -> HostPrediction:
    """The prediction where another thread of the core leaves us this share of the front end, on average.

    A core deals its slots in turn while both threads have something to issue, and leaves all to one that is alone: a
    share between a half and all is the part of the time in which the other was awake.
    """
    alone, halved = (predict_host(case, host_machine(threads, name, part, clock_hz), copied) for part in (1.0, 0.5))
    awake = min(max(2 * (1 - share), 0.0), 1.0)
    latency = 1 / ((1 - awake) / alone.latency_s + awake / halved.latency_s)
    return replace(halved if awake > 0.5 else alone, latency_s=latency)


def _workload(declared: Declared, sizes: dict[str, int], mask: Mask | None) -> Workload:
    cascade = Cascade.parse(declared.cascade, sizes, name=declared.name)
    method = Method(declared.name, declared.title, "", "csrc", {"host": declared.cascade})
    return Workload(method, "host", None, cascade, declared.word_bytes, mask=mask)


def _operations(cascade: Cascade, kind: str) -> float:
    return float(total_operations(cascade).get(kind, 0))


def _held_bytes(work: Workload, declared: Declared) -> float:
    """Bytes of all tensors that lie in memory."""
    cascade = as_one_tile(work.cascade)
    held = float(compulsory(cascade, work.word_bytes))
    return held + sum(float(footprint(cascade, tensor)) * work.word_bytes for tensor in declared.scratch)


def _inside(mapping: Mapping, machine: Machine) -> Mapping:
    """The mapping without holds in the levels where tensors lie anyway, and in those further out. Lines are awaited
    from where tensors lie.

    What exceeds a cache that is left is fetched on each use: a cache refuses nothing.
    """
    inner = {level.name for level in machine.levels[1:]}

    def kept(nodes: tuple) -> tuple:
        found = []
        for node in nodes:
            if hasattr(node, "level") and node.level not in inner:
                continue
            found.append(node.model_copy(update={"nest": kept(node.nest)}) if hasattr(node, "nest") else node)
        return tuple(found)

    home = machine.levels[0].name
    groups = tuple(
        group.model_copy(
            update={
                "nest": kept(group.nest),
                "awaits": {level: part for level, part in group.awaits.items() if level == home},
                "overbook": True,
            }
        )
        for group in mapping.groups
    )
    return mapping.model_copy(update={"groups": groups})
