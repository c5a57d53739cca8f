"""Progress is shown on a terminal, after two seconds, and nowhere else."""

from __future__ import annotations

import io
import sys
import time

import pytest

from lightbound.cli import progress as module
from lightbound.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_where_standard_error_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    with progress("Working", total=2) as advance:
        advance(1)
    assert stream.getvalue() == ""


def test_quick_work_on_a_terminal_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("Working"):
        pass
    assert "Working" not in stream.getvalue()


def test_work_that_takes_longer_than_patience_shows_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    with progress("Working", total=2) as advance:
        advance(1)
        deadline = time.monotonic() + 10
        while "Working" not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "Working" in stream.getvalue()
