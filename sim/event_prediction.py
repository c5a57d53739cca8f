"""A Prediction by the event engine: the groups of a mapping as systems of programs, run one after the other.

Traffic, energy and buffers are those of the analytical engine, which sizes the work; times are those of the runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import Number, is_array

from .accounts import IMBALANCE, LAUNCH, OVERHEAD, WAITING, settled, with_loads
from .analytical import GroupResult
from .awaiting import PATH
from .clock import clock_hz
from .event import MOST_TASKS, EventRun, run_system
from .explain import size
from .following import checked, followed, some_of, tasks_of
from .lowering import FILLS, JITTER, Fill, lower
from .nests import Nests
from .perfetto import LONGEST, write_trace
from .prediction import Prediction
from .program import System
from .sizing import environment


@dataclass(frozen=True, eq=False)
class GroupRun:
    """One group: the closed forms it was sized by, and its run, which starts at `begin_s` and goes at a clock."""

    result: GroupResult
    run: EventRun
    begin_s: float
    clock_hz: float

    @property
    def end_s(self) -> float:
        """When the next group is launched."""
        return self.begin_s + self.run.makespan / self.clock_hz


def systems(
    prediction: Prediction, fill: Fill = "counted", reuse: bool = True, tested: Prediction | None = None
) -> tuple[System, ...]:
    """The programs of every group of a prediction; `reuse` and `tested` as in lowering.lower."""
    plan = prediction.plan
    assert plan is not None
    ranks = {rank: prediction.sizes[rank.upper()] for rank in plan.cascade.ranks}
    sizes = {**prediction.sizes, **ranks}
    word_bytes = int(prediction.word_bytes)
    nests = Nests(sizes, environment(plan, sizes, word_bytes))
    more = tested.groups if tested is not None else (None,) * len(plan.groups)
    triples = zip(plan.groups, prediction.groups, more, strict=True)
    return tuple(lower(plan, group, result, nests, word_bytes, fill, reuse, each) for group, result, each in triples)


def by_events(
    prediction: Prediction,
    seed: int = 0,
    fill: str = "counted",
    trace: str | Path | None = None,
    masked: Callable[[Fill], tuple[System, ...]] | None = None,
    follow: str | int = "auto",
) -> Prediction:
    """What the event engine says of the same workload, machine and mapping; `masked` makes the systems of a mapping
    whose kernel skips tiles.

    fill: ``counted`` counts what pipelines take to fill, and waits for memory; ``amortised`` keeps to the conventions
    of the closed forms. trace: a file for the Perfetto UI. follow: so many of the like instances, with their part of
    the tasks and of what all share (following.py); ``all``; or ``auto``, which is all up to some million tasks.
    Raises LightboundError for sweeps, for unknown fills, and where there is more to simulate than time allows.
    """
    if fill not in FILLS:
        raise LightboundError("fill", fill, "is no convention", choose_from(FILLS, fill))
    if is_array(prediction.latency_s):
        raise LightboundError(
            "engine", "event", "runs one point at a time, and this is a sweep", "Simulate point by point."
        )
    made: list[GroupRun] = []
    end = 0.0
    kind: Fill = "amortised" if fill == "amortised" else "counted"
    lowered = systems(prediction, kind) if masked is None else masked(kind)
    assert prediction.plan is not None
    machine = prediction.plan.machine
    meant = checked(follow)
    for whole, result in zip(lowered, prediction.groups, strict=True):
        system = whole if _repeats(whole, fill) else some_of(whole, meant)
        _check_size(system, fill)
        left = LONGEST - sum(len(one.run.slices) for one in made) if trace is not None else 0
        run = run_system(system, seed, left, extrapolate=True)
        made.append(GroupRun(result, run, end + float(result.launch_s), _clock_hz(machine, run)))
        end = made[-1].end_s
    if trace is not None:
        runs = [(one.run, one.begin_s, 1 / one.clock_hz) for one in made]
        write_trace(trace, runs, machine.name, next(iter(machine.instances), "instance"))
    scale = float(prediction.latency_s) / end
    return replace(
        prediction,
        engine="event",
        latency_s=end,
        utilization={name: value * scale for name, value in prediction.utilization.items()},
        busy_s=_busy(machine, made),
        decomposition_s=_decomposed(made),
        counted_s=_account(made),
        followed=tuple(one for each in made if (one := followed(each.run.system)) is not None),
        assumptions=(*_assumed(made, seed, fill), *prediction.assumptions[1:]),
    )


def _clock_hz(machine: Machine, run: EventRun) -> float:
    """The clock that the run's own length and load allow, as the closed forms have it."""
    busy = {name: most for name, (most, _) in _work(run).items()}
    return float(clock_hz(machine, busy, run.makespan))


def _repeats(system: System, fill: str) -> bool:
    """One context repeats itself, and is leapt over, unless memory runs further and further ahead of it."""
    return fill == "counted" and sum(len(worker.trips) for worker in system.workers) == 1


def _check_size(system: System, fill: str) -> None:
    """Refuse what would take too long before it starts."""
    tasks = tasks_of(system)
    if tasks > MOST_TASKS and not _repeats(system, fill):
        raise LightboundError(
            "engine",
            "event",
            f"would simulate {tasks:,.0f} tasks, more than {MOST_TASKS:,}",
            "Use smaller sizes, follow fewer instances, or engine='analytical'.",
        )


def _work(run: EventRun) -> dict[str, tuple[float, float]]:
    """By resource: time it needs for what it did, on the busiest instance and on the mean of those that ran."""
    ran = run.instance_end > 0
    found: dict[str, tuple[float, float]] = {}
    for resource in run.system.resources:
        first = run.system.first_number[resource.name]
        count = 1 if resource.shared else run.system.instances
        work = run.served[first : first + count] / resource.rate
        mean = float(work[0]) if resource.shared else float(work[ran].mean()) if ran.any() else 0.0
        found[resource.name] = float(work.max()), mean
    return found


def _busy(machine: Machine, made: list[GroupRun]) -> dict[str, float]:
    """Seconds that every unit and level works, on its busiest instance."""
    bounded = [level.name for level in machine.levels if level.bandwidth_bytes_per_s is not None]
    busy = dict.fromkeys((*machine.units, *bounded), 0.0)
    for one in made:
        for name, (most, _) in _work(one.run).items():
            if name in busy:
                busy[name] += most / one.clock_hz
    return busy


def _decomposed(made: list[GroupRun]) -> dict[str, float]:
    """The latency by what it waits for: in each group its busiest resource, the start and end of tasks, all other
    waiting, the instances that end early, and the launch.
    """
    parts: dict[str, float] = {}
    for one in made:
        run, clock = one.run, one.clock_hz
        delays = {resource.name for resource in run.system.resources if resource.kind == "delay"}
        ends = run.instance_end[run.instance_end > 0]
        mean = float(ends.mean()) if ends.size else 0.0
        work = {name: mean_work for name, (_, mean_work) in _work(run).items() if name not in delays}
        binding = max(work, key=lambda name: work[name]) if work else "waiting"
        busy = min(work.get(binding, 0.0), mean)
        overhead = sum(task.demand for program in run.system.programs for task in program.prologue)
        overhead *= len(run.system.workers) / max(1, ends.size) / run.system.slots
        overhead = min(overhead, mean - busy)
        for name, cycles in (
            (binding.removesuffix(PATH), busy),
            ("overhead", overhead),
            ("waiting", mean - busy - overhead),
            ("imbalance", run.makespan - mean),
        ):
            parts[name] = parts.get(name, 0.0) + cycles / clock
        parts["launch"] = parts.get("launch", 0.0) + float(one.result.launch_s)
    least = 1e-12 * sum(parts.values())
    return {name: value for name, value in parts.items() if value > least}


def _account(made: list[GroupRun]) -> dict[str, Number]:
    """What contexts spent the time on, as counted; what is left of all slots of all instances is imbalance."""
    total: dict[str, Number] = {}
    for one in made:
        run, system = one.run, one.run.system
        places = system.instances * system.slots
        spent: dict[str, Number] = {}
        for resource, cycles in zip(system.resources, (run.spent / places).tolist(), strict=False):
            name = resource.name.removesuffix(PATH)
            spent[name] = spent.get(name, 0.0) + cycles
        delayed = sum(spent.pop(resource.name) for resource in system.resources if resource.kind == "delay")
        prologue = {program.name: sum(task.demand for task in program.prologue) for program in system.programs}
        overhead = min(delayed, sum(prologue[worker.program] for worker in system.workers) / places)
        parts = with_loads(one.result, spent)
        parts[OVERHEAD] = overhead
        parts[WAITING] = delayed - overhead + float(run.spent[-1]) / places
        parts[IMBALANCE] = max(0.0, run.makespan - sum(parts.values()))
        for name, cycles in parts.items():
            total[name] = total.get(name, 0.0) + cycles / one.clock_hz
        total[LAUNCH] = total.get(LAUNCH, 0.0) + float(one.result.launch_s)
    least = 1e-12 * sum(total.values())
    return settled({name: seconds for name, seconds in total.items() if seconds > least})


def _fetched(one: GroupRun) -> list[str]:
    """What a group's run fetched where tiles are looked for behind a port, beside what closed forms count there."""
    run, notes = one.run, []
    for resource in run.system.resources:
        if resource.cache:
            part = run.system.part
            served = float(run.served[run.system.first_number[resource.name]]) / part
            counted = float(one.result.memory_s[resource.name]) * resource.rate / part * float(one.result.clock_hz)
            notes.append(f"the run moved {size(served)} at {resource.name}, closed forms count {size(counted)}")
    return notes


def _assumed(made: list[GroupRun], seed: int, fill: str) -> list[str]:
    notes = ["pipeline fill is counted" if fill == "counted" else "pipeline fill is amortised"]
    if any(program.jitter for one in made for program in one.run.system.programs):
        notes.append(f"service times of contending contexts vary by up to {JITTER:.0%} (seed {seed})")
    notes += [f"{one} are followed and stand for all" for each in made if (one := followed(each.run.system))]
    notes += [note for one in made for note in _fetched(one)]
    return notes
