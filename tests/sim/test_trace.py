"""The trace of a run of events: what viewers of Chrome's JSON format ask of it, and that it says what the run did."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter

import lightbound as lb
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import simulate


class Event(BaseModel):
    """The fields of Chrome's trace event format that viewers read, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)
    ph: str
    name: str
    pid: int
    tid: int | None = None
    ts: float | None = None
    dur: float | None = None
    cat: str | None = None
    id: int | None = None
    bp: str | None = None
    args: dict[str, int | float | str] = {}


ARROW = {"tid", "ts", "id", "cat"}
REQUIRED = {"X": {"tid", "ts", "dur"}, "M": set(), "s": ARROW, "f": ARROW, "C": {"ts"}}


def traced(path: Path, engine_run: tuple[lb.Workload, str, str]) -> tuple[Prediction, dict[str, Any]]:
    work, machine, mapping = engine_run
    found = simulate(work, machine, mapping, engine="event", trace=path)
    return found, json.loads(path.read_text())


ATTENTION = lb.workload("attention", B=1, H=2, M=512, P=512, E=64, F=64)
RUNS = [
    (ATTENTION, "h100_sxm", "flash"),
    (lb.workload("fusemax", B=1, H=1, M=1024, P=1024), "fusemax", "architecture"),
]


@pytest.mark.parametrize("run", RUNS)
def test_a_trace_keeps_to_the_format_and_names_every_track(tmp_path: Path, run: tuple[lb.Workload, str, str]) -> None:
    found, document = traced(tmp_path / "out.json", run)
    assert document["otherData"]["tasks left out"] == 0
    events = TypeAdapter(list[Event]).validate_python(document["traceEvents"])
    for event in events:
        assert REQUIRED[event.ph] <= event.model_fields_set
    slices = [event for event in events if event.ph == "X"]
    assert len(slices) == document["otherData"]["tasks"]
    processes = {event.pid for event in events if event.name == "process_name"}
    threads = {(event.pid, event.tid): event.args["name"] for event in events if event.name == "thread_name"}
    assert {event.pid for event in events} == processes and min(processes) >= 1
    assert {(event.pid, event.tid) for event in slices} == set(threads)
    assert not processes & {tid for _, tid in threads}
    assert max((event.ts or 0) + (event.dur or 0) for event in slices) <= found.latency_s * 1e6 * (1 + 1e-9)
    by_track: dict[Any, list[tuple[float, float]]] = defaultdict(list)
    for event in slices:
        by_track[event.pid, event.tid].append((event.ts or 0, (event.ts or 0) + (event.dur or 0)))
    for track in by_track.values():
        track.sort()
        assert all(end <= start + 1e-9 for (_, end), (start, _) in pairwise(track))


@pytest.mark.parametrize("run", RUNS)
def test_the_slices_of_a_unit_cover_the_time_that_it_is_busy(tmp_path: Path, run: tuple[lb.Workload, str, str]) -> None:
    found, document = traced(tmp_path / "out.json", run)
    names = {
        (e["pid"], e["tid"]): e["args"]["name"].split(" (")[0]
        for e in document["traceEvents"]
        if e["name"] == "thread_name"
    }
    spans: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for e in document["traceEvents"]:
        if e["ph"] == "X":
            spans[names[e["pid"], e["tid"]], e["pid"]].append((e["ts"], e["ts"] + e["dur"]))
    covered: dict[str, float] = defaultdict(float)
    for (name, _), each in spans.items():
        total, reached = 0.0, 0.0
        for start, end in sorted(each):
            total += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        covered[name] = max(covered[name], total)
    for name, busy in found.busy_s.items():
        if busy:
            assert covered[name] == pytest.approx(busy * 1e6, rel=1e-6), name


def test_arrows_lead_from_an_end_to_a_start_and_counters_count_all_bytes(tmp_path: Path) -> None:
    found, document = traced(tmp_path / "out.json", RUNS[0])
    events = document["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    starts = {(e["pid"], e["tid"], e["ts"]) for e in slices}
    arrows: dict[int, dict[str, Any]] = defaultdict(dict)
    for e in events:
        if e["ph"] in "sf":
            arrows[e["id"]][e["ph"]] = e
            assert (e["pid"], e["tid"], e["ts"]) in starts
    assert arrows and all({"s", "f"} == set(pair) for pair in arrows.values())
    for name in ("dram", "l2"):
        steps = sorted(
            (e["ts"], e["args"]["GB/s"]) for e in events if e["ph"] == "C" and e["name"] == f"{name} bandwidth"
        )
        moved = sum((later - at) * rate for (at, rate), (later, _) in pairwise(steps))
        if name == "dram":
            assert moved * 1e3 == pytest.approx(found.traffic_bytes[name], rel=1e-6)
        else:  # what comes to a cache from outside takes none of its bandwidth
            assert 0 < moved * 1e3 <= found.traffic_bytes[name] * (1 + 1e-6)
    workers = [e["args"]["resident"] for e in events if e["ph"] == "C" and e["name"] == "workers"]
    assert min(workers) == 0 and max(workers) == 1
