"""``lightbound v2x``: studies, sweeps and limits from a shell, pictures and timelines, and bad input."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lightbound as lb

if TYPE_CHECKING:
    from conftest import Run

BASE = ("v2x", "--agents", "3", "--rate", "27Mbps", "--compression", "256", "--frames", "20")
TIMED = (*BASE, "--sender-time", "20ms", "--fuser-time", "15ms", "--fuser-time-each", "3ms")


def test_what_is_told_is_what_the_library_finds(run: Run) -> None:
    told = json.loads(run(*TIMED, "--format", "json").out)
    found = lb.v2x(
        "ptp", 3, rate="27Mbps", compression=256.0, frames=20, sender_s=0.02, fuser_s=0.015, fuser_each_s=0.003
    )
    assert told["latency"] == found.to_dict()["latency"]
    assert told["explanation"] == found.explain()
    assert told["payload_bytes"] == 32768


def test_the_table_says_latency_age_deliveries_load_and_what_to_improve(run: Run) -> None:
    told = run(*TIMED, "--limits", "--replications", "2").out
    for part in ("latency", "Age of information", "Where messages went", "Load", "most agents", "Improve first", "±"):
        assert part in told


def test_a_sweep_has_a_row_for_each_value_and_shows_where_it_stops_to_keep_up(run: Run, tmp_path: Path) -> None:
    picture = tmp_path / "sweep.svg"
    ran = run(*BASE, "--sweep", "agents=1..8", "--format", "csv", "--plot", str(picture))
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["agents"] for row in rows] == [str(n) for n in range(1, 9)]
    assert [row["stable"] for row in rows] == ["True"] * 6 + ["False"] * 2
    assert "mean age of information" in picture.read_text(encoding="utf-8")
    told = run(*BASE, "--sweep", "compression=64,512").out.splitlines()
    assert [line.split()[-1] for line in told if line.strip().startswith(("64 ", "512 "))] == ["no", "yes"]
    assert "6 Mb/s" in run(*BASE, "--sweep", "rate=6Mbps,27Mbps").out


def test_a_picture_and_a_timeline_are_written(run: Run, tmp_path: Path) -> None:
    picture, trace = tmp_path / "study.svg", tmp_path / "trace.json"
    ran = run(*TIMED, "--plot", str(picture), "--trace", str(trace), "--no-explain")
    assert ran.code == 0 and "Drawn to" in ran.err and "Timeline written to" in ran.err
    assert "capture to output" in picture.read_text(encoding="utf-8")
    assert json.loads(trace.read_text())["traceEvents"]


def test_everyone_may_fuse_over_broadcast_and_links_take_options(run: Run) -> None:
    told = json.loads(run(*BASE, "--everyone", "--phases", "planned", "--format", "json").out)
    assert told["accounts"]["captured"] == 60 and len(told["ages"]) == 6
    options = ("--link", "nr_v2x", "--option", "mcs=27", "--option", "selection_window=20 ms")
    sidelink = json.loads(run("v2x", "--compression", "256", *options, "--format", "json").out)
    assert sidelink["rate_bps"] == lb.link("nr_v2x", mcs=27).rate_bps  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rate", "28Mbps"), "is none of its rates"),
        (("--link", "wifi"), "neither a link of the library"),
        (("--architecture", "early"), "architecture = early"),
        (("--compression", "0.5"), "compression = 0.5"),
        (("--deadline", "100"), "--deadline = 100: has no unit"),
        (("--sweep", "speed=1..3"), "--sweep = speed: cannot be swept"),
        (("--sweep", "agents=5..1"), "is not a range"),
        (("--sweep", "agents=a,b"), "no number"),
        (("--sweep", "agents=1..2", "--limits"), "has no one timeline or limits"),
        (("--fusion", "all"), "fusion = all"),
        (("--option", "mcs"), "is not a name and a value"),
        (("--option", "colour=3"), "is no option of it"),
        (("--machine", "orrin"), "machine = orrin"),
        (("--plot", "x.gif"), "no kind that can be drawn"),
        (("--no-lidar",), "without LiDAR"),
        (("--format", "xml"), "is not a format"),
    ],
)
def test_bad_input_is_one_message_and_exits_with_2(run: Run, arguments: tuple[str, ...], told: str) -> None:
    ran = run("v2x", *arguments)
    assert ran.code == 2 and ran.out == ""
    assert ran.err.startswith("error: ") and told in ran.err and ran.err.count("\n") == 1
