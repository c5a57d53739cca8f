"""The catalogue: every published method, one entry a machine, failures among them, and files that are whole."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import lightbound as lb
from lightbound.cli import main
from lightbound.sim.search import sized
from lightbound.sim.unit_choice import UnitChoice
from lightbound.validate.catalogue import MACHINES, catalogue, jobs_of
from lightbound.workloads.registry import workload

NAMES = ("eca_net", "ninformer")
PUBLISHED = 38


def test_it_holds_the_published_methods_and_the_attention_they_are_compared_with() -> None:
    names = {name for name, _ in jobs_of(None, False)}
    assert {"fusemax", "gna", "rg_attn", "aaren", "titans", "gman", "attention_at", "attention_vat"} <= names
    assert len(names) >= PUBLISHED and "matmul" not in names


def test_an_entry_says_what_a_method_needs_and_takes_on_each_machine() -> None:
    entries = catalogue(("h200", "fusemax"), NAMES, every_preset=False, processes=1)
    assert [(one.method, one.machine) for one in entries] == [(n, m) for n in NAMES for m in ("h200", "fusemax")]
    for one in entries:
        assert not one.error and one.latency_s is not None and one.latency_s > 0
        assert one.traffic_bytes is not None and one.traffic_bytes >= one.compulsory_bytes > 0
    assert entries[2].speedup is not None and entries[0].speedup is None  # ECA-Net replaces nothing


@pytest.mark.parametrize("name", [*MACHINES, "cpu_example"])
def test_every_method_finds_units_that_do_what_it_asks_for(name: str) -> None:
    for each, _ in jobs_of(None, False):
        cascade, _ = next(sized(workload(each).cascade))
        binds = next(UnitChoice(cascade, lb.machine(name), cascade.einsums, (), ()).binds())
        assert {einsum for bind in binds for einsum in bind["einsums"]} == {one.name for one in cascade.einsums}


def test_the_dense_workload_is_left_out_where_nobody_asks_for_it() -> None:
    (alone,) = catalogue(("fusemax",), NAMES[1:2], every_preset=False, processes=1, dense=False)
    (beside,) = catalogue(("fusemax",), NAMES[1:2], every_preset=False, processes=1)
    assert alone.dense_s is alone.speedup is None and beside.dense_s is not None
    assert alone.latency_s == beside.latency_s


def test_a_method_that_fails_is_an_entry_and_the_others_go_on(tmp_path: Path) -> None:
    small = tmp_path / "small.yaml"
    small.write_text(
        "name: small\nextends: fusemax\nchanges: {levels.global_buffer.capacity: {value: 1 B, source: x}}\n"
    )
    entries = catalogue((str(small),), ("attention",), every_preset=False, processes=1)
    assert all(one.error for one in entries)
    assert main(["catalogue", "--machine", str(small), "--method", "attention"]) == 1


def test_reports_are_written_as_a_page_a_table_and_rows(tmp_path: Path) -> None:
    written = {suffix: tmp_path / f"report{suffix}" for suffix in (".html", ".md", ".csv")}
    for path in written.values():
        assert main(["catalogue", "--method", "ninformer", "--machine", "fusemax", "--report", str(path)]) == 0
    page = written[".html"].read_text()
    assert "<table>" in page and "ninformer" in page and 'src="http' not in page
    assert "| ninformer |" in written[".md"].read_text()
    rows = list(csv.DictReader(written[".csv"].open()))
    assert len(rows) == 1 and float(rows[0]["latency_s"]) > 0 and float(rows[0]["speedup"]) > 0


def test_a_report_of_no_kind_is_refused_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "--report", "out.pdf"]) == 2
    assert "--report" in capsys.readouterr().err
    assert main(["catalogue", "--machine", "fusemax", "--method", "ninformer", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["method"] == "ninformer"
