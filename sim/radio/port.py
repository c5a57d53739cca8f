"""Wired ports and ideal channels by events: packets in turn, and nothing lost but what a scenario states.

On a wired link all senders share the port of the receiver, a packet of each in turn; their own ports are as fast and
never in the way. On the ideal link every sender has a channel of its own.
"""

from __future__ import annotations

from collections import deque

from .medium import Loss, OnAir, Tally, Transfer, nanoseconds, take_unsent
from .wired import IdealLink, WiredLink


class _Queues:
    """Messages by station, and those whose turn is next."""

    def __init__(self, stations: int, loss: Loss | None, seed: int, record: bool) -> None:
        self.tally = Tally(stations, on_air=[] if record else None)
        self._loss = loss or Loss(0.0, seed)
        self._queues: list[deque[Transfer]] = [deque() for _ in range(stations)]
        self._turn: deque[int] = deque()

    def withdraw(self, station: int, now: int) -> list[Transfer]:
        """Take back the messages of a station of which nothing was sent yet."""
        taken = take_unsent(self._queues[station])
        if taken and not self._queues[station]:
            self._turn.remove(station)
        return taken

    def pending(self) -> bool:
        """Whether any station has something to send."""
        return bool(self._turn)

    def _queue(self, transfer: Transfer, packets: int, now: int) -> None:
        transfer.packets, transfer.submitted = packets, now
        queue = self._queues[transfer.sender]
        queue.append(transfer)
        if len(queue) == 1:
            self._turn.append(transfer.sender)

    def _sent(self, transfer: Transfer, start: int, end: int) -> None:
        """Count a packet, at every receiver."""
        tally = self.tally
        if transfer.started < 0:
            transfer.started = start
        transfer.handled += 1
        tally.attempts += 1
        tally.airtime[transfer.sender] += end - start
        for receiver in transfer.receivers:
            lost = self._loss.strikes(transfer.sender, receiver)
            tally.sent += 1
            tally.delivered += not lost
            if lost:
                transfer.lose(receiver)
        if tally.on_air is not None:
            tally.on_air.append(OnAir(transfer.sender, start, end, "sent"))


class WiredPort(_Queues):
    """One port behind a token bucket."""

    def __init__(
        self, link: WiredLink, stations: int, seed: int = 0, loss: Loss | None = None, record: bool = False
    ) -> None:
        super().__init__(stations, loss, seed, record)
        self.link = link
        self._payload, self._added = link.segment_bytes()
        self._latency = nanoseconds(link.latency_s)
        self._full = 0  # when the bucket would be full again
        self._free = 0

    def submit(self, transfer: Transfer, now: int) -> None:
        """Queue a message."""
        self._queue(transfer, self.link.frames(transfer.payload_bytes), now)

    def advance(self, limit: int) -> list[Transfer]:
        """Every packet that may go before `limit`, up to the first that ends a message."""
        while self._turn:
            transfer = self._queues[self._turn[0]][0]
            ready = max(transfer.submitted, self._free)
            if ready >= limit:
                break
            last = transfer.handled + 1 == transfer.packets
            payload = transfer.payload_bytes - transfer.handled * self._payload if last else self._payload
            wire = payload + self._added
            full = max(self._full, ready)
            gone = max(ready, full + self._time(wire - self.link.burst_bytes))
            self._full = full + self._time(wire)
            self._free = gone
            self.tally.busy += self._time(wire)
            self._sent(transfer, gone - min(gone - ready, self._time(wire)), gone)
            self._turn.rotate(-1)
            if last:
                station = transfer.sender
                transfer.ended = gone + self._latency
                self._queues[station].popleft()
                if not self._queues[station]:
                    self._turn.remove(station)
                return [transfer]
        return []

    def _time(self, wire_bytes: int) -> int:
        return round(8e9 * wire_bytes / self.link.rate_bps)


class IdealChannel(_Queues):
    """A channel for every sender, on which a message is one packet."""

    def __init__(
        self, link: IdealLink, stations: int, seed: int = 0, loss: Loss | None = None, record: bool = False
    ) -> None:
        super().__init__(stations, loss, seed, record)
        self.link = link
        self._free = [0] * stations

    def submit(self, transfer: Transfer, now: int) -> None:
        """Queue a message."""
        self._queue(transfer, 1, now)

    def advance(self, limit: int) -> list[Transfer]:
        """The message that is through first, if that is by `limit`: until then a shorter one may yet overtake it."""
        waiting = [self._queues[station][0] for station in self._turn]
        begins = [max(transfer.submitted, self._free[transfer.sender]) for transfer in waiting]
        ends = [
            start + nanoseconds(8 * transfer.payload_bytes / self.link.rate_bps)
            for start, transfer in zip(begins, waiting, strict=True)
        ]
        for start, transfer in zip(begins, waiting, strict=True):
            if start < limit:
                transfer.started = start
        place = min(range(len(ends)), key=ends.__getitem__, default=None)
        if place is None or ends[place] > limit:
            return []
        transfer, end = waiting[place], ends[place]
        station = transfer.sender
        self._free[station] = end
        self.tally.busy += end - begins[place]
        self._sent(transfer, begins[place], end)
        transfer.ended = end + nanoseconds(self.link.latency_s)
        self._queues[station].popleft()
        if not self._queues[station]:
            self._turn.remove(station)
        return [transfer]
