"""The native event engine is what its SimPy definition says, and both keep the rules of sim/program.py."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lightbound.base.errors import LightboundError
from lightbound.sim import event, event_simpy
from lightbound.sim.event import EventRun, Slice
from lightbound.sim.program import Program, Resource, System, Task, When, Worker, next_active, resolved

from .event_systems import systems

ALL = 10**6
SEEDS = st.integers(0, 2**64 - 1)
RANDOM = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
UNIT = Resource("unit", "fifo")
SHARED = Resource("unit", "sharing")


def runs(when: When, iteration: int, trips: int) -> bool:
    period, first, end = resolved(when, trips)
    return first <= iteration % period < end


def ordered(run: EventRun) -> list[Slice]:
    return sorted(run.slices, key=lambda s: (s.start, s.end, s.worker, s.context, s.block, s.task, s.iteration))


def test_a_level_without_a_cache_keeps_not_even_a_tile_of_no_size() -> None:
    memory = Resource("memory", "bandwidth")
    body = tuple(Task(name, "memory", demand=demand, key=0) for name, demand in (("nothing", 0.0), ("a tile", 1.0)))
    system = System((memory,), (Program("p", body=body),), (Worker("p", (1,), keys=(0,)),))
    assert event.run_system(system).makespan == event_simpy.run_system(system).makespan == 1.0


@given(systems(), SEEDS)
@RANDOM
def test_native_and_simpy_engines_agree_on_every_task_of_random_systems(system: System, seed: int) -> None:
    native, reference = event.run_system(system, seed, ALL), event_simpy.run_system(system, seed, ALL)
    assert native.tasks == reference.tasks
    assert native.makespan == pytest.approx(reference.makespan, rel=1e-9)
    for one, other in zip(ordered(native), ordered(reference), strict=True):
        assert (one.worker, one.context, one.block, one.task, one.iteration, one.resource) == (
            other.worker, other.context, other.block, other.task, other.iteration, other.resource,
        )  # fmt: skip
        assert (one.start, one.end) == pytest.approx((other.start, other.end), rel=1e-9)
    ahead = event.run_system(system, seed)  # nothing is listed, so that instances run ahead of each other
    assert ahead.tasks == reference.tasks
    for run in (native, ahead):
        for name in ("makespan", "busy", "served", "worker_start", "worker_end", "worker_instance"):
            np.testing.assert_allclose(getattr(run, name), getattr(reference, name), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ahead.spent, native.spent, rtol=1e-9, atol=1e-9)


@given(systems(), SEEDS)
@RANDOM
def test_every_task_is_done_as_often_as_its_loop_says(system: System, seed: int) -> None:
    run = event.run_system(system, seed, ALL)
    done = Counter((s.worker, s.context, s.block, s.task, s.iteration) for s in run.slices)
    expected: Counter[tuple[int, int, int, int, int]] = Counter()
    for number, worker in enumerate(system.workers):
        for phase, block in enumerate(system.program[worker.program].blocks):
            for context, trips in enumerate(worker.trips if phase == 1 else (1,)):
                for position, task in enumerate(block.tasks):
                    for iteration in range(trips):
                        if all(runs(when, iteration, trips) for when in task.when):
                            expected[number, context, phase, position, iteration] = 1
    assert done == expected
    assert run.tasks == expected.total()


@given(systems(), SEEDS)
@RANDOM
def test_no_resource_serves_more_than_its_rate_and_queues_serve_one_at_a_time(system: System, seed: int) -> None:
    run = event.run_system(system, seed, ALL)
    for (resource, _), busy, served in zip(system.numbered, run.busy, run.served, strict=True):
        if resource.kind != "delay":
            assert busy <= run.makespan * (1 + 1e-9) + 1e-12
            assert served <= resource.rate * busy * (1 + 1e-9) + 1e-9
    on: dict[int, list[Slice]] = defaultdict(list)
    for s in run.slices:
        assert 0 <= s.start <= s.end <= run.makespan
        on[s.resource].append(s)
    for number, slices in on.items():
        if system.numbered[number][0].kind == "fifo":
            slices.sort(key=lambda s: (s.start, s.end))
            assert all(a.end <= b.start for a, b in pairwise(slices))


@given(systems(), SEEDS)
@RANDOM
def test_no_task_starts_before_what_it_comes_after(system: System, seed: int) -> None:
    run = event.run_system(system, seed, ALL)
    end = {(s.worker, s.context, s.task, s.iteration): s.end for s in run.slices if s.block == 1}
    for s in run.slices:
        program = system.program[system.workers[s.worker].program]
        if s.block != 1:
            continue
        numbers = {task.name: number for number, task in enumerate(program.body)}
        for name, distance in program.body[s.task].after:
            for earlier in range(s.iteration - distance + 1):
                assert end.get((s.worker, s.context, numbers[name], earlier), 0.0) <= s.start
        if program.depth is not None and not program.body[s.task].ahead:
            for number in numbers.values():
                for earlier in range(s.iteration - program.depth + 1):
                    assert end.get((s.worker, s.context, number, earlier), 0.0) <= s.start


@given(systems(), SEEDS)
@RANDOM
def test_no_instance_runs_more_workers_than_it_has_slots(system: System, seed: int) -> None:
    run = event.run_system(system, seed)
    pinned = [worker.instance for worker in system.workers]
    assert all(want in (None, got) for want, got in zip(pinned, run.worker_instance.tolist(), strict=True))
    for instance in range(system.instances):
        mine = np.flatnonzero(run.worker_instance == instance)
        for moment in run.worker_start[mine]:
            running = (run.worker_start[mine] <= moment) & (moment < run.worker_end[mine])
            assert running.sum() <= system.slots


def one(*tasks: Task, trips: int = 1, resource: Resource = UNIT, **options: object) -> float:
    program = Program("p", tasks, **options)  # type: ignore[arg-type]
    return event.run_system(System((resource,), (program,), (Worker("p", (trips,)),))).makespan


def test_a_queue_serves_what_came_first() -> None:
    assert one(Task("a", "unit", 2.0), Task("b", "unit", 3.0), trips=4) == 20.0


def test_tasks_that_share_a_unit_slow_each_other_down() -> None:
    run = event.run_system(
        System((SHARED,), (Program("p", (Task("a", "unit", 1.0), Task("b", "unit", 3.0))),), (Worker("p"),)), 0, ALL
    )
    assert [(s.task, s.end) for s in run.slices] == [(0, 2.0), (1, 4.0)]


def test_bandwidth_is_max_min_fair_under_caps() -> None:
    tasks = (Task("slow", "unit", 2.0, cap=1.0), Task("a", "unit", 9.0), Task("b", "unit", 9.0))
    wire = Resource("unit", "bandwidth", 10.0)
    run = event.run_system(System((wire,), (Program("p", tasks),), (Worker("p"),)), 0, ALL)
    assert {s.task: s.end for s in run.slices} == {0: 2.0, 1: 2.0, 2: 2.0}


def test_a_pipeline_of_depth_two_overlaps_two_iterations() -> None:
    stages = (Resource("x", "fifo"), Resource("y", "fifo"))
    body = (Task("a", "x", 5.0), Task("b", "y", 5.0, after=(("a", 0),)))
    times = [
        event.run_system(System(stages, (Program("p", body, depth=depth),), (Worker("p", (10,)),))).makespan
        for depth in (1, 2, None)
    ]
    assert times == [100.0, 55.0, 55.0]


def test_double_buffering_hides_a_load_behind_the_work_of_the_tile_before() -> None:
    both = (Resource("wire", "bandwidth"), Resource("x", "fifo"))

    def time(copies: int) -> float:
        body = (Task("load", "wire", 4.0, after=(("use", copies),)), Task("use", "x", 6.0, after=(("load", 0),)))
        return event.run_system(System(both, (Program("p", body),), (Worker("p", (10,)),))).makespan

    assert (time(1), time(2)) == (100.0, 64.0)


def test_workers_take_slots_in_launch_order_as_they_fall_free() -> None:
    program = Program("p", (Task("a", "unit", 1.0),))
    workers = tuple(Worker("p", (trips,)) for trips in (5, 1, 1, 1, 5))
    run = event.run_system(System((UNIT,), (program,), workers, instances=2))
    assert run.worker_instance.tolist() == [0, 1, 1, 1, 1]
    assert run.worker_start.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0]
    assert run.makespan == 8.0


def test_contexts_in_step_stay_in_step_and_jitter_breaks_the_step() -> None:
    """Two contexts on two shared units: in step they take nearly as long as one after the other."""
    units = (Resource("x", "sharing"), Resource("y", "sharing"))
    body = (Task("a", "x", 10.0, after=(("b", 1),)), Task("b", "y", 10.0, after=(("a", 0),)))

    def time(**spread: Any) -> float:
        return event.run_system(System(units, (Program("p", body, **spread),), (Worker("p", (2000, 2000)),))).makespan

    assert time() == 80_000.0
    assert 40_000 < time(jitter=0.5, stagger=20.0) < 65_000


def test_a_seed_repeats_a_run_and_another_seed_does_not() -> None:
    def time(seed: int) -> float:
        program = Program("p", (Task("a", "unit", 1.0),), jitter=0.5)
        return event.run_system(System((SHARED,), (program,), (Worker("p", (50,)),)), seed).makespan

    assert time(7) == time(7) != time(8)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4), st.integers(1, 5)), max_size=3), st.integers(0, 30))
@example([(4, 0, 1), (2, 1, 2)], 0)
def test_the_next_iteration_of_a_task_is_the_first_that_all_conditions_allow(
    given_: list[tuple[int, int, int]], begin: int
) -> None:
    when = tuple(When(period, first, end) for period, first, end in given_ if first < end <= period)
    allowed = [i for i in range(begin, 40) if all(w.first <= i % w.period < w.end for w in when)]
    assert next_active(Task("a", "unit", 1.0, when=when), begin, 40) == (allowed or [40])[0]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: System((UNIT,), (Program("p", (Task("a", "none", 1.0),)),), ()), "a.resource"),
        (lambda: System((UNIT,), (Program("p", (Task("a", "unit", -1.0),)),), ()), "a.demand"),
        (lambda: System((UNIT,), (Program("p", (Task("a", "unit", 1.0, after=(("a", 0),)),)),), ()), "program p"),
        (lambda: System((UNIT,), (Program("p", ()),), (Worker("q"),)), "workers.0.program"),
        (lambda: System((UNIT,), (Program("p", ()),), (Worker("p", instance=3),)), "workers.0.instance"),
        (lambda: System((Resource("x", "fifo", 0.0),), (), ()), "rate of x"),
        (lambda: System((), (Program("p", (), depth=0),), ()), "depth"),
        (lambda: System(tuple(Resource(f"r{i}", "fifo") for i in range(64)), (), ()), "resources"),
        (lambda: event.run_system(System((), (), ()), seed=-1), "seed"),
    ],
)
def test_a_system_that_cannot_run_is_refused_with_the_field(make: object, field: str) -> None:
    with pytest.raises(LightboundError, match=field):
        make()  # type: ignore[operator]


def test_what_ends_at_once_at_a_shared_resource_may_be_of_another_instance() -> None:
    body, last = (Task("none", "own", 0.0), Task("one", "both", 0.0)), (Task("end", "both", 1 / 3),)
    system = System(
        (Resource("own", "fifo"), Resource("both", "fifo", shared=True)),
        (Program("p", body, prologue=body, epilogue=last),),
        (Worker("p", ()), Worker("p", (1,))),
        instances=2,
    )
    assert event.run_system(system).makespan == event_simpy.run_system(system).makespan == 2 / 3


@given(systems(), st.integers(1, 2000))
@RANDOM
def test_leaping_over_periods_changes_nothing_but_rounding(system: System, trips: int) -> None:
    """One context, nothing left to chance: periods that repeat may be counted instead of run."""
    program = replace(system.programs[0], jitter=0.0)
    alone = System(system.resources, (program,), (Worker(program.name, (trips,), keys=(0, 1)),), system.instances)
    run, leapt = event.run_system(alone), event.run_system(alone, extrapolate=True)
    assert leapt.tasks == run.tasks
    assert leapt.makespan == pytest.approx(run.makespan, rel=1e-9)
    np.testing.assert_allclose(leapt.busy, run.busy, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(leapt.served, run.served, rtol=1e-9, atol=1e-9)


def test_a_loop_that_repeats_may_be_longer_than_anyone_could_run() -> None:
    body = (Task("load", "wire", 3.0, after=(("use", 2),)), Task("use", "x", 5.0, after=(("load", 0),)))
    system = System(
        (Resource("wire", "bandwidth"), Resource("x", "fifo")), (Program("p", body),), (Worker("p", (10**12,)),)
    )
    run = event.run_system(system, extrapolate=True)
    assert run.tasks == 2 * 10**12
    assert run.makespan == pytest.approx(3 + 5 * 10**12, rel=1e-12)
