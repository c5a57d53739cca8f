"""A sweep's rows are what `simulate` answers at each point, errors included, together or one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.base.errors import LightboundError

FIXED = {"workload": "fusemax", "machine": "fusemax", "mapping": "binding", "preset": "bert"}
KEEP = ["latency_s", "bottleneck", "energy_j", "traffic_bytes.dram", "utilization.2d", "params.P1", "account_s.2d"]


def alone(row: dict[str, Any]) -> lb.Prediction:
    work = lb.workload("fusemax", preset="bert").with_sizes(M=row["M"], P=row["P"])
    return lb.simulate(work, lb.machine("fusemax", pe_dim=row["pe_dim"], global_buffer=row["global_buffer"]), "binding")


@given(
    lengths=st.lists(st.integers(1, 100_000), min_size=1, max_size=4, unique=True),
    dims=st.lists(st.integers(1, 1024), min_size=1, max_size=3, unique=True),
    buffers=st.lists(st.integers(1 << 10, 1 << 25), min_size=1, max_size=3, unique=True),
)
@settings(deadline=None, max_examples=15)
def test_points_that_are_computed_together_are_what_each_is_alone(
    lengths: list[int], dims: list[int], buffers: list[int]
) -> None:
    grid = {"sizes.M": lengths, "machine.pe_dim": dims, "machine.global_buffer": buffers}
    found = lb.sweep({"fixed": FIXED, "grid": grid, "follow": {"sizes.P": "M"}, "keep": KEEP})
    rows = found.query("SELECT * FROM points")
    assert len(rows) == len(lengths) * len(dims) * len(buffers) == found.points
    for row in rows:
        try:
            one = alone(row)
        except LightboundError as error:
            assert row["error"] == str(error)
            assert row["latency_s"] is row["bottleneck"] is None
            continue
        assert row["error"] is None
        assert row["latency_s"] == pytest.approx(one.latency_s, rel=1e-12)
        assert row["energy_j"] == pytest.approx(one.energy_j, rel=1e-12)
        assert row["traffic_bytes_dram"] == pytest.approx(one.traffic_bytes["dram"], rel=1e-12)
        assert row["utilization_2d"] == pytest.approx(one.utilization["2d"], rel=1e-12)
        assert row["params_P1"] == one.params["P1"]
        assert row["account_s_2d"] == pytest.approx(one.account_s.get("2d", 0.0), rel=1e-9, abs=1e-18)


def test_masks_engines_tiles_and_machines_are_fields_as_sizes_are() -> None:
    masks = [None, "causal", {"sliding_window": {"left": 255}}]
    found = lb.sweep(
        {
            "fixed": {"workload": "attention", "mapping": "flash", "sizes.M": 1024, "sizes.P": 1024},
            "grid": {
                "mask": masks,
                "machine": ["h200", "h100_sxm"],
                "engine": ["analytical", "event"],
                "mapping.BR": [64, 128],
            },
        }
    )
    rows = found.query("SELECT * FROM points")
    assert len(rows) == 24 and found.failed == 0
    work = lb.workload("attention", M=1024, P=1024)
    masked = {
        "none": work,
        "causal": work.with_mask(lb.masks.Causal(1024)),
        "sliding_window(left=255)": work.with_mask(lb.masks.SlidingWindow(1024, 255)),
    }
    from lightbound.sim.overrides import with_values
    from lightbound.sim.what_if import kept

    for row in rows:
        machine = lb.machine(row["machine"])
        one, mapping = kept(masked[row["mask"]], machine, "flash", row["engine"])
        alone = lb.simulate(one, machine, with_values(mapping, {"BR": row["BR"]}), row["engine"])
        assert row["latency_s"] == alone.latency_s


def test_options_of_a_mask_and_default_mappings_are_swept_point_by_point() -> None:
    found = lb.sweep(
        {
            "fixed": {"workload": "gna", "machine": "b200", "options.grid": [8, 16, 16], "options.window": [4, 8, 8],
                      "sizes.H": 2, "sizes.E": 128, "sizes.F": 128},
            "grid": {"options.stride": [1, [4, 8, 8]]},
        }
    )  # fmt: skip
    rows = found.query("SELECT stride, latency_s, error FROM points")
    assert [row["stride"] for row in rows] == [1, "4x8x8"]
    for row, stride in zip(rows, (1, (4, 8, 8)), strict=True):
        work = lb.workload("gna", grid=(8, 16, 16), window=(4, 8, 8), stride=stride, H=2, E=128, F=128)
        assert row["error"] is None and row["latency_s"] == lb.simulate(work, "b200").latency_s


def test_a_point_that_fails_is_kept_with_its_error_and_the_others_go_on() -> None:
    found = lb.sweep(
        {
            "fixed": {"machine": "fusemax", "mapping": "binding", "preset": "bert"},
            "grid": {"workload": ["fusemax", "attention"], "sizes.P": [1024, 4096], "sizes.M": [4096, 8192]},
        }
    )
    rows = found.query("SELECT workload, error FROM points ORDER BY workload")
    assert [row["error"] is None for row in rows] == [False] * 4 + [True] * 4
    assert "preset = bert: is not one of attention's presets" in rows[0]["error"]
    assert [one["points"] for one in found.errors()] == [4]


def test_a_field_that_a_machine_or_workload_has_not_fails_there_at_once_with_the_error_of_each_point() -> None:
    many = {"from": 1, "to": 3000, "step": 1}
    for field, name, others in (
        ("machine.pe_dim", "machine", ["fusemax", "h200"]), ("sizes.P", "workload", ["fusemax", "matmul"])
    ):  # fmt: skip
        fixed = {k: v for k, v in FIXED.items() if k not in (name, "preset")}
        sizes = {f"sizes.{symbol}": 256 for symbol in "BHEFM"} if name == "machine" else {}
        found = lb.sweep({"fixed": {**fixed, **sizes}, "grid": {name: others, field: many}})
        rows = found.query(f"SELECT * FROM points WHERE {name} = ? ORDER BY rowid", (others[1],))
        assert len(rows) == 3000 and all(row["error"] for row in rows)
        for row in (rows[0], rows[-1]):
            with pytest.raises(LightboundError) as caught:
                if name == "machine":
                    lb.machine("h200", pe_dim=row["pe_dim"])
                else:
                    lb.workload("matmul").with_sizes(P=row["P"])
            assert row["error"] == str(caught.value)


def test_derived_columns_are_formulas_of_fields_and_answers() -> None:
    found = lb.sweep(
        {
            "fixed": {**FIXED, "sizes.P": 4096},
            "grid": {"sizes.M": [4096, 8192]},
            "derive": {"edp": "latency_s * energy_j", "per_key_s": "latency_s / M", "nothing": "1 / (M - 4096)"},
        }
    )
    for row in found.query("SELECT * FROM points"):
        assert row["edp"] == row["latency_s"] * row["energy_j"]
        assert row["per_key_s"] == row["latency_s"] / row["M"]
    assert found.column("nothing").tolist() == [np.inf, 1 / 4096]


def test_the_best_and_the_front_are_those_of_the_table() -> None:
    found = lb.sweep(
        {
            "fixed": {**FIXED, "sizes.P": 4096, "sizes.M": 4096},
            "grid": {"machine.pe_dim": [64, 128, 256, 512], "machine.global_buffer": ["1 MiB", "4 MiB", "16 MiB"]},
            "objective": "min latency_s",
        }
    )
    rows = found.query("SELECT * FROM points WHERE error IS NULL")
    assert found.best(1)[0]["latency_s"] == min(row["latency_s"] for row in rows)
    assert found.best(1, "max latency_s")[0]["latency_s"] == max(row["latency_s"] for row in rows)
    front = found.pareto(["min latency_s", "min pe_dim"])
    assert [row["latency_s"] for row in front] == sorted(row["latency_s"] for row in front)
    assert {row["pe_dim"] for row in front} == {row["pe_dim"] for row in rows}
    assert found.to_dict()["points"] == 12
    with pytest.raises(LightboundError, match="is not two goals"):
        found.pareto(["min latency_s"])


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE points", "DELETE FROM points", "ATTACH 'other.sqlite' AS other", "PRAGMA user_version = 3",
        "VACUUM INTO 'copy.sqlite'", "UPDATE points SET error = 'no'", "CREATE TABLE t (x)",
        "SELECT nothing FROM points",
        "SELECT load_extension('x')", "SELECT 1; SELECT 2", "", "nonsense",
    ],
)  # fmt: skip
def test_a_query_reads_and_does_nothing_else(sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = lb.sweep({"fixed": FIXED}, tmp_path / "one.sqlite")
    before = found.file.read_bytes()
    with pytest.raises(LightboundError):
        found.query(sql)
    assert found.file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["one.sqlite"]
    assert found.query(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION SELECT x + 1 FROM n WHERE x < 3) SELECT max(x) AS m FROM n"
    ) == [{"m": 3}]
