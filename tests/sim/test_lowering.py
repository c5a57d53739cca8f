"""Programs made from mappings: they equal the closed forms where these are exact, and do the same work everywhere."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.archs.library import machine
from lightbound.base.errors import LightboundError
from lightbound.sim.contention import cycle_time
from lightbound.sim.event import run_system
from lightbound.sim.event_prediction import systems
from lightbound.sim.prediction import Prediction
from lightbound.sim.program import Program, Resource, System, Task, Worker
from lightbound.sim.simulate import simulate

SEEDS = range(8)


def fusemax(**sizes: Any) -> lb.Workload:
    return lb.workload("fusemax", **sizes)


@pytest.mark.parametrize("name", ["binding", "architecture"])
@given(
    pe=st.sampled_from([16, 64, 256]),
    tiles=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    width=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    heads=st.integers(1, 3),
    buffer=st.integers(1, 40),
)
@example(pe=256, tiles=(4, 4), width=(64, 64), heads=2, buffer=20)
@example(pe=64, tiles=(1, 9), width=(300, 4), heads=1, buffer=3)
@settings(deadline=None, max_examples=60)
def test_events_equal_the_closed_form_under_amortised_fill(
    name: str, pe: int, tiles: tuple[int, int], width: tuple[int, int], heads: int, buffer: int
) -> None:
    (e, f), (m, p) = width, (tiles[0] * pe, tiles[1] * pe)
    work = fusemax(B=1, H=heads, E=e, F=f, M=m, P=p)
    hardware = machine("fusemax", pe_dim=pe, global_buffer=buffer * 2 * pe * (2 * (e + f) + 2))
    try:
        closed = simulate(work, hardware, name)
    except LightboundError:
        assume(False)
    events = simulate(work, hardware, name, engine="event", fill="amortised")
    assert events.latency_s == pytest.approx(closed.latency_s, rel=1e-6)
    assert events.busy_s == pytest.approx(closed.busy_s, rel=1e-9)


@pytest.mark.parametrize("name", ["binding", "architecture"])
def test_counted_fill_is_longer_and_fades_as_the_run_grows(name: str) -> None:
    losses = []
    for keys in (1024, 4096, 16384):
        work = fusemax(B=1, H=1, M=keys, P=1024, E=64, F=64)
        amortised, counted = (
            simulate(work, "fusemax", name, engine="event", fill=fill).latency_s for fill in ("amortised", "counted")
        )
        losses.append(counted / amortised - 1)
    assert losses[0] > losses[-1] > 0
    assert losses[-1] < 0.05


@pytest.mark.parametrize(
    ("matrix", "special", "lanes", "delay"),
    [
        (43.7, 8, 0, 4.1),
        (22.2, 8, 0, 2.0),
        (48.7, 8, 2.3, 4.1),
        (16, 8, 5.7, 3.0),
        (8, 8, 5.5, 4.1),
        (8, 8, 10, 4.1),
    ],
)
def test_contending_contexts_agree_with_the_closed_queueing_network(
    matrix: float, special: float, lanes: float, delay: float
) -> None:
    """Clocks of 32 scores on a quarter of an SM: fused attention kernels on A100 and H100, with two contexts."""
    trips = 4000
    body = (
        Task("product", "matrix", matrix, after=(("delay", 1),)),
        Task("exponential", "special", special, after=(("product", 0),)),
        Task("sums", "lanes", lanes, after=(("exponential", 0),)),
        Task("delay", "latency", delay, after=(("sums", 0),)),
    )
    units = tuple(Resource(name, "sharing") for name in ("matrix", "special", "lanes"))
    program = Program("tile", body, jitter=0.25, stagger=matrix + special + lanes)
    system = System((*units, Resource("latency", "delay")), (program,), (Worker("tile", (trips, trips)),))
    mean = fmean(run_system(system, seed).makespan for seed in SEEDS) / (2 * trips)
    assert mean == pytest.approx(cycle_time([matrix, special, lanes], 2, delay), rel=0.03)


@pytest.mark.parametrize("fill", ["counted", "amortised"])
@pytest.mark.parametrize("head", [64, 128])
def test_a_fused_kernel_on_a_gpu_agrees_with_the_closed_queueing_network(head: int, fill: Any) -> None:
    """Two blocks of 128 epochs on every SM: the time at which an SM ends, which no luck of the last one lengthens."""
    closed = simulate(lb.workload("attention", B=1, H=33, M=16384, P=1024, E=head, F=head), "h100_sxm", "flash")
    (system,), (result,) = systems(closed, fill), closed.groups
    assert system.instances == 132 and len(system.workers) == 264
    mean = fmean(float(run_system(system, seed).instance_end.mean()) for seed in SEEDS)
    assert mean == pytest.approx(result.schedule.cycles, rel=0.03)


def test_what_an_l2_cache_cannot_hold_is_fetched_again() -> None:
    """Four heads of 4 MiB of keys and values, 32 blocks of queries each, on 132 SMs at once."""
    work = lb.workload("attention", B=1, H=4, M=8192, P=4096, E=128, F=128)

    def fetched(capacity: str) -> float:
        closed = simulate(work, machine("h100_sxm", **{"l2.capacity": capacity}), "flash")
        (system,) = systems(closed)
        return float(run_system(system).served[system.first_number["dram"]]) / float(closed.compulsory_bytes)

    assert fetched("50 MiB") == pytest.approx(1, rel=1e-9)
    assert 1.2 < fetched("1 MiB") < fetched("320 KiB") < 33


CASES: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("fusemax", {"B": 1, "H": 2, "M": 1024, "P": 2048}, "fusemax", "binding"),
    ("fusemax", {"B": 1, "H": 2, "M": 1024, "P": 2048}, "fusemax", "architecture"),
    ("fusemax", {"B": 1, "H": 2, "M": 1024, "P": 1024}, "flat", "unfused"),
    ("fusemax", {"B": 1, "H": 2, "M": 1024, "P": 1024}, "flat", "flat"),
    ("fusemax", {"B": 1, "H": 2, "M": 1024, "P": 1024}, "flat_serial_exp", "cascade"),
    ("attention", {"B": 1, "H": 3, "M": 1000, "P": 700, "E": 128, "F": 128}, "h100_sxm", "flash"),
    ("attention", {"B": 1, "H": 3, "M": 512, "P": 512, "E": 64, "F": 64}, "tpu_v4i", None),
    ("matmul", {"M": 512, "N": 512, "K": 256}, "h100_sxm", None),
]


@pytest.mark.parametrize("fill", ["counted", "amortised"])
@pytest.mark.parametrize(("name", "sizes", "hardware", "mapping"), CASES)
def test_events_do_the_work_and_move_the_bytes_of_the_closed_forms(
    name: str, sizes: dict[str, Any], hardware: str, mapping: str | None, fill: Any
) -> None:
    closed = simulate(lb.workload(name, **sizes), hardware, mapping)
    plan = closed.plan
    assert plan is not None
    for system, result in zip(systems(closed, fill), closed.groups, strict=True):
        steady = System(
            system.resources,
            tuple(Program(p.name, p.body, p.prologue, p.epilogue) for p in system.programs),
            system.workers,
            system.instances,
            system.slots,
        )
        run = run_system(steady)
        served: dict[str, float] = defaultdict(float)
        for (resource, _), amount in zip(system.numbered, run.served, strict=True):
            served[resource.name] += amount
        schedule = result.schedule
        for unit, cycles in schedule.busy.items():
            spread = 1 if plan.machine.units[unit].scope is None else schedule.tasks / schedule.busiest
            if not any(other.blocks for other in plan.machine.units.values()):
                assert served[unit] == pytest.approx(cycles * spread, rel=1e-9), unit
        for number, level in enumerate(plan.machine.levels):
            words = sum(count for (at, _, _), count in result.words.items() if at == number)
            if level.bandwidth_bytes_per_s is None or level.scope is not None:
                continue
            if level.cache:  # what comes from outside takes none of its bandwidth
                read = sum(count for (at, what, _), count in result.words.items() if at == number and what == "read")
                assert read * 2 * (1 - 1e-9) <= served[level.name] <= words * 2 * (1 + 1e-9), level.name
            else:
                assert served[level.name] == pytest.approx(words * 2, rel=1e-9), level.name


@pytest.mark.parametrize("fill", ["counted", "amortised"])
@pytest.mark.parametrize(("name", "sizes", "hardware", "mapping"), CASES)
def test_a_run_is_never_faster_than_its_busiest_resource_and_its_parts_add_up(
    name: str, sizes: dict[str, Any], hardware: str, mapping: str | None, fill: str
) -> None:
    run = simulate(lb.workload(name, **sizes), hardware, mapping, engine="event", fill=fill)
    assert run.latency_s >= max(run.busy_s.values()) * (1 - 1e-9)
    assert sum(run.decomposition_s.values()) == pytest.approx(run.latency_s, rel=1e-9)
    assert min(run.decomposition_s.values()) >= 0
    assert all(0 <= share <= 1 + 1e-9 for share in run.utilization.values())
    assert run.bottleneck in run.decomposition_s and run.engine == "event" and run.explain()


def test_more_epochs_than_anyone_waits_for_are_refused() -> None:
    with pytest.raises(LightboundError, match="tasks"):
        simulate(fusemax(B=64, H=64, M=2**20, P=2**20), "fusemax", "binding", engine="event", fill="amortised")


@pytest.mark.parametrize("name", ["binding", "architecture"])
def test_a_published_point_of_half_a_billion_tasks_loses_little_to_fill(name: str) -> None:
    """BERT at 64K tokens: its epochs repeat, so that few are run one by one."""
    work = lb.workload("fusemax", preset="bert", M=65536, P=65536)
    closed = simulate(work, "fusemax", name).latency_s
    assert 0 < simulate(work, "fusemax", name, engine="event").latency_s / closed - 1 < 0.003


@pytest.mark.parametrize(
    ("options", "field"), [({"engine": "event", "fill": "x"}, "fill"), ({"trace": "x.json"}, "trace")]
)
def test_what_only_events_can_do_is_asked_of_events(options: dict[str, Any], field: str) -> None:
    with pytest.raises(LightboundError, match=field):
        simulate(fusemax(M=1024, P=1024), "fusemax", "binding", **options)


def test_one_seed_gives_one_prediction() -> None:
    def run(seed: int) -> Prediction:
        work = lb.workload("attention", B=1, H=2, M=512, P=512, E=64, F=64)
        return simulate(work, "h100_sxm", "flash", engine="event", seed=seed)

    assert run(1).latency_s == run(1).latency_s != run(2).latency_s
