"""The shipped machines: their sources, their rates against data sheets, and overrides of any field."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.archs.library import machine, machine_names
from lightbound.archs.schema import OPERATIONS
from lightbound.base.errors import LightboundError
from lightbound.workloads.expression import FUNCTIONS

MIB = 2**20


def test_the_library_holds_the_machines_it_promises() -> None:
    arrays = {"fusemax", "flat", "flat_serial_exp", "tpu_v4i"}
    servers = {"v100", "t4", "a100_40", "a100", "a800", "h100_sxm", "h100_pcie", "h800", "h200", "b200", "gb200"}
    promised = arrays | servers | {"l20", "l40s", "rtx3090", "rtx4090", "mi210", "mi300x"}
    assert promised <= set(machine_names())


@pytest.mark.parametrize("name", machine_names())
def test_every_number_of_a_shipped_machine_has_a_source_of_its_own(name: str) -> None:
    found = machine(name)
    assert found.source
    assert set(found.sources) == set(found.fields())
    for path, source in found.sources.items():
        assert source.text and source.text != found.source, f"{path} rests on the source of the whole file"
        assert source.kind is not None, f"{path} does not say what kind of evidence it has"


def test_fusemax_is_the_array_of_the_article() -> None:
    found = machine("fusemax")
    assert found.clock_hz == 940e6
    assert found.level("dram").read_energy_j == pytest.approx(249.6e-12)
    assert found.level("dram").row_bytes == 8
    buffer = found.level("global_buffer")
    assert (buffer.capacity_bytes, buffer.row_bytes) == (16 * MIB, 512)
    assert buffer.read_energy_j == pytest.approx(12512.760572e-12, rel=1e-12)
    assert buffer.write_energy_j == pytest.approx(15751.460572e-12, rel=1e-12)
    two, one = found.unit("2d"), found.unit("1d")
    assert (two.lanes, one.lanes, two.drain_cycles, one.drain_cycles) == (65536, 256, 256, 0)
    assert two.cycles(("sub", "exp")) == one.cycles(("sub", "exp")) == 7
    assert two.registers is not None and one.registers is not None
    assert two.registers.write_energy_j == pytest.approx(1.902435e-12, rel=1e-6)
    assert one.registers.read_energy_j == pytest.approx(2.194455e-12, rel=1e-6)


def test_flat_has_twice_the_buffer_and_a_pipelined_exponential() -> None:
    found = machine("flat")
    buffer = found.level("global_buffer")
    assert buffer.capacity_bytes == 32 * MIB
    assert buffer.read_energy_j == pytest.approx(23854.664592e-12, rel=1e-12)
    assert found.unit("1d").cycles(("sub", "exp")) == 1
    assert found.unit("2d").cycles(("max",)) is None
    assert machine("flat_serial_exp").unit("1d").cycles(("sub", "exp")) == 2


def test_an_extended_machine_differs_only_in_its_changes() -> None:
    base, extended = machine("flat").fields(), machine("flat_serial_exp").fields()
    assert {path for path in base if base[path] != extended[path]} == {"units.1d.cost.sub+exp"}
    assert machine("h200").level("dram").bandwidth_bytes_per_s == 4.8e12
    assert machine("h200").unit("tensor").lanes == machine("h100_sxm").unit("tensor").lanes


@given(st.floats(1, 512), st.floats(1, 512))
def test_a_larger_buffer_never_costs_less_energy_per_access(a: float, b: float) -> None:
    small, large = sorted((round(a * MIB), round(b * MIB)))
    less, more = (machine("fusemax", global_buffer=size).fields() for size in (small, large))
    for path in ("levels.global_buffer.read_energy", "levels.global_buffer.write_energy"):
        assert less[path] <= more[path]


def test_one_override_moves_every_formula_that_uses_it() -> None:
    found = machine("fusemax", pe_dim=128, global_buffer="8 MiB")
    assert found.params == {"pe_dim": 128}
    assert found.unit("2d").shape == {"rows": 128, "cols": 128}
    assert found.unit("2d").drain_cycles == 128
    assert found.level("global_buffer").row_bytes == 256
    assert found.level("global_buffer").capacity_bytes == 8 * MIB
    assert found.sources["params.pe_dim"].kind == "override"


@pytest.mark.parametrize(
    ("name", "path", "value", "field", "expected"),
    [
        ("h200", "dram.bandwidth", "4 TB/s", "levels.dram.bandwidth", 4e12),
        ("h200", "levels.dram.bandwidth", 4e12, "levels.dram.bandwidth", 4e12),
        ("h200", "tensor.cost.mac", 2e-3, "units.tensor.cost.mac", 2e-3),
        ("h200", "clock", "1.5 GHz", "clock", 1.5e9),
        ("h200", "sm", 64, "instances.sm", 64),
        ("h200", "shared", "100 KiB", "levels.shared.capacity", 102400),
        ("h200", "nvlink", "200 GB/s", "links.nvlink.bandwidth", 200e9),
        ("h200", "occupancy.ctas", 16, "occupancy.ctas", 16),
        ("fusemax", "dram.latency", "1 us", "levels.dram.latency", 1e-6),
        ("fusemax", "launch_latency", "2 us", "launch_latency", 2e-6),
        ("fusemax", "global_buffer", "4*pe_dim*pe_dim", "levels.global_buffer.capacity", 4 * 65536),
        ("fusemax", "1d.registers.depth", 64, "units.1d.registers.depth", 64),
        ("fusemax", "2d.energy.mac", "1 pJ", "units.2d.energy.mac", 1e-12),
        ("fusemax", "pe_dim", np.int64(64), "params.pe_dim", 64),
    ],
)
def test_any_field_can_be_overridden(name: str, path: str, value: object, field: str, expected: float) -> None:
    found = machine(name, **{path: value})
    assert found.fields()[field] == pytest.approx(expected)
    assert found.sources[field].text == "set by the caller"


def test_bandwidths_in_bytes_per_clock_follow_the_clock() -> None:
    whole, half = machine("h100_sxm").fields(), machine("h100_sxm", clock="990 MHz").fields()
    assert half["levels.l2.bandwidth"] == whole["levels.l2.bandwidth"] / 2


def test_occupancy_follows_the_capacity_of_its_level() -> None:
    occupancy = machine("h200", shared="100 KiB").occupancy
    assert occupancy is not None
    assert (occupancy.shared_bytes, occupancy.shared_per_cta_bytes) == (102400, 102400 - 1024)


@given(
    st.lists(st.integers(1, 1024), min_size=1, max_size=5),
    st.sampled_from(["fusemax", "flat"]),
    st.integers(1, 64),
)
def test_a_sweep_over_arrays_gives_the_numbers_of_single_machines(dims: list[int], name: str, mib: int) -> None:
    swept = machine(name, pe_dim=np.array(dims), global_buffer=np.array([mib * MIB] * len(dims))).fields()
    for index, dim in enumerate(dims):
        for path, value in machine(name, pe_dim=dim, global_buffer=mib * MIB).fields().items():
            assert np.broadcast_to(swept[path], len(dims))[index] == pytest.approx(value, rel=1e-12), path


def test_arrays_are_kept_as_float64_and_not_copied_into_lists() -> None:
    swept = machine("fusemax", pe_dim=np.array([128, 256]))
    assert swept.params["pe_dim"].dtype == np.float64
    assert swept.peak_per_s("mac").shape == (2,)
    assert swept.unit("2d").lanes.tolist() == [128**2, 256**2]


def test_equal_calls_give_one_object() -> None:
    assert machine("fusemax") is machine("fusemax")
    assert machine("fusemax", pe_dim=128) is machine("fusemax", pe_dim=128)
    assert machine("fusemax", pe_dim=128) is not machine("fusemax")


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("fusemax", {"pe_dmi": 3}, ("pe_dmi", "Did you mean 'pe_dim'")),
        ("fusemax", {"dram.bandwith": "3 GB/s"}, ("dram.bandwith", "Did you mean 'bandwidth'")),
        ("fusemax", {"2d.cost.mca": 1}, ("mca", "max")),
        ("fusemax", {"levels.l3.capacity": "1 MiB"}, ("levels.l3.capacity", "dram")),
        ("fusemax", {"params.tiles": 3}, ("params.tiles", "pe_dim")),
        ("fusemax", {"2d": 3}, ("2d", "2d.cost.mac")),
        ("fusemax", {"pe_dim": 0}, ("params.pe_dim = 0", "not positive")),
        ("fusemax", {"pe_dim": -4}, ("params.pe_dim = -4", "not positive")),
        ("fusemax", {"pe_dim": True}, ("params.pe_dim = True", "not a number")),
        ("fusemax", {"pe_dim": "4 B"}, ("params.pe_dim = 4 B", "has none")),
        ("fusemax", {"pe_dim": 1.5}, ("units.2d.shape.rows", "not a whole number")),
        ("fusemax", {"pe_dim": np.array([4.0, 0.0])}, ("params.pe_dim", "not positive")),
        ("fusemax", {"global_buffer": "16"}, ("levels.global_buffer.capacity = 16", "16 MiB")),
        ("fusemax", {"global_buffer": "0 B"}, ("levels.global_buffer.capacity = 0 B", "not positive")),
        ("fusemax", {"global_buffer": "-1 B"}, ("levels.global_buffer.capacity = -1 B", "not positive")),
        ("fusemax", {"global_buffer": None}, ("levels.global_buffer.capacity", "not a number")),
        ("fusemax", {"global_buffer": "pe_dim - 999"}, ("levels.global_buffer.capacity", "comes to -743")),
        ("fusemax", {"global_buffer": "pe_dim / 0"}, ("levels.global_buffer.capacity", "divides by zero")),
        ("fusemax", {"global_buffer": "cores * 2"}, ("levels.global_buffer.capacity", "cores")),
        ("fusemax", {"global_buffer": "16 MiB +"}, ("levels.global_buffer.capacity", "16 MiB")),
        ("fusemax", {"global_buffer.capacity.x": 1}, ("global_buffer.capacity.x", "one number")),
        ("fusemax", {"dram.bandwidth": "400 MHz"}, ("levels.dram.bandwidth = 400 MHz", "400 GiB/s")),
        ("fusemax", {"dram.bandwidth": [1, 2]}, ("levels.dram.bandwidth = [1, 2]", "not a number")),
        ("fusemax", {"dram.bandwidth": float("nan")}, ("levels.dram.bandwidth = nan", "finite")),
        ("fusemax", {"dram.scope": "sm"}, ("levels.dram.scope = sm", "not an instance axis")),
        ("fusemax", {"clock": "__import__('os')"}, ("clock", "formula")),
        ("h200", {"occupancy": 3}, ("occupancy = 3",)),
    ],
)
def test_a_wrong_override_names_the_field_the_value_and_the_remedy(
    name: str, overrides: dict[str, object], words: tuple[str, ...]
) -> None:
    with pytest.raises(LightboundError) as caught:
        machine(name, **overrides)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.remedy


def test_an_unknown_machine_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(LightboundError, match=r"machine = fusemx.*Did you mean 'fusemax'"):
        machine("fusemx")


def test_the_table_of_operations_covers_the_cascade_language() -> None:
    assert set(FUNCTIONS) <= OPERATIONS


def test_importing_machines_loads_neither_pydantic_nor_pint_nor_yaml() -> None:
    code = (
        "import sys, lightbound.archs.library\n"
        "print([name for name in ('pydantic', 'pint', 'yaml', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
