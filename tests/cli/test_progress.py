"""Progress is shown on a terminal, after two seconds, and nowhere else."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from lightbound.cli import progress as module
from lightbound.cli.progress import progress, tally


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


def test_many_small_things_are_shown_with_their_number_their_rate_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    with tally("Sweeping", "points") as tell:
        tell(1_000_000, 2_000_000)
        time.sleep(0.2)
        for done in range(1, 5):
            time.sleep(0.1)
            tell(1_000_000 + 100 * done, 2_000_000)
        time.sleep(0.2)
    shown = stream.getvalue()
    assert "Sweeping" in shown and "1,000,400 of 2,000,000" in shown
    rates = [int(rate.replace(",", "")) for rate in re.findall(r"([\d,]+) points/s", shown)]
    assert rates and max(rates) < 20_000, "points of an earlier run are no pace"


def test_a_tally_is_silent_where_no_one_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with tally("Sweeping", "points") as tell:
        tell(1, 2)
    assert stream.getvalue() == ""
