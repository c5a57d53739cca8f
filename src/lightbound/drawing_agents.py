"""Pictures of cooperating agents: how latency is spread and where it arises, how old messages are, and sweeps.

They are read without colour. matplotlib is an extra and loads inside functions alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightbound.base.place import writing
from lightbound.drawing import check_drawable
from lightbound.sim.agents.study import Study
from lightbound.sim.explain import seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAWTOOTH_FRAMES = 12  # of the age over time
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "---")
_SHADES = ("0.9", "0.75", "0.6", "0.95", "0.8", "0.5")


def draw_study(study: Study, path: str | os.PathLike[str]) -> Path:
    """Draw a study to a .png, .svg or .pdf file; returns its path.

    Raises LightboundError for another kind of file, without matplotlib, and where the file cannot be written.
    """
    place = Path(path)
    check_drawable(place)
    from matplotlib.figure import Figure  # no pyplot: a file needs no display

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    figure.suptitle(_title(study))
    panels: Any = figure.subplots(2, 2, height_ratios=(3, 2))
    _spread(panels[0, 0], study)
    _sawtooth(panels[0, 1], study)
    _parts(panels[1, 0], study)
    _loads(panels[1, 1], study)
    return _save(figure, place)


def draw_sweep(name: str, values: Sequence[Any], studies: Sequence[Study], path: str | os.PathLike[str]) -> Path:
    """Draw latency, what is missed, and the load of the link, over one thing that was varied."""
    place = Path(path)
    check_drawable(place)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    figure.suptitle(_title(studies[0], but=name))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    at = [value / 1e6 if name == "rate" else value for value in values]
    latencies = [study.outcomes.latency for study in studies]
    styles = (
        ("p50_s", "-", "o", "latency p50"),
        ("p95_s", "--", "s", "latency p95"),
        ("p99_s", ":", "^", "latency p99"),
    )
    for quantile, dash, marker, label in styles:
        found = [1e3 * getattr(latency, quantile) or np.nan for latency in latencies]  # zero has no place on a log axis
        above.plot(at, found, dash, marker=marker, markersize=4, color="black", label=label)
    ages = [1e3 * study.to_dict()["over_runs"]["age_mean_s"]["mean"] for study in studies]
    above.plot(at, ages, "-.", marker="x", color="0.5", label="mean age of information")
    deadline = 1e3 * studies[0].scenario.deadline_s
    above.axhline(deadline, color="black", linewidth=0.8)
    above.annotate("deadline", (at[0], deadline), xytext=(2, 3), textcoords="offset points", fontsize=9)
    above.set_yscale("log")
    above.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    above.set_ylabel("ms")
    above.legend(fontsize=9, frameon=False)
    shares = (
        ("missed deadline", "-", "o", lambda run: run.miss_ratio()),
        ("messages not fused", "--", "s", lambda run: 1 - run.fused_share),
        ("channel busy", ":", "^", lambda run: run.channel_busy_ratio),
    )
    for label, dash, marker, figure_of in shares:
        found = [100 * study.outcomes.over_runs(figure_of).mean for study in studies]
        below.plot(at, found, dash, marker=marker, markersize=4, color="black", label=label)
    below.set_ylim(-3, 103)
    below.set_ylabel("%")
    below.set_xlabel({"rate": "rate, Mb/s", "distance": "distance, m", "bytes": "bytes of a message"}.get(name, name))
    if name in ("compression", "bytes", "rate") and min(at) > 0:
        below.set_xscale("log")
        below.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        below.xaxis.set_minor_formatter(lambda value, _: "")
    below.legend(fontsize=9, frameon=False)
    for panel in (above, below):
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    return _save(figure, place)


def _title(study: Study, but: str = "") -> str:
    name = study.setting.architecture
    link = study.scenario.link
    parts = {
        "agents": f"{study.setting.agents} agents",
        "rate": f"{link.name} at {link.rate_bps / 1e6:.4g} Mb/s" if but != "rate" else link.name,
        "bytes": f"{study.payload_bytes:,} bytes a message" if but not in ("compression", "bytes") else "",
    }
    said = [text for key, text in parts.items() if text and (key != but or key == "rate")]
    return ", ".join((name if isinstance(name, str) else name.name, *said))


def _spread(panel: Axes, study: Study) -> None:
    """The share of frames, and of messages, that took at most so long."""
    latencies = np.sort(np.concatenate([one.latencies_s for one in study.outcomes.runs])) * 1e3
    messages = np.sort(
        [1e3 * (at - one.captured_s) for run in study.outcomes.runs for one in run.run.messages
         for at in one.arrived.values()]
    )  # fmt: skip
    for values, dash, label in ((latencies, "-", "capture to output"), (messages, "--", "capture to message arrived")):
        if len(values):
            panel.step(values, 100 * np.arange(1, len(values) + 1) / len(values), dash, color="black", label=label)
    deadline = 1e3 * study.scenario.deadline_s
    panel.axvline(deadline, color="black", linewidth=0.8)
    panel.annotate("deadline", (deadline, 3), xytext=(4, 0), textcoords="offset points", fontsize=9)
    panel.set_xlim(
        left=0, right=max([1.25 * deadline, *(float(v[-1]) * 1.05 for v in (latencies, messages) if len(v))])
    )
    panel.set_ylim(0, 102)
    panel.set_xlabel("ms")
    panel.set_ylabel("share in time, %")
    panel.set_title("Latency", loc="left", fontsize=10)
    panel.legend(fontsize=9, frameon=False, loc="upper left")
    _plain(panel)


def _sawtooth(panel: Axes, study: Study) -> None:
    """The age of each neighbour's newest message at the first fuser, over the first frames."""
    run = study.first.run
    made = study.scenario
    end = SAWTOOTH_FRAMES * made.period_s
    shown = 0
    for place, sender in enumerate(made.senders[:4]):
        pairs = sorted(
            (one.arrived[0], one.captured_s) for one in run.messages if one.sender == sender and 0 in one.arrived
        )
        times, ages = [], []
        for (arrived, captured), (following, _) in zip(pairs, [*pairs[1:], (end, 0.0)], strict=True):
            if arrived < end:
                times += [arrived, min(following, end)]
                ages += [arrived - captured, min(following, end) - captured]
        if times:
            shown += 1
            dash = ("-", "--", ":", "-.")[place]
            panel.plot(times, 1e3 * np.array(ages), dash, color="black", linewidth=1, label=made.agents[sender].name)
    panel.set_title("Age of information at the ego", loc="left", fontsize=10)
    panel.set_xlabel("s")
    panel.set_ylabel("ms")
    panel.set_ylim(bottom=0)
    if shown:
        panel.legend(fontsize=8, frameon=True, loc="lower right", ncols=2)
    else:
        panel.text(0.5, 0.5, "no message arrived", ha="center", transform=panel.transAxes)
    _plain(panel)


def _parts(panel: Axes, study: Study) -> None:
    """The means of the parts of an output's way and of a message's."""
    parts = study.first.breakdown_s
    rows = (("output", ("fuser computes", "fuser waits", "fusion")),
            ("message", ("sender computes", "message queues", "message is sent")))  # fmt: skip
    number = 0
    for row, (_, names) in enumerate(rows):
        start = 0.0
        for name in names:
            value = 1e3 * parts[name] if parts[name] == parts[name] else 0.0
            shade, hatch = _SHADES[number], _HATCHES[number]
            label = f"{name}, {seconds(value / 1e3)}"
            panel.barh(row, value, left=start, color=shade, hatch=hatch, edgecolor="black", label=label, height=0.6)
            start += value
            number += 1
    panel.set_yticks(range(len(rows)), [name for name, _ in rows])
    panel.set_ylim(-0.5, 3.4)
    panel.set_xlabel("ms, mean")
    panel.set_title("Where the time goes", loc="left", fontsize=10)
    panel.legend(fontsize=8, frameon=False, loc="upper left", ncols=2)
    panel.spines[["top", "right"]].set_visible(False)


def _loads(panel: Axes, study: Study) -> None:
    """Loads of resources, the largest first."""
    loads = sorted(((load, name) for name, load in study.first.loads.items() if load), reverse=True)[:6]
    busy = study.outcomes.over_runs(lambda run: run.channel_busy_ratio).mean
    rows = [*(loads or [(0.0, "nothing")]), (busy, "channel busy (measured)")]
    for row, (load, name) in enumerate(rows):
        measured = name.endswith("(measured)")
        panel.barh(
            row, 100 * load, color="0.5" if load > 1 else "0.85", hatch="..." if measured else "", edgecolor="black"
        )
        panel.annotate(
            f"{load:.0%}", (100 * load, row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=9
        )
    panel.axvline(100, color="black", linewidth=0.8)
    panel.set_yticks(range(len(rows)), [name for _, name in rows], fontsize=9)
    panel.invert_yaxis()
    panel.set_xlim(0, max(115, 115 * max(load for load, _ in rows)))
    panel.set_xlabel("load, %")
    panel.set_title("Load", loc="left", fontsize=10)
    panel.spines[["top", "right"]].set_visible(False)


def _plain(panel: Axes) -> None:
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, place: Path) -> Path:
    with writing("plot", place):
        figure.savefig(place, dpi=150)
    return place
