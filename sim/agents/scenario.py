"""What is simulated: agents with their stages of computation, what they send over which link, and who fuses it how.

Plain values, checked once. Nothing here knows what the stages compute; their times come from the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from typing import Any, Literal, get_args

from lightbound.base.errors import LightboundError, choose_from

from ..radio.csma import CsmaLink
from ..radio.link import Link
from ..radio.sidelink import Sidelink

Fusion = Literal["wait_all", "window", "newest", "drop_old"]
Queueing = Literal["fifo", "replace"]
Phases = Literal["synchronised", "planned", "even", "random"]


@dataclass(frozen=True)
class Stage:
    """A step of computation: `seconds` on the unit `unit`, and with `jitter_s` a uniform part from 0 to it on top.

    each_s: more of it for every message that is fused. after: the stages that it waits for, by name; by default the one
    before it.
    """

    name: str
    seconds: float
    unit: str = "accelerator"
    jitter_s: float = 0.0
    each_s: float = 0.0
    after: tuple[str, ...] | None = None


Stages = tuple[Stage, ...]
"""Stages of a frame. Those that do not wait for each other run side by side where their units differ."""


@dataclass(frozen=True)
class Agent:
    """One agent. Times in seconds.

    before: from capture to a message that may be sent. after: from all messages to an output, where it fuses.
    phase_s: of its captures in the period. skew: how much faster its clock runs, 1e-6 being a microsecond a second.
    join_s, leave_s: it captures from one to the other.
    """

    name: str
    before: Stages = ()
    after: Stages = ()
    payload_bytes: int = 0
    phase_s: float = 0.0
    skew: float = 0.0
    join_s: float = 0.0
    leave_s: float = inf


@dataclass(frozen=True)
class Scenario:
    """A whole setting.

    agents: the first one fuses; with `everyone` all do, and every message goes to all others. period_s: between
    captures of an agent. fusion: ``wait_all``: all messages of this frame, at most `window_s` after the own capture;
    ``window``: what has come of this frame `window_s` after the own capture; ``newest``: the newest of each neighbour,
    however old, at once; ``drop_old``: the same, but nothing older than `oldest_frames`. queueing: of messages that
    wait for the medium: ``fifo``, or ``replace``, where a new one takes the place of those not begun. loss: probability
    that a packet fades, one for all or by sender and receiver. frames: captures of each agent. deadline_s: from capture
    to output.
    """

    agents: tuple[Agent, ...]
    link: Link
    period_s: float = 0.1
    frames: int = 100
    everyone: bool = False
    fusion: Fusion = "wait_all"
    window_s: float = 0.1
    oldest_frames: int = 1
    queueing: Queueing = "fifo"
    loss: float | Sequence[Sequence[float]] = 0.0
    deadline_s: float = 0.1
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        _check(self)

    @property
    def fusers(self) -> tuple[int, ...]:
        """The agents that fuse."""
        return tuple(range(len(self.agents))) if self.everyone else (0,)

    @property
    def senders(self) -> tuple[int, ...]:
        """The agents that send."""
        return tuple(
            number
            for number, agent in enumerate(self.agents)
            if agent.payload_bytes and (self.everyone or number) and len(self.agents) > 1
        )

    def with_(self, **changes: Any) -> Scenario:
        """The scenario with other values."""
        return replace(self, **changes)


def phased(scenario: Scenario, phases: Phases | Sequence[float], seed: int = 0) -> Scenario:
    """The scenario with other phases of its captures.

    ``synchronised``: all at once. ``planned``: each sender as much later than the last as its message takes alone, so
    that nobody contends. ``even``: spread over the period. ``random``: drawn. Or seconds for each agent.
    """
    import random

    agents = scenario.agents
    if isinstance(phases, str):
        if phases not in get_args(Phases):
            raise LightboundError("phases", phases, "is not known", choose_from(get_args(Phases), phases))
        delays = [0.0] * len(agents)
        if phases == "random":
            draw = random.Random(f"phases {seed}")
            delays = [draw.random() * scenario.period_s for _ in agents]
        elif phases in ("planned", "even"):
            at = 0.0
            for number in scenario.senders:
                delays[number] = at
                alone = 1.05 * scenario.link.transfer_s(agents[number].payload_bytes)
                at += scenario.period_s / len(scenario.senders) if phases == "even" else alone
            delays = [delay % scenario.period_s for delay in delays]
    else:
        delays = list(phases)
        if len(delays) != len(agents):
            problem = f"are {len(delays)} times for {len(agents)} agents"
            raise LightboundError("phases", list(phases), problem, "Give one for each agent.")
    moved = tuple(replace(agent, phase_s=delay) for agent, delay in zip(agents, delays, strict=True))
    return scenario.with_(agents=moved)


def _check(s: Scenario) -> None:
    def refuse(field: str, value: object, problem: str, remedy: str) -> None:
        raise LightboundError(field, value, problem, remedy)

    if not s.agents:
        refuse("agents", 0, "are none", "Give at least one.")
    if not (isfinite(s.period_s) and s.period_s > 0):
        refuse("period_s", s.period_s, "is not a positive time", "Write 0.1 for 10 Hz.")
    if s.frames < 1:
        refuse("frames", s.frames, "is not a positive number", "Write 100.")
    for name, value, known in (("fusion", s.fusion, get_args(Fusion)), ("queueing", s.queueing, get_args(Queueing))):
        if value not in known:
            refuse(name, value, "is not known", choose_from(known, str(value)))
    for name, value in (("window_s", s.window_s), ("deadline_s", s.deadline_s)):
        if not value >= 0:
            refuse(name, value, "is not a time of at least 0", "Write 0.1.")
    if isinstance(s.loss, int | float) and not 0 <= s.loss <= 1:
        refuse("loss", s.loss, "is not a probability", "Write 0 to 1.")
    if s.everyone and isinstance(s.link, CsmaLink) and not s.link.broadcast and len(s.agents) > 2:
        refuse("link", s.link.name, "acknowledges one receiver, and all agents shall receive", "Choose broadcast.")
    if isinstance(s.link, Sidelink) and abs(s.link.reservation_period_s - s.period_s) > 1e-9:
        refuse(
            "reservation_period", s.link.reservation_period_s, f"is not the period of {s.period_s} s",
            "Reserve slots for every capture: set reservation_period to the period.",
        )  # fmt: skip
    for agent in s.agents:
        where = f"agent {agent.name}"
        if agent.payload_bytes < 0:
            refuse(f"{where}: payload_bytes", agent.payload_bytes, "is negative", "Write 0 for one that sends nothing.")
        if not agent.leave_s > agent.join_s >= 0:
            refuse(f"{where}: leave_s", agent.leave_s, f"is not after it joins at {agent.join_s}", "Correct one.")
        if not (abs(agent.skew) < 0.01 and 0 <= agent.phase_s < inf):
            refuse(f"{where}: skew, phase_s", (agent.skew, agent.phase_s), "are out of range", "Write 20e-6 and 0.")
        for stages in (agent.before, agent.after):
            seen: set[str] = set()
            for stage in stages:
                times = (stage.seconds, stage.jitter_s, stage.each_s)
                if not all(0 <= time < inf for time in times):
                    refuse(f"{where}: {stage.name}", times, "is not a time of at least 0", "Write seconds.")
                for name in stage.after or ():
                    if name not in seen:
                        refuse(f"{where}: {stage.name}", name, "does not come before it", choose_from(seen, name))
                seen.add(stage.name)
