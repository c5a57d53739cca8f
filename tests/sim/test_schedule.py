"""Slots, drains and pipeline depth: a schedule written out by hand for random groups, and worked points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.archs.machine import Machine
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import simulate
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.mappings.fusemax import BINDING
from lightbound.workloads.registry import workload

from .cascades import SMALL, cascades

FUSEMAX = machine("fusemax")


def cycles(prediction: Prediction) -> float:
    """Cycles of the compute schedule, drains included."""
    return sum(group.schedule.cycles for group in prediction.groups)


@st.composite
def groups(draw: st.DrawFn) -> tuple[Cascade, dict[str, Any]]:
    """A random chain as one group: units, slots and shared loops drawn, nothing along the lanes."""
    cascade = draw(cascades(size=SMALL))
    names = [einsum.name for einsum in cascade.einsums]
    divides = {e.name for e in cascade.einsums if any("div" in work.ops for work in e.work)}
    units = {name: "1d" if name in divides else draw(st.sampled_from(["1d", "2d"])) for name in names}
    count = draw(st.integers(1, 4))
    slot_of = {name: draw(st.integers(0, count - 1)) for name in names}
    slots = [[name for name in names if slot_of[name] == number] for number in range(count)]
    ranks = draw(st.lists(st.sampled_from(cascade.ranks), unique=True))
    loops = [{"for": rank, "tile": draw(st.integers(1, cascade.size(rank)))} for rank in ranks]
    group = {"einsums": names, "nest": loops, "slots": [slot for slot in slots if slot]}
    return cascade, {"bind": [{"einsums": [name], "unit": units[name]} for name in names], "groups": [group]}


def by_hand(cascade: Cascade, mapping: dict[str, Any], depth: int | None) -> float:
    """Cycles of a group whose Einsums do one point after the other. `depth` None stands for full."""
    group = mapping["groups"][0]
    unit_of = {bind["einsums"][0]: bind["unit"] for bind in mapping["bind"]}
    slot_of = {name: number for number, slot in enumerate(group["slots"]) for name in slot}
    busy: dict[tuple[int, str], int] = {}
    for einsum in cascade.einsums:
        place = slot_of[einsum.name], unit_of[einsum.name]
        for work in einsum.work:
            points = 1
            for rank in work.ranks:
                points *= cascade.size(rank)
            cost = sum(6 if op == "exp" else 1 for op in work.ops)
            busy[place] = busy.get(place, 0) + points * cost
    total = sum(
        max((c for (at, _), c in busy.items() if at == number), default=0) for number in range(len(group["slots"]))
    )
    if depth is None:
        return total
    epochs = 1
    for loop in group["nest"]:
        epochs *= -(-cascade.size(loop["for"]) // loop["tile"])
    drained = {
        (slot_of[access.tensor], unit_of[access.tensor])
        for einsum in cascade.einsums
        for access in einsum.reads
        if access.tensor in unit_of
        and unit_of[access.tensor] != unit_of[einsum.name]
        and slot_of[access.tensor] < slot_of[einsum.name]
    }
    rows = {"1d": 0, "2d": 256}
    return total + sum(max(0, rows[unit] * epochs - (depth - 1) * total) for _, unit in drained)


@given(groups(), st.one_of(st.none(), st.integers(1, 6), st.integers(1, 5000)))
@settings(deadline=None, max_examples=150)
def test_a_schedule_is_its_slots_plus_the_drains_that_no_other_epoch_hides(
    drawn: tuple[Cascade, dict[str, Any]], depth: int | None
) -> None:
    cascade, mapping = drawn
    mapping["groups"][0]["depth"] = "full" if depth is None else depth
    assert cycles(simulate(cascade, FUSEMAX, mapping)) == pytest.approx(by_hand(cascade, mapping, depth), rel=1e-9)


@given(groups())
@settings(deadline=None, max_examples=60)
def test_a_deeper_pipeline_is_never_slower_and_full_is_the_limit(drawn: tuple[Cascade, dict[str, Any]]) -> None:
    cascade, mapping = drawn
    found = []
    for depth in (1, 2, 3, 10, 100000, "full"):
        mapping["groups"][0]["depth"] = depth
        found.append(cycles(simulate(cascade, FUSEMAX, mapping)))
    assert found == sorted(found, reverse=True)
    assert found[-2] == pytest.approx(found[-1])


@given(groups())
@settings(deadline=None, max_examples=60)
def test_no_order_of_work_is_faster_than_perfect_overlap_nor_slower_than_none(
    drawn: tuple[Cascade, dict[str, Any]],
) -> None:
    cascade, mapping = drawn
    names = mapping["groups"][0]["einsums"]

    def with_slots(slots: list[list[str]]) -> float:
        group = {**mapping["groups"][0], "slots": slots}
        return cycles(simulate(cascade, FUSEMAX, {**mapping, "groups": [group]}))

    drawn_slots = with_slots(mapping["groups"][0]["slots"])
    assert with_slots([names]) * (1 - 1e-9) <= drawn_slots <= with_slots([[name] for name in names]) * (1 + 1e-9)


# ---- worked points ---------------------------------------------------------------------------------------------------

PAIR = Cascade.parse("Z[m,n] = sum(A[m,k] * B[k,n], k)\nY[m,n] = exp(Z[m,n])", {"M": 4096, "N": 256, "K": 64})
BOTH = {
    "bind": [
        {"einsums": ["Z"], "unit": "2d", "space": {"rows": "m", "cols": "n"}},
        {"einsums": ["Y"], "unit": "1d", "space": {"rows": "m"}},
    ]
}


def pair(slots: list[list[str]], depth: int | str = 1, hardware: Machine = FUSEMAX) -> Prediction:
    group = {"einsums": ["Z", "Y"], "nest": [{"for": "m", "tile": 256}], "slots": slots, "depth": depth}
    return simulate(PAIR, hardware, {**BOTH, "groups": [group]})


def test_a_product_that_feeds_a_later_slot_drains_once_an_epoch() -> None:
    """16 epochs of 64 cycles on the 2D array, then 6 x 256 on the 1D one; the 2D array has 256 rows to drain."""
    one_by_one = 16 * (64 + 6 * 256)
    found = pair([["Z"], ["Y"]])
    assert cycles(found) == one_by_one + 16 * 256
    assert found.decomposition_s["2d drain"] == pytest.approx(16 * 256 / FUSEMAX.clock_hz)
    assert cycles(pair([["Z"], ["Y"]], depth="full")) == one_by_one


def test_values_stream_within_a_slot_and_wait_for_the_next_epoch_in_an_earlier_one() -> None:
    assert cycles(pair([["Z", "Y"]])) == 16 * 6 * 256
    assert cycles(pair([["Y"], ["Z"]])) == 16 * (64 + 6 * 256)
    assert "2d drain" not in pair([["Y"], ["Z"]]).decomposition_s


def test_binding_hides_all_drains_at_the_depth_that_the_epoch_asks_for() -> None:
    """E = F = 64 at 512 lanes: 138 cycles an epoch, 98 of 512 exposed at depth 4; E = F = 8: 26 cycles, depth 21."""
    for width, depth, left in ((64, 4, 98), (8, 20, 512 - 19 * 26), (8, 21, 0)):
        work = workload("fusemax").with_sizes(B=1, H=1, E=width, F=width, M=512 << 12, P=512)
        hardware = machine("fusemax", pe_dim=512)
        group = {**BINDING["groups"][0], "depth": depth}
        epochs = 1 << 12
        hidden = simulate(work, hardware, "binding")
        found = simulate(work, hardware, {**BINDING, "groups": [group]})
        assert cycles(hidden) / epochs == pytest.approx(2 * width + 10, rel=1e-3)
        assert (cycles(found) - cycles(hidden)) / epochs == pytest.approx(left, abs=0.3)


def test_the_busiest_instance_drains_in_its_own_epochs_only() -> None:
    """264 tiles over 132 multiprocessors: two epochs each."""
    gpu = machine("h100_sxm")
    tensor = replace(gpu.units["tensor"], drain_cycles=100)
    gpu = replace(gpu, units={**gpu.units, "tensor": tensor}, launch_latency_s=0.0)
    mapping = {
        "bind": [{"einsums": ["Z"], "unit": "tensor", "space": {"lanes": ["m", "n"]}},
                 {"einsums": ["Y"], "unit": "sfu", "space": {"lanes": ["m", "n"]}}],
        "groups": [{"einsums": ["Z", "Y"], "nest": [{"for": "m", "tile": 16, "over": "sm"}],
                    "slots": [["Z"], ["Y"]], "depth": 1}],
    }  # fmt: skip
    found = simulate(PAIR.with_sizes(M=16 * 264), gpu, mapping)
    work = 2 * (64 * 16 * 256 / 2048 + 16 * 256 / 16)
    assert found.groups[0].schedule.cycles == work + 2 * 100
