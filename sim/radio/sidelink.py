"""LTE-V2X mode 4 and NR-V2X mode 2: slots that agents reserve for themselves.

Exact for one sender, but for the instant in the reservation period at which its slots lie. What several senders do to
each other is in ``reservation``. No block error rates are modelled: what is lost is lost to collisions, to being deaf
while sending, and to the loss that a scenario states.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .block_sizes import lte_block_bits, lte_block_index, nr_block_bits


@dataclass(frozen=True)
class Sidelink:
    """A pool of slots times subchannels. Times in seconds.

    generation: ``lte`` or ``nr``. blocks: resource blocks of the pool, shared equally by its subchannels; a message's
    blocks take one subchannel each. control_blocks: of a subchannel, for control, on LTE; the other control fields
    are NR's (``nr_block_bits``). repetitions: how often a transport block is sent. counter_min, counter_max: periods
    for which a reservation holds, drawn from this range. keep_probability: that it then stays. candidate_share: of the
    resources that remain to be chosen from, at least. selection_window_s: after a message, where slots are chosen.
    """

    name: str
    generation: str
    slot_s: float
    blocks: int
    control_blocks: int
    subchannels: int
    mcs: int
    symbols: int
    feedback_symbols: int
    reference_elements: int
    control_elements: int
    second_stage_bits: int
    beta: float
    repetitions: int
    reservation_period_s: float
    counter_min: int
    counter_max: int
    keep_probability: float
    candidate_share: float
    processing_s: float
    selection_window_s: float

    @cached_property
    def block_bits(self) -> int:
        """Bits that one agent sends in one slot."""
        blocks = self.blocks // self.subchannels
        if self.generation == "lte":
            return lte_block_bits(lte_block_index(self.mcs), blocks - self.control_blocks)
        return nr_block_bits(
            self.mcs,
            blocks,
            self.symbols - self.feedback_symbols,
            self.reference_elements,
            self.control_elements,
            self.second_stage_bits,
            self.beta,
        )

    @property
    def rate_bps(self) -> float:
        """Bits per second where every slot of a subchannel is used."""
        return self.block_bits / self.slot_s

    @property
    def slots(self) -> int:
        """Slots of a reservation period."""
        return round(self.reservation_period_s / self.slot_s)

    @property
    def resources(self) -> int:
        """Resources of a reservation period: slots times subchannels."""
        return self.slots * self.subchannels

    def transport_blocks(self, payload_bytes: float) -> int:
        """Transport blocks of a message."""
        return max(1, -(-int(8 * payload_bytes) // self.block_bits))

    def transmissions(self, payload_bytes: float) -> int:
        """Slots that a message takes, repetitions included."""
        return self.transport_blocks(payload_bytes) * self.repetitions

    def transfer_s(self, payload_bytes: float) -> float:
        """Time of a message in slots that follow each other. Reserved slots lie scattered: the message then waits for
        the last of those that it needs, at most a period for every `slots` transmissions.
        """
        return self.transmissions(payload_bytes) * self.slot_s

    def capacity_bytes_per_s(self, senders: int) -> float:
        """Payload that so many senders get across together if their reservations never meet."""
        one = self.block_bits / 8 / self.repetitions / self.slot_s
        return one * min(senders, self.subchannels)
