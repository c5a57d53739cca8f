"""Machines as values: fused costs, rates, names for formulas, and that they cannot be changed."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from lightbound.archs.library import machine, machine_names
from lightbound.archs.machine import Fixed, Unit
from lightbound.base.errors import LightboundError
from lightbound.base.formula import evaluate


def unit(**cost: float) -> Unit:
    return Unit("u", shape=Fixed(lanes=4), cost=Fixed({op.replace("_", "+"): c for op, c in cost.items()}))


def test_operations_cost_the_sum_of_their_parts() -> None:
    assert unit(sub=1, exp=6).cycles(("sub", "exp")) == 7


def test_a_fused_cost_comes_before_the_sum_of_its_parts() -> None:
    assert unit(sub=1, exp=6, sub_exp=1).cycles(("sub", "exp")) == 1


def test_the_longest_fused_cost_comes_first_and_the_rest_is_added() -> None:
    assert unit(mul=1, sub=1, exp=6, mul_sub=1).cycles(("mul", "sub", "exp")) == 7


def test_a_fused_cost_may_be_higher_than_its_parts() -> None:
    assert unit(sub=1, exp=1, sub_exp=5).cycles(("sub", "exp")) == 5


def test_an_operation_without_a_cost_cannot_be_done() -> None:
    assert unit(sub=1).cycles(("sub", "exp")) is None


def test_energy_of_a_fused_operation_is_that_of_its_parts() -> None:
    two = machine("fusemax").unit("2d")
    assert two.energy(("sub", "exp")) == pytest.approx((8.3395 + 6 * 17.1645) * 1e-12)


def test_a_rate_counts_lanes_copies_clock_and_cost() -> None:
    h100 = machine("h100_sxm")
    assert h100.peak_per_s("exp") == pytest.approx(16 * 132 * 1.98e9)
    assert h100.peak_per_s("max") == pytest.approx(128 * 132 * 1.98e9 / 2)
    assert machine("fusemax").peak_per_s("mac") == pytest.approx(256 * 256 * 940e6)


def test_the_rate_of_an_operation_is_that_of_the_fastest_unit() -> None:
    fusemax = machine("fusemax")
    assert fusemax.peak_per_s("div") == pytest.approx(256 * 940e6)
    assert fusemax.peak_per_s("max") == pytest.approx(256 * 256 * 940e6)


def test_a_rate_that_no_unit_has_names_the_nearest_operation() -> None:
    with pytest.raises(LightboundError, match="Did you mean 'max'"):
        machine("fusemax").peak_per_s("maxx")


def test_copies_multiply_down_the_instance_tree() -> None:
    h100 = machine("h100_sxm")
    assert h100.copies(None) == 1
    assert h100.copies("sm") == 132
    with pytest.raises(LightboundError, match="sm"):
        h100.copies("core")


def test_lookups_of_unknown_levels_and_units_list_those_there_are() -> None:
    fusemax = machine("fusemax")
    assert fusemax.level("dram").bandwidth_bytes_per_s == 400 * 2**30
    assert fusemax.unit("1d").shape == {"rows": 256}
    with pytest.raises(LightboundError, match="Did you mean 'global_buffer'"):
        fusemax.level("globalbuffer")
    with pytest.raises(LightboundError, match="1d, 2d"):
        fusemax.unit("3d")


def test_levels_run_from_dram_inwards() -> None:
    for name in machine_names():
        assert machine(name).levels[0].name == "dram"


@pytest.mark.parametrize("name", machine_names())
def test_every_quantity_can_be_used_in_a_formula(name: str) -> None:
    quantities = machine(name).quantities
    for quantity, value in quantities.items():
        assert evaluate(f"{quantity} * 1", quantities) == value


def test_quantities_name_capacities_lanes_and_axes() -> None:
    quantities = machine("fusemax").quantities
    assert quantities["global_buffer_bytes"] == 16 * 2**20
    assert quantities["unit_2d_lanes"] == 65536
    assert quantities["unit_2d_cols"] == 256
    assert quantities["pe_dim"] == 256


@pytest.mark.parametrize("name", machine_names())
def test_a_machine_is_written_as_json_and_survives_pickling(name: str) -> None:
    found = machine(name)
    written = json.loads(json.dumps(found.to_dict()))
    assert written["clock_hz"] == found.clock_hz
    assert [level["name"] for level in written["levels"]] == [level.name for level in found.levels]
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()


def test_arrays_are_written_as_lists() -> None:
    swept = machine("fusemax", global_buffer=np.array([2.0**24, 2.0**25]))
    assert json.loads(json.dumps(swept.to_dict()))["levels"][1]["capacity_bytes"] == [2**24, 2**25]


@pytest.mark.parametrize("table", ["params", "units", "sources"])
def test_a_machine_cannot_be_changed(table: str) -> None:
    with pytest.raises(TypeError, match="cannot be changed"):
        getattr(machine("fusemax"), table)["pe_dim"] = 3
    with pytest.raises(TypeError, match="cannot be changed"):
        getattr(machine("fusemax"), table).update(pe_dim=3)


def test_fields_give_every_stated_number_by_its_path() -> None:
    fields = machine("fusemax").fields()
    assert fields["levels.dram.bandwidth"] == 400 * 2**30
    assert fields["units.2d.drain"] == 256
    assert fields["units.1d.registers.depth"] == 32
    assert fields.keys() == machine("fusemax").sources.keys()


def test_a_machine_says_what_it_does_not_state() -> None:
    assert any("no energy for anything" in sentence for sentence in machine("h200").lacks)
    assert any("no bandwidth for global_buffer" in sentence for sentence in machine("fusemax").lacks)
    assert not any("energy" in sentence for sentence in machine("fusemax").lacks)
