"""What holds for every prediction of a default mapping, on random cascades and three kinds of machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.sim.prediction import Prediction
from lightbound.sim.search import Objective, default_mapping
from lightbound.sim.simulate import predict, simulate
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.counts import total_operations
from lightbound.workloads.registry import as_workload

from .cascades import MACHINES, cascades

EXACT = 1e-9
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
machines = st.sampled_from(MACHINES).map(machine)
slow = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])


def value(prediction: Prediction, objective: Objective) -> float:
    """What an objective asks to be small."""
    traffic = next(iter(prediction.traffic_bytes.values()))
    return {"latency": prediction.latency_s, "traffic": traffic, "energy": prediction.energy_j or 0.0}[objective]


def with_level(hardware: Machine, level: int, **fields: Any) -> Machine:
    """The same machine with fields of one level changed."""
    levels = list(hardware.levels)
    levels[level] = replace(levels[level], **fields)
    return replace(hardware, levels=tuple(levels))


@given(cascades(), machines)
@slow
def test_no_prediction_beats_what_any_execution_must_do(cascade: Cascade, hardware: Machine) -> None:
    """Compulsory bytes at the outermost bandwidth, and the operations of each kind at the peak of all units for it."""
    found = simulate(cascade, hardware)
    outermost = hardware.levels[0]
    assert found.traffic_bytes[outermost.name] >= found.compulsory_bytes * (1 - EXACT)
    assert found.latency_s >= found.compulsory_bytes / outermost.bandwidth_bytes_per_s * (1 - EXACT)
    for kind, count in total_operations(cascade).items():
        assert found.latency_s >= count / hardware.peak_per_s(kind) * (1 - EXACT)


@given(cascades(), machines)
@slow
def test_the_parts_make_up_the_whole_and_what_is_held_fits(cascade: Cascade, hardware: Machine) -> None:
    found = simulate(cascade, hardware)
    assert sum(found.decomposition_s.values()) == pytest.approx(found.latency_s, rel=EXACT)
    assert all(0 <= used <= 1 + EXACT for used in found.utilization.values())
    assert found.bottleneck in found.decomposition_s
    for level, total in found.traffic_bytes.items():
        assert sum(found.traffic_by_tensor.get(level, {}).values()) == pytest.approx(total, rel=EXACT)
    if found.energy_j is not None:
        assert sum(found.energy_by_component.values()) == pytest.approx(found.energy_j, rel=EXACT)
    for level, taken in found.occupancy_bytes.items():
        capacity = hardware.level(level).capacity_bytes
        assert capacity is None or taken <= capacity


@given(cascades(), machines)
@slow
def test_the_mapping_found_for_an_objective_is_not_beaten_on_it_by_another(cascade: Cascade, hardware: Machine) -> None:
    work = as_workload(cascade)
    found = {one: predict(work, hardware, default_mapping(work, hardware, one)) for one in OBJECTIVES}
    for objective in OBJECTIVES:
        best = value(found[objective], objective)
        assert all(best <= value(other, objective) * (1 + EXACT) for other in found.values())


@given(cascades(), machines, st.data())
@slow
def test_more_capacity_or_bandwidth_never_makes_a_default_worse(
    cascade: Cascade, hardware: Machine, data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(hardware.levels) - 1))
    level = hardware.levels[number]
    stated = [name for name in ("capacity_bytes", "bandwidth_bytes_per_s") if getattr(level, name) is not None]
    name = data.draw(st.sampled_from(stated))
    part = data.draw(st.floats(0.001, 0.9))
    less = with_level(hardware, number, **{name: getattr(level, name) * part})
    try:
        before = simulate(cascade, less).latency_s
    except LightboundError as error:  # nothing fits there
        assert "too small" in error.problem
        return
    assert simulate(cascade, hardware).latency_s <= before * (1 + EXACT)


@given(cascades(), machines, st.data())
@slow
def test_a_longer_rank_is_never_faster(cascade: Cascade, hardware: Machine, data: st.DataObject) -> None:
    rank = data.draw(st.sampled_from(cascade.ranks))
    more = data.draw(st.one_of(st.integers(1, 5), st.just(cascade.size(rank))))
    longer = cascade.with_sizes(**{rank.upper(): cascade.size(rank) + more})
    before = simulate(cascade, hardware)
    # Lanes are chosen for arithmetic alone: a shorter rank may fill them better and move a few words more, and where
    # the level nearest to them binds, more than a few.
    if before.bottleneck != hardware.levels[-1].name:
        assert simulate(longer, hardware).latency_s >= before.latency_s * 0.995


@given(cascades(batch=True), st.integers(1, 5), st.integers(2, 9))
@slow
def test_a_larger_batch_takes_as_many_times_the_traffic_and_the_time(cascade: Cascade, batch: int, times: int) -> None:
    """Every tensor has the batch rank; on one array and without launches nothing is shared between its members."""
    one = simulate(cascade.with_sizes(N=batch), "fusemax")
    many = simulate(cascade.with_sizes(N=batch * times), "fusemax")
    assert many.latency_s == pytest.approx(times * one.latency_s, rel=EXACT)
    assert many.traffic_bytes["dram"] == pytest.approx(times * one.traffic_bytes["dram"], rel=EXACT)
    for name, seconds in one.busy_s.items():
        assert many.busy_s[name] == pytest.approx(times * seconds, rel=EXACT)


@given(cascades(), machines, st.sampled_from(OBJECTIVES))
@slow
def test_the_search_promises_what_the_simulation_then_finds(
    cascade: Cascade, hardware: Machine, objective: Objective
) -> None:
    """The default mapping is data: written out and read back it gives the same prediction, the one promised."""
    work = as_workload(cascade)
    mapping = default_mapping(work, hardware, objective)
    found = predict(work, hardware, mapping)
    again = simulate(cascade, hardware, mapping.to_data())
    assert value(again, objective) == value(found, objective)
    assert {name for group in mapping.groups for name in group.einsums} == {e.name for e in cascade.einsums}
    from lightbound.sim.search import _best_cut  # pyright: ignore[reportPrivateUsage]

    promised = _best_cut(cascade, hardware, hardware, work.word_bytes, objective, False)
    assert promised is not None
    assert value(found, objective) == pytest.approx(promised[0], rel=EXACT)
    assert value(found, "latency" if objective == "traffic" else "traffic") == pytest.approx(promised[1], rel=EXACT)


def test_sums_of_objectives_over_groups_need_no_machine_that_prices_energy() -> None:
    """Where a machine states no energies every mapping costs nothing, and the least traffic decides."""
    cascade = Cascade.parse("Z[m,n] = sum(A[m,k] * B[k,n], k)", {"M": 300, "N": 200, "K": 100})
    work, hardware = as_workload(cascade), machine("tpu_v4i")
    by_energy = predict(work, hardware, default_mapping(work, hardware, "energy"))
    by_traffic = predict(work, hardware, default_mapping(work, hardware, "traffic"))
    assert by_energy.energy_j is None
    assert by_energy.traffic_bytes["dram"] == by_traffic.traffic_bytes["dram"]


def test_two_outputs_of_one_input_read_it_together() -> None:
    """Even and odd halves, neighbours, rows and columns: the accesses of one line reach what they reach together."""
    cases = {
        "Y[p,i] = X[p,2*i] * C[p,i] - X[p,2*i+1] * S[p,i]": {"P": 100, "I": 64},
        "D[t,c] = X[t+1,c] - X[t,c]": {"T": 1000, "C": 64},
        "S[p,m] = sum(X[p,e] * X[m,e], e)": {"P": 300, "M": 300, "E": 64},
        "X: [P, N]\nG[p] = X[0,p] * X[5,p]": {"P": 300, "N": 300},
    }
    for text, sizes in cases.items():
        for name in MACHINES:
            found = simulate(Cascade.parse(text, sizes), name)
            ratio = found.traffic_bytes["dram"] / found.compulsory_bytes
            assert 1 <= ratio < 1.01, (text, name)


def test_a_state_larger_than_the_chip_is_mapped_and_pays_for_it_every_step() -> None:
    text = """
    M[d,f,0]   = W[d,f]
    Y[n,f]     = sum(X[n,d] * M[d,f,n], d)
    U[n,d]     = sum(Y[n,f] * M[d,f,n], f)
    M[d,f,n+1] = M[d,f,n] + U[n,d] * Y[n,f]
    Z[d,f]     = M[d,f,N]
    """
    steps, width = 8, 8192  # a state of 128 MiB beside a buffer of 16
    small, large = (Cascade.parse(text, {"N": steps, "D": size, "F": size}) for size in (64, width))
    array = machine("fusemax")
    traffic = simulate(large, array).traffic_bytes["dram"]
    assert traffic > 2 * steps * 2 * width**2  # every step reads and writes all of it
    assert simulate(small, array).traffic_bytes["dram"] < 8 * 64**2 * 2
