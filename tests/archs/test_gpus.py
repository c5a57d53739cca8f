"""The shipped GPUs, and TPU v4i: their rates against the makers' data sheets, and what every one of them has alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightbound.archs.library import machine, machine_names
from lightbound.archs.machine import Machine

PEAK_FP16 = {  # dense multiply-accumulates counted as two, FLOP/s, with fp32 accumulation
    "tpu_v4i": 138e12,
    "v100": 125e12,
    "v100_pcie": 112e12,
    "t4": 65e12,
    "a100": 312e12,
    "a100_40": 312e12,
    "a800": 312e12,
    "a5000": 222.2e12 / 2,  # stated with sparsity
    "rtx3090": 71e12,
    "orin": 170e12 / 4,  # stated for INT8 with sparsity
    "rtx4090": 165.2e12,
    "rtx5090": 209.5e12,
    "l20": 119.5e12,
    "l40s": 733e12 / 2,  # stated with sparsity
    "h100_sxm": 989.4e12,
    "h100_pcie": 756e12,
    "h800": 989.4e12,
    "h20": 148e12,
    "h200": 989e12,
    "b200": 2250e12,
    "gb200": 2500e12,
    "mi210": 181e12,
    "mi300x": 1307.4e12,
}
PEAK_FP32 = {  # Hopper and Blackwell for servers state theirs at a higher clock than that of their tensor cores
    "v100": 15.7e12,
    "v100_pcie": 14e12,
    "t4": 8.1e12,
    "a100": 19.5e12,
    "a100_40": 19.5e12,
    "a800": 19.5e12,
    "a5000": 27.8e12,
    "rtx3090": 35.6e12,
    "orin": 5.3e12,
    "rtx4090": 82.6e12,
    "rtx5090": 104.8e12,
    "l20": 59.8e12,
    "l40s": 91.6e12,
    "mi210": 22.6e12,
    "mi300x": 163.4e12,
}
GPUS = sorted(set(PEAK_FP16) - {"tpu_v4i"})
NVIDIA = [name for name in GPUS if not name.startswith("mi")]
ASYNCHRONOUS = {"h100_sxm", "h100_pcie", "h800", "h20", "h200", "b200", "gb200"}  # with wgmma or tcgen05
PAGE = Path(__file__).parents[2] / "docs" / "machines.md"


def rate(found: Machine, unit: str, op: str) -> float:
    """Operations of one multiprocessor in a clock."""
    return found.unit(unit).lanes / found.unit(unit).cost[op]


@pytest.mark.parametrize("name", sorted(PEAK_FP16))
def test_the_peak_rate_is_that_of_the_data_sheet_within_one_percent(name: str) -> None:
    assert 2 * machine(name).peak_per_s("mac") == pytest.approx(PEAK_FP16[name], rel=0.01)


@pytest.mark.parametrize("name", sorted(PEAK_FP32))
def test_the_vector_rate_is_that_of_the_data_sheet_within_one_percent(name: str) -> None:
    found = machine(name)
    alu = found.unit("alu")
    assert 2 * alu.lanes * found.copies("sm") * found.clock_hz == pytest.approx(PEAK_FP32[name], rel=0.01)


def test_every_machine_with_multiprocessors_has_its_data_sheet_here() -> None:
    assert {name for name in machine_names() if "sm" in machine(name).instances} == set(GPUS)


@pytest.mark.parametrize("name", GPUS)
def test_a_mapping_finds_the_same_levels_and_units_on_every_gpu(name: str) -> None:
    found = machine(name)
    assert [level.name for level in found.levels if level.name != "infinity_cache"] == [
        "dram",
        "l2",
        "shared",
        "registers",
    ]
    assert {"tensor", "alu", "sfu"} <= set(found.units)
    for unit in ("tensor", "alu", "sfu"):
        assert found.unit(unit).scope == "sm"
    assert found.level("shared").bandwidth_bytes_per_s == pytest.approx(128 * found.clock_hz)
    assert rate(found, "sfu", "exp") == 16
    assert found.occupancy is not None and found.occupancy.shared_bytes == found.level("shared").capacity_bytes


@pytest.mark.parametrize("name", NVIDIA)
def test_the_instructions_of_a_warp_are_a_unit_that_shares_the_tensor_cores(name: str) -> None:
    found = machine(name)
    tensor, warp = found.unit("tensor"), found.unit("tensor_sync")
    assert (warp.shares, warp.scope, warp.shape) == ("tensor", "sm", tensor.shape)
    if name in ASYNCHRONOUS:
        assert rate(found, "tensor_sync", "mac") < rate(found, "tensor", "mac")
    else:
        assert warp.cost == tensor.cost and warp.blocks == tensor.blocks
    assert rate(found, "shuffle", "shuffle") == 32


@pytest.mark.parametrize("name", NVIDIA)
def test_a_comparison_a_choice_and_an_integer_addition_run_at_64_or_all_lanes(name: str) -> None:
    found = machine(name)
    for op in ("compare", "select", "iadd"):
        assert rate(found, "alu", op) in (64, found.unit("alu").lanes)
    assert rate(found, "alu", "compare") == rate(found, "alu", "select") == 64


def test_the_instructions_of_a_warp_follow_the_generation() -> None:
    assert rate(machine("h100_sxm"), "tensor_sync", "mac") == pytest.approx(0.634 * 2048)
    assert rate(machine("h20"), "tensor_sync", "mac") == pytest.approx(0.634 * 512)
    assert rate(machine("b200"), "tensor_sync", "mac") == rate(machine("a100"), "tensor_sync", "mac") == 1024


@pytest.mark.parametrize(("name", "of"), [("a800", "a100"), ("h800", "h100_sxm")])
def test_the_export_variants_differ_in_nothing_but_links(name: str, of: str) -> None:
    found, base = machine(name).fields(), machine(of).fields()
    assert {path for path in base if base[path] != found[path]} == {"links.nvlink.bandwidth"}


@pytest.mark.parametrize("name", ["h100_pcie", "h20"])
def test_a_card_of_another_power_does_not_inherit_the_clock_under_load(name: str) -> None:
    assert machine("h100_sxm").sustained_clock_hz == 1.6e9
    assert machine(name).sustained_clock_hz is None
    assert machine(name).sustained_load is None


def row(name: str) -> str:
    found = machine(name)
    dram, flops = found.level("dram"), 2 * found.peak_per_s("mac") / 1e12
    capacity = "" if dram.capacity_bytes is None else f"{dram.capacity_bytes / 1e9:.4g} GB"
    assert dram.bandwidth_bytes_per_s is not None
    return f"| `{name}` | {found.title} | {flops:.4g} | {capacity} | {dram.bandwidth_bytes_per_s / 1e9:.4g} |"


def test_the_page_lists_every_shipped_machine_with_its_numbers() -> None:
    listed = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    rows = [row(name) for name in sorted(machine_names(), key=lambda name: machine(name).peak_per_s("mac"))]
    missing = [line for line in rows if line not in listed]
    assert not missing, "write these rows into docs/machines.md:\n" + "\n".join(missing)
