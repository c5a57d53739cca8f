"""A wired port, and the ideal channel: serialisation of what really goes over the wire, headers included.

The closed form is exact where one sender has the port and nothing is lost. TCP's acknowledgements travel the other
way and cost nothing on a full-duplex port; its slow start is not modelled, which matters where the round trip is not
short against the transfer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightbound.base.errors import LightboundError, choose_from

Protocol = Literal["tcp", "udp"]


@dataclass(frozen=True)
class IdealLink:
    """Bytes over a rate: no headers, and every sender on a channel of its own."""

    name: str
    rate_bps: float
    latency_s: float = 0.0

    def transfer_s(self, payload_bytes: float) -> float:
        """Seconds from the first bit sent to the last one received."""
        return 8 * payload_bytes / self.rate_bps + self.latency_s

    def capacity_bytes_per_s(self, senders: int) -> float:
        """Payload that so many senders get across together."""
        return senders * self.rate_bps / 8


@dataclass(frozen=True)
class WiredLink:
    """A port that sends Ethernet frames at a rate. Sizes in bytes.

    header_bytes: of a frame, as far as the rate counts it; gap_bytes: preamble, frame check and gap, where they count
    too. burst_bytes: what a token bucket lets pass at once. Only the first transfer after a pause gets it.
    """

    name: str
    rate_bps: float
    mtu_bytes: int
    header_bytes: int
    gap_bytes: int
    ip_header_bytes: int
    udp_header_bytes: int
    tcp_header_bytes: int
    udp_payload_bytes: int
    burst_bytes: int = 0
    latency_s: float = 0.0
    protocol: Protocol = "udp"

    def segment_bytes(self, protocol: str | None = None) -> tuple[int, int]:
        """Largest payload of one frame, and what the frame adds to it."""
        kind = self.protocol if protocol is None else protocol
        if kind not in ("tcp", "udp"):
            raise LightboundError("protocol", kind, "is not known", choose_from(("tcp", "udp"), kind))
        transport = self.tcp_header_bytes if kind == "tcp" else self.udp_header_bytes
        room = self.mtu_bytes - self.ip_header_bytes - transport
        payload = room if kind == "tcp" else min(room, self.udp_payload_bytes)
        return payload, self.header_bytes + self.gap_bytes + self.ip_header_bytes + transport

    def frames(self, payload_bytes: int, protocol: str | None = None) -> int:
        """Into how many frames a message is cut."""
        return max(1, -(-int(payload_bytes) // self.segment_bytes(protocol)[0]))

    def wire_bytes(self, payload_bytes: int, protocol: str | None = None) -> int:
        """Bytes that the rate counts for a message: payload, and the headers of every frame."""
        return int(payload_bytes) + self.frames(payload_bytes, protocol) * self.segment_bytes(protocol)[1]

    def transfer_s(self, payload_bytes: int, protocol: str | None = None) -> float:
        """Seconds from the first byte sent to the last one received, on a port that was idle.

        A token bucket that is full lets `burst_bytes` pass at once; the rest waits for the rate.
        """
        shaped = max(0, self.wire_bytes(payload_bytes, protocol) - self.burst_bytes)
        return 8 * shaped / self.rate_bps + self.latency_s

    def capacity_bytes_per_s(self, senders: int) -> float:
        """Payload that gets through the port, whoever sends it."""
        payload, added = self.segment_bytes()
        return self.rate_bps / 8 * payload / (payload + added)
