"""Media by events: what goes in comes out once, leaps change nothing, and a sender alone is as in the closed form."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.sim.radio.bianchi import saturation
from lightbound.sim.radio.channel import channel
from lightbound.sim.radio.contention import CsmaChannel, saturated_throughput_bps
from lightbound.sim.radio.csma import CsmaLink
from lightbound.sim.radio.medium import NEVER, Loss, Medium, Transfer, nanoseconds

LINKS = ("802.11p", "802.11bd", "ethernet", "ideal", "lte_v2x", "nr_v2x")
OFFERS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 9000), st.integers(0, 60_000_000)), min_size=1, max_size=12
)


def drive(medium: Medium, offers: list[tuple[int, int, int]], step: int = NEVER) -> list[Transfer]:
    """Submit (station, bytes, time in ns) in order of time, run to the end in leaps of at most `step`; what ended."""
    ended: list[Transfer] = []

    def leap(start: int, limit: int) -> None:
        at = start
        while at < limit:
            at = min(at + step, limit)
            while found := medium.advance(at):
                ended.extend(found)
            if limit == NEVER and not medium.pending():
                return

    now = 0
    for station, size, time in sorted(offers, key=lambda offer: offer[2]):
        leap(now, time)
        now = time
        medium.submit(Transfer(station, size, (9,)), time)
    leap(now, NEVER)
    return ended


def facts(ended: list[Transfer]) -> list[tuple[Any, ...]]:
    return sorted((one.sender, one.submitted, one.payload_bytes, one.ended, sorted(one.lost.items())) for one in ended)


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(LINKS), offers=OFFERS, seed=st.integers(0, 99), loss=st.sampled_from((0.0, 0.2)))
def test_every_message_ends_once_in_order_and_after_it_began(
    name: str, offers: list[tuple[int, int, int]], seed: int, loss: float
) -> None:
    medium = channel(lb.link(name), 4, seed, Loss(loss, seed))
    ended = drive(medium, offers)
    assert sorted((one.sender, one.payload_bytes) for one in ended) == sorted((s, b) for s, b, _ in offers)
    for station in range(4):
        own = [one for one in ended if one.sender == station]
        assert [one.submitted for one in own] == sorted(one.submitted for one in own)
        for one in own:
            assert one.submitted <= one.started <= one.ended and one.handled == one.packets
            assert 0 <= one.lost.get(9, 0) <= one.packets
    tally = medium.tally
    assert tally.sent == sum(one.packets for one in ended)
    assert tally.sent - tally.delivered == sum(sum(one.lost.values()) for one in ended)
    assert not medium.pending()


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(LINKS), offers=OFFERS, step=st.integers(40_000, 5_000_000))
def test_leaping_over_what_nothing_disturbs_changes_nothing(
    name: str, offers: list[tuple[int, int, int]], step: int
) -> None:
    whole, small = (drive(channel(lb.link(name), 4, 5), offers, size) for size in (NEVER, step))
    assert facts(whole) == facts(small)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 100_000), rate=st.sampled_from(("3Mbps", "6Mbps", "27Mbps")))
def test_a_radio_sender_alone_without_backoff_takes_what_the_closed_form_says(size: int, rate: str) -> None:
    made = lb.link("802.11p", rate=rate)
    assert isinstance(made, CsmaLink)
    alone = replace(made, cw_min=0, cw_max=0)
    [one] = drive(CsmaChannel(alone, 1), [(0, size, 1000)])
    assert one.ended - one.submitted == pytest.approx(1e9 * alone.transfer_s(size), abs=1000)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 300_000), protocol=st.sampled_from(("tcp", "udp")), burst=st.sampled_from((0, 1600, 9000)))
def test_a_wired_sender_alone_takes_what_the_closed_form_says(size: int, protocol: str, burst: int) -> None:
    port = lb.link("ethernet", rate="27Mbps", protocol=protocol, burst=burst)
    [one] = drive(channel(port, 1), [(0, size, 0)])
    packets = one.packets
    assert one.ended == pytest.approx(1e9 * port.transfer_s(size), abs=packets + 1)


def test_two_wired_senders_take_turns_and_together_no_more_than_the_rate() -> None:
    port = lb.link("ethernet", rate="10Mbps", burst=0)
    first, second = drive(channel(port, 2), [(0, 50_000, 0), (1, 50_000, 0)])
    assert first.ended < second.ended < 1.03 * first.ended
    assert second.ended / 1e9 == pytest.approx(2 * port.transfer_s(50_000), rel=1e-6)


@pytest.mark.parametrize(("senders", "tolerance"), [(1, 0.01), (2, 0.03), (10, 0.04)])
def test_contention_by_events_stays_near_the_closed_form(senders: int, tolerance: float) -> None:
    made = lb.link("802.11p", rate="27Mbps", retry_limit=None)
    assert isinstance(made, CsmaLink)
    events = saturated_throughput_bps(made, senders, 2.0)
    assert events == pytest.approx(saturation(made, senders).throughput_bps, rel=tolerance)


def test_synchronised_arrivals_collide_on_the_first_packet_and_staggered_ones_do_not() -> None:
    made = lb.link("802.11p", rate="27Mbps")
    together, apart = CsmaChannel(_csma(made), 2, record=True), CsmaChannel(_csma(made), 2, record=True)
    drive(together, [(0, 1000, 0), (1, 1000, 0)])
    drive(apart, [(0, 1000, 0), (1, 1000, 20_000_000)])
    assert together.tally.on_air and [one.fate for one in together.tally.on_air[:2]] == ["collided", "collided"]
    assert apart.tally.collided == 0 and apart.tally.attempts == 2


def test_a_packet_is_given_up_after_its_last_retry_and_only_then() -> None:
    made = replace(_csma(lb.link("802.11p", rate="6Mbps")), retry_limit=4)
    dead = CsmaChannel(made, 1, loss=Loss(1.0, 0))
    [one] = drive(dead, [(0, 100, 0)])
    assert dead.tally.attempts == 4 and one.lost == {9: 1}
    assert replace(made, retry_limit=inf).retry_limit == inf


def test_broadcast_has_no_retries_and_counts_losses_by_receiver() -> None:
    made = replace(_csma(lb.link("802.11p", rate="6Mbps")), broadcast=True)
    medium = CsmaChannel(made, 3, loss=Loss([[0, 0, 0], [0, 0, 1.0], [0, 0, 0]], 0))
    medium.submit(Transfer(1, 4500, (0, 2)), 0)
    [one] = medium.advance(NEVER)
    assert one.lost == {2: 3} and medium.tally.attempts == 3
    assert (medium.tally.sent, medium.tally.delivered) == (6, 3)


def test_a_sidelink_sender_alone_loses_nothing_and_one_that_sends_hears_nothing() -> None:
    link = lb.link("nr_v2x", subchannels=2, blocks=100)
    alone = channel(link, 2)
    [one] = drive(alone, [(0, 20_000, 0)])
    assert one.packets == link.transport_blocks(20_000) and not one.lost  # pyright: ignore[reportAttributeAccessIssue]
    both = channel(link, 2)
    full = 200 * link.block_bits // 8  # every slot of the period  # pyright: ignore[reportAttributeAccessIssue]
    both.submit(Transfer(0, full, (1,)), 0)
    both.submit(Transfer(1, full, (0,)), 0)
    ended = [one for _ in range(2) for one in both.advance(NEVER)]
    assert all(one.lost[1 - one.sender] == one.packets for one in ended)


def test_what_is_withdrawn_is_not_sent_and_what_has_begun_goes_on() -> None:
    for name in LINKS:
        medium = channel(lb.link(name, rate="6Mbps") if name == "ethernet" else lb.link(name), 2)
        begun, waiting, fresh = (Transfer(0, size, (1,)) for size in (60_000, 700, 500))
        medium.submit(begun, 0)
        half = nanoseconds(0.013)
        assert medium.advance(half) == [], name
        medium.submit(waiting, half)
        assert medium.withdraw(0, half) == ([waiting] if begun.started >= 0 else [begun, waiting]), name
        medium.submit(fresh, half)
        ended = [one for _ in range(2) for one in medium.advance(NEVER)]
        assert ended == [*([begun] if begun.started >= 0 else []), fresh] and waiting.ended == -1, name


def _csma(made: Any) -> CsmaLink:
    assert isinstance(made, CsmaLink)
    return made
