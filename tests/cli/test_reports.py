"""Reports of every command: what they hold, that they name what makes them again, and where they are refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lightbound as lb
from lightbound.cli import writing
from lightbound.cli.charts.chart import Axis, Chart, Series
from lightbound.cli.charts.figure import figure
from lightbound.cli.charts.frontier import pareto
from lightbound.cli.charts.predicting import accounts, decomposition, prediction_charts

if TYPE_CHECKING:
    from conftest import Run

SIMULATE = ("simulate", "fusemax", "--machine", "fusemax", "--mapping", "binding")
COMMANDS = [
    SIMULATE,
    ("bound", "gna", "--preset", "tiny"),
    ("size", "fusemax", "--machine", "fusemax", "--mapping", "binding"),
    ("validate", "gna"),
    ("v2x", "--frames", "5"),
    ("v2x", "--frames", "5", "--sweep", "agents=1..2"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_report_has_the_tables_plots_and_command_of_its_answer(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "out.html"
    ran = run(*command, "--report", str(path))
    assert (ran.code, ran.out, ran.err.split()[:2]) == (0, "", ["Written", "to"])
    page = path.read_text(encoding="utf-8")
    assert f"<code>lightbound {' '.join(command)}</code>" in page
    assert page.count('class="plot"') == page.count('-figure">') >= 1
    assert "lightbound " + lb.__version__ in page
    assert not re.search(r'(?:src|href)="(?!#)', page.split("<script>")[0])


def test_a_report_says_what_the_terminal_says(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    run(*SIMULATE, "--report", str(path))
    shown = json.loads(run(*SIMULATE, "--format", "json").out)
    page = path.read_text(encoding="utf-8")
    assert shown["explanation"].splitlines()[0].replace("'", "&#39;") in page
    assert "Where the numbers are from" in page


def test_a_format_that_is_asked_for_is_printed_beside_the_report(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.md"
    ran = run(*SIMULATE, "--report", str(path), "--format", "json")
    assert json.loads(ran.out)["workload"] == "fusemax"
    assert path.read_text(encoding="utf-8").startswith("# fusemax on fusemax")


def test_a_file_that_cannot_be_written_is_refused_before_any_work(run: Run) -> None:
    for name in ("out.pdf", "no/such/folder/out.html"):
        ran = run(*SIMULATE, "--report", name)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error: --report")


def test_without_plotly_the_plots_are_told_in_words_and_numbers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "plotly", lambda: "")
    path = tmp_path / "out.html"
    ran = run(*SIMULATE, "--report", str(path))
    page = path.read_text(encoding="utf-8")
    assert ran.code == 0 and "lightbound[report]" in ran.err
    assert "<script" not in page and "<details open>" in page


def test_the_parts_that_are_drawn_add_up_to_the_latency() -> None:
    work, machine = lb.workload("fusemax", "bert"), lb.machine("fusemax")
    prediction = lb.simulate(work, machine, "binding")
    waits = decomposition(prediction).series[0]
    spent = accounts(prediction).series
    for total in (sum(map(float, waits.x)), sum(float(x) for one in spent for x in one.x)):
        assert total == pytest.approx(prediction.latency_s, rel=2e-3)
    for picture in prediction_charts(prediction, work, machine):
        assert picture.says and picture.table().rows


def test_text_in_a_figure_is_escaped_and_what_has_no_place_is_left_out() -> None:
    series = [Series("<b>", [1.0, 0.0, float("nan")], ["<a>", "b", "c"], "bars", ["<i>", "", ""])]
    made = figure(Chart("t", "s", Axis("<x>", log=True), Axis("y"), series))
    said = json.dumps(made, allow_nan=False)
    assert not re.search(r"<[abix]>", said)
    assert made["data"][0]["x"] == [1.0, None, None]


def test_no_point_beats_the_frontier_on_both_axes() -> None:
    points = [(3.0, 1.0), (1.0, 3.0), (2.0, 2.0), (2.5, 2.5), (3.0, 3.0)]
    chart = pareto("p", Axis("a"), Axis("b"), points, [str(point) for point in points])
    best, _, others = chart.series
    assert list(zip(best.x, best.y, strict=True)) == [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]
    assert len(others.x) == 2


def test_options_of_a_mask_are_given_by_name(run: Run) -> None:
    base = ("gna", "--preset", "flux_4k", "--machine", "h200", "--format", "json")
    wide = json.loads(run("simulate", *base, "--mapping", "flash").out)
    narrow = json.loads(run("simulate", *base, "--mapping", "flash", "--mask", "window=48,48").out)
    assert narrow["latency_s"] < wide["latency_s"]
    same = run("bound", *base, "--window", "48,48").out
    assert run("bound", *base, "--mask", "window=48,48").out == same
    for text, said in (("windo=3", "window"), ("window=a,b", "is not a shape"), ("causal=2,2", "is not yes or no")):
        ran = run("simulate", *base, "--mask", text)
        assert ran.code == 2 and said in ran.err
    assert "has none" in run("simulate", "matmul", "--machine", "h200", "--mask", "window=3").err


def test_a_sweep_with_two_goals_draws_its_front(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(
        "fixed: {workload: matmul, preset: square_1k, machine: fusemax}\ngrid: {sizes.M: [256, 512, 1K]}\n"
        "keep: [latency_s, energy_j]\npareto: [min latency_s, max energy_j]\n",
        encoding="utf-8",
    )
    assert run("sweep", "s.yaml", "--processes", "1", "--report", "out.html").code == 0
    assert "min latency_s, max energy_j</h3>" in Path("out.html").read_text(encoding="utf-8")
