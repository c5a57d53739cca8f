"""Loads and stores that contexts await, wholly or in part, are steps of theirs in both engines."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.archs.library import machine
from lightbound.sim.event import run_system
from lightbound.sim.event_prediction import systems
from lightbound.sim.mapping import Mapping
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import simulate

PARTS = st.one_of(st.just(0.0), st.just(1.0), st.floats(0.05, 0.95))


def flash(awaits: dict[str, float], settles: dict[str, float], **widths: int) -> Mapping:
    """The mapping of a fused kernel with other waits."""
    plan = simulate(lb.workload("attention", B=1, H=33, M=1024, P=512, E=128, F=128), "h100_sxm", "flash").plan
    assert plan is not None
    group = plan.mapping.groups[0].model_copy(update={"awaits": awaits, "settles": settles})
    return plan.mapping.model_copy(update={"groups": (group,), "widths": widths})


def kernel(mapping: Mapping, keys: int = 32768, overrides: dict[str, Any] | None = None) -> Prediction:
    """One block of 128 queries on every SM."""
    work = lb.workload("attention", B=1, H=33, M=keys, P=512, E=128, F=128)
    return simulate(work, machine("h100_sxm", **(overrides or {})), mapping)


@given(
    l2=PARTS,
    dram=PARTS,
    stores=PARTS,
    rate=st.sampled_from(["3 TB/s", "5.5 TB/s"]),
    fill=st.sampled_from(["counted", "amortised"]),
)
@example(l2=1.0, dram=1.0, stores=1.0, rate="5.5 TB/s", fill="counted")
@example(l2=0.5, dram=0.5, stores=0.5, rate="3 TB/s", fill="counted")
@example(l2=0.5, dram=0.0, stores=0.3, rate="3 TB/s", fill="amortised")
@settings(deadline=None, max_examples=8)
def test_awaited_loads_and_stores_agree_with_the_closed_queueing_network(
    l2: float, dram: float, stores: float, rate: str, fill: Any
) -> None:
    awaits = {level: part for level, part in (("l2", l2), ("dram", dram)) if part}
    closed = kernel(flash(awaits, {"dram": stores} if stores else {}), overrides={"l2.bandwidth": rate})
    (system,), (result,) = systems(closed, fill), closed.groups
    mean = fmean(float(run_system(system, seed).instance_end.mean()) for seed in range(8))
    assert mean == pytest.approx(result.schedule.cycles, rel=0.03)


@pytest.mark.parametrize("fill", ["counted", "amortised"])
@pytest.mark.parametrize("part", [0.0, 0.4, 1.0])
def test_what_is_awaited_moves_the_bytes_of_the_closed_forms(part: float, fill: Any) -> None:
    closed = kernel(flash({"l2": part, "dram": part}, {"dram": part}, O=4), keys=2048)
    (system,), (result,) = systems(closed, fill), closed.groups
    run = run_system(system)
    moved = sum(run.served[number] for number, (level, _) in enumerate(system.numbered) if level.name == "dram")
    words = sum(count for (level, _, _), count in result.words.items() if level == 0)
    assert moved == pytest.approx(float(words) * 2, rel=1e-9)


def test_to_await_more_takes_longer() -> None:
    def time(part: float) -> float:
        (system,) = systems(kernel(flash({"l2": part, "dram": part}, {}), keys=4096))
        return fmean(run_system(system, seed).makespan for seed in range(4))

    assert time(0.0) < time(0.5) < time(1.0)


@given(l2=PARTS, dram=st.sampled_from([0.3, 1.0]), stores=PARTS, fill=st.sampled_from(["counted", "amortised"]))
@example(l2=1.0, dram=1.0, stores=1.0, fill="counted")
@example(l2=0.0, dram=1.0, stores=0.0, fill="amortised")
@settings(deadline=None, max_examples=6)
def test_reads_under_way_at_once_are_awaited_on_the_path_of_an_instance(
    l2: float, dram: float, stores: float, fill: Any
) -> None:
    awaits = {level: part for level, part in (("l2", l2), ("dram", dram)) if part}
    in_turn = flash(awaits, {"dram": stores} if stores else {})
    groups = tuple(group.model_copy(update={"at_once": True}) for group in in_turn.groups)
    work = lb.workload("attention", B=1, H=33, M=32768, P=512, E=128, F=128)
    at_once, turns = (simulate(work, "h200", one) for one in (in_turn.model_copy(update={"groups": groups}), in_turn))
    (system,), (result,) = systems(at_once, fill), at_once.groups
    means = [
        fmean(float(run_system(one, seed).instance_end.mean()) for seed in range(4))
        for one in (system, *systems(turns, fill))
    ]
    assert means[0] == pytest.approx(float(result.schedule.cycles), rel=0.03)
    assert means[0] <= means[1] * 1.005


def test_rows_whose_loads_are_under_way_at_once_take_what_the_closed_forms_say() -> None:
    work = lb.workload("layernorm", R=65536, N=4096)
    closed, events = (simulate(work, "h200", "kept", engine) for engine in ("analytical", "event"))
    assert events.latency_s == pytest.approx(closed.latency_s, rel=0.05)  # memory is nearly full, where chance shows
    assert sum(events.account_s.values()) == pytest.approx(events.latency_s)
    assert not any(name.endswith("path") for name in (*events.account_s, *events.decomposition_s, *events.busy_s))
