"""A run as a trace for the Perfetto UI: agents as processes, their units and their radio as threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError

from ..perfetto import LONGEST, Tracks, named, write_document
from .pipeline import Run


def write_timeline(path: str | Path, run: Run) -> None:
    """Write what a run recorded. Raises LightboundError where nothing was recorded, or the file cannot be written."""
    if run.tally.on_air is None:
        raise LightboundError("trace", str(path), "has nothing to show", "Run with record=True.")
    events = timeline_events(run)
    shown = events[:LONGEST]
    agents = ", ".join(agent.name for agent in run.scenario.agents)
    write_document(path, shown, {"agents": agents, "slices left out": len(events) - len(shown)})


def timeline_events(run: Run) -> list[dict[str, Any]]:
    """Stages of computation, messages from their hand-over to their end, packets on the air, and outputs."""
    agents = run.scenario.agents
    tracks = Tracks(first=len(agents) + 1)
    made: list[dict[str, Any]] = []

    def add(agent: int, track: str, name: str, start: float, end: float, **more: Any) -> None:
        place = {"pid": agent + 1, "tid": tracks.take(agent + 1, track, start, end)}
        made.append(
            {
                "ph": "X",
                "name": name,
                "cat": track,
                **place,
                "ts": 1e6 * start,
                "dur": 1e6 * (end - start),
                "args": more,
            }
        )

    for work in sorted(run.work, key=lambda one: (one.start_s, one.end_s)):
        add(work.agent, work.unit, work.stage, work.start_s, work.end_s, frame=work.frame)
    for message in run.messages:
        if message.ready_s == message.ready_s:
            end = message.ended_s if message.ended_s == message.ended_s else run.end_s
            name = f"message {message.frame}"
            add(message.sender, "messages", name, message.ready_s, end, fate=message.fate, packets=message.packets)
    for one in sorted(run.tally.on_air or (), key=lambda one: (one.start, one.end)):
        if one.start < run.end_s * 1e9:
            add(one.station, "radio", one.fate, one.start / 1e9, one.end / 1e9)
    for output in run.outputs:
        used = {agents[sender].name: frame for sender, frame in output.used.items()}
        add(output.fuser, "frames", f"frame {output.frame}", output.captured_s, output.output_s, used=used)
    names = [named("process_name", number + 1, 0, agent.name) for number, agent in enumerate(agents)]
    names += [
        named("thread_name", process, number, name if not lane else f"{name} ({lane + 1})")
        for (process, name, lane), number in tracks.numbers.items()
    ]
    return [*names, *sorted(made, key=lambda event: event["ts"])]
