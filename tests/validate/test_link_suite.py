"""The real link: transfers arrive whole, a machine without rights is told so, nothing outlives a killed process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightbound.base.errors import LightboundError
from lightbound.validate import shaped_link
from lightbound.validate.link_endpoint import RefusedError, features
from lightbound.validate.shaped_link import Transfer, measure
from lightbound.validate.suite import find_suite
from lightbound.validate.suites import link as suite

LARGE = Transfer("tcp", 2_000_000, 6e6)  # seconds long: enough to be killed in the middle


def children(parent: int) -> set[int]:
    """Processes below one, by /proc."""
    found: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # ended meanwhile
    below = {parent}
    while more := {pid for pid, above in found.items() if above in below} - below:
        below |= more
    return below - {parent}


def test_transfers_of_both_protocols_arrive_whole() -> None:
    try:
        seconds = measure([Transfer("tcp", 20_000, 27e6), Transfer("udp", 20_001, 27e6)])
    except RefusedError as error:
        pytest.skip(f"no link can be made here: {error}")
    assert len(seconds) == 2 and all(took > 0 for took in seconds)


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces exist on Linux alone")
def test_what_is_killed_leaves_no_process_and_so_no_namespace_behind() -> None:
    program = f"from lightbound.validate.shaped_link import *; print(); measure([{LARGE!r}])"
    with subprocess.Popen([sys.executable, "-c", f"import sys\n{program}"], stderr=subprocess.DEVNULL) as user:
        deadline = time.monotonic() + 30
        started: set[int] = set()
        while len(started) < 2 and user.poll() is None and time.monotonic() < deadline:
            started |= children(user.pid)
            time.sleep(0.02)
        if user.poll() is not None:
            pytest.skip("no link can be made here")
        os.kill(user.pid, signal.SIGKILL)
    while any(running(pid) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in started if running(pid)]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_machine_that_lets_no_link_be_made_is_told_why_and_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shaped_link.shutil, "which", lambda tool: None)
    with pytest.raises(RefusedError, match="no `ip`, `tc` here: install iproute2"):
        measure([LARGE])
    report = find_suite("link").run()
    assert (
        report.passed
        and not report.rows
        and report.notes == ("Skipped: there is no `ip`, `tc` here: install iproute2.",)
    )


def test_a_link_that_takes_too_long_is_an_error_and_not_a_skip() -> None:
    try:
        with pytest.raises(LightboundError, match=r"took more than 0\.01 s"):
            measure([LARGE], limit_s=0.01)
    except RefusedError as error:
        pytest.skip(f"no link can be made here: {error}")


def test_scores_are_medians_against_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = {"tcp": {250_000: 0.077, 2_000_000: 0.6187}, "udp": {250_000: 0.0758, 2_000_000: 0.6097}}
    monkeypatch.setattr(
        suite,
        "measure",
        lambda cases: [
            closed[one.protocol][one.payload_bytes] * 27e6 / one.rate_bps * (1 + n % 3) for n, one in enumerate(cases)
        ],
    )
    report = suite.run()
    assert len(report.rows) == 8 and len(report.checks) == 1
    assert {row["repeats"] for row in report.rows} == {3, 5}


def test_what_is_sent_is_a_map_of_features_and_always_the_same() -> None:
    sent = features(10_000)
    assert len(sent) == 10_000 and sent == features(10_000)
    assert 0.4 < sent.count(0) / len(sent) < 0.6
