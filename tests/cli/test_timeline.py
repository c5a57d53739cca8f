"""Runs of events as pictures for print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lightbound as lb
from lightbound.drawing_timeline import draw_timeline

if TYPE_CHECKING:
    from conftest import Run

EVENTS = ("simulate", "matmul", "--preset", "square_1k", "--machine", "h200", "--engine", "event")


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_trace_is_drawn_where_a_picture_is_asked_for(run: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"run.{suffix}"
    assert run(*EVENTS, "--trace", str(path)).code == 0
    assert path.stat().st_size > 5_000
    assert list(tmp_path.iterdir()) == [path]


def test_a_timeline_of_agents_is_drawn(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "run.svg"
    assert run("v2x", "--frames", "3", "--trace", str(path)).code == 0
    assert b"radio" in path.read_bytes() or path.stat().st_size > 5_000


def test_a_window_is_drawn_alone_and_what_is_no_trace_is_refused(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "run.json"
    assert run(*EVENTS, "--trace", str(trace)).code == 0
    last = max(one["ts"] + one["dur"] for one in json.loads(trace.read_text())["traceEvents"] if one["ph"] == "X")
    assert draw_timeline(trace, tmp_path / "a.png", (0, 1e-6 * last)).exists()
    with pytest.raises(lb.LightboundError, match="has no task"):
        draw_timeline(trace, tmp_path / "a.png", (2e-6 * last, 3e-6 * last))
    (tmp_path / "no.json").write_text("[]", encoding="utf-8")
    with pytest.raises(lb.LightboundError, match="is no trace"):
        draw_timeline(tmp_path / "no.json", tmp_path / "a.png")
