"""The sizing table and its plot; suites with their verdicts and exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lightbound as lb
from lightbound.cli.plots import SkiSlope, draw
from lightbound.validate.suite import find_suite

if TYPE_CHECKING:
    from conftest import Run

ALONG = ("size", "fusemax", "--machine", "fusemax", "--mapping", "binding")
SEARCHED = ("size", "matmul", "--machine", "fusemax", "--set", "M=256,N=256,K=256")
CASES = Path(lb.__file__).parent / "validate" / "published" / "fusemax_attention.csv"


def test_the_frontier_told_is_what_the_library_finds(run: Run) -> None:
    told = json.loads(run(*ALONG, "--format", "json").out)
    found = lb.size_buffers(lb.workload("fusemax"), lb.machine("fusemax"), "global_buffer", "binding")
    assert told["smallest_compulsory_bytes"] == found.smallest_compulsory_bytes
    assert [point["traffic_bytes"] for point in told["points"]] == [point.traffic_bytes for point in found.points]
    assert told["explanation"] == found.explain()


def test_a_long_frontier_is_cut_to_a_page_that_keeps_its_ends_and_says_so(run: Run) -> None:
    told = json.loads(run(*SEARCHED, "--format", "json").out)
    table = run(*SEARCHED).out.partition("In words")[0]
    assert len(told["points"]) > 24
    assert len(table.splitlines()) < 30
    assert f"of {len(told['points'])} points" in table
    assert table.splitlines()[-2].split()[4] == "1x"


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_plot_is_written_and_said_to_be_on_standard_error(run: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"slope{suffix}"
    ran = run(*ALONG, "--plot", str(path), "--format", "json")
    assert ran.code == 0
    assert json.loads(ran.out)
    assert ran.err.startswith("Drawn to")
    assert path.stat().st_size > 1000


def test_the_plot_names_workload_machine_units_and_both_capacities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")
    path = tmp_path / "slope.svg"
    slope = SkiSlope(
        title="product on toy",
        level="buffer",
        outermost="dram",
        capacity_bytes=[1024, 4096],
        traffic_bytes=[2**20, 2**18],
        latency_s=[1e-3, 5e-4],
        compulsory_bytes=2**18,
        smallest_compulsory_bytes=4096,
        machine_bytes=65536,
    )
    draw(slope, path)
    drawn = path.read_text(encoding="utf-8")
    for text in ("product on toy", "capacity of buffer", "traffic at dram", "latency", "compulsory: 256 KiB"):
        assert text in drawn
    assert "reached at 4 KiB" in drawn
    assert "this machine: 64 KiB" in drawn


def test_without_matplotlib_the_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = run(*ALONG, "--plot", "slope.png")
    assert ran.code == 2
    assert "pip install 'lightbound[plot]'" in ran.err


def test_a_plot_that_cannot_be_written_says_why(run: Run, tmp_path: Path) -> None:
    ran = run(*ALONG, "--plot", str(tmp_path / "nowhere" / "slope.png"))
    assert ran.code == 2
    assert "lies in a folder that does not exist" in ran.err


def test_a_suite_that_passes_exits_with_0_and_shows_its_checks(run: Run) -> None:
    ran = run("validate", "fusemax")
    assert ran.code == 0
    assert "fusemax: PASS" in ran.out
    assert "FAIL" not in ran.out
    assert "MAPE" in ran.out


def test_a_suite_that_misses_a_bar_exits_with_1_in_every_format(run: Run, tmp_path: Path) -> None:
    lines = CASES.read_text(encoding="utf-8").splitlines()
    header = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    column = lines[header].split(",").index("latency_s")
    cells = lines[header + 1].split(",")
    cells[column] = str(2 * float(cells[column]))
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([lines[header], ",".join(cells)]) + "\n", encoding="utf-8")
    for form in ("table", "json", "csv"):
        ran = run("validate", "fusemax", "--cases", str(path), "--format", form)
        assert ran.code == 1, ran.err
    assert "FAIL" in run("validate", "fusemax", "--cases", str(path)).out
    assert json.loads(run("validate", "fusemax", "--cases", str(path), "--format", "json").out)["passed"] is False


def test_all_suites_but_those_that_measure_run_where_none_is_named(run: Run) -> None:
    told = json.loads(run("validate", "--format", "json").out)
    assert [suite["name"] for suite in told["suites"]] == [n for n in lb.suite_names() if not find_suite(n).by_name]
