"""Stations that listen before they talk, event by event: DCF and EDCA as real stations run them.

Bianchi's model takes a busy medium for one step of every backoff. Here a counter stands still while the medium is busy,
and who heard what decides when it goes on:

- A station may send once its access time and its remaining backoff have passed; those whose time is equal collide.
- Where another begins first, the slots that had passed in full are taken off, and the rest waits.
- After a success all go on one AIFS after the acknowledgement; the sender draws a new backoff.
- After a collision the senders go on after the timeout of the acknowledgement and an AIFS, with a doubled window, and
  all others after EIFS. So stations stand on different slots, which no slotted model has.
- A station with nothing to send lets its backoff run out, and then sends a new packet at once if the medium is idle.

Every station hears every other, at once: there are no hidden terminals, no capture and no distance in time. It agrees
with packet simulation (validate v2x) except in broadcast among ten and more, where it does not claim to.
"""

from __future__ import annotations

import random
from collections import deque
from itertools import repeat

from .csma import CsmaLink
from .medium import NEVER, Loss, OnAir, Tally, Transfer, nanoseconds, take_unsent


class CsmaChannel:
    """A channel of `stations` on a link. `seed` fixes every draw; each station has a stream of its own."""

    def __init__(
        self, link: CsmaLink, stations: int, seed: int = 0, loss: Loss | None = None, record: bool = False
    ) -> None:
        self.link = link
        self.tally = Tally(stations, on_air=[] if record else None)
        self._loss = loss or Loss(0.0, seed)
        self._draw = [random.Random(f"backoff {seed} {station}").random for station in range(stations)]
        self._access = [-nanoseconds(1)] * stations  # the medium has been idle for long
        self._backoff = [0] * stations
        self._window = [link.cw_min + 1] * stations
        self._failures = [0] * stations
        self._queues: list[deque[Transfer]] = [deque() for _ in range(stations)]
        self._contending: list[int] = []
        self._busy_until = 0
        self._slot, self._aifs, self._eifs, self._timeout, self._reply = map(
            nanoseconds,
            (
                link.slot_s,
                link.aifs_s,
                link.eifs_s,
                link.ack_timeout_s,
                0 if link.broadcast else link.sifs_s + link.ack_s,
            ),
        )
        self._airtimes: dict[int, int] = {}

    def submit(self, transfer: Transfer, now: int) -> None:
        """Queue a message. At an idle station it goes at once if the medium is idle and no backoff is left."""
        station = transfer.sender
        transfer.packets = self.link.fragments(transfer.payload_bytes)[0]
        transfer.submitted = now
        queue = self._queues[station]
        queue.append(transfer)
        if len(queue) > 1:
            return
        self._contending.append(station)
        if now < self._busy_until:
            if not self._backoff[station]:
                self._backoff[station] = self._drawn(station)
            return
        access = self._access[station]
        if now > access and (now - access) // self._slot >= self._backoff[station]:
            self._access[station], self._backoff[station] = now, 0

    def withdraw(self, station: int, now: int) -> list[Transfer]:
        """Take back the messages of a station of which nothing was sent yet."""
        queue = self._queues[station]
        taken = take_unsent(queue)
        if taken and not queue:
            self._contending.remove(station)
        return taken

    def pending(self) -> bool:
        """Whether any station has something to send."""
        return bool(self._contending)

    def advance(self, limit: int) -> list[Transfer]:
        """Every transmission that begins before `limit`, up to the first message that ends."""
        access, backoff, slot = self._access, self._backoff, self._slot
        contending = self._contending
        while contending:
            attempts = [access[station] + backoff[station] * slot for station in contending]
            start = min(attempts)
            if start >= limit:
                break
            if attempts.count(start) == 1:
                senders = [contending[attempts.index(start)]]
            else:
                senders = [station for station, time in zip(contending, attempts, strict=True) if time == start]
            for station, (time, left) in enumerate(zip(access, backoff, strict=True)):
                if left and start > time:
                    left -= (start - time) // slot
                    backoff[station] = left if left > 0 else 0
            ended = self._alone(senders[0], start) if len(senders) == 1 else self._together(senders, start)
            if ended:
                return ended
        return []

    def _drawn(self, station: int) -> int:
        return int(self._draw[station]() * self._window[station])

    def _airtime(self, transfer: Transfer) -> int:
        last = transfer.handled + 1 == transfer.packets
        payload = self.link.fragments(transfer.payload_bytes)[1] if last else self.link.fragment_bytes
        time = self._airtimes.get(payload)
        if time is None:
            time = self._airtimes[payload] = nanoseconds(self.link.airtime_s(payload))
        return time

    def _alone(self, station: int, start: int) -> list[Transfer]:
        """One station sends, and is received unless the packet fades."""
        transfer = self._queues[station][0]
        tally = self.tally
        end = start + self._airtime(transfer)
        if transfer.started < 0:
            transfer.started = start
        tally.airtime[station] += end - start
        tally.attempts += 1
        if not self._loss.nothing:
            faded = [receiver for receiver in transfer.receivers if self._loss.strikes(station, receiver)]
            if faded and not self.link.broadcast:
                tally.busy += end - start
                self._record(station, start, end, "faded")
                return self._failed([station], start, {station: end}, end)
            for receiver in faded:
                transfer.lose(receiver)
            tally.delivered -= len(faded)
        tally.sent += len(transfer.receivers)
        tally.delivered += len(transfer.receivers)
        if tally.on_air is not None:
            self._record(station, start, end, "sent")
        free = end + self._reply
        self._busy_until = free
        tally.busy += free - start
        self._access[:] = repeat(free + self._aifs, len(self._access))
        return self._settled(station, transfer, end)

    def _together(self, senders: list[int], start: int) -> list[Transfer]:
        """Several stations send at once, and nobody receives anything."""
        ends = {station: start + self._airtime(self._queues[station][0]) for station in senders}
        free = max(ends.values())
        self.tally.busy += free - start
        self.tally.attempts += len(senders)
        self.tally.collided += len(senders)
        for station, end in ends.items():
            self.tally.airtime[station] += end - start
            self._record(station, start, end, "collided")
            transfer = self._queues[station][0]
            if transfer.started < 0:
                transfer.started = start
        return self._failed(senders, start, ends, free)

    def _failed(self, senders: list[int], start: int, ends: dict[int, int], free: int) -> list[Transfer]:
        """Nobody received: senders wait for an acknowledgement in vain, all others for what they could not hear."""
        self._busy_until = free
        self._access[:] = repeat(free + self._eifs, len(self._access))
        ended: list[Transfer] = []
        for station in senders:
            if self.link.broadcast:
                self._access[station] = free + self._aifs
                ended += self._dropped(station, ends[station])
                continue
            over = max(ends[station] + self._timeout, free)
            self._access[station] = over + self._aifs
            self._failures[station] += 1
            if self._failures[station] >= self.link.retry_limit:
                ended += self._dropped(station, over)
            else:
                self._window[station] = min(2 * self._window[station], self.link.cw_max + 1)
                self._backoff[station] = self._drawn(station)
        return ended

    def _dropped(self, station: int, time: int) -> list[Transfer]:
        """The packet is given up, at all of its receivers."""
        transfer = self._queues[station][0]
        self.tally.sent += len(transfer.receivers)
        for receiver in transfer.receivers:
            transfer.lose(receiver)
        return self._settled(station, transfer, time)

    def _settled(self, station: int, transfer: Transfer, time: int) -> list[Transfer]:
        """On to the next packet of a station, after a fresh backoff."""
        self._failures[station] = 0
        window = self._window[station] = self.link.cw_min + 1
        self._backoff[station] = int(self._draw[station]() * window)
        transfer.handled += 1
        if transfer.handled < transfer.packets:
            return []
        transfer.ended = time
        queue = self._queues[station]
        queue.popleft()
        if not queue:
            self._contending.remove(station)
        return [transfer]

    def _record(self, station: int, start: int, end: int, fate: str) -> None:
        if self.tally.on_air is not None:
            self.tally.on_air.append(OnAir(station, start, end, fate))


def saturated_throughput_bps(link: CsmaLink, senders: int, duration_s: float, seed: int = 0) -> float:
    """Payload received per second where all senders always have a fragment for one common receiver."""
    channel = CsmaChannel(link, senders, seed)
    for station in range(senders):
        channel.submit(Transfer(station, link.fragment_bytes * 10**9, (-1,)), 0)
    channel.advance(min(nanoseconds(duration_s), NEVER))
    return 8 * link.fragment_bytes * channel.tally.delivered / duration_s
