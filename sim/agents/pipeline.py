"""The pipeline by events: SimPy processes for agents, units of computation as resources, and the medium between them.

Every message comes to one end: delivered, lost, replaced in the queue, or still on its way when the simulation ends.
`Run` keeps a record of each, from which everything else follows.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

from ..radio.channel import channel
from ..radio.medium import NEVER, Loss, Medium, Tally, Transfer, nanoseconds
from .scenario import Agent, Scenario, Stage, Stages

_LATE = 2  # after all that happens at one instant


@dataclass(eq=False)
class Message:
    """One capture of one agent on its way to those who fuse it. Times in seconds, NaN while they have not come.

    fate: ``computing``, ``waiting`` (for the medium, or on it), ``replaced``, ``ended``. arrived: by receiver, where it
    is complete.
    """

    sender: int
    frame: int
    captured_s: float
    ready_s: float = float("nan")
    started_s: float = float("nan")
    ended_s: float = float("nan")
    packets: int = 0
    fate: str = "computing"
    lost: dict[int, int] = field(default_factory=dict)
    arrived: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """What one fuser made of one frame: which frame of each neighbour it used (None: nothing), and the times in
    seconds of its own capture, of its own features, of the start of fusion and of the output."""

    fuser: int
    frame: int
    captured_s: float
    encoded_s: float
    fusing_s: float
    output_s: float
    used: dict[int, int | None]
    captured_of: dict[int, float]


@dataclass(frozen=True)
class Work:
    """A stretch of time in which a unit of an agent computes a stage of a frame. Times in seconds."""

    agent: int
    unit: str
    stage: str
    frame: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Run:
    """All that happened. `end_s`: when the simulation ended; `captured`: frames captured by each agent."""

    scenario: Scenario
    seed: int
    end_s: float
    captured: tuple[int, ...]
    messages: tuple[Message, ...]
    outputs: tuple[Output, ...]
    unfinished: dict[int, int]
    tally: Tally
    work: tuple[Work, ...] = ()
    busy_s: dict[tuple[int, str], float] = field(default_factory=dict)
    backlog: tuple[tuple[float, int], ...] = ()


def run(scenario: Scenario, seed: int = 0, record: bool = False, drain_s: float | None = None) -> Run:
    """Simulate a scenario. `record` keeps every stage and packet, for a timeline.

    After the last capture, `drain_s` more are simulated, by default ten periods, so that what is on its way may arrive.
    """
    return _Simulation(scenario, seed, record).run(10 * scenario.period_s if drain_s is None else drain_s)


class _Simulation:
    """The state of one run. Time is in whole nanoseconds."""

    def __init__(self, scenario: Scenario, seed: int, record: bool) -> None:
        self.scenario, self.seed, self.record = scenario, seed, record
        self.env: Any = simpy.Environment(initial_time=0)
        count = len(scenario.agents)
        self.medium: Medium = channel(scenario.link, count, seed, Loss(scenario.loss, seed), record)
        self.draws = [random.Random(f"stages {seed} {number}") for number in range(count)]
        self.units: dict[tuple[int, str], simpy.Resource] = {}
        self.messages: list[Message] = []
        self.transfers: dict[Transfer, Message] = {}
        self.newest: dict[tuple[int, int], Message] = {}
        self.waiting: dict[tuple[int, int], Any] = {}
        self.had: dict[tuple[int, int], dict[int, Message]] = {}
        self.outputs: list[Output] = []
        self.work: list[Work] = []
        self.busy: dict[tuple[int, str], float] = {}
        self.backlog: list[tuple[float, int]] = []
        self.captured = [0] * count
        self.unfinished = dict.fromkeys(scenario.fusers, 0)
        self.wake: Any = None

    def run(self, drain_s: float) -> Run:
        env, scenario = self.env, self.scenario
        for number, agent in enumerate(scenario.agents):
            env.process(self._agent(number, agent))
        env.process(self._run_medium())
        last = max((at for agent in scenario.agents for _, at in _captures(agent, scenario)[-1:]), default=0.0)
        end = nanoseconds(last + drain_s)
        env.run(until=end)
        return Run(
            scenario,
            self.seed,
            end / 1e9,
            tuple(self.captured),
            tuple(self.messages),
            tuple(self.outputs),
            self.unfinished,
            self.medium.tally,
            tuple(self.work),
            self.busy,
            tuple(self.backlog),
        )

    # Agents

    def _agent(self, number: int, agent: Agent) -> Generator[Any, Any, None]:
        """Captures of one agent, each handed to a process of its own."""
        for frame, at in _captures(agent, self.scenario):
            yield self.env.timeout(nanoseconds(at) - self.env.now)
            self.captured[number] += 1
            if number == self.scenario.fusers[0]:
                self.backlog.append((self.env.now / 1e9, len(self.transfers)))
            self.env.process(self._frame(number, agent, frame))

    def _frame(self, number: int, agent: Agent, frame: int) -> Generator[Any, Any, None]:
        """One capture: computed, sent where this agent sends, and fused where it fuses."""
        captured = self.env.now
        message = None
        if number in self.scenario.senders:
            message = Message(number, frame, captured / 1e9)
            self.messages.append(message)
        if number in self.unfinished:
            self.unfinished[number] += 1
        yield from self._compute(number, agent.before, frame)
        encoded = self.env.now
        if message is not None:
            self._send(message, agent)
        if number in self.unfinished:
            yield from self._fuse(number, agent, frame, captured, encoded)

    def _compute(self, number: int, stages: Stages, frame: int, fused: int = 0) -> Generator[Any, Any, None]:
        """All stages, each once those that it waits for are done."""
        running: dict[str, Any] = {}
        before: tuple[str, ...] = ()
        for stage in stages:
            waits = [running[name] for name in (before if stage.after is None else stage.after)]
            running[stage.name] = self.env.process(self._stage(number, stage, frame, fused, waits))
            before = (stage.name,)
        if running:
            yield self.env.all_of(list(running.values()))

    def _stage(self, number: int, stage: Stage, frame: int, fused: int, waits: list[Any]) -> Generator[Any, Any, None]:
        key = (number, stage.unit)
        if waits:
            yield self.env.all_of(waits)
        if key not in self.units:
            self.units[key] = simpy.Resource(self.env)
        with self.units[key].request() as mine:
            yield mine
            start = self.env.now
            extra = self.draws[number].random() * stage.jitter_s if stage.jitter_s else 0.0
            yield self.env.timeout(nanoseconds(stage.seconds + extra + fused * stage.each_s))
        took = (self.env.now - start) / 1e9
        self.busy[key] = self.busy.get(key, 0.0) + took
        if self.record:
            self.work.append(Work(number, stage.unit, stage.name, frame, start / 1e9, self.env.now / 1e9))

    # Messages

    def _send(self, message: Message, agent: Agent) -> None:
        now = self.env.now
        message.ready_s, message.fate = now / 1e9, "waiting"
        if self.scenario.queueing == "replace":
            for old in self.medium.withdraw(message.sender, now):
                replaced = self.transfers.pop(old)
                self._copy(old, replaced)
                replaced.fate, replaced.ended_s = "replaced", now / 1e9
        receivers = tuple(fuser for fuser in self.scenario.fusers if fuser != message.sender)
        transfer = Transfer(message.sender, agent.payload_bytes, receivers)
        self.transfers[transfer] = message
        self.medium.submit(transfer, now)
        if self.wake is not None:
            wake, self.wake = self.wake, None
            wake.succeed()

    def _run_medium(self) -> Generator[Any, Any, None]:
        """Let the medium run on to the next event outside it, or to the first message that ends."""
        env = self.env
        while True:
            if not self.medium.pending():
                self.wake = env.event()
                yield self.wake
            yield _late(env, 0)  # after all that is handed over at this instant
            limit = min(env.peek(), NEVER)
            ended = self.medium.advance(limit)
            for transfer in ended:
                env.process(self._deliver(transfer))
            if ended:
                limit = min(transfer.ended for transfer in ended)
            if limit >= NEVER:
                return
            yield _late(env, max(0, int(limit) - env.now))

    def _deliver(self, transfer: Transfer) -> Generator[Any, Any, None]:
        """A message reaches its receivers."""
        yield self.env.timeout(max(0, transfer.ended - self.env.now))
        message = self.transfers.pop(transfer, None)
        if message is None:
            return
        self._copy(transfer, message)
        message.fate, message.ended_s = "ended", self.env.now / 1e9
        for receiver in transfer.receivers:
            if receiver in transfer.lost:
                continue
            message.arrived[receiver] = self.env.now / 1e9
            key = (receiver, message.sender)
            if key not in self.newest or self.newest[key].frame < message.frame:
                self.newest[key] = message
            self.had.setdefault((receiver, message.frame), {})[message.sender] = message
            waiting = self.waiting.get((receiver, message.frame))
            if waiting is not None and not waiting.triggered and self._complete(receiver, message.frame):
                waiting.succeed()

    def _copy(self, transfer: Transfer, message: Message) -> None:
        message.packets, message.lost = transfer.packets, dict(transfer.lost)
        if transfer.started >= 0:
            message.started_s = transfer.started / 1e9

    # Fusion

    def _fuse(self, number: int, agent: Agent, frame: int, captured: int, encoded: int) -> Generator[Any, Any, None]:
        scenario = self.scenario
        until = captured + nanoseconds(scenario.window_s)
        if scenario.fusion == "window" and until > self.env.now:
            yield self.env.timeout(until - self.env.now)
        elif scenario.fusion == "wait_all" and until > self.env.now and not self._complete(number, frame):
            here = self.waiting[number, frame] = self.env.event()
            yield here | self.env.timeout(until - self.env.now)
            self.waiting.pop((number, frame))
        yield _late(self.env, 0)  # what arrives at this very instant is used
        used = self._chosen(number, frame)
        self.had.pop((number, frame - 1), None)
        fusing = self.env.now
        yield from self._compute(number, agent.after, frame, sum(message is not None for message in used.values()))
        self.unfinished[number] -= 1
        self.outputs.append(
            Output(
                number,
                frame,
                captured / 1e9,
                encoded / 1e9,
                fusing / 1e9,
                self.env.now / 1e9,
                {sender: message.frame if message else None for sender, message in used.items()},
                {sender: message.captured_s for sender, message in used.items() if message},
            )
        )

    def _neighbours(self, fuser: int, frame: int) -> list[int]:
        """Who captures this frame beside the fuser."""
        return [
            sender
            for sender in self.scenario.senders
            if sender != fuser and _capture_s(self.scenario.agents[sender], frame, self.scenario) is not None
        ]

    def _complete(self, fuser: int, frame: int) -> bool:
        have = self.had.get((fuser, frame), {})
        return all(sender in have for sender in self._neighbours(fuser, frame))

    def _chosen(self, fuser: int, frame: int) -> dict[int, Message | None]:
        """The message of each neighbour that the policy takes."""
        policy = self.scenario.fusion
        if policy in ("wait_all", "window"):
            have = self.had.get((fuser, frame), {})
            return {sender: have.get(sender) for sender in self._neighbours(fuser, frame)}
        chosen: dict[int, Message | None] = {}
        for sender in self._neighbours(fuser, frame):
            newest = self.newest.get((fuser, sender))
            old = newest is not None and frame - newest.frame > self.scenario.oldest_frames
            chosen[sender] = None if policy == "drop_old" and old else newest
        return chosen


def _late(env: Any, delay: int) -> Any:
    """An event at which everything else of its instant has happened."""
    event = env.event()
    event._ok, event._value = True, None
    env.schedule(event, priority=_LATE, delay=delay)
    return event


def _capture_s(agent: Agent, frame: int, scenario: Scenario) -> float | None:
    """When an agent captures a frame, by its own clock, in true seconds; None while it is not there."""
    at = agent.phase_s + frame * scenario.period_s / (1 + agent.skew)
    return at if agent.join_s <= at < agent.leave_s else None


def _captures(agent: Agent, scenario: Scenario) -> list[tuple[int, float]]:
    """Every frame of an agent with the time of its capture."""
    times = ((frame, _capture_s(agent, frame, scenario)) for frame in range(scenario.frames))
    return [(frame, time) for frame, time in times if time is not None]
