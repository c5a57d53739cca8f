"""Iterations dealt over instances: what each fetches for itself, and how long the busiest works."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.archs.machine import Machine
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import simulate
from lightbound.workloads.cascade import Cascade

PRODUCT = Cascade.parse("Z[m,n] = sum(A[m,k] * B[k,n], k)")
SIZES = st.fixed_dictionaries({"M": st.integers(1, 24), "N": st.integers(1, 24), "K": st.integers(1, 6)})
TILES = st.tuples(st.integers(1, 24), st.integers(1, 24))
INSTANCES = st.integers(1, 9)
LANES = 8


def gpu(instances: int) -> Machine:
    return machine("h100_sxm", sm=instances, launch_latency=1e-12, **{"tensor.shape.lanes": LANES})


def dealt(sizes: dict[str, int], tiles: tuple[int, int], order: tuple[str, str]) -> dict[str, Any]:
    """Tiles of the result dealt over multiprocessors, whose operands come to the shared memory of each."""
    tile = {"m": min(tiles[0], sizes["M"]), "n": min(tiles[1], sizes["N"])}
    return {
        "bind": [{"einsums": ["Z"], "unit": "tensor", "space": {"lanes": ["m", "n"]}}],
        "groups": [{
            "einsums": ["Z"],
            "nest": [
                *({"for": rank, "tile": tile[rank], "over": "sm", "if_split": True} for rank in order),
                {"hold": ["A", "B"], "in": "shared"},
            ],
        }],
    }  # fmt: skip


def spans(size: int, tile: int) -> list[int]:
    return [min(tile, size - start) for start in range(0, size, tile)]


def run(sizes: dict[str, int], tiles: tuple[int, int], order: tuple[str, str], instances: int) -> Prediction:
    return simulate(PRODUCT.with_sizes(**sizes), gpu(instances), dealt(sizes, tiles, order))


@given(SIZES, TILES, st.sampled_from([("m", "n"), ("n", "m")]), INSTANCES)
@settings(deadline=None, max_examples=120)
def test_every_instance_fetches_what_its_own_tasks_need(
    sizes: dict[str, int], tiles: tuple[int, int], order: tuple[str, str], instances: int
) -> None:
    """Tasks go round the instances in loop order. An instance keeps a tile that its next task needs too.

    The operand of the outer loop is fetched by as many instances as work on its tile at once; that of the inner one is
    taken to be fetched for every task, although an instance may meet it again.
    """
    found = run(sizes, tiles, order, instances).traffic_by_tensor["dram"]
    lengths = {"m": spans(sizes["M"], tiles[0]), "n": spans(sizes["N"], tiles[1])}
    outer, inner = order
    tensor = {"m": "A", "n": "B"}
    kept: dict[tuple[int, str], int] = {}
    words = {"A": 0, "B": 0}
    for number, (at_outer, at_inner) in enumerate(
        (o, i) for o in range(len(lengths[outer])) for i in range(len(lengths[inner]))
    ):
        for rank, at in ((outer, at_outer), (inner, at_inner)):
            key = (number % instances, rank)
            if kept.get(key) != at:
                kept[key] = at
                words[tensor[rank]] += lengths[rank][at] * sizes["K"]
    if len(lengths[outer]) > 1:
        assert found[tensor[outer]] == 2 * words[tensor[outer]]
    assert all(found[name] >= 2 * words[name] for name in words)


@given(SIZES, TILES, st.sampled_from([("m", "n"), ("n", "m")]), INSTANCES)
@settings(deadline=None, max_examples=120)
def test_the_busiest_instance_does_its_tasks_at_full_length_but_for_a_last_one_alone(
    sizes: dict[str, int], tiles: tuple[int, int], order: tuple[str, str], instances: int
) -> None:
    found = run(sizes, tiles, order, instances)
    m, n = spans(sizes["M"], tiles[0]), spans(sizes["N"], tiles[1])
    work = [sizes["K"] * -(-rows * columns // LANES) for rows in m for columns in n]
    each = [sum(work[number::instances]) for number in range(instances)]
    cycles = found.groups[0].schedule.cycles
    assert max(each) <= cycles * (1 + 1e-9)
    rounds = -(-len(work) // instances)
    assert cycles <= rounds * max(work) * (1 + 1e-9)
    if len(work) % instances != 1 % instances or rounds == 1:
        assert cycles == pytest.approx(rounds * max(work))


@given(SIZES, TILES, st.integers(2, 9))
@settings(deadline=None, max_examples=60)
def test_the_port_of_an_instance_is_busy_with_its_own_tasks(
    sizes: dict[str, int], tiles: tuple[int, int], instances: int
) -> None:
    """With its part of all words, which is that of its tasks; no longer than if each task found nothing there."""
    sizes = {**sizes, "M": 4 * tiles[0], "N": 3 * tiles[1]}
    many = run(sizes, tiles, ("m", "n"), instances)
    one = run({**sizes, "M": tiles[0], "N": tiles[1]}, tiles, ("m", "n"), 1)
    rounds = -(-12 // instances)
    all_words = sum(count for (level, _, _), count in many.groups[0].words.items() if level == 2)
    one_words = sum(count for (level, _, _), count in one.groups[0].words.items() if level == 2)
    share = many.busy_s["shared"] / one.busy_s["shared"] * one_words
    assert share == pytest.approx(all_words * rounds / 12) and share <= rounds * one_words * (1 + 1e-9)


@given(SIZES, TILES, st.integers(1, 8))
@settings(deadline=None, max_examples=60)
def test_more_instances_are_never_slower(sizes: dict[str, int], tiles: tuple[int, int], instances: int) -> None:
    fewer = run(sizes, tiles, ("m", "n"), instances).groups[0].schedule.cycles
    assert run(sizes, tiles, ("m", "n"), instances + 1).groups[0].schedule.cycles <= fewer


def test_a_sum_that_is_dealt_pays_for_its_parts() -> None:
    """Four instances each sum a quarter: every part is written, and all but the first are read back to be added."""
    sizes = {"M": 8, "N": 8, "K": 4}
    mapping = dealt(sizes, (8, 8), ("m", "n"))
    mapping["groups"][0]["nest"] = [{"for": "k", "over": "sm"}, {"hold": ["A", "B", "Z"], "in": "shared"}]
    found = simulate(PRODUCT.with_sizes(**sizes), gpu(4), mapping).groups[0].words
    assert found[0, "write", "Z"] == 4 * 64
    assert found[0, "read", "Z"] == 3 * 64
    assert found[0, "read", "A"] == 8 * 4


def test_without_a_dealt_loop_one_instance_does_everything() -> None:
    cascade = PRODUCT.with_sizes(M=64, N=64, K=64)
    mapping = dealt({"M": 64, "N": 64, "K": 64}, (8, 8), ("m", "n"))
    alone = {**mapping, "groups": [{"einsums": ["Z"], "nest": [
        {key: value for key, value in node.items() if key != "over"} for node in mapping["groups"][0]["nest"]
    ]}]}  # fmt: skip
    shared = simulate(cascade, gpu(8), mapping).groups[0].schedule.cycles
    assert simulate(cascade, gpu(8), alone).groups[0].schedule.cycles == 8 * shared
