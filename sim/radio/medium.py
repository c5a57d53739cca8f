"""What a medium is to those who send over it: transfers go in, receptions come out, and time passes in leaps.

A medium keeps its own clock, in whole nanoseconds so that equal times are equal. Between two events outside it nothing
else can change what happens inside: `advance` runs on from packet to packet without handing control back, however many
there are, and stops at the first message that ends. Nothing is approximated by that.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

NEVER = 1 << 62


@dataclass(eq=False)
class Transfer:
    """A message on its way: who sends how many bytes to whom. Times in nanoseconds.

    Filled in by the medium: packets, how many of them each receiver lost, when the first one began and when the
    message ended at the receivers. A message is complete at a receiver that lost nothing.
    """

    sender: int
    payload_bytes: int
    receivers: tuple[int, ...]
    packets: int = 0
    handled: int = 0
    lost: dict[int, int] = field(default_factory=dict)
    submitted: int = 0
    started: int = -1
    ended: int = -1

    def lose(self, receiver: int) -> None:
        """Count a packet that this receiver did not get."""
        self.lost[receiver] = self.lost.get(receiver, 0) + 1


@dataclass(frozen=True)
class OnAir:
    """A stretch of time in which a station sends; `fate` is sent, collided or faded."""

    station: int
    start: int
    end: int
    fate: str


@dataclass
class Tally:
    """What a medium has seen. Times in nanoseconds; a packet counts once for each receiver."""

    stations: int
    busy: int = 0
    sent: int = 0
    delivered: int = 0
    attempts: int = 0
    collided: int = 0
    airtime: list[int] = field(default_factory=list)
    on_air: list[OnAir] | None = None

    def __post_init__(self) -> None:
        self.airtime = [0] * self.stations


def take_unsent(queue: deque[Transfer]) -> list[Transfer]:
    """Empty a queue but for a message at its head that has begun; what was taken, in order."""
    kept = [queue.popleft()] if queue and queue[0].started >= 0 else []
    taken = list(queue)
    queue.clear()
    queue.extend(kept)
    return taken


class Medium(Protocol):
    """What agents need of a medium. Every call comes with times that never fall."""

    tally: Tally

    def submit(self, transfer: Transfer, now: int) -> None:
        """Queue a message behind those of its sender."""
        ...

    def withdraw(self, station: int, now: int) -> list[Transfer]:
        """Take back the messages of a station of which nothing was sent yet; one that has begun goes on."""
        ...

    def pending(self) -> bool:
        """Whether anything is left to do."""
        ...

    def advance(self, limit: int) -> list[Transfer]:
        """Do what begins before `limit`, up to the first message that ends; those that end then, in order."""
        ...


class Loss:
    """Packets that fade: independently, with a probability for each sender and receiver."""

    def __init__(self, probability: Sequence[Sequence[float]] | float, seed: int) -> None:
        self.probability = probability
        self.random = random.Random(f"loss {seed}")
        self.nothing = not probability if isinstance(probability, float | int) else not any(map(any, probability))

    def strikes(self, sender: int, receiver: int) -> bool:
        """Whether this packet is lost on its way."""
        if self.nothing:
            return False
        p = self.probability
        return self.random.random() < (p if isinstance(p, float | int) else p[sender][receiver])


def nanoseconds(seconds: float) -> int:
    """The nearest whole number of nanoseconds."""
    return round(seconds * 1e9)
