"""``lightbound v2x``: a study, a sweep or limits, as tables and with reasons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightbound.archs.links import bits_per_second, quantity
from lightbound.base.errors import LightboundError, choose_from
from lightbound.sim.agents.capacity import Found
from lightbound.sim.agents.outcome import DEADLINES_S
from lightbound.sim.agents.replicate import Estimate
from lightbound.sim.agents.setting import Setting
from lightbound.sim.agents.study import MOST_AGENTS, MOST_COMPRESSION, Limits, Study, study
from lightbound.sim.explain import seconds

from .answer import Answer, Block, Table, Text
from .given import pairs
from .progress import progress
from .timeline import check_trace, traced

if TYPE_CHECKING:
    from .charts.chart import Picture

_SWEPT = {
    "agents": "agents",
    "compression": "compression",
    "rate": "rate",
    "bytes": "payload_bytes",
    "hz": "hz",
    "loss": "loss",
    "distance": "distance_m",
}
_WHOLE = ("agents", "bytes")


@dataclass(frozen=True)
class Asked:
    """What is wanted of a setting."""

    replications: int
    seed: int
    sweep: str | None
    limits: bool
    trace: Path | None
    plot: Path | None
    explained: bool


def time(option: str, text: str | None) -> float | None:
    """``30ms`` in seconds."""
    return None if text is None else quantity(text, "time", option)


def link_options(given: Iterable[str]) -> tuple[tuple[str, Any], ...]:
    """``mcs=27`` and the like, numbers as numbers."""
    return tuple((name, _value(text)) for name, text in pairs("--option", given, "mcs=27"))


def _value(text: str) -> Any:
    if text.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text.lower()]
    try:
        return float(text) if "." in text or "e" in text.lower() else int(text)
    except ValueError:
        return text


def answer(architecture: str, agents: int, link: str, given: Mapping[str, Any], asked: Asked) -> Answer:
    """The study of a setting, or of each value of a sweep."""
    setting = Setting(architecture, agents, link).with_(**given)
    check_trace(asked.trace)
    if asked.plot is not None:
        from lightbound.drawing import check_drawable

        check_drawable(asked.plot)
    if asked.sweep is not None:
        if asked.trace is not None or asked.limits:
            raise LightboundError(
                "--sweep", asked.sweep, "has no one timeline or limits", "Leave out --trace, --limits."
            )
        return _swept(setting, asked)
    with progress("Simulating"):
        done = study(setting, asked.replications, asked.seed, record=asked.trace is not None)
        blocks: list[Block] = [_summary(done), _parts(done), _ages(done), _messages(done), _loads(done)]
        data = done.to_dict()
        if asked.limits:
            found = done.limits
            blocks.append(_limits(found, done))
            data["limits"] = asdict(found)
        if asked.explained:
            blocks.append(Text("\n".join((done.explain(), *_notes(done))), title="Why", leads=True))
            data["explanation"] = done.explain()
    if asked.trace is not None:
        with traced(asked.trace) as file:
            done.write_timeline(file or asked.trace)
    if asked.plot is not None:
        from lightbound.drawing_agents import draw_study

        draw_study(done, asked.plot)

    def pictures() -> Sequence[Picture]:
        from .charts.cooperation import study_charts

        return study_charts(done)

    return Answer([block for block in blocks if not isinstance(block, Table) or block.rows], data, pictures=pictures)


def _swept(setting: Setting, asked: Asked) -> Answer:
    name, values = _values(asked.sweep or "")
    studies = []
    with progress("Simulating", total=len(values)) as advance:
        for value in values:
            studies.append(study(setting.with_(**{_SWEPT[name]: value}), asked.replications, asked.seed))
            advance(1)
    rows = [_row(value, one) for value, one in zip(values, studies, strict=True)]
    records = [_record(name, value, one) for value, one in zip(values, studies, strict=True)]
    columns = (name, "p50", "p95", "missed", "fused", "age", "channel busy", "link load", "keeps up")
    blocks: list[Block] = [Table(columns, rows, title=_title(studies[0]), right=frozenset(columns[:-1]))]
    if notes := _notes(studies[0]):
        blocks.append(Text("\n".join(notes), title="Notes"))
    if asked.plot is not None:
        from lightbound.drawing_agents import draw_sweep

        draw_sweep(name, values, studies, asked.plot)

    def pictures() -> Sequence[Picture]:
        from .charts.cooperation import sweep_charts

        return sweep_charts(name, values, studies)

    return Answer(blocks, {"sweep": name, "points": records}, records, pictures)


def _values(text: str) -> tuple[str, list[Any]]:
    """``agents=1..10`` or ``rate=6Mbps,27Mbps`` as a name and values."""
    name, _, listed = text.partition("=")
    if name not in _SWEPT:
        raise LightboundError("--sweep", name, "cannot be swept", choose_from(_SWEPT, name))
    span = re.fullmatch(r"(\d+)\.\.(\d+)", listed)
    if span:
        low, high = int(span[1]), int(span[2])
        if not low <= high <= low + 1000:
            raise LightboundError("--sweep", text, "is not a range of up to a thousand", "Write agents=1..10.")
        return name, list(range(low, high + 1))
    parts = [part.strip() for part in listed.split(",") if part.strip()]
    if not parts:
        raise LightboundError("--sweep", text, "has no values", "Write agents=1..10 or compression=1,8,64.")
    if name == "rate":
        return name, [bits_per_second(part, "--sweep rate") for part in parts]
    try:
        return name, [int(part) if name in _WHOLE else float(part) for part in parts]
    except ValueError as error:
        raise LightboundError("--sweep", text, "has a value that is no number", f"Write {name}=1,2,4.") from error


def _title(one: Study) -> str:
    link = one.scenario.link
    return f"{_named(one)} over {link.name} at {link.rate_bps / 1e6:.4g} Mb/s"


def _named(one: Study) -> str:
    name = one.setting.architecture
    return name if isinstance(name, str) else name.name


def _row(value: Any, one: Study) -> tuple[str, ...]:
    over = one.outcomes.over_runs
    latency = one.outcomes.latency
    figures = one.to_dict()["over_runs"]
    shown = f"{value / 1e6:g} Mb/s" if value is not None and value >= 1e5 else f"{value:g}"
    return (
        shown,
        _s(latency.p50_s),
        _s(latency.p95_s),
        _share(over(lambda run: run.miss_ratio())),
        _share(over(lambda run: run.fused_share)),
        _s(figures["age_mean_s"]["mean"]),
        _share(over(lambda run: run.channel_busy_ratio)),
        f"{one.first.loads['link']:.0%}" if "link" in one.first.loads else "",
        "yes" if one.outcomes.stable else "no",
    )


def _record(name: str, value: Any, one: Study) -> dict[str, Any]:
    figures = {key: estimate["mean"] for key, estimate in one.to_dict()["over_runs"].items()}
    latency = one.outcomes.latency
    return {
        name: value,
        "payload_bytes": one.payload_bytes,
        "latency_p50_s": latency.p50_s,
        "latency_p95_s": latency.p95_s,
        "latency_p99_s": latency.p99_s,
        **figures,
        "link_load": one.first.loads.get("link"),
        "stable": one.outcomes.stable,
    }


def _summary(one: Study) -> Block:
    latency, over = one.outcomes.latency, one.outcomes.over_runs
    made, first = one.scenario, one.first
    runs = len(one.outcomes.runs)
    deadlines = sorted({*DEADLINES_S, made.deadline_s})
    missed = ", ".join(f"{_share(over(lambda run, d=d: run.miss_ratio(d)))} of {seconds(d)}" for d in deadlines)
    stale = first.staleness_frames
    rows = [
        ("link", f"{made.link.name} at {made.link.rate_bps / 1e6:.4g} Mb/s"),
        (
            "agents",
            f"{one.setting.agents}, {1 / made.period_s:g} Hz, {made.frames} frames" + (f", {runs} runs" * (runs > 1)),
        ),
        (
            "message",
            f"{one.payload_bytes:,} bytes"
            + (f", compressed {one.setting.compression:g} times" * (one.setting.compression != 1)),
        ),
        ("latency", f"p50 {_s(latency.p50_s)}, p95 {_s(latency.p95_s)}, p99 {_s(latency.p99_s)}"),
        ("p95 of a run", _interval(over(lambda run: run.latency.p95_s)) if runs > 1 else ""),
        ("missed deadlines", missed),
        ("messages fused", _share(over(lambda run: run.fused_share))),
        ("staleness", ", ".join(f"{share:.1%} {_frames(number)}" for number, share in stale.items())),
        ("packets delivered", _share(over(lambda run: run.packet_delivery))),
        ("messages delivered", _share(over(lambda run: run.frame_delivery))),
        ("channel busy", _share(over(lambda run: run.channel_busy_ratio))),
        ("collided", _share(over(lambda run: run.collision_ratio))),
        ("keeps up", "yes" if one.outcomes.stable else "no: " + "; ".join(one.outcomes.overloads)),
    ]
    return Table(("v2x", _named(one)), [row for row in rows if row[1]])


def _frames(number: int) -> str:
    return {-1: "missing", 0: "fresh"}.get(number, f"{number} frame{'s' * (number > 1)} old")


def _parts(one: Study) -> Block:
    rows = [(name, _s(value)) for name, value in one.first.breakdown_s.items() if value == value]
    return Table(("part", "mean"), rows, title="Where the time goes", right=frozenset(("mean",)))


def _ages(one: Study) -> Block:
    rows = [
        (f"{sender} at {fuser}", *map(_s, (age.mean_s, age.peak_s, age.p95_s, age.p99_s)), str(age.arrivals))
        for (fuser, sender), age in list(one.first.ages.items())[:20]
    ]
    columns = ("age of", "mean", "mean peak", "p95", "p99", "arrivals")
    return Table(columns, rows, title="Age of information", right=frozenset(columns[1:]))


def _messages(one: Study) -> Block:
    accounts = asdict(one.first.accounts)
    rows = [(name.replace("_", " "), f"{count:,}") for name, count in accounts.items() if count or name == "captured"]
    return Table(
        ("messages", "count"),
        rows if accounts["captured"] else [],
        title="Where messages went",
        right=frozenset(("count",)),
    )


def _loads(one: Study) -> Block:
    rows = [(name, f"{load:.1%}") for name, load in one.first.loads.items() if load]
    rows += [(f"airtime of {name}", f"{share:.1%}") for name, share in one.first.airtime_share.items()]
    return Table(("resource", "load"), rows, title="Load", right=frozenset(("load",)))


def _limits(found: Limits, one: Study) -> Block:
    rows = [
        ("most agents", _limit(found.agents, lambda v: f"{v:.0f}", f"of up to {MOST_AGENTS}")),
        ("least compression", _limit(found.compression, lambda v: f"{v:.3g}", f"up to {MOST_COMPRESSION:,.0f}")),
        ("least rate", _limit(found.rate_bps, lambda v: f"{v / 1e6:.4g} Mb/s", "that the link has")),
    ]
    title = f"Limits: 95 % of frames within {seconds(one.scenario.deadline_s)}, with 95 % of the messages"
    return Table(("limit", "value"), rows, title=title)


def _limit(found: Found, say: Any, within: str) -> str:
    if found.value is None:
        return f"none {within} does it"
    return say(found.value) + (" (the end of the range)" if found.open else "")


def _notes(one: Study) -> list[str]:
    return [f"{note[:1].upper()}{note[1:]}." for note in one.scenario.notes]


def _s(value: float) -> str:
    return seconds(value) if value == value else ""


def _share(value: Estimate) -> str:
    if value.mean != value.mean:
        return ""
    width = f" ± {value.half_width:.1%}" if value.half_width == value.half_width and value.half_width > 5e-4 else ""
    return f"{value.mean:.1%}{width}"


def _interval(value: Estimate) -> str:
    return f"{_s(value.mean)} ± {_s(value.half_width)} (95 % confidence)" if value.mean == value.mean else ""
