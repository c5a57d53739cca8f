"""Questions about a setting, answered: what it comes to, how far it reaches, and which part to improve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lightbound.archs.links import link_file
from lightbound.base.errors import LightboundError

from ..explain import seconds
from ..radio.sidelink import Sidelink
from .capacity import Found, largest_whole, least, least_of
from .outcome import Outcome
from .replicate import Outcomes, replicate
from .scenario import Scenario, Stages
from .setting import Setting, message_bytes, scenario
from .timeline import write_timeline

TRIED_FRAMES = 60  # of each setting that a search tries
MOST_AGENTS = 64
MOST_COMPRESSION = 65536.0
IN_TIME = 0.95
SHORT_WINDOW_S = 0.02  # the shortest selection window of LTE-V2X (3GPP TS 36.213, 14.1.1.6)


@dataclass(frozen=True)
class Improvement:
    """One part made better, all else as it was: the p95 latency and missed share before and after."""

    what: str
    p95_s: float
    missed: float
    fused: float


@dataclass(frozen=True)
class Limits:
    """How far a setting reaches before its deadline is missed, one thing changed at a time."""

    agents: Found
    compression: Found
    rate_bps: Found


@dataclass(frozen=True)
class Study:
    """A setting with what its runs came to."""

    setting: Setting
    outcomes: Outcomes
    seed: int = 0
    first: Outcome = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", self.outcomes.runs[0])

    @property
    def scenario(self) -> Scenario:
        """What was run."""
        return self.outcomes.scenario

    @property
    def payload_bytes(self) -> int:
        """Bytes of one message."""
        return message_bytes(self.setting)

    @cached_property
    def limits(self) -> Limits:
        """Most agents, least compression and least rate at which 95 % of the outputs are in time and whole. Runs many
        settings, 60 frames each."""
        return find_limits(self.setting, self.seed)

    @cached_property
    def improvements(self) -> tuple[Improvement, ...]:
        """What each part would bring if it were made better alone, the best first. Runs a setting for each."""
        return improvements(self.scenario, self.seed)

    def write_timeline(self, path: str | Path) -> None:
        """Write the first run as a trace for the Perfetto UI; it must have been recorded (``record=True``)."""
        write_timeline(path, self.first.run)

    def explain(self) -> str:
        """What it comes to, why, and which part to improve, in sentences."""
        return explain(self)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain values: of the first run, with means and intervals over all."""
        over = {name: asdict(self.outcomes.over_runs(figure)) for name, figure in _FIGURES.items()}
        return {
            "agents": self.setting.agents,
            "link": self.scenario.link.name,
            "rate_bps": self.scenario.link.rate_bps,
            "payload_bytes": self.payload_bytes,
            "compression": self.setting.compression,
            "replications": len(self.outcomes.runs),
            "seed": self.seed,
            "over_runs": over,
            **self.first.to_dict(),
            "latency": asdict(self.outcomes.latency),
            "stable": self.outcomes.stable,
            "overloads": list(self.outcomes.overloads),
            "notes": list(self.scenario.notes),
        }


def _age(pick: Callable[[Any], float]) -> Callable[[Outcome], float]:
    def figure(one: Outcome) -> float:
        values = [pick(value) for value in one.ages.values()]
        return sum(values) / len(values) if values else float("nan")

    return figure


_FIGURES: dict[str, Callable[[Outcome], float]] = {
    "latency_mean_s": lambda one: one.latency.mean_s,
    "latency_p95_s": lambda one: one.latency.p95_s,
    "message_mean_s": lambda one: one.message.mean_s,
    "message_p95_s": lambda one: one.message.p95_s,
    "miss_ratio": lambda one: one.miss_ratio(),
    "fused_share": lambda one: one.fused_share,
    "age_mean_s": _age(lambda one: one.mean_s),
    "age_peak_s": _age(lambda one: one.peak_s),
    "frame_delivery": lambda one: one.frame_delivery,
    "packet_delivery": lambda one: one.packet_delivery,
    "channel_busy_ratio": lambda one: one.channel_busy_ratio,
    "collision_ratio": lambda one: one.collision_ratio,
}


def v2x(
    architecture: Any,
    agents: int = 2,
    link: Any = "802.11p",
    *,
    replications: int = 1,
    seed: int = 0,
    workers: int | None = None,
    record: bool = False,
    **setting: Any,
) -> Study:
    """Agents that share features over a link: latency, age of information, deadlines, and what to improve.

    The other arguments are the fields of ``Setting``: machine, rate, compression, dtype, phases, fusion and so on.
    replications: runs with other draws, in so many `workers` processes; record: keep the first run's timeline
    (``write_timeline``). The same seed gives the same figures. Raises LightboundError for settings that make no sense.
    """
    made = Setting(architecture, agents, link).with_(**setting)
    return study(made, replications, seed, workers, record)


def study(
    setting: Setting, replications: int = 1, seed: int = 0, workers: int | None = None, record: bool = False
) -> Study:
    """The study of a setting."""
    if not 1 <= replications <= 10_000:
        raise LightboundError("replications", replications, "is not a number from 1 to 10000", "Write 5.")
    return Study(setting, Outcomes(replicate(scenario(setting, seed), replications, seed, workers, record)), seed)


def find_limits(setting: Setting, seed: int = 0) -> Limits:
    """How far a setting reaches, one thing changed at a time."""
    shorter = setting.with_(frames=min(setting.frames, TRIED_FRAMES))

    def meets(**changes: Any) -> bool:
        made = scenario(shorter.with_(**changes), seed)
        return Outcomes(replicate(made, 1, seed)).meets(IN_TIME)

    def at_rate(rate: float) -> bool:
        return meets(rate=rate)

    agents = largest_whole(lambda count: meets(agents=int(count)), 2, MOST_AGENTS)
    if setting.payload_bytes is None:
        compression = least(lambda ratio: meets(compression=ratio), 1.0, MOST_COMPRESSION)
    else:
        whole = setting.payload_bytes
        compression = least(lambda ratio: meets(payload_bytes=max(1, round(whole / ratio))), 1.0, MOST_COMPRESSION)
    rate = Found(None)
    if isinstance(setting.link, str) and "rate" in type(link_file(setting.link)).model_fields:
        steps = sorted(step.rate for step in link_file(setting.link).rates)
        rate = least_of(at_rate, steps) if steps else least(at_rate, 1e6, 1e11)
    return Limits(agents, compression, rate)


def improvements(made: Scenario, seed: int = 0) -> tuple[Improvement, ...]:
    """Each part twice as good, all else equal."""
    shorter = made.with_(frames=min(made.frames, TRIED_FRAMES))
    found = []
    for what, changed in _changes(shorter).items():
        one = Outcomes(replicate(changed, 1, seed))
        figures = (one.latency.p95_s, one.over_runs(lambda run: run.miss_ratio()).mean)
        found.append(Improvement(what, *figures, one.over_runs(lambda run: run.fused_share).mean))
    base = found[0]
    ranked = sorted(found[1:], key=lambda one: (one.missed, -_known(one.fused), one.p95_s))
    return (base, *ranked)


def _known(share: float) -> float:
    return share if share == share else 1.0


def _changes(made: Scenario) -> dict[str, Scenario]:
    from .scenario import phased

    agents = made.agents
    half = {
        "senders compute twice as fast": [replace(one, before=_faster(one.before)) for one in agents],
        "fusion is twice as fast": [replace(one, after=_faster(one.after)) for one in agents],
        "messages are half as long": [replace(one, payload_bytes=-(-one.payload_bytes // 2)) for one in agents],
    }
    changed = {"as it is": made}
    for what, others in half.items():
        if tuple(others) != agents:
            changed[what] = made.with_(agents=tuple(others))
    if isinstance(made.link, Sidelink) and made.link.selection_window_s > SHORT_WINDOW_S:
        shorter = replace(made.link, selection_window_s=SHORT_WINDOW_S)
        changed[f"slots are chosen within {seconds(SHORT_WINDOW_S)}"] = made.with_(link=shorter)
    if len(made.senders) > 1 and all(one.phase_s == agents[0].phase_s for one in agents):
        changed["captures are planned one after the other"] = phased(made, "planned")
    return changed


def _faster(stages: Stages) -> Stages:
    return tuple(
        replace(one, seconds=one.seconds / 2, jitter_s=one.jitter_s / 2, each_s=one.each_s / 2) for one in stages
    )


def explain(study: Study) -> str:
    """The paragraphs behind `Study.explain`."""
    one, made = study.first, study.scenario
    said = []
    latency, missed = study.outcomes.latency, study.outcomes.over_runs(lambda run: run.miss_ratio()).mean
    if latency.n:
        said.append(
            f"From capture to output {seconds(latency.p50_s)} in the middle, {seconds(latency.p95_s)} at p95; "
            f"{missed:.1%} of the frames miss the deadline of {seconds(made.deadline_s)}."
        )
    else:
        said.append("No frame gets as far as an output.")
    if made.senders:
        fused = study.outcomes.over_runs(lambda run: run.fused_share).mean
        said.append(f"Fusion had {fused:.1%} of the messages that it wanted ({study.payload_bytes:,} bytes each).")
        parts = {name: value for name, value in one.breakdown_s.items() if value == value}
        own = {name: parts.get(name, 0.0) for name in ("fuser computes", "fuser waits", "fusion")}
        said.append("An output: " + ", ".join(f"{name} {seconds(value)}" for name, value in own.items()) + ".")
        way = {name: parts[name] for name in ("sender computes", "message queues", "message is sent") if name in parts}
        if way:
            said.append("A message: " + ", ".join(f"{name} {seconds(value)}" for name, value in way.items()) + ".")
    said += [f"It does not keep up: {reason}." for reason in study.outcomes.overloads]
    base, *others = study.improvements
    better = [other for other in others if _gains(base, other)]
    if better:
        best = better[0]
        said.append(
            f"Improve first: if {best.what}, p95 is {seconds(best.p95_s)}, {best.missed:.1%} of the frames miss, and "
            f"fusion has {_known(best.fused):.1%} of the messages."
        )
        rest = [f"{other.what}: p95 {seconds(other.p95_s)}, {other.missed:.1%} miss" for other in better[1:]]
        said += [f"Then: {'; '.join(rest)}."] if rest else []
    elif others:
        said.append("No single part, made twice as good, changes much: it takes more than one step.")
    return "\n".join(said)


def _gains(base: Improvement, other: Improvement) -> bool:
    return (
        other.missed < base.missed - 0.005
        or _known(other.fused) > _known(base.fused) + 0.005
        or other.p95_s < 0.98 * base.p95_s
    )
