"""A workload with a mask, simulated: what a mask saves and costs, and mappings with some values changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.overrides import in_order, tiles, with_values
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import resolve_mapping
from lightbound.workloads.masks.causal import Causal
from lightbound.workloads.masks.dense import Dense


def attention(length: int = 8192, batch: int = 1) -> lb.Workload:
    return lb.workload("attention", B=batch, H=16, M=length, P=length)


def causal(machine: str, mapping: str | None, length: int = 8192, batch: int = 1) -> Prediction:
    return lb.simulate(attention(length, batch).with_mask(Causal(length)), machine, mapping)


@pytest.mark.parametrize(
    ("machine", "mapping"), [("h100_sxm", "flash"), ("a100", "flash_sync"), ("a100", "flash_sync_q")]
)
@settings(max_examples=8, deadline=None)
@given(st.integers(8, 64).map(lambda tiles: 128 * tiles))
def test_causal_takes_at_most_all_of_the_time_and_half_of_it_but_for_waves(
    machine: str, mapping: str, length: int
) -> None:
    full = lb.simulate(attention(length).with_mask(Dense((length,), (length,))), machine, mapping).latency_s
    half = causal(machine, mapping, length).latency_s
    # Where every block has an SM, the last one sees all keys, and tests some. Equal blocks may leave half of the SMs
    # idle in their waves, where blocks of all lengths fill them.
    assert 0.25 * full < half < 1.05 * full


@pytest.mark.parametrize(("machine", "mapping"), [("h100_sxm", "flash"), ("a100", "flash_sync")])
def test_a_mask_that_leaves_nothing_out_is_no_mask(machine: str, mapping: str) -> None:
    """But for the last wave: blocks that have an SM for themselves there run at a speed of their own."""
    length = 16384
    masked = lb.simulate(attention(length).with_mask(Dense((length,), (length,))), machine, mapping)
    assert masked.latency_s == pytest.approx(lb.simulate(attention(length), machine, mapping).latency_s, rel=0.06)


@pytest.mark.parametrize("mapping", ["flash", "flash_sync"])
def test_the_parts_of_the_time_add_up_to_it(mapping: str) -> None:
    found = causal("h100_sxm", mapping)
    assert sum(found.decomposition_s.values()) == pytest.approx(found.latency_s)
    assert found.decomposition_s["imbalance"] > 0
    assert "scores are tested" in found.explain()


def test_memory_sees_every_input_and_output_once_at_least() -> None:
    found = causal("h100_sxm", "flash")
    assert all(found.traffic_by_tensor["dram"][name] >= 16 * 8192 * 128 * 2 for name in "QKVO")
    assert found.traffic_bytes["dram"] >= found.compulsory_bytes


def test_the_longest_first_is_no_later_where_the_last_block_is_the_longest() -> None:
    work = attention(4096).with_mask(Causal(4096))
    bare, mapping = resolve_mapping(work, lb.machine("h100_sxm"), "flash")
    ascending, descending = (lb.simulate(bare, "h100_sxm", in_order(mapping, order)) for order in ("launch", "longest"))
    assert descending.latency_s < ascending.latency_s


def test_a_last_section_of_one_head_leaves_processors_waiting_for_its_longest_block() -> None:
    work = attention(4096, 16).with_mask(Causal(4096))
    bare, mapping = resolve_mapping(work, lb.machine("h100_sxm"), "flash")
    together, apart = (lb.simulate(bare, "h100_sxm", in_order(mapping, "longest", heads)).latency_s for heads in (0, 5))
    assert apart > together


@pytest.mark.parametrize(
    ("machine", "mapping", "queries", "keys"),
    [("h200", "flash", 128, 128), ("a100", "flash_sync", 128, 64), ("b200", "flash_async", 256, 128)],
)
def test_without_a_mapping_the_fastest_kernel_serves_in_its_fastest_tiles(
    machine: str, mapping: str, queries: int, keys: int
) -> None:
    """They are the tiles in which those kernels ship for a head dimension of 128."""
    found = causal(machine, None)
    assert (found.mapping, found.params["BR"], found.sizes["M0"]) == (mapping, queries, keys)


@pytest.mark.parametrize(
    ("machine", "mapping", "head", "tile", "blocks"),
    [("a100", "flash_sync", 128, (128, 64), 2), ("a100", "flash_sync", 64, (128, 128), 2),
     ("rtx4090", "flash_sync", 128, (128, 32), 2), ("h100_sxm", "flash", 128, (128, 176), 1)],
)  # fmt: skip
def test_an_sm_holds_as_many_blocks_as_registers_and_shared_memory_let_it(
    machine: str, mapping: str, head: int, tile: tuple[int, int], blocks: int
) -> None:
    """FlashAttention-2's and -3's launch templates count on these."""
    work = lb.workload("attention", B=1, H=16, M=8448, P=8448, E=head, F=head)
    work, found = resolve_mapping(work, lb.machine(machine), mapping)
    assert lb.simulate(work, machine, with_values(found, {"BR": tile[0], "M0": tile[1]})).params["CTAS"] == blocks


def test_a_tile_that_no_sm_holds_is_refused() -> None:
    work, found = resolve_mapping(attention(), lb.machine("a100"), "flash_sync")
    with pytest.raises(LightboundError, match="no block fits"):
        lb.simulate(work, "a100", with_values(found, {"BR": 256, "M0": 128}))


def test_values_are_changed_by_name_and_unknown_names_refused() -> None:
    work, mapping = resolve_mapping(attention(), lb.machine("h200"), "flash")
    changed = with_values(mapping, {"BR": 192, "M0": "E"})
    assert tiles(changed, work, lb.machine("h200")) == (192, 128)
    assert tiles(mapping, work, lb.machine("h200")) == (128, 128)
    with pytest.raises(LightboundError, match="BR"):
        with_values(mapping, {"BS": 192})


def test_a_mask_of_another_size_is_refused_and_variants_keep_a_mask() -> None:
    with pytest.raises(LightboundError, match="8192"):
        attention().with_mask(Causal(4096))
    masked = attention().with_mask(Causal(8192))
    assert masked.with_variant("1-pass").mask == masked.mask
    with pytest.raises(LightboundError):
        masked.with_sizes(P=4096)
