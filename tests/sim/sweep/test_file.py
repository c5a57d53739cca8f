"""The file of a sweep: whatever ends a run, it goes on, computes nothing twice, and ends as if nothing had happened."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.sweep import run as module
from lightbound.sim.sweep.store import Store

SPEC: dict[str, Any] = {
    "fixed": {"workload": "fusemax", "machine": "fusemax", "preset": "bert"},
    "grid": {
        "mapping": ["binding", "architecture", "cascade"],
        "machine.pe_dim": {"from": 32, "to": 512, "step": 32},
        "sizes.M": {"from": "1K", "to": "8K", "step": "1K"},
    },
    "follow": {"sizes.P": "M"},
    "keep": ["latency_s", "bottleneck", "energy_j"],
    "objective": "min latency_s",
}
POINTS = 3 * 16 * 8

# A process that kills itself, as hard as that can be done, once so many points are in the file.
KILLED = """
import os, signal, sys
import lightbound as lb
from lightbound.sim.sweep import plan, run
plan.CALL, run.TASK_S, run.ALONE_S, run.PROBE_S = 16, 1e-4, {alone}, 0.0
if __name__ == "__main__":
    spec, out, at, workers = {spec!r}, {out!r}, {at}, {workers}
    first = []
    def tell(done, total):
        first.append(done)
        if done >= first[0] + at:
            os.kill(os.getpid(), signal.SIGKILL)
    lb.sweep(spec, out, workers=workers, progress=tell)
"""


def killed(folder: Path, at: int, workers: int = 1) -> int:
    """The exit code of a run that kills itself after `at` points."""
    script = folder / "killed.py"
    out = str(folder / "found.sqlite")
    script.write_text(KILLED.format(spec=SPEC, out=out, at=at, workers=workers, alone=0.0), encoding="utf-8")
    return subprocess.run([sys.executable, str(script)], check=False, timeout=120).returncode


@pytest.fixture
def small_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of few points, so that a small sweep has many of them."""
    from lightbound.sim.sweep import plan

    monkeypatch.setattr(plan, "CALL", 16)
    module.plan_of.cache_clear()


@pytest.mark.usefixtures("small_calls")
def test_a_sweep_that_was_killed_again_and_again_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = lb.sweep(SPEC, tmp_path / "whole.sqlite").file.read_bytes()
    for at in (1, 17, 90):
        assert killed(tmp_path, at) == -9
    file = tmp_path / "found.sqlite"
    begun = lb.SweepResults(file)
    assert not begun.complete and begun.best(1) and 0 < begun.points < POINTS
    told: list[tuple[int, int]] = []
    found = lb.sweep(SPEC, file, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (begun.points, POINTS) and told[-1] == (POINTS, POINTS)
    assert found.complete and found.points == POINTS
    assert file.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.sqlite", "killed.py", "whole.sqlite"]


def children(name: str) -> list[str]:
    """Command lines of processes of this machine that mention a name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if name in path.read_bytes().decode(errors="replace"):
                found.append((path.parent / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="lists processes by /proc")
def test_processes_end_with_the_one_that_started_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_OF_A_TEST", str(tmp_path))
    assert killed(tmp_path, 60, workers=2) == -9
    deadline = time.monotonic() + 20
    while children(f"SWEEP_OF_A_TEST={tmp_path}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert children(f"SWEEP_OF_A_TEST={tmp_path}") == []
    assert lb.sweep(SPEC, tmp_path / "found.sqlite").points == POINTS


def test_finished_points_are_never_computed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    answers = module.answers

    def counting(plan: Any, positions: Any) -> Any:
        computed.append(len(positions))
        return answers(plan, positions)

    monkeypatch.setattr(module, "answers", counting)
    file = tmp_path / "found.sqlite"
    lb.sweep(SPEC, file)
    assert sum(computed) == POINTS
    before = file.read_bytes()
    lb.sweep(SPEC, file)
    assert sum(computed) == POINTS and file.read_bytes() == before

    wider = {**SPEC, "grid": {**SPEC["grid"], "sizes.M": {"from": "1K", "to": "9K", "step": "1K"}}}
    lb.sweep(wider, file)
    assert sum(computed) == POINTS + 3 * 16
    assert file.read_bytes() == lb.sweep(wider, tmp_path / "wider.sqlite").file.read_bytes()


def test_points_that_a_description_has_no_more_are_put_aside_and_come_back(tmp_path: Path) -> None:
    file = tmp_path / "found.sqlite"
    lb.sweep(SPEC, file)
    fewer = {**SPEC, "grid": {**SPEC["grid"], "mapping": ["binding"]}}
    found = lb.sweep(fewer, file)
    assert found.points == POINTS // 3 and found.complete
    assert {row["mapping"] for row in found.query("SELECT DISTINCT mapping FROM points")} == {"binding"}
    told: list[int] = []
    assert lb.sweep(SPEC, file, progress=lambda done, total: told.append(done)).points == POINTS
    assert told == [POINTS]


def test_a_machine_that_was_edited_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: fusemax\nname: mine\nchanges: {clock: {value: 1 GHz, source: ours}}\n", encoding="utf-8")
    spec = {**SPEC, "fixed": {**SPEC["fixed"], "machine": "mine.yaml"}}
    slowest = lb.sweep(spec, "found.sqlite").best(1, "max latency_s")[0]["latency_s"]
    mine.write_text(mine.read_text().replace("1 GHz", "2 GHz"), encoding="utf-8")
    found = lb.sweep(spec, "found.sqlite")
    assert found.points == POINTS and found.best(1, "max latency_s")[0]["latency_s"] == slowest / 2


def test_other_columns_or_other_files_are_refused_and_left_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "found.sqlite"
    lb.sweep(SPEC, file)
    before = file.read_bytes()
    with pytest.raises(LightboundError, match="holds a sweep of other columns"):
        lb.sweep({**SPEC, "keep": ["latency_s"]}, file)
    assert file.read_bytes() == before
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be taken for one\n" * 50, encoding="utf-8")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE points (x)")
    for path in (text, other):
        before = path.read_bytes()
        for use in (lambda path=path: lb.sweep(SPEC, path), lambda path=path: lb.SweepResults(path)):
            with pytest.raises(LightboundError):
                use()
        assert path.read_bytes() == before
    with pytest.raises(LightboundError, match="does not exist"):
        lb.SweepResults(tmp_path / "nowhere.sqlite")
    with pytest.raises(LightboundError, match="is a folder"):
        lb.sweep(SPEC, tmp_path)


def test_a_file_of_results_from_a_stranger_writes_and_reads_nothing_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "found.sqlite"
    lb.sweep(SPEC, file)
    with sqlite3.connect(file) as db:
        spec = json.loads(db.execute("SELECT value FROM about WHERE name = 'spec'").fetchone()[0])
    spec["spec"]["fixed"]["machine"] = "mine.yaml"
    spec["spec"]["grid"]["machine.clock"] = ["1 GHz"]
    for path, text in (
        ("../../../escaped.yaml", "name: x"),
        (str(tmp_path / "escaped.yaml"), "name: x"),
        ("/etc/hosts", None),
    ):
        texts = {path: text} if text is not None else {}
        harmful = {**spec, "texts": texts, "names": {"machine mine.yaml": path}}
        with sqlite3.connect(file) as db:
            db.execute("UPDATE about SET value = ? WHERE name = 'spec'", (json.dumps(harmful),))
        with pytest.raises(LightboundError, match=r"lies outside|does not come"):
            lb.SweepResults(file).to_dict()
    assert not (tmp_path / "escaped.yaml").exists() and not Path(tempfile.gettempdir(), "../escaped.yaml").exists()
    for value in ("{}", "[" * 10_000, "null", "no json"):
        with sqlite3.connect(file) as db:
            db.execute("UPDATE about SET value = ? WHERE name = 'spec'", (value,))
        with pytest.raises(LightboundError):
            lb.SweepResults(file).to_dict()


def test_two_sweeps_into_one_file_leave_no_point_twice(tmp_path: Path) -> None:
    file = tmp_path / "found.sqlite"
    inner: list[int] = []

    def tell(done: int, total: int) -> None:
        if done and not inner:
            inner.append(done)
            lb.sweep(SPEC, file)

    found = lb.sweep(SPEC, file, progress=tell)
    assert inner and found.points == POINTS
    assert file.read_bytes() == lb.sweep(SPEC, tmp_path / "whole.sqlite").file.read_bytes()


@pytest.mark.usefixtures("small_calls")
def test_what_another_run_added_meanwhile_is_not_added_again(tmp_path: Path) -> None:
    text = module.read(SPEC)
    plan = module.plan_of(text)
    chunks = list(plan.chunks())[:4]
    file = tmp_path / "found.sqlite"
    with Store(file, plan, text) as one, Store(file, plan, text) as other:
        assert not len(one.done()) and not len(other.done())
        one.add([module.answers(plan, chunks[0])])
        other.add([module.answers(plan, np.concatenate(chunks[:2]))])
        one.add([module.answers(plan, np.concatenate(chunks[1:3]))])
        other.add([module.answers(plan, chunks[2]), module.answers(plan, chunks[3])])
        assert len(one.done()) == sum(map(len, chunks))
    assert lb.SweepResults(file).query("SELECT count(DISTINCT key) AS n FROM points") == [{"n": sum(map(len, chunks))}]
