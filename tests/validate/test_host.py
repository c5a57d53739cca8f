"""The host as a machine: its file, its predictions, what counts as a measurement, and the comparison of both."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lightbound as lb
from lightbound._core import host as core
from lightbound.archs.cached import probed_file
from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.kernels.host import instruction_set
from lightbound.validate.host.cases import host_cases
from lightbound.validate.host.compare import compare
from lightbound.validate.host.copying import Copied, Copies, Walk
from lightbound.validate.host.fresh import EACH, fresh_cases
from lightbound.validate.host.machine_file import write_machine
from lightbound.validate.host.measure import measure
from lightbound.validate.host.predict import held_bytes, host_machine, predict_host, predict_shared
from lightbound.validate.host.probe import Probe
from lightbound.validate.host.sampling import Figure, Loops, Sampled, Sampler, together
from lightbound.validate.host.sparsity import climb
from lightbound.validate.suites.host import report

EXAMPLE = "cpu_example"
CASES = host_cases()


def probe() -> Probe:
    """Figures such as a probe finds, for the instruction set of this machine."""
    on = instruction_set()

    def at(value: float) -> Figure:
        return Figure(value, 0.01, "a loop")

    rate = 2 * on["lanes"] * 4e9
    levels = {"l1": at(400e9), "l2": at(200e9), "l3": at(100e9), "dram": at(30e9)}
    return Probe(
        cpu="a processor", day="2026-11-27", cores=2, isa=on["name"], lanes=on["lanes"], tile_rows=on["rows"],
        tile_vectors=on["vectors"], attend_rows=on["attend_rows"],
        attend_vectors=on["attend_vectors"], clock_hz=at(4e9), issue_per_s=at(24e9), alone=1.0,
        fma_per_s={on["name"]: {"fp32": at(rate), "fp64": at(rate / 2)}},
        rates_per_s={op: at(rate) for op in ("add", "mul", "max")} | {"exp": at(rate / 8)}, fma_latency_s=at(1e-9),
        max_latency_s=at(0.5e-9), recurrence_latency_s=at(1.5e-9),
        exp_whole_per_s=at(rate / 12), beside={"add": at(0.2), "max": at(1e-3)}, sum_end_s=at(2e-9),
        cache_bytes={"l1": 32768, "l2": 2**20, "l3": 2**25}, load=levels, store=levels,
        copy=levels, latency_s={name: at(1e-9) for name in levels},
        awaited={"l2": at(0.01), "l3": at(0.1), "dram": at(0.3)},
        copy_awaited={"l2": at(0.01), "l3": at(0.2), "dram": at(0.5)},
        held={"l2": at(0.8), "l3": at(0.9)},
        rows_over_stream=at(1.5),
        dram_load={1: at(30e9), 2: at(50e9)},
        dram_copy={1: at(30e9), 2: at(50e9)}, dram_past={1: at(40e9), 2: at(50e9)}, l3_copy=at(180e9),
        thread_start_s=at(2e-5), scaling=2.0,
        notes=("Nothing is known.",),
    )  # fmt: skip


@pytest.fixture
def probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which this machine has been probed."""
    monkeypatch.setenv("LIGHTBOUND_CACHE", str(tmp_path))
    return write_machine(probe())


def test_a_machine_that_was_not_probed_names_the_command_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOUND_CACHE", str(tmp_path))
    with pytest.raises(
        LightboundError, match=r"machine = host: has not been probed here\. Run it first: lightbound probe"
    ):
        lb.machine("host")


def test_a_probe_is_a_machine_whose_shared_levels_give_no_more_than_its_cores_draw(probed: Path) -> None:
    assert probed == probed_file("host")
    both, one = lb.machine("host"), lb.machine("host", core=1)
    assert both.peak_per_s("mac") == pytest.approx(2 * one.peak_per_s("mac"))
    assert (one.level("dram").rate_bytes_per_s, both.level("dram").rate_bytes_per_s) == (30e9, 50e9)
    assert both.level("l2").scope == "core" and both.level("l3").scope is None
    assert "Nothing is known." in probed.read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kernel} {case.name}")
def test_every_case_is_predicted_above_its_bound_and_no_slower_on_more_cores(case) -> None:  # type: ignore[no-untyped-def]
    one, two = (predict_host(case, host_machine(cores, EXAMPLE)) for cores in (1, 2))
    assert one.latency_s >= one.bound_s > 0
    assert two.latency_s <= one.latency_s * 1.005  # each has half of the tensors in its own cache, and copies there


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kernel} {case.name}")
def test_a_smaller_cache_refuses_no_case_and_makes_none_faster(case) -> None:  # type: ignore[no-untyped-def]
    machine = host_machine(1, EXAMPLE)
    l1 = machine.level("l1")
    assert l1.capacity_bytes

    def with_l1(capacity: float) -> Machine:
        levels = (replace(one, capacity_bytes=capacity) if one is l1 else one for one in machine.levels)
        return replace(machine, levels=tuple(levels))

    latency = [predict_host(case, with_l1(l1.capacity_bytes / part)).latency_s for part in (1, 2, 4)]
    assert latency == sorted(latency)


def test_a_rate_of_copies_replaces_that_of_the_level_and_lowers_no_bound() -> None:
    machine = host_machine(1, EXAMPLE)
    (case,) = (one for one in CASES if one.kernel == "prefix_attention" and one.sizes == {"H": 1, "T": 16384, "F": 64})
    probed = predict_host(case, machine)
    rate = float(machine.level("l3").rate_bytes_per_s or 0)
    same, half, more = (predict_host(case, machine, Copied(part * rate)) for part in (1, 0.5, 4))
    assert same.latency_s == pytest.approx(probed.latency_s, rel=0.02)
    assert half.latency_s == pytest.approx(2 * same.latency_s, rel=0.1)
    assert half.bound_s == probed.bound_s and more.bound_s <= more.latency_s < same.latency_s


@given(here=st.floats(1e9, 4e11))
def test_copies_tell_how_much_of_a_walk_a_cache_holds(here: float) -> None:
    found = Copied(here, cache="l3", inside=1e11, outside=1e10)
    assert 0 <= found.held <= 1 and (found.held == 1) == (here >= 1e11) and (found.held == 0) == (here <= 1e10)
    if 0 < found.held < 1:
        assert found.held / found.inside + (1 - found.held) / found.outside == pytest.approx(1 / here)


def test_a_walk_that_nearly_fills_a_cache_is_predicted_between_one_inside_and_one_outside() -> None:
    machine = host_machine(1, EXAMPLE)
    (case,) = (one for one in CASES if one.kernel == "softmax" and one.sizes == {"R": 1024, "N": 1024})
    found = [
        predict_host(case, machine, Copied(here, cache="l3", inside=1e11, outside=2e10)).latency_s
        for here in (2e10, 3e10, 6e10, 1e11)
    ]
    assert found == sorted(found, reverse=True)
    assert (
        found[0]
        == predict_host(case, replace(machine, levels=machine.levels[:1] + machine.levels[2:]), Copied(2e10)).latency_s
    )


def test_copies_are_asked_through_caches_and_memory() -> None:
    copies = Copies(str(instruction_set()["name"]))
    walk = copies.ask(1e3)
    assert isinstance(walk, Walk) and walk.cache is None and walk.moved_bytes == 4096
    for call in walk.calls:
        call(seconds := [])
        assert len(seconds) == 1 and seconds[0] > 0
    for size, past in ((0.9 * copies.largest, False), (2e9, False), (2 * copies.largest, True)):
        ask = copies.ask(size, past)
        assert not isinstance(ask, Walk)
        found = Copied.middle([ask() for _ in range(3)])
        assert 1e8 < found.here < 1e13 and found.past == past
        assert (found.cache is not None) == (size < copies.largest and "l3" in copies.caches)


@pytest.mark.usefixtures("probed")
def test_fresh_shapes_are_the_same_for_a_number_and_none_that_are_always_compared() -> None:
    found = fresh_cases([], 5)
    assert len(found) == len({(case.kernel, case.name) for case in found}) == 12 * EACH
    assert not {(case.kernel, case.name) for case in found} & {(case.kernel, case.name) for case in CASES}
    assert all(case.held_out for case in found)
    products = tuple(case for case in found if case.kernel == "gemm")
    assert fresh_cases(["gemm"], 5) == products != fresh_cases(["gemm"], 6)
    for case in (one for one in found if held_bytes(one) < 1e7):
        seconds: list[float] = []
        case.call(1)(seconds)
        assert len(seconds) == 1
    with pytest.raises(LightboundError, match="below zero"):
        fresh_cases([], -1)


def test_the_cases_are_many_and_split() -> None:
    assert len({(case.kernel, case.name) for case in CASES}) == len(CASES) >= 60
    for kernel in {case.kernel for case in CASES}:
        sides = [case.held_out for case in CASES if case.kernel == kernel]
        assert (len(sides), sum(sides)) == (20, 7)


def test_faster_exponentials_make_attention_faster_and_products_no_slower() -> None:
    machine = host_machine(1, EXAMPLE)
    vector = machine.unit("vector")
    adders = {**vector.needs["adders"], "exp": 1.0}
    quick = replace(vector, cost={**vector.cost, "exp": 1.0}, needs={**vector.needs, "adders": adders})
    other = replace(machine, units={**machine.units, "vector": quick})
    attention, gemm = host_cases(["attention"])[3], host_cases(["gemm"])[0]
    assert predict_host(attention, other).latency_s < predict_host(attention, machine).latency_s
    assert predict_host(gemm, other).latency_s == predict_host(gemm, machine).latency_s


def test_instructions_pass_two_ports_in_the_time_that_the_busier_one_takes() -> None:
    machine, case = host_machine(1, EXAMPLE), host_cases(["softmax"])[0]
    vector = machine.unit("vector")
    slow = {**vector.needs["adders"], "exp": 20.0}

    def latency(needs: dict[str, object]) -> float:
        units = {**machine.units, "vector": replace(vector, needs={**vector.needs, **needs})}
        return predict_host(case, replace(machine, units=units)).latency_s

    once = latency({"adders": slow})
    assert once > latency({}) and latency({"adders": slow, "again": slow}) == once


def test_a_figure_is_what_the_better_quarter_of_undisturbed_samples_reaches() -> None:
    alone, shared = [(float(value), 0.99) for value in range(1, 14)], [(100.0, 0.5)]
    fast = Sampled(lambda: (0.0, True), "a loop", found=alone + shared)
    slow = replace(fast, fast=False)
    assert (fast.figure().value, fast.figure().most, slow.figure().value, slow.figure().most) == (10.0, 100.0, 4.0, 1.0)


def test_where_a_core_is_hardly_ever_alone_fewer_samples_make_a_figure() -> None:
    shared, alone = [(float(value), 0.5) for value in range(1, 17)], [(17.0, 0.99)]
    assert Sampled(lambda: (0.0, True), "a loop", found=shared + alone).figure().value == 16.0


def test_of_two_threads_samples_count_in_which_they_ran_side_by_side() -> None:
    together, apart = [(float(value), 0.5) for value in range(1, 18)], [(40.0, 0.0)] * 20
    both = Sampled(lambda: (0.0, True), "a loop", threads=2, found=together + apart)
    assert (both.figure().value, both.figure().most) == (16.0, 40.0)  # the most is for bounds: whatever could be done


@pytest.mark.parametrize(("handover", "counts"), [(50e-9, True), (200e-9, False)])
def test_samples_of_cores_that_did_not_share_a_cache_do_not_count(
    monkeypatch: pytest.MonkeyPatch, handover: float, counts: bool
) -> None:
    monkeypatch.setattr(core, "probe_loop", lambda *given, **named: (1000.0, [1e-4, 1e-4], 1.0, handover))
    monkeypatch.setattr(core, "Room", lambda *given: None)
    loops = Loops(0, near_s=100e-9)
    assert loops.rate("avx2", "load", 4096, 2)()[1] == loops.stream("avx2", "load", 4096, 1024, 2)()[1] == counts
    assert loops.far == (0 if counts else loops.handed)


def test_cores_of_this_machine_hand_a_line_over_in_some_time() -> None:
    room = core.Room(1 << 16, 2, False)
    _, seconds, part, handover = core.probe_loop(instruction_set()["name"], "load", room, 100, 0, 1 << 16)
    assert len(seconds) == 2 and 0 <= part <= 1 and 1e-9 < handover < 1.0


def test_a_sample_is_taken_again_where_its_threads_did_not_run_side_by_side() -> None:
    parts = iter([False, True, *[False] * 99])
    sample = together(lambda: (1.0, next(parts)))
    assert (sample(), sample()) == ((1.0, True), (1.0, False))


def test_figures_take_turns_until_more_samples_would_not_move_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightbound.validate.host.sampling.issued_per_s", lambda: 1.0)
    taken = {"steady": 0, "never alone": 0}

    def sample(name: str, side_by_side: bool) -> tuple[float, bool]:
        taken[name] += 1
        return 1.0, side_by_side

    sampler = Sampler(1.0)
    sampler.add("steady", lambda: sample("steady", True), "a loop", warm=2, turn=3)
    sampler.add("never alone", lambda: sample("never alone", False), "a loop", threads=2)
    sampler.visit(0.0, 0.05)
    assert {name: figure.value for name, figure in sampler.figures().items()} == {"steady": 1.0, "never alone": 1.0}
    assert taken["steady"] == 5 * 8 and taken["never alone"] > 8
    assert sampler.alone == (24, 24 + taken["never alone"])


def _call(reported_s: float, taken_s: float = 0.0) -> Callable[[list[float]], None]:
    def call(seconds: list[float]) -> None:
        time.sleep(taken_s)
        seconds[:] = [reported_s / 2, reported_s]

    return call


def test_samples_in_which_the_processor_was_taken_away_are_put_aside() -> None:
    quiet, disturbed = measure([_call(0.01), _call(0.001, 0.004)], repeats=8, budget_s=0.2)
    assert not quiet.noisy and quiet.median_s == 0.01 and quiet.interval_s == (0.01, 0.01)
    assert disturbed.noisy and disturbed.put_aside == disturbed.samples and disturbed.wall_over_cpu > 2


def _front_end(monkeypatch: pytest.MonkeyPatch, answers: list[float]) -> None:
    """A front end whose answers, as parts of the probed rate, come round."""
    turn = itertools.cycle(answers)
    monkeypatch.setattr("lightbound.validate.host.measure.issued_per_s", lambda: next(turn))
    monkeypatch.setattr("lightbound.validate.host.measure.clock_hz", lambda: 1.0)


def test_samples_during_which_another_thread_took_slots_are_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    _front_end(monkeypatch, [1.0, 0.97, 0.97, 0.55, 0.55, 1.02, 1.02, 1.01])  # of four the first and the last are alone
    (found,) = measure([_call(0.01)], repeats=8, budget_s=5, issue_width=1.0)
    assert found.samples >= 8 and abs(found.samples - found.put_aside) <= 2
    assert (found.share, found.noisy) == (1.0, False)


def test_a_call_timed_in_parts_takes_as_long_as_its_undisturbed_parts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, shared, gone = (1.0, 1.0, 4, 0.001), (9.0, 9.0, 4, 0.002), (5.0, 4.0, 4, 0.001)  # seconds, instructions/s
    calls = itertools.cycle([[alone, alone, alone], [alone, shared, shared], [gone, shared, alone]])
    _front_end(monkeypatch, [1000.0])
    monkeypatch.setattr(core, "watch_begin", lambda marks, instructions: None)
    monkeypatch.setattr(core, "watch_end", lambda: next(calls))
    (found,) = measure([_call(0.01)], repeats=6, budget_s=5, issue_width=1000.0)
    assert (found.median_s, found.interval_s, len(found.parts), found.share) == (3.0, (3.0, 3.0), 3, 1.0)
    assert found.samples >= 6 and not found.noisy and found.put_aside > 0


def test_calls_of_several_threads_are_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their tasks go to one thread or another: the marks that the first one passes are others in every call."""
    _front_end(monkeypatch, [1000.0])
    calls = [case.call(2) for case in host_cases(["attention_three_pass", "linear_attention", "softmax"])[::4]]
    for found in measure(calls, repeats=5, budget_s=0.5, issue_width=1000.0, threads=2):
        assert len(found.parts) == 1 and found.median_s > 0


def test_a_part_that_was_never_alone_is_as_much_shorter_as_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, shared = (2.0, 2.0, 4, 0.001), (4.0, 4.0, 4, 0.002)  # seconds, and those of an instruction behind
    calls = itertools.cycle([[alone, alone, shared, shared]] + [[shared] * 4] * 2)
    _front_end(monkeypatch, [1000.0])
    monkeypatch.setattr(core, "watch_begin", lambda marks, instructions: None)
    monkeypatch.setattr(core, "watch_end", lambda: next(calls))
    (found,) = measure([_call(0.0)], repeats=8, budget_s=0.2, issue_width=1000.0)
    assert found.median_s == pytest.approx(4 * 2.0) and (found.share, found.noisy) == (1.0, False)


def test_a_kernel_that_is_watched_passes_the_same_marks_in_every_call() -> None:
    for case in host_cases(["attention_causal", "linear_attention", "prefix_attention_parallel", "gemm", "exp"])[::3]:
        call, found = case.call(1), []
        for _ in range(2):
            core.watch_begin(2, 1000)
            call([])
            found.append(core.watch_end())
        assert [part[2] for part in found[0]] == [part[2] for part in found[1]]
        assert all(seconds > 0 and instruction > 0 for seconds, _, _, instruction in found[0])


def test_where_another_thread_is_always_there_all_samples_count_at_the_share_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _front_end(monkeypatch, [0.5, 0.7, 0.6, 0.6])
    (found,) = measure([_call(0.01)], repeats=8, budget_s=0.05, issue_width=1.0)
    assert found.share == pytest.approx(0.6) and not found.noisy and found.put_aside == 0


@pytest.mark.parametrize("case", host_cases(["attention", "gemm", "exp"])[::5], ids=lambda case: case.kernel)
def test_a_prediction_is_for_the_clock_that_the_core_has(case) -> None:  # type: ignore[no-untyped-def]
    probed = host_machine(1, EXAMPLE)
    slow, fast = (
        predict_host(case, host_machine(1, EXAMPLE, clock_hz=factor * float(probed.clock_hz))).latency_s
        for factor in (1, 2)
    )
    assert slow == predict_host(case, probed).latency_s
    assert slow / 2 * (1 - 1e-9) <= fast < slow  # memory does not move with it


@pytest.mark.parametrize("case", host_cases(["attention", "gemm", "exp"])[::5], ids=lambda case: case.kernel)
def test_a_smaller_share_of_the_front_end_makes_no_case_faster(case) -> None:  # type: ignore[no-untyped-def]
    latency = [predict_shared(case, 1, share, EXAMPLE).latency_s for share in (1.0, 0.9, 0.7, 0.5, 0.3)]
    assert all(after >= before * (1 - 1e-9) for before, after in itertools.pairwise(latency))
    assert latency[-2] == latency[-1]
    assert latency[0] == pytest.approx(predict_host(case, host_machine(1, EXAMPLE)).latency_s)


def test_a_core_that_issues_little_is_bound_by_it() -> None:
    case = host_cases(["gemm"])[0]
    found = [predict_host(case, host_machine(1, EXAMPLE, share)).latency_s for share in (1.0, 0.25, 0.125)]
    assert found[1] > found[0] and found[2] > 1.8 * found[1]


def test_a_comparison_has_both_figures_of_every_case(probed: Path) -> None:
    found = compare("exp", repeats=2, budget_s=0.5)
    assert {one.case.kernel for one in found.cases} == {"exp"}
    rows = json.loads(json.dumps(found.to_dict()))["rows"]
    assert all(row["predicted_s"] > 0 and row["measured_s"] > 0 and row["achieved"] > 0 for row in rows)
    assert bool(found.noise) == (len(found.judged) < len(found.cases))
    scored = report(found)
    assert [check.what for check in scored.checks][-1].startswith("cases faster than their bound")
    assert len(scored.rows) == len(found.judged)


def test_the_ladder_of_a_mask_goes_down(probed: Path) -> None:
    (rung,) = climb(host_machine(1), [((8, 8, 8), (4, 4, 4), (4, 4, 4))], repeats=2, budget_s=0.5)
    assert rung.operations >= rung.tiles >= rung.estimated > 0
    assert rung.measured > 0 and rung.quickest >= 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernel": "atention"}, "kernel = atention: is not a kernel of the host. Did you mean 'attention'?"),
        ({"device": "cuda"}, "device = cuda: has no kernels to compare"),
        ({"threads": 0, "kernel": "exp"}, "core"),
    ],
)
def test_bad_input_gets_one_clear_message(probed: Path, given: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(LightboundError, match=message):
        compare(**given)
