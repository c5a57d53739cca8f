"""Every method on every machine: what it needs, how long it takes, what binds it, by both engines where sizes allow.

A method that cannot be simulated is an entry with its error, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from lightbound.archs.library import machine as find_machine
from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import evaluate
from lightbound.sim.event_prediction import by_events, systems
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import simulate
from lightbound.workloads.counts import compulsory_traffic
from lightbound.workloads.method import Method
from lightbound.workloads.passes import pass_of
from lightbound.workloads.registry import Workload, method, workload, workload_names

from .claims import kept_operations
from .processes import spread

MACHINES = ("fusemax", "tpu_v4i", "a100", "h200", "b200")
MOST_TASKS = 3_000_000
"""Of one prediction, that the event engine is asked to run: a fraction of a second."""
TESTING = "tiny"
"""The preset that exists for tests: nobody asks how fast it is."""


@dataclass(frozen=True)
class Entry:
    """One workload on one machine. Times in seconds, sizes in bytes; None where there is nothing to say.

    passes: most walks over one rank, and of which. events_s: by the event engine, or why not in `events_note`. dense_s:
    of the dense workload that the method is compared with. error: why there is no prediction.
    """

    method: str
    title: str
    variant: str
    preset: str
    machine: str
    einsums: int = 0
    macs: float = 0.0
    operations: float = 0.0
    passes: int = 0
    passed_rank: str = ""
    compulsory_bytes: float = 0.0
    latency_s: float | None = None
    bottleneck: str = ""
    traffic_bytes: float | None = None
    energy_j: float | None = None
    events_s: float | None = None
    events_note: str = ""
    dense_s: float | None = None
    error: str = ""

    @property
    def speedup(self) -> float | None:
        """Over the dense workload."""
        return self.dense_s / self.latency_s if self.dense_s and self.latency_s else None

    def to_dict(self) -> dict[str, Any]:
        """The entry as one flat row."""
        return {**asdict(self), "speedup": self.speedup}


COLUMNS = (*(one.name for one in fields(Entry)), "speedup")


def presets_of(one: Method) -> tuple[str | None, ...]:
    """The presets that are more than a test; the method's own sizes where it has none."""
    return tuple(name for name in one.presets if name != TESTING) or (None,)


def catalogue(
    machines: Sequence[str] = MACHINES,
    methods: Sequence[str] | None = None,
    every_preset: bool = True,
    events: bool = True,
    processes: int | None = None,
    advance: Callable[[int], None] = lambda steps: None,
    dense: bool = True,
) -> tuple[Entry, ...]:
    """Simulate methods (by default every one of `jobs_of`) in their first variant on machines, under default mappings.

    every_preset: all of a method's presets rather than its first. events: by the event engine too, where that takes no
    longer than a second. processes: how many work side by side; the caller's own for 1. advance: is told of each
    method that is done. dense: with the dense workloads that methods are compared with, a quarter of the work. Raises
    LightboundError for names that do not exist, before anything is simulated.
    """
    jobs = [(*job, tuple(machines), events, dense) for job in jobs_of(methods, every_preset)]
    for name in machines:
        find_machine(name)
    return tuple(entry for entries in spread(_entries, jobs, processes, advance) for entry in entries)


def jobs_of(methods: Sequence[str] | None, every_preset: bool) -> list[tuple[str, str | None]]:
    """The methods (by default those that are proven by a reference: layers and operators are not) with the presets that
    are asked for.
    """
    names = [name for name in workload_names() if method(name).reference] if methods is None else methods
    return [(name, preset) for name in names for preset in presets_of(method(name))[: None if every_preset else 1]]


def _entries(name: str, preset: str | None, machines: tuple[str, ...], events: bool, dense: bool) -> tuple[Entry, ...]:
    work = workload(name, preset)
    return tuple(_entry(work, find_machine(machine), events, dense) for machine in machines)


def _entry(work: Workload, machine: Machine, events: bool, beside: bool) -> Entry:
    bare = Entry(work.name, work.method.title, work.variant, work.preset or "", machine.name)
    try:
        found = simulate(work, machine)
    except LightboundError as error:
        return replace(bare, error=str(error))
    known = work.cascade.structure.symbols  # a kernel may be of another variant, with tiles of its own
    sizes = {name: int(size) for name, size in found.sizes.items() if name in known}
    work = replace(work, cascade=work.cascade.with_sizes(**sizes))
    kept = kept_operations(work)
    walks = {rank: one.count for rank, one in pass_of(work.cascade).items()}
    most = max(walks, key=lambda rank: walks[rank]) if walks else ""
    events_s, note = _by_events(found) if events else (None, "not asked for")
    dense = dense_of(work) if beside else None
    return replace(
        bare,
        einsums=len(work.cascade.einsums),
        macs=float(kept.get("mac", 0)),
        operations=float(sum(kept.values())),
        passes=walks.get(most, 0),
        passed_rank=most,
        compulsory_bytes=float(sum(compulsory_traffic(work.cascade, work.word_bytes).values())),
        latency_s=float(found.latency_s),
        bottleneck=str(found.bottleneck),
        traffic_bytes=float(next(iter(found.traffic_bytes.values()))),
        energy_j=None if found.energy_j is None else float(found.energy_j),
        events_s=events_s,
        events_note=note,
        dense_s=None if dense is None else float(simulate(dense, machine).latency_s),
    )


def dense_of(work: Workload) -> Workload | None:
    """The dense workload that a method stands beside, at the same preset and sizes; None where it names none."""
    run = work.method.dense
    if run is None:
        return None
    if run.method is None:
        assert run.variant is not None
        bare = workload(work.name, work.preset, run.variant, word_bytes=work.word_bytes)
        return bare.with_sizes(**{symbol: int(size) for symbol, size in run.sizes.items()})
    sizes = {symbol: int(evaluate(size, work.sizes)) for symbol, size in run.sizes.items()}
    return workload(run.method, run.preset, run.variant, word_bytes=work.word_bytes, **sizes)


def _by_events(found: Prediction) -> tuple[float | None, str]:
    try:
        tasks = sum(_tasks(found))
        if tasks > MOST_TASKS:
            return None, f"{tasks:,} tasks"
        return float(by_events(found).latency_s), ""
    except LightboundError as error:
        return None, str(error)


def _tasks(found: Prediction) -> Iterator[int]:
    for system in systems(found):
        body = {program.name: len(program.body) for program in system.programs}
        yield sum(body[worker.program] * sum(worker.trips) for worker in system.workers)
