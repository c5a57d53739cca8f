"""Charts of cooperating agents: the distribution of latency, where it arises, and what a sweep changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lightbound.sim.agents.study import Study
from lightbound.sim.explain import seconds

from .chart import Axis, Chart, Mark, Picture, Series

POINTS = 400  # of a distribution: its quantiles, where there are more values


def study_charts(study: Study) -> list[Picture]:
    """The latency as a distribution, its parts, and the loads."""
    return [_distribution(study), _parts(study), _loads(study)]


def _distribution(study: Study) -> Chart:
    outputs = [one.latencies_s for one in study.outcomes.runs]
    messages = [
        at - one.captured_s for run in study.outcomes.runs for one in run.run.messages for at in one.arrived.values()
    ]
    deadline = float(study.scenario.deadline_s)
    series = [
        _cumulative("capture to output", np.concatenate(outputs) if outputs else np.array([])),
        _cumulative("capture to message arrived", np.array(messages)),
    ]
    latency = study.outcomes.latency
    says = f"No output was made; the deadline is {seconds(deadline)}."
    if latency.n:
        says = (
            f"Half of the outputs took {seconds(latency.p50_s)} or less, 95 % {seconds(latency.p95_s)}, 99 % "
            f"{seconds(latency.p99_s)}; the deadline is {seconds(deadline)}."
        )
    marks = [Mark("x", deadline, f"deadline: {seconds(deadline)}")]
    shown = [one for one in series if one.x]
    return Chart("Distribution of latency", says, Axis("time", "s"), Axis("share within it", "%"), shown, marks)


def _cumulative(name: str, values: np.ndarray) -> Series:
    ranked = np.sort(values)
    shares = np.arange(1, len(ranked) + 1) / max(len(ranked), 1)
    if len(ranked) > POINTS:
        kept = np.linspace(0, len(ranked) - 1, POINTS).astype(int)
        ranked, shares = ranked[kept], shares[kept]
    return Series(name, ranked.tolist(), shares.tolist(), "stairs")


def _parts(study: Study) -> Chart:
    parts = {name: value for name, value in study.first.breakdown_s.items() if value == value}
    ways = {
        "output": ("fuser computes", "fuser waits", "fusion"),
        "message": ("sender computes", "message queues", "message is sent"),
    }
    series = [
        Series(f"{name} {seconds(parts[name])}", [parts[name]], [way], "bars")
        for way, names in ways.items()
        for name in names
        if parts.get(name)
    ]
    says = "Mean times: " + ", ".join(f"{name} {seconds(value)}" for name, value in parts.items()) + "."
    return Chart("Where the time goes", says, Axis("mean time", "s"), Axis(""), series, stacked=True)


def _loads(study: Study) -> Chart:
    loads = {name: float(load) for name, load in study.first.loads.items() if load}
    values = list(loads.values())
    series = [Series("load", values, list(loads), "bars", [f"{load:.1%}" for load in values])]
    says = "Asked of what each can do: " + ", ".join(f"{name} {load:.0%}" for name, load in loads.items()) + "."
    return Chart("Load", says, Axis("load", "%"), Axis("resource"), series, [Mark("x", 1.0, "all it can do")])


def sweep_charts(name: str, values: Sequence[Any], studies: Sequence[Study]) -> list[Picture]:
    """Latency, and shares, over one thing that was varied."""
    at = [float(value) for value in values]
    deadline = float(studies[0].scenario.deadline_s)
    log = name in ("compression", "bytes", "rate") and min(at) > 0
    across = Axis("rate in bits a second" if name == "rate" else name, log=log)
    times = [
        Series(
            f"latency {quantile.removesuffix('_s')}",
            at,
            [getattr(one.outcomes.latency, quantile) for one in studies],
            "line",
        )
        for quantile in ("p50_s", "p95_s", "p99_s")
    ]
    ages = [one.to_dict()["over_runs"]["age_mean_s"]["mean"] for one in studies]
    times.append(Series("mean age of information", at, ages, "line"))
    shares = [
        Series(label, at, [one.outcomes.over_runs(figure).mean for one in studies], "line")
        for label, figure in (
            ("missed deadline", lambda run: run.miss_ratio()),
            ("messages not fused", lambda run: 1 - run.fused_share),
            ("channel busy", lambda run: run.channel_busy_ratio),
        )
    ]
    first, last = studies[0].outcomes.latency.p95_s, studies[-1].outcomes.latency.p95_s
    says = f"The 95th percentile of latency goes from {seconds(first)} to {seconds(last)} over the sweep of {name}."
    mark = Mark("y", deadline, f"deadline: {seconds(deadline)}")
    y = Axis("time", "s", log=True)
    known = [(one.name, [float(y) for y in one.y if y == y]) for one in shares]
    told = ", ".join(f"{label} {found[0]:.0%} to {found[-1]:.0%}" for label, found in known if found)
    return [
        Chart("Latency", says, across, y, times, [mark]),
        Chart("Shares", f"Over the sweep: {told}.", across, Axis("share", "%"), shares),
    ]
