"""The search for a mapping: floors that nothing beats, segments that are alike, and the best of all that is tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lightbound as lb
from lightbound.sim.search import best_mapping, segments, sized, steps_of
from lightbound.sim.seek import EVALUATED
from lightbound.sim.segment import segment_of
from lightbound.sim.simulate import predict
from lightbound.sim.tries import Tried, tries

TWO_LEVELS = """
name: two
source: "by hand"
clock: 1 GHz
levels:
  dram: {bandwidth: 2 GB/s}
  far: {capacity: 256 KiB, bandwidth: 32 GB/s}
  near: {capacity: 4 KiB, bandwidth: 64 GB/s}
units:
  array: {shape: {rows: 8, cols: 8}, cost: {mac: 1}}
"""

WORKLOADS = [("attention", "bert_base"), ("aaren", "stream"), ("gman", "pems_paper"), ("eca_net", None)]
MACHINES = ["fusemax", "tpu_v4i", "h200", "cpu_example"]
BIRNN = """
XF[t,u]   = sum(X[t,e] * WF[e,u], e)
HF[0,u]   = 0
HF[t+1,u] = tanh(XF[t,u] + sum(HF[t,v] * RF[v,u], v))
XG[t,u]   = sum(X[t,e] * WG[e,u], e)
HG[0,u]   = 0
HG[t+1,u] = tanh(XG[t,u] + sum(HG[t,v] * RG[v,u], v))
Y[t,u]    = HF[t+1,u] + HG[t+1,u]
"""


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda one: one[0])
def test_no_candidate_gets_below_its_floor(workload: tuple[str, str | None], name: str) -> None:
    work, machine = lb.workload(*workload), lb.machine(name)
    cascade, _ = next(sized(work.cascade))
    steps = steps_of(cascade)
    for start, end in sorted(segments(cascade, steps))[::2]:  # neighbours have much in common
        segment = segment_of(cascade, tuple(name for step in steps[start:end] for name in step))
        every = tries(segment, machine, work.word_bytes)
        for number, (seconds, moved) in every.floors():
            trial, tried = every.trial(number), every[number]
            assert (seconds, moved) >= every.floor
            for look in range(EVALUATED):  # at every tile size
                least_s, least_bytes = trial.at_least(look)
                assert (least_s >= seconds * (1 - 1e-9)).all(), segment.names
                assert (least_bytes >= moved * (1 - 1e-9)).all(), segment.names
                assert (tried.latency_s >= least_s * (1 - 1e-9)).all(), segment.names
                assert (tried.traffic_bytes >= least_bytes * (1 - 1e-9)).all(), segment.names
            np.testing.assert_allclose(tried.traffic_bytes, trial.at_least(1)[1], rtol=1e-9)
            for level, least in every.least_bytes(number).items():
                assert (tried.need_bytes[level] >= least).all(), segment.names
            np.testing.assert_array_equal(trial.fits(machine), _fits(tried, machine))
        every.release()


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda one: one[0])
def test_to_keep_operands_further_out_is_never_worse(workload: tuple[str, str | None], name: str) -> None:
    work, machine = lb.workload(*workload), lb.machine(name)
    cascade, _ = next(sized(work.cascade))
    for step in steps_of(cascade):
        every = tries(segment_of(cascade, step), machine, work.word_bytes)
        for number in range(len(every)):
            for other in every.outdoing(number):
                assert (every[other].latency_s <= every[number].latency_s * (1 + 1e-9)).all(), step
                assert (every[other].traffic_bytes <= every[number].traffic_bytes * (1 + 1e-9)).all(), step
        every.release()


@pytest.mark.parametrize("name", MACHINES)
def test_the_best_cut_is_that_of_an_exhaustive_search(name: str) -> None:
    work, machine = lb.workload("aaren", "stream"), lb.machine(name)
    cascade, _ = next(sized(work.cascade))
    steps = steps_of(cascade)
    best = [0.0] + [np.inf] * len(steps)
    for start, end in sorted(segments(cascade, steps), key=lambda run: run[1]):
        every = tries(segment_of(cascade, tuple(name for step in steps[start:end] for name in step)), machine, 2)
        least = min((_least(every[number], machine) for number, _ in every.floors()), default=np.inf)
        best[end] = min(best[end], best[start] + least)
        every.release()
    assert work.word_bytes == 2
    found = predict(work, machine, best_mapping(work, machine, machine))
    assert float(found.latency_s) == pytest.approx(best[-1], rel=1e-9)


def test_a_step_that_is_larger_than_registers_is_kept_further_out() -> None:
    text = "S[0,i] = 0\nS[t+1,i] = sum(W[i,j] * S[t,j], j) + X[t,i]"
    work = lb.workload(lb.Cascade.parse(text, {"T": 64, "I": 1500, "J": 1500}))
    machine = lb.machine("cpu_example")
    mapping = best_mapping(work, machine, machine)
    step_bytes = 1500 * work.word_bytes
    assert step_bytes > (machine.level("registers").capacity_bytes or 0)
    (home,) = (level for group in mapping.to_data()["groups"] for level in _levels_of("S", group["nest"]))
    assert step_bytes <= (machine.level(home).capacity_bytes or 0)


def _levels_of(tensor: str, nest: list[dict[str, Any]]) -> Iterator[str]:
    for node in nest:
        if tensor in node.get("hold", ()):
            yield node["in"]
        yield from _levels_of(tensor, node.get("nest", []))


def _least(tried: Tried, machine: lb.Machine) -> float:
    return float(np.where(_fits(tried, machine), tried.latency_s, np.inf).min())


def _fits(tried: Tried, machine: lb.Machine) -> np.ndarray:
    fits = np.ones(tried.latency_s.shape, dtype=bool)
    for level, need in tried.need_bytes.items():
        capacity = machine.level(level).capacity_bytes
        fits &= True if capacity is None else need <= capacity
    return fits


def test_segments_that_differ_in_names_alone_are_one() -> None:
    cascade = lb.Cascade.parse(BIRNN, {"T": 64, "U": 32, "V": 32, "E": 48})
    one, other = segment_of(cascade, ("XF", "HF")), segment_of(cascade, ("XG", "HG"))
    assert one == other and one.names != other.names
    assert one.renaming(other) == {"XF": "XG", "X": "X", "WF": "WG", "HF": "HG", "RF": "RG"}
    assert segment_of(cascade, ("XF",)) != segment_of(cascade, ("HF",))
    machine = lb.machine("tpu_v4i")
    assert tries(one, machine, 2) is tries(other, machine, 2)
    mapping = best_mapping(lb.workload(cascade), machine, machine)
    assert {name for group in mapping.groups for name in group.einsums} == {"XF", "HF", "XG", "HG", "Y"}


def test_a_segment_depends_on_sizes_and_on_who_reads_it() -> None:
    cascade = lb.Cascade.parse(BIRNN, {"T": 64, "U": 32, "V": 32, "E": 48})
    longer = cascade.with_sizes(T=65)
    names = ("XF", "HF")
    assert segment_of(cascade, names) != segment_of(longer, names)
    alone = lb.Cascade.parse("\n".join(BIRNN.strip().splitlines()[:3]), {"T": 64, "U": 32, "V": 32, "E": 48})
    assert segment_of(alone, names) != segment_of(cascade, names)  # nobody reads HF there: it is an output


def test_a_product_is_cut_into_blocks_for_the_buffer_outside_and_tiles_for_the_one_inside(tmp_path: Path) -> None:
    """Blocks of T x T results move 2 * 2048^3 / T words of operands; 4 KiB alone would allow T = 32."""
    path = tmp_path / "two.yaml"
    path.write_text(TWO_LEVELS)
    size = 2048
    product = lb.Cascade.parse("Z[m,n] = sum(A[m,k] * B[k,n], k)", {"M": size, "N": size, "K": size})
    found = lb.simulate(product, str(path))
    block = 256  # with its operands it takes 160 KiB
    assert found.traffic_bytes["dram"] <= 2 * (2 * size**3 / block + size**2)
    assert found.latency_s == pytest.approx(size**3 / 64 * 1e-9, rel=0.01)


def test_names_are_enough_for_a_default_mapping() -> None:
    work, machine = lb.workload("attention", B=1, H=2, M=256, P=256), lb.machine("fusemax")
    assert lb.default_mapping(work, "fusemax") == lb.default_mapping(work, machine)


@pytest.mark.parametrize("machine", ["mi300x", "t4", "tpu_v4i"])
def test_tiles_in_each_other_that_nobody_chose_divide_their_rank(machine: str) -> None:
    work = lb.workload("attention_decode", B=8, H=8, G=4, M=8192)
    assert lb.simulate(work, machine).latency_s > 0


def test_counts_beyond_64_bits_are_floats() -> None:
    product = lb.Cascade.parse("Z[m,n] = sum(A[m,k] * B[k,n], k)", {"M": 2**40, "N": 8, "K": 2**40})
    for machine in ("fusemax", "h100_sxm", "cpu_example"):
        found = lb.simulate(product, machine)
        assert found.latency_s >= 2.0**83 / lb.machine(machine).peak_per_s("mac")
