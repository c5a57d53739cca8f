"""OFDM with listening before talking (802.11p, 802.11bd): how long frames take on the air, and a sender alone.

Exact for one sender on an idle medium. What several senders do to each other is in ``bianchi`` (closed form) and
``contention`` (events).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf

_SERVICE_AND_TAIL_BITS = 16 + 6


@dataclass(frozen=True)
class CsmaLink:
    """A channel that every agent hears. Times in seconds, sizes in bytes.

    rate_bps, ack_rate_bps: of data and acknowledgements. modulation, code: of the data rate, for the error model.
    header_bytes: MAC and LLC headers and frame check of a fragment. cw_min, cw_max: contention window, drawn from 0 to
    it inclusive. aifs_slots: idle slots after SIFS before a backoff counts. lowest_rate_bps: of the acknowledgement
    that EIFS makes room for. retry_limit: transmissions of a fragment before it is dropped; infinity for ever.
    broadcast: without acknowledgements and retries. error_model: how loss follows from signal and noise, where that is
    known, with the transmit power, the gain of each antenna and the noise of a receiver.
    """

    name: str
    rate_bps: float
    ack_rate_bps: float
    lowest_rate_bps: float
    modulation: str
    code: str
    slot_s: float
    sifs_s: float
    symbol_s: float
    preamble_s: float
    ack_preamble_s: float
    ack_bytes: int
    header_bytes: int
    fragment_bytes: int
    cw_min: int
    cw_max: int
    aifs_slots: int
    ack_timeout_s: float
    retry_limit: float = inf
    midamble_every: int = 0
    broadcast: bool = False
    error_model: str | None = None
    frequency_ghz: float = 5.9
    bandwidth_hz: float = 10e6
    power_dbm: float = 23.0
    antenna_dbi: float = 3.0
    noise_figure_db: float = 9.0

    @property
    def aifs_s(self) -> float:
        """Idle time after which a backoff counts: DIFS, or AIFS of an access category."""
        return self.sifs_s + self.aifs_slots * self.slot_s

    @property
    def ack_s(self) -> float:
        """Time of an acknowledgement on the air."""
        return self._ppdu_s(self.ack_bytes, self.ack_rate_bps, self.ack_preamble_s)

    @property
    def eifs_s(self) -> float:
        """Idle time after a frame that could not be decoded: room for an acknowledgement at the lowest rate."""
        return self.sifs_s + self._ppdu_s(self.ack_bytes, self.lowest_rate_bps, self.ack_preamble_s) + self.aifs_s

    @property
    def mean_backoff_s(self) -> float:
        """Mean backoff of a sender alone."""
        return self.cw_min / 2 * self.slot_s

    def ppdu_s(self, mpdu_bytes: int) -> float:
        """Time of one frame on the air: preamble, and whole symbols of service bits, data and tail."""
        time = self._ppdu_s(mpdu_bytes, self.rate_bps, self.preamble_s)
        if self.midamble_every:
            symbols = round((time - self.preamble_s) / self.symbol_s)
            time += (symbols - 1) // self.midamble_every * self.symbol_s
        return time

    def _ppdu_s(self, mpdu_bytes: int, rate_bps: float, preamble_s: float) -> float:
        bits_per_symbol = round(rate_bps * self.symbol_s, 6)
        return preamble_s + self.symbol_s * ceil((_SERVICE_AND_TAIL_BITS + 8 * mpdu_bytes) / bits_per_symbol)

    def fragments(self, payload_bytes: int) -> tuple[int, int]:
        """Into how many fragments a message is cut, and the payload of the last one."""
        count = max(1, -(-int(payload_bytes) // self.fragment_bytes))
        return count, int(payload_bytes) - (count - 1) * self.fragment_bytes

    def airtime_s(self, payload_bytes: int) -> float:
        """Time of a fragment with this payload on the air."""
        return self.ppdu_s(payload_bytes + self.header_bytes)

    def exchange_s(self, payload_bytes: int) -> float:
        """From the start of a fragment, over its acknowledgement, until a backoff may count again."""
        return self.airtime_s(payload_bytes) + (0 if self.broadcast else self.sifs_s + self.ack_s) + self.aifs_s

    def transfer_s(self, payload_bytes: int) -> float:
        """Mean time of a whole message alone on an idle medium: the first fragment goes at once, a backoff precedes
        every other, and it ends with the reception of the last.
        """
        count, last = self.fragments(payload_bytes)
        return (count - 1) * (self.exchange_s(self.fragment_bytes) + self.mean_backoff_s) + self.airtime_s(last)

    def capacity_bytes_per_s(self, senders: int) -> float:
        """Payload that so many senders get across together, all of them always with something to send."""
        from .bianchi import saturation

        return saturation(self, senders).throughput_bps / 8
