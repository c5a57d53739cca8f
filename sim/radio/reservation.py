"""Stations that reserve slots for themselves after sensing (LTE-V2X mode 4, NR-V2X mode 2), slot by slot.

A station that has a message chooses as many slots of the selection window as the message needs, uniformly among those
that it has not heard others reserve; where fewer than the link's share of all resources is left, reserved ones join
them, since everyone is heard equally strongly here. What it chose is known to others only once it has sent: stations
that choose at one time may meet, and then meet in every period until one chooses anew. A reservation holds for a number
of periods drawn from the link's range, and is then kept with the link's probability.

A station hears nothing in a slot in which it sends. All hear each other otherwise; there is no capture, no
feedback and no block error beyond the loss that a scenario states.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

from .medium import Loss, OnAir, Tally, Transfer, nanoseconds, take_unsent
from .sidelink import Sidelink


@dataclass
class _Reservation:
    """Slots of the period, each with its subchannel; known to others once `announced`; renewed at slot `expires`."""

    offsets: list[int]
    subchannels: dict[int, int]
    expires: int
    announced: bool = False


@dataclass
class _Station:
    queue: deque[Transfer] = field(default_factory=deque)
    reservation: _Reservation | None = None
    next_slot: int = 0
    copies: int = 0
    missing: set[int] = field(default_factory=set)


class SidelinkChannel:
    """A pool of resources that `stations` share. `seed` fixes every choice."""

    def __init__(
        self, link: Sidelink, stations: int, seed: int = 0, loss: Loss | None = None, record: bool = False
    ) -> None:
        self.link = link
        self.tally = Tally(stations, on_air=[] if record else None)
        self._loss = loss or Loss(0.0, seed)
        self._random = [random.Random(f"reservation {seed} {station}") for station in range(stations)]
        self._stations = [_Station() for _ in range(stations)]
        self._sending: list[int] = []
        self._slot = nanoseconds(link.slot_s)
        self._processing = nanoseconds(link.processing_s)

    def submit(self, transfer: Transfer, now: int) -> None:
        """Queue a message; a station without a reservation, or whose reservation ended, chooses slots for it."""
        number = transfer.sender
        station = self._stations[number]
        transfer.packets = self.link.transport_blocks(transfer.payload_bytes)
        transfer.submitted = now
        station.queue.append(transfer)
        if len(station.queue) > 1:
            return
        self._sending.append(number)
        first = -(-(now + self._processing) // self._slot)
        self._to_slot(number, max(first, station.next_slot))

    def withdraw(self, station: int, now: int) -> list[Transfer]:
        """Take back the messages of a station of which nothing was sent yet; its reservation stays."""
        queue = self._stations[station].queue
        taken = take_unsent(queue)
        if taken and not queue:
            self._sending.remove(station)
        return taken

    def pending(self) -> bool:
        """Whether any station has something to send."""
        return bool(self._sending)

    def advance(self, limit: int) -> list[Transfer]:
        """Every slot in use that begins before `limit`, up to the first in which a message ends."""
        while self._sending:
            slot = min(self._stations[number].next_slot for number in self._sending)
            if slot * self._slot >= limit:
                break
            ended = self._use(slot)
            if ended:
                return ended
        return []

    def _use(self, slot: int) -> list[Transfer]:
        """All that is sent in one slot."""
        start, end = slot * self._slot, (slot + 1) * self._slot
        senders = [number for number in self._sending if self._stations[number].next_slot == slot]
        on: dict[int, int] = {}
        for number in senders:
            on[self._subchannel(number, slot)] = on.get(self._subchannel(number, slot), 0) + 1
        self.tally.busy += end - start
        ended: list[Transfer] = []
        for number in senders:
            station = self._stations[number]
            transfer = station.queue[0]
            collided = on[self._subchannel(number, slot)] > 1
            if transfer.started < 0:
                transfer.started = start
            if station.reservation:
                station.reservation.announced = True
            self.tally.attempts += 1
            self.tally.collided += collided
            self.tally.airtime[number] += end - start
            if self.tally.on_air is not None:
                self.tally.on_air.append(OnAir(number, start, end, "collided" if collided else "sent"))
            missed = {
                receiver
                for receiver in transfer.receivers
                if collided or receiver in senders or self._loss.strikes(number, receiver)
            }
            station.missing = missed if station.copies == 0 else station.missing & missed
            station.copies += 1
            if station.copies == self.link.repetitions:
                self._settle(station, transfer)
                if transfer.handled == transfer.packets:
                    transfer.ended = end
                    ended.append(transfer)
                    station.queue.popleft()
                    if not station.queue:
                        self._sending.remove(number)
            station.next_slot = slot + 1
        for number in senders:
            if self._stations[number].queue:
                self._to_slot(number, slot + 1)
        return ended

    def _settle(self, station: _Station, transfer: Transfer) -> None:
        """A transport block was sent as often as it is: count who has it."""
        station.copies = 0
        transfer.handled += 1
        for receiver in station.missing:
            transfer.lose(receiver)
        self.tally.sent += len(transfer.receivers)
        self.tally.delivered += len(transfer.receivers) - len(station.missing)

    def _subchannel(self, number: int, slot: int) -> int:
        reservation = self._stations[number].reservation
        assert reservation is not None
        return reservation.subchannels[slot % self.link.slots]

    def _to_slot(self, number: int, first: int) -> None:
        """The next slot of a station's reservation from `first` on, renewed where it has run out."""
        station = self._stations[number]
        reservation = station.reservation
        if reservation is None or first >= reservation.expires:
            reservation = station.reservation = self._renewed(number, first)
        period, offset = divmod(first, self.link.slots)
        place = bisect_left(reservation.offsets, offset)
        if place == len(reservation.offsets):
            period, place = period + 1, 0
        station.next_slot = period * self.link.slots + reservation.offsets[place]

    def _renewed(self, number: int, now: int) -> _Reservation:
        link, draw = self.link, self._random[number]
        old = self._stations[number].reservation
        holds = draw.randint(link.counter_min, link.counter_max) * link.slots
        wanted = min(link.transmissions(self._stations[number].queue[0].payload_bytes), link.slots)
        if old is not None and len(old.offsets) == wanted and draw.random() < link.keep_probability:
            old.expires = max(now, old.expires) + holds
            return old
        taken = {
            (offset, subchannel)
            for other, station in enumerate(self._stations)
            if other != number and station.reservation and station.reservation.announced
            if now < station.reservation.expires
            for offset, subchannel in station.reservation.subchannels.items()
        }
        width = max(wanted, min(link.slots, round(link.selection_window_s / link.slot_s)))
        every = [
            ((now + step) % link.slots, subchannel) for step in range(width) for subchannel in range(link.subchannels)
        ]
        free = [resource for resource in every if resource not in taken]
        others = [resource for resource in every if resource in taken]
        draw.shuffle(others)
        missing = max(0, round(link.candidate_share * len(every)) - len(free))
        candidates = free + others[:missing]
        draw.shuffle(candidates)
        chosen: dict[int, int] = {}
        for offset, subchannel in (*candidates, *others[missing:]):  # beyond the candidates only where they do not do
            if len(chosen) == wanted:
                break
            chosen.setdefault(offset, subchannel)
        return _Reservation(sorted(chosen), chosen, now + holds)
