"""A trace as a picture for print: a row for each unit, a bar for each task, told apart by hatching and by letters.

It draws the file that the Perfetto UI opens, so a picture shows what the viewer shows. matplotlib is an extra and loads
inside functions alone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightbound.base.errors import LightboundError
from lightbound.sim.explain import seconds

from .drawing import check_drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SLICES = 160  # of a picture without a window: more are no longer told apart
TRACKS = 24
_HATCHES = ("", "////", "....", "xxxx", "----", "\\\\\\\\", "++++", "||||")
_SHADES = ("0.55", "0.95", "0.85", "0.7", "1.0", "0.9", "0.8")  # not as many as hatchings: pairs repeat late
_LETTER = 0.008  # of the width, that a letter takes

Slice = dict[str, Any]


def draw_timeline(
    trace: str | os.PathLike[str], path: str | os.PathLike[str], window_s: tuple[float, float] | None = None
) -> Path:
    """Draw a trace file to a .png, .svg or .pdf file; returns its path.

    window_s: from when to when, in seconds; without it as long as there are few enough tasks to see. Of many instances
    the first is drawn, beside what all of them share. Raises LightboundError for a file that is no trace, another kind
    of picture, without matplotlib, and where nothing lies in the window.
    """
    place = Path(path)
    check_drawable(place)
    from matplotlib.figure import Figure  # no pyplot: a file needs no display

    document = _read(Path(trace))
    names = _names(document)
    every = [one for one in document["traceEvents"] if one.get("ph") == "X"]
    slices = _within(_of_first_instance(every, names), window_s)
    if not slices:
        raise LightboundError("window", window_s, "has no task in it", "Take a window of the run.")
    tracks = sorted(dict.fromkeys((one["pid"], one["tid"]) for one in slices))[:TRACKS]
    slices = [one for one in slices if (one["pid"], one["tid"]) in tracks]
    figure = Figure(figsize=(11, 1.6 + 0.42 * len(tracks)), layout="constrained")
    panel = figure.subplots()
    _bars(panel, slices, tracks)
    panel.set_yticks(range(len(tracks)), [names.get(track, str(track[1])) for track in tracks], fontsize=9)
    panel.invert_yaxis()
    ends = [1e-6 * one["ts"] for one in slices], [1e-6 * (one["ts"] + one["dur"]) for one in slices]
    panel.set_xlim(min(ends[0]), max(ends[1]))
    panel.xaxis.set_major_formatter(lambda value, _: seconds(value))
    panel.set_title(
        f"{document['otherData'].get('machine', 'trace')}: {len(slices):,} of {len(every):,} tasks", fontsize=10
    )
    panel.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    try:
        figure.savefig(place, dpi=150)
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})"
        raise LightboundError("plot", str(place), problem, "Choose a folder that exists and can be written.") from error
    return place


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {"otherData": document.get("otherData", {}), "traceEvents": list(document["traceEvents"])}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        remedy = "Write one with simulate --engine event --trace FILE.json."
        raise LightboundError("trace", str(path), "is no trace in Chrome's JSON format", remedy) from error


def _names(document: dict[str, Any]) -> dict[tuple[int, int], str]:
    """Tracks by process and number; the track 0 is the process itself."""
    named = [one for one in document["traceEvents"] if one.get("ph") == "M"]
    return {(one["pid"], one.get("tid", 0)): str(one["args"]["name"]) for one in named}


def _of_first_instance(slices: list[Slice], names: dict[tuple[int, int], str]) -> list[Slice]:
    """What the first instance does, and what its workers do at units that all share; all, where none has a number."""
    numbered = sorted({one["pid"] for one in slices if names.get((one["pid"], 0), "")[-1:].isdigit()})
    if not numbered:
        return slices
    first = numbered[0]
    workers = {one["args"].get("worker") for one in slices if one["pid"] == first and "args" in one}
    kept = [one for one in slices if one["pid"] == first]
    return kept + [
        one for one in slices if one["pid"] not in numbered and one.get("args", {}).get("worker", -1) in workers
    ]


def _within(slices: list[Slice], window_s: tuple[float, float] | None) -> list[Slice]:
    ranked = sorted(slices, key=lambda one: one["ts"])
    if window_s is None:
        return ranked[:SLICES]
    first, last = (1e6 * moment for moment in window_s)
    return [one for one in ranked if one["ts"] < last and one["ts"] + one["dur"] > first]


def _bars(panel: Axes, slices: list[Slice], tracks: list[tuple[int, int]]) -> None:
    rows = {track: row for row, track in enumerate(tracks)}
    width = 1e-6 * (max(one["ts"] + one["dur"] for one in slices) - min(one["ts"] for one in slices))
    for number, task in enumerate(dict.fromkeys(str(one["name"]) for one in slices)):
        some = [one for one in slices if one["name"] == task]
        shade, hatch = _SHADES[number % len(_SHADES)], _HATCHES[number % len(_HATCHES)]
        panel.barh(
            [rows[one["pid"], one["tid"]] for one in some], [1e-6 * one["dur"] for one in some], 0.72,
            [1e-6 * one["ts"] for one in some], color=shade, hatch=hatch, edgecolor="black", linewidth=0.5, label=task,
        )  # fmt: skip
        for one in some:
            if 1e-6 * one["dur"] > _LETTER * len(task) * width:
                middle = 1e-6 * (one["ts"] + one["dur"] / 2), rows[one["pid"], one["tid"]]
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
                panel.annotate(task, middle, ha="center", va="center", fontsize=7, bbox=box)
