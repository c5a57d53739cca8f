"""Sweeps from a shell: what is said, what is written, how an interrupted one ends, and what hostile names can do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Run

SPEC = """\
name: {name}
fixed: {{workload: fusemax, machine: {machine}, preset: bert, mapping: binding, sizes.P: 4096}}
grid: {{sizes.M: [4K, 8K], machine.global_buffer: [64 KiB, 16 MiB]}}
keep: [latency_s, bottleneck, energy_j]
objective: min latency_s
pareto: [min latency_s, min global_buffer]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str = "a sweep", machine: str = "fusemax", file: str = "spec.yaml") -> str:
    Path(file).write_text(SPEC.format(name=json.dumps(name), machine=json.dumps(machine)), encoding="utf-8")
    return file


def test_a_sweep_says_what_is_best_and_what_failed_and_leaves_one_file(run: Run, folder: Path) -> None:
    ran = run("sweep", write())
    assert ran.code == 0 and ran.err == ""
    for told in ("a sweep", "Best by min latency_s", "No point beats these", "Failures", "is too small for mapping"):
        assert told in ran.out
    assert sorted(path.name for path in folder.iterdir()) == ["spec.sqlite", "spec.yaml"]
    data = json.loads(run("sweep", "spec.yaml", "--format", "json").out)
    assert (data["points"], data["failed"], data["complete"]) == (4, 2, True)
    assert data["best"][0]["M"] == 4096 and len(data["pareto"]) == 1


def test_a_sweep_without_an_objective_shows_its_first_points_and_how_to_rank_them(run: Run) -> None:
    Path("plain.yaml").write_text(
        "fixed: {workload: attention, machine: h200, mapping: flash, sizes.P: 8192}\n"
        "grid: {sizes.M: [1K, 2K, 4K, 8K]}\n"
    )
    ran = run("sweep", "plain.yaml")
    assert ran.code == 0 and ran.err == "", "energy_j is kept by default, and nobody asked for it"
    assert "Points" in ran.out and "8192" in ran.out
    command = 'lightbound results plain.sqlite --objective "min latency_s"'.replace('"', "'")
    assert f"The sweep does not state what is best. To rank them: {command}" in " ".join(ran.out.split())
    two = run("results", "plain.sqlite", "--best", "2").out
    assert "The first 2 of 4 points" in two and "4096" not in two
    rows = run("results", "plain.sqlite", "--best", "2", "--format", "csv").out.splitlines()
    assert [row.split(",")[0] for row in rows] == ["M", "1024", "2048"]
    assert run("sweep", "plain.yaml", "--report", "page.md").code == 0
    assert "| 8192 |" in Path("page.md").read_text()


def test_a_named_column_that_holds_nothing_is_remarked_on(run: Run) -> None:
    Path("named.yaml").write_text(
        "fixed: {workload: attention, machine: h200, mapping: flash, sizes.P: 8192}\n"
        "grid: {sizes.M: [1K, 2K]}\nkeep: [latency_s, energy_j]\n"
    )
    assert "energy_j holds nothing at any point" in run("sweep", "named.yaml").err


def test_results_answer_queries_as_tables_json_and_csv(run: Run) -> None:
    assert run("sweep", write(), "--out", "found.sqlite").code == 0
    query = ("results", "found.sqlite", "--query", "SELECT M, error FROM points WHERE error IS NULL ORDER BY M")
    assert run(*query).out.split()[0] == "M"
    assert json.loads(run(*query, "--format", "json").out) == [{"M": 4096, "error": None}, {"M": 8192, "error": None}]
    assert run(*query, "--format", "csv").out.splitlines() == ["M,error", "4096,", "8192,"]
    assert run("results", "found.sqlite", "--query", "SELECT M FROM points WHERE M < 0").out == "No rows.\n"
    front = run("results", "found.sqlite", "--pareto", "max latency_s, min M", "--format", "csv").out.splitlines()
    assert len(front) == 3
    best = run("results", "found.sqlite", "--best", "1", "--objective", "max latency_s", "--format", "csv").out
    assert best.splitlines()[1].startswith("8192,")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("sweep", "nowhere.yaml"), "does not exist"),
        (("sweep", "spec.yaml", "--out", "nowhere/found.sqlite"), "lies in a folder that does not exist"),
        (("sweep", "spec.yaml", "--out", "spec.yaml"), "would be written over a description"),
        (("sweep", "spec.yaml", "--processes", "0"), "is no number of processes"),
        (("sweep", "spec.yaml", "--report", "page.pdf"), "is of no kind that is written"),
        (("results", "nowhere.sqlite"), "does not exist"),
        (("results", "spec.yaml"), "cannot be opened"),
        (("results", "found.sqlite", "--query", "DROP TABLE points"), "cannot be answered"),
        (("results", "found.sqlite", "--query", "SELECT nothing"), "its columns are M, global_buffer"),
        (("results", "found.sqlite", "--pareto", "min latency"), "Did you mean 'latency_s'"),
        (("results", "found.sqlite", "--best", "0"), "is no number of points"),
    ],
)
def test_bad_input_is_one_message(run: Run, arguments: tuple[str, ...], told: str) -> None:
    assert run("sweep", write(), "--out", "found.sqlite").code == 0
    ran = run(*arguments)
    assert ran.code == 2 and ran.out == "" and ran.err.startswith("error: ") and "Traceback" not in ran.err
    assert told in ran.err


def test_names_with_markup_are_text_in_every_report(run: Run) -> None:
    name = "<script>alert(1)</script> [red]x[/red] | y"
    machine = "<img src=x onerror=alert(2)>.yaml"
    Path(machine).write_text("extends: fusemax\nname: bold\nsource: ours\n", encoding="utf-8")
    spec = write(name, machine)
    for report in ("page.html", "page.md"):
        assert run("sweep", spec, "--report", report).code == 0
        text = Path(report).read_text(encoding="utf-8")
        assert "<script>alert" not in text and "<img src=x" not in text
        assert "&lt;script>alert" in text or "&lt;script&gt;alert" in text
    assert "[red]x[/red]" in run("results", "spec.sqlite").out


def test_a_file_that_is_no_sweep_of_ours_is_told_from_one_that_is(run: Run) -> None:
    Path("long.sqlite").write_bytes(b"SQLite format 3\0" + bytes(5000))
    ran = run("results", "long.sqlite")
    assert ran.code == 2 and "Traceback" not in ran.err


@pytest.mark.parametrize("processes", ["1", "2"])
def test_ctrl_c_keeps_what_was_finished_and_says_how_to_go_on(folder: Path, processes: str) -> None:
    """Thousands of points one by one, interrupted once some are in the file."""
    Path("long.yaml").write_text(
        "fixed: {workload: attention, machine: h200, mapping: flash}\n"
        "grid: {mapping.BR: [64, 128], sizes.M: {from: 64, to: 65536, step: 64}}\nfollow: {sizes.P: M}\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "lightbound", "sweep", "long.yaml", "--out", "found.sqlite"]
    process = subprocess.Popen(
        [*command, "--processes", processes],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # heard even where it is ignored here
    )
    deadline = time.monotonic() + 120
    while _points(folder / "found.sqlite") < 100 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    kept = _points(folder / "found.sqlite")
    assert 100 <= kept < 2048
    assert f"Stopped. {kept:,} of 2,048 points are kept in found.sqlite. To go on:" in " ".join(err.split())
    assert "lightbound sweep long.yaml --out found.sqlite" in " ".join(err.split())


def _points(file: Path) -> int:
    from lightbound.base.errors import LightboundError
    from lightbound.sim.sweep.results import SweepResults

    try:
        return SweepResults(file).points
    except LightboundError:
        return 0
