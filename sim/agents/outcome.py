"""What a run comes to: latencies and where they arise, missed deadlines, ages, deliveries, loads, what falls behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .age import Age, age
from .load import loads
from .pipeline import Message, Run

DEADLINES_S = (0.05, 0.1, 0.3)
NO_VALUES = float("nan")


@dataclass(frozen=True)
class Spread:
    """Mean, quantiles and largest of times in seconds; NaN of none."""

    n: int
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float


def spread(values: Sequence[float] | np.ndarray) -> Spread:
    """Of these times."""
    if not len(values):
        return Spread(0, *[NO_VALUES] * 5)
    array = np.asarray(values, dtype=float)
    p50, p95, p99 = np.percentile(array, (50, 95, 99))
    return Spread(len(array), float(array.mean()), float(p50), float(p95), float(p99), float(array.max()))


@dataclass(frozen=True)
class Accounts:
    """Where every message of every sender went. The parts add up to `captured`."""

    captured: int
    delivered: int
    partly_delivered: int
    lost: int
    replaced: int
    unfinished: int


class Outcome:
    """The figures of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.scenario = run.scenario

    @cached_property
    def latencies_s(self) -> np.ndarray:
        """From capture to output, of every output."""
        return np.array([one.output_s - one.captured_s for one in self.run.outputs])

    @cached_property
    def latency(self) -> Spread:
        """From capture to output."""
        return spread(self.latencies_s)

    @property
    def quantiles_s(self) -> dict[str, float]:
        """The distribution of latency: its quantiles in steps of 5 %."""
        if not len(self.latencies_s):
            return {}
        steps = range(0, 101, 5)
        return {
            f"p{step}": float(value) for step, value in zip(steps, np.percentile(self.latencies_s, steps), strict=True)
        }

    @cached_property
    def message(self) -> Spread:
        """From the end of a sender's computation to a complete message at a receiver."""
        return spread([at - one.ready_s for one in self.run.messages for at in one.arrived.values()])

    def miss_ratio(self, deadline_s: float | None = None) -> float:
        """Share of the fusers' captures without an output within the deadline."""
        limit = self.scenario.deadline_s if deadline_s is None else deadline_s
        captured = sum(self.run.captured[fuser] for fuser in self.scenario.fusers)
        return 1 - float(np.sum(self.latencies_s <= limit + 1e-12)) / captured if captured else NO_VALUES

    @cached_property
    def breakdown_s(self) -> dict[str, float]:
        """Mean times. On the way of a message: computing before it, waiting for the medium, being sent. On the way of
        an output: computing its own features, waiting for messages, fusing. The last three add up to the latency.
        """
        done = [one for one in self.run.messages if one.arrived]
        outputs = self.run.outputs
        return {
            "sender computes": _mean(one.ready_s - one.captured_s for one in done),
            "message queues": _mean(one.started_s - one.ready_s for one in done),
            "message is sent": _mean(max(one.arrived.values()) - one.started_s for one in done),
            "fuser computes": _mean(one.encoded_s - one.captured_s for one in outputs),
            "fuser waits": _mean(one.fusing_s - one.encoded_s for one in outputs),
            "fusion": _mean(one.output_s - one.fusing_s for one in outputs),
        }

    @cached_property
    def accounts(self) -> Accounts:
        """Where every message went."""
        fates = [_fate(message, self.scenario.fusers) for message in self.run.messages]
        parts = {name: fates.count(name) for name in Accounts.__dataclass_fields__ if name != "captured"}
        return Accounts(captured=sum(self.run.captured[sender] for sender in self.scenario.senders), **parts)

    @cached_property
    def frame_delivery(self) -> float:
        """Share of messages, once for each receiver, that arrived whole; those still on their way left out."""
        ended = [one for one in self.run.messages if one.fate in ("ended", "replaced")]
        wanted = sum(len([fuser for fuser in self.scenario.fusers if fuser != one.sender]) for one in ended)
        return sum(len(one.arrived) for one in ended) / wanted if wanted else NO_VALUES

    @property
    def packet_delivery(self) -> float:
        """Share of packets, once for each receiver, that arrived."""
        tally = self.run.tally
        return tally.delivered / tally.sent if tally.sent else NO_VALUES

    @property
    def collision_ratio(self) -> float:
        """Share of transmissions that met another."""
        tally = self.run.tally
        return tally.collided / tally.attempts if tally.attempts else NO_VALUES

    @property
    def channel_busy_ratio(self) -> float:
        """Share of the time from the first capture until the medium had nothing left to do in which it was busy."""
        return self.run.tally.busy / 1e9 / self._active_s

    @property
    def airtime_share(self) -> dict[str, float]:
        """Of that time, what each sender was on the air for."""
        airtime = self.run.tally.airtime
        return {
            self.scenario.agents[number].name: airtime[number] / 1e9 / self._active_s
            for number in self.scenario.senders
        }

    @cached_property
    def _active_s(self) -> float:
        last = max((one.ended_s for one in self.run.messages if one.fate == "ended"), default=0.0)
        if any(one.fate == "waiting" for one in self.run.messages):
            last = self.run.end_s
        return max(last, self.scenario.frames * self.scenario.period_s)

    @cached_property
    def ages(self) -> dict[tuple[str, str], Age]:
        """Age of information at each fuser of each neighbour, by their names."""
        found = {}
        for fuser in self.scenario.fusers:
            for sender in self.scenario.senders:
                pairs = [
                    (one.arrived[fuser], one.captured_s)
                    for one in self.run.messages
                    if one.sender == sender and fuser in one.arrived
                ]
                known = age(pairs)
                if known is not None:
                    found[self.scenario.agents[fuser].name, self.scenario.agents[sender].name] = known
        return found

    @cached_property
    def staleness_frames(self) -> dict[int, float]:
        """How many frames old the messages are that fusion used: the share of each number; -1 where there was none."""
        behind = [-1 if frame is None else one.frame - frame for one in self.run.outputs for frame in one.used.values()]
        return {number: behind.count(number) / len(behind) for number in sorted(set(behind))}

    @cached_property
    def fused_share(self) -> float:
        """Share of the neighbours' messages that fusion wanted and had."""
        wanted = [frame for one in self.run.outputs for frame in one.used.values()]
        return sum(frame is not None for frame in wanted) / len(wanted) if wanted else NO_VALUES

    @cached_property
    def loads(self) -> dict[str, float]:
        """What is asked of the link and of each unit over what they can do, in closed form."""
        return loads(self.scenario)

    @cached_property
    def overloads(self) -> tuple[str, ...]:
        """What does not keep up, in sentences: asked for more than it can do, or seen to fall behind."""
        found = [f"{name} is asked for {load:.0%} of what it can do" for name, load in self.loads.items() if load > 1]
        if (growth := _growth(self.run)) is not None:
            found.append(f"the messages that wait for the link grow by {growth:.2g} a frame")
        accounts = self.accounts
        if accounts.replaced > 0.05 * accounts.captured:
            found.append(
                f"{accounts.replaced / accounts.captured:.0%} of the messages are replaced before they are sent"
            )
        return tuple(found)

    @property
    def stable(self) -> bool:
        """Whether everything keeps up."""
        return not self.overloads

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "latency": asdict(self.latency),
            "latency_quantiles_s": self.quantiles_s,
            "message": asdict(self.message),
            "miss_ratio": {f"{1000 * limit:g} ms": self.miss_ratio(limit) for limit in self._deadlines},
            "breakdown_s": self.breakdown_s,
            "accounts": asdict(self.accounts),
            "frame_delivery": self.frame_delivery,
            "packet_delivery": self.packet_delivery,
            "collision_ratio": self.collision_ratio,
            "channel_busy_ratio": self.channel_busy_ratio,
            "airtime_share": self.airtime_share,
            "ages": {f"{sender} at {fuser}": asdict(value) for (fuser, sender), value in self.ages.items()},
            "staleness_frames": {str(number): share for number, share in self.staleness_frames.items()},
            "fused_share": self.fused_share,
            "loads": self.loads,
            "stable": self.stable,
            "overloads": list(self.overloads),
        }

    @property
    def _deadlines(self) -> list[float]:
        return sorted({*DEADLINES_S, self.scenario.deadline_s})


def _mean(values: Any) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else NO_VALUES


def _fate(message: Message, fusers: Sequence[int]) -> str:
    if message.fate == "replaced":
        return "replaced"
    if message.fate != "ended":
        return "unfinished"
    wanted = len([fuser for fuser in fusers if fuser != message.sender])
    return "delivered" if len(message.arrived) == wanted else "partly_delivered" if message.arrived else "lost"


def _growth(run: Run) -> float | None:
    """Messages by which the backlog grows a frame over the second half of the captures, where it clearly does."""
    half = run.backlog[len(run.backlog) // 2 :]
    if len(half) < 10:
        return None
    counts = np.array([count for _, count in half], dtype=float)
    slope = float(np.polyfit(np.arange(len(counts)), counts, 1)[0])
    clear = slope > 0.02 * len(run.scenario.senders) and slope * len(counts) > 2
    return slope if clear else None
