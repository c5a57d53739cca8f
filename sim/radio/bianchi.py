"""Contention in closed form: Bianchi's fixed point, and what follows from it.

Saturation (every sender always has a fragment to send): Bianchi, Performance analysis of the IEEE 802.11 distributed
coordination function, IEEE JSAC 18(3), 2000. It counts a busy medium as one step of every backoff, where real stations
freeze theirs, and lets all restart together after a collision. Against packet simulation of unicast that costs up to
1.6 % to 10 senders and 4 % at 50; of broadcast 2 % to 5 senders and far more beyond. There ``contention`` holds.

Light load, broadcast: a fixed point in the spirit of Ma and Chen, IEEE Trans. Vehicular Technology 56(5), 2007. It is
not validated here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log2

from lightbound.base.errors import LightboundError

from .csma import CsmaLink


@dataclass(frozen=True)
class Saturation:
    """Senders that always have something to send. tau: chance that one begins in a step of the backoff;
    collision: that what it begins collides; throughput_bps: payload of all of them together.
    """

    senders: int
    tau: float
    collision: float
    throughput_bps: float


def bisect(function: Callable[[float], float], low: float, high: float) -> float:
    """The root of a function that is positive at `low` and falls, to the last bits of a float."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2


def fixed_point(senders: int, window: int, stages: int) -> tuple[float, float]:
    """tau and the collision probability of Bianchi's model: `window` is CWmin + 1, doubled at most `stages` times.

    With no stages the window is constant, as for broadcast.
    """
    if senders < 1 or window < 1 or stages < 0:
        problem = "are not a positive number of senders and slots"
        raise LightboundError("senders, window, stages", (senders, window, stages), problem, "Write 10, 16, 6.")

    def tau(p: float) -> float:
        return 2 / (1 + window + p * window * sum((2 * p) ** step for step in range(stages)))

    p = bisect(lambda p: 1 - (1 - tau(p)) ** (senders - 1) - p, 0.0, 1.0) if senders > 1 else 0.0
    return tau(p), p


def throughput_bps(
    senders: int, tau: float, payload_bytes: float, slot_s: float, success_s: float, collision_s: float
) -> float:
    """Payload that is received, where a step takes a slot, a success or a collision."""
    busy = 1 - (1 - tau) ** senders
    alone = senders * tau * (1 - tau) ** (senders - 1)
    step_s = (1 - busy) * slot_s + alone * success_s + (busy - alone) * collision_s
    return 8 * payload_bytes * alone / step_s


def saturation(link: CsmaLink, senders: int, payload_bytes: int | None = None) -> Saturation:
    """Bianchi's model of senders on a link, with fragments of the link's size unless told otherwise."""
    payload = link.fragment_bytes if payload_bytes is None else payload_bytes
    stages = 0 if link.broadcast else round(log2((link.cw_max + 1) / (link.cw_min + 1)))
    tau, p = fixed_point(senders, link.cw_min + 1, stages)
    step_s = link.exchange_s(payload)  # those that collide wait for an acknowledgement, the others an EIFS: the same
    return Saturation(senders, tau, p, throughput_bps(senders, tau, payload, link.slot_s, step_s, step_s))


def completions_per_s(link: CsmaLink, senders: int) -> float:
    """Fragments that saturated senders get done with per second, together: received, or in broadcast sent at all."""
    at = saturation(link, senders)
    if not link.broadcast:
        return at.throughput_bps / (8 * link.fragment_bytes)
    busy = 1 - (1 - at.tau) ** senders
    step_s = (1 - busy) * link.slot_s + busy * link.exchange_s(link.fragment_bytes)
    return senders * at.tau / step_s


@dataclass(frozen=True)
class LightLoad:
    """Broadcast below saturation. utilization: share of time in which a sender has a packet; service_s: from the head
    of the queue to the end of the transmission; collision: chance that a packet meets another.
    """

    utilization: float
    service_s: float
    collision: float

    def delivery(self, packet_error: float = 0.0, hidden: float = 0.0) -> float:
        """Packet delivery ratio, with loss on the channel and `hidden` = expected packets of hidden terminals that
        begin within two packet times."""
        return (1 - self.collision) * exp(-hidden) * (1 - packet_error)


def light_load(link: CsmaLink, senders: int, packets_per_s: float, payload_bytes: int) -> LightLoad:
    """Broadcast packets at a rate by every sender. Raises LightboundError where that saturates the channel."""
    air = link.airtime_s(payload_bytes) + link.aifs_s
    service, busy = air, 0.0
    for _ in range(10_000):
        load = packets_per_s * service
        if load >= 1:
            problem = "is more than the channel carries"
            raise LightboundError("packets_per_s", packets_per_s, problem, "Use saturation(), or send less.")
        busy = 1 - (1 - 2 * load / (link.cw_min + 2)) ** (senders - 1)
        renewed = link.cw_min / 2 * ((1 - busy) * link.slot_s + busy * air) + air
        if abs(renewed - service) <= 1e-12 * service:
            break
        service = renewed
    return LightLoad(packets_per_s * service, service, busy)
