"""Some of many like instances stand for all: exactly where nothing differs, and nearly where chance and masks do."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from statistics import fmean

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.archs.library import machine
from lightbound.base.errors import LightboundError
from lightbound.sim.event import run_system
from lightbound.sim.event_prediction import systems
from lightbound.sim.following import some_of, tasks_of
from lightbound.sim.masked_events import masked_systems
from lightbound.sim.masked_prediction import counted, kernel
from lightbound.sim.program import Program, Resource, System, Task, Worker
from lightbound.sim.simulate import resolve_mapping, simulate
from lightbound.workloads.masks.causal import Causal
from lightbound.workloads.masks.sliding_window import SlidingWindow

from . import event_systems

SEEDS = range(3)


def attention(length: int, heads: int = 16) -> lb.Workload:
    return lb.workload("attention", B=1, H=heads, M=length, P=length, E=128, F=128)


def system_of(work: lb.Workload, gpu: str, name: str | None = None) -> System:
    """The system with most to do."""
    hardware = machine(gpu)
    found = kernel(work, hardware, name, strict=True)
    if found is not None:
        made = masked_systems(found[0], hardware, found[1], counted(found[0], hardware, found[1]), "counted")
    else:
        work, mapping = resolve_mapping(work, hardware, name)
        made = systems(simulate(work, hardware, mapping))
    return max(made, key=tasks_of)


@st.composite
def alike(draw: st.DrawFn) -> System:
    """A system in which all instances do the same at the same time."""
    resources = tuple(
        Resource(
            f"r{number}", draw(st.sampled_from(("sharing", "bandwidth", "delay"))), draw(event_systems.RATES), True
        )
        for number in range(draw(st.integers(1, 2)))
    ) + tuple(
        Resource(f"own{number}", draw(st.sampled_from(("fifo", "sharing", "bandwidth"))), draw(event_systems.RATES))
        for number in range(draw(st.integers(0, 2)))
    )
    drawn = draw(event_systems.tasks(resources, draw(st.integers(1, 5)), looped=True))
    body = tuple(replace(task, key=None) for task in drawn)
    program = Program(
        "p", body, draw(event_systems.tasks(resources, 1, looped=False)), depth=draw(st.sampled_from([None, 1, 2]))
    )
    instances, slots, rounds = draw(st.integers(2, 6)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    trips = tuple(draw(st.lists(st.integers(0, 5), min_size=1, max_size=2)))
    return System(resources, (program,), (Worker("p", trips),) * (instances * slots * rounds), instances, slots)


@given(alike(), st.data())
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_instances_that_do_the_same_at_the_same_time_stand_for_all_exactly(system: System, data: st.DataObject) -> None:
    fewer = data.draw(st.integers(1, system.instances - 1))
    some, all_there = some_of(system, fewer), run_system(system)
    run = run_system(some)
    assert some.instances == fewer and some.whole is system
    assert run.makespan == pytest.approx(all_there.makespan, rel=1e-9, abs=1e-12)
    assert run.tasks / some.part == pytest.approx(all_there.tasks)
    np.testing.assert_allclose(run.spent / fewer, all_there.spent / system.instances, rtol=1e-9, atol=1e-9)
    for resource in system.resources:
        if resource.shared:
            served, whole = (
                run.served[some.first_number[resource.name]],
                all_there.served[system.first_number[resource.name]],
            )
            assert served / some.part == pytest.approx(whole, rel=1e-9)


AGREE = {
    "dense, many waves": (attention(8192), "h200", "flash", 0.01),
    "dense, a100": (attention(8192), "a100", "flash_sync", 0.01),
    "dense, b200": (attention(8192, 32), "b200", "flash", 0.01),
    "one wave": (lb.workload("attention", B=1, H=2, P=128 * 66, M=128 * 1024, E=128, F=128), "h200", "flash", 0.01),
    "causal": (attention(16384).with_mask(Causal(16384)), "h200", "flash", 0.01),
    "window": (attention(32768).with_mask(SlidingWindow(32768, 3000)), "a100", "flash_sync", 0.01),
    "neighbourhoods": (lb.workload("gna", "hunyuan_video", H=2), "h200", None, 0.01),
    "neighbourhoods, b200": (lb.workload("gna", "hunyuan_video", H=6), "b200", None, 0.01),
    "grouped queries": (lb.workload("attention_decode", B=16, H=32, M=16384), "h200", None, 0.01),
}


@pytest.mark.parametrize("name", AGREE)
def test_a_fifth_of_the_instances_agrees_with_all_of_them(name: str) -> None:
    work, gpu, mapping, bound = AGREE[name]
    system = system_of(work, gpu, mapping)
    some = some_of(system, round(system.instances / 5))
    few, all_there = ([run_system(one, seed) for seed in SEEDS] for one in (some, system))
    assert fmean(run.makespan for run in few) == pytest.approx(fmean(run.makespan for run in all_there), rel=bound)
    for resource in system.resources:
        if resource.shared and resource.kind == "bandwidth":
            served = few[0].served[some.first_number[resource.name]] / some.part
            assert served == pytest.approx(all_there[0].served[system.first_number[resource.name]], rel=0.005)


@given(st.integers(1, 700), st.integers(2, 132), st.integers(1, 3), st.data())
def test_followed_workers_take_as_many_rounds_and_keep_their_order(
    workers: int, instances: int, slots: int, data: st.DataObject
) -> None:
    trips = data.draw(st.lists(st.integers(1, 90), min_size=workers, max_size=workers))
    tile = (Task("work", "unit", 1.0),)
    every = tuple(Worker("tile", (count,), keys=(number,)) for number, count in enumerate(trips))
    system = System((Resource("unit", "sharing"),), (Program("tile", tile),), every, instances, slots)
    fewer = data.draw(st.integers(1, instances - 1))
    some = some_of(system, fewer)
    assume(some is not system)
    assert ceil(len(some.workers) / (fewer * slots)) == ceil(workers / (instances * slots))
    places = [worker.keys[0] for worker in some.workers]
    assert places == sorted(set(places))
    work, whole = (sum(worker.trips[0] for worker in one.workers) for one in (some, system))
    # One of each stretch of the list makes up for those before it, but some stretches have a worker more than others.
    assert abs(work - whole * some.part) < 2 * max(trips)


def test_what_blocks_share_is_fetched_as_often_as_by_all() -> None:
    """Four heads on 132 SMs: a tile costs the part that those followed are of its users, and room in proportion."""
    system = system_of(attention(8192, 4), "h100_sxm", "flash")
    assert any(task.key is not None for task in system.programs[0].body)
    some = some_of(system, 24)
    few, all_there = (run_system(one).served[one.first_number["dram"]] / one.part for one in (some, system))
    assert few == pytest.approx(all_there, rel=1e-3)


def test_short_programs_are_followed_whole() -> None:
    work = attention(2048)
    assert not simulate(work, "h100_sxm", "flash", engine="event").followed
    whole, auto = (simulate(work, "h100_sxm", "flash", engine="event", follow=how) for how in ("all", "auto"))
    assert whole.latency_s == auto.latency_s and whole.account_s == auto.account_s


def test_pinned_workers_and_caches_that_are_too_small_are_followed_whole() -> None:
    tile = (Task("load", "memory", 1.0, key=0), Task("work", "unit", 1.0, after=(("load", 0),)))
    resources = (Resource("memory", "bandwidth", shared=True, cache=1e6), Resource("unit", "sharing"))
    workers = tuple(Worker("tile", (20_000,), keys=(number,)) for number in range(1000))
    system = System(resources, (Program("tile", tile),), workers, 100)
    small = replace(system, resources=(replace(resources[0], cache=200), resources[1]))
    kept = replace(system, resources=(replace(resources[0], cache=1e4), resources[1]))
    pinned = replace(kept, workers=tuple(replace(one, instance=n % 100) for n, one in enumerate(workers)))
    assert some_of(small) is small and some_of(pinned, 10) is pinned
    assert some_of(kept).instances < 100 and some_of(kept, 100) is kept


def test_a_prediction_says_what_was_followed_and_counts_for_the_whole_machine() -> None:
    work = lb.workload("gna", "hunyuan_video", H=3)
    some, whole = (simulate(work, "h200", engine="event", follow=how) for how in (24, "all"))
    ((one,), ()) = some.followed, whole.followed
    assert (one.instances, one.of_instances, one.of_workers) == (24, 132, 2700)
    assert any("24 of 132 instances" in note for note in some.assumptions)
    assert some.to_dict()["followed"][0]["workers"] == one.workers
    assert some.traffic_bytes == whole.traffic_bytes
    assert sum(some.account_s.values()) == pytest.approx(some.latency_s)
    for name, value in whole.busy_s.items():
        assert some.busy_s[name] == pytest.approx(value, rel=0.02, abs=1e-9)
    for name, value in whole.account_s.items():
        assert some.account_s.get(name, 0) == pytest.approx(value, abs=0.01 * float(whole.latency_s))


def test_long_programs_are_followed_in_part_unless_all_is_asked_for() -> None:
    work = lb.workload("gna", "hunyuan_video")
    found = simulate(work, "h200", engine="event")
    (one,) = found.followed
    assert 16 <= one.instances <= 20
    assert found.latency_s == pytest.approx(23.64e-3, rel=0.01)


@pytest.mark.parametrize("follow", [0, -3, "some", "1.5"])
def test_what_is_no_number_of_instances_is_refused(follow: int | str) -> None:
    with pytest.raises(LightboundError, match="follow"):
        simulate(attention(1024), "h100_sxm", "flash", engine="event", follow=follow)
