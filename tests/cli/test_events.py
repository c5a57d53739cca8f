"""``lightbound simulate --engine event``: seeds, fill and traces from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Run

SMALL = (
    "simulate",
    "attention",
    "--machine",
    "h100_sxm",
    "--mapping",
    "flash",
    "--set",
    "B=1,H=2,M=512,P=512,E=64,F=64",
)


def latency(run: Run, *arguments: str) -> float:
    ran = run(*SMALL, *arguments, "--format", "json")
    assert ran.code == 0, ran
    return json.loads(ran.out)["latency_s"]


def test_the_event_engine_answers_with_a_seed_and_writes_a_trace(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    first = latency(run, "--engine", "event", "--seed", "3", "--trace", str(path))
    assert first == latency(run, "--engine", "event", "--seed", "3")
    assert first != latency(run, "--engine", "event", "--seed", "4")
    assert first > latency(run)
    assert json.loads(path.read_text())["traceEvents"]


def test_the_summary_names_the_engine_and_what_it_assumed(run: Run) -> None:
    ran = run(*SMALL, "--engine", "event", "--fill", "amortised")
    assert ran.code == 0
    assert "event" in ran.out and "pipeline fill is amortised" in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--trace", "out.json"), "Add --engine event"),
        (("--engine", "event", "--fill", "sometimes"), "counted"),
        (("--engine", "event", "--seed", "-1"), "seed = -1"),
        (("--engine", "event", "--trace", "no/such/folder/out.json"), "trace"),
    ],
)
def test_what_events_cannot_do_is_one_message(run: Run, arguments: tuple[str, ...], told: str) -> None:
    ran = run(*SMALL, *arguments)
    assert ran.code == 2 and ran.out == "" and ran.err.startswith("error: ") and told in ran.err
