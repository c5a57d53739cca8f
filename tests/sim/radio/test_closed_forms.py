"""Closed forms of links: that they are monotone where physics is, and agree with each other where two say the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.radio.bianchi import fixed_point, light_load, saturation
from lightbound.sim.radio.block_sizes import lte_block_bits, nr_block_bits
from lightbound.sim.radio.csma import CsmaLink
from lightbound.sim.radio.propagation import PATH_LOSS, link_packet_error, packet_error
from lightbound.sim.radio.resource_choice import sensing_collision, sensing_collision_drawn

RATES = ((6, "qpsk", "1/2"), (12, "16qam", "1/2"), (24, "64qam", "2/3"), (27, "64qam", "3/4"))


@given(senders=st.integers(1, 200), window=st.integers(2, 64), stages=st.integers(0, 8))
def test_the_fixed_point_is_one(senders: int, window: int, stages: int) -> None:
    tau, p = fixed_point(senders, window, stages)
    assert p == pytest.approx(1 - (1 - tau) ** (senders - 1), abs=1e-9)
    doubling = window * sum((2 * p) ** step for step in range(stages))
    assert tau == pytest.approx(2 / (1 + window + p * doubling), rel=1e-9)


@given(snr=st.floats(-5, 30), bits=st.integers(8, 20_000), rate=st.sampled_from(RATES))
def test_loss_falls_with_signal_and_grows_with_length_and_rate(
    snr: float, bits: int, rate: tuple[int, str, str]
) -> None:
    _, modulation, code = rate
    here = packet_error(snr, modulation, code, bits)
    assert (
        0 <= packet_error(snr + 1, modulation, code, bits) <= here <= packet_error(snr, modulation, code, 2 * bits) <= 1
    )
    faster = RATES[min(RATES.index(rate) + 1, 3)]
    assert here <= packet_error(snr, faster[1], faster[2], bits) + 1e-12


@settings(deadline=None)
@given(distance=st.floats(1, 2000), environment=st.sampled_from(sorted(PATH_LOSS)))
def test_loss_grows_with_distance(distance: float, environment: str) -> None:
    link = lb.link("802.11p", rate="27Mbps")
    assert isinstance(link, CsmaLink)
    near, far = (link_packet_error(link, d, 1500, environment) for d in (distance, 1.1 * distance + 1))
    assert near <= far + 1e-12


def test_a_link_without_an_error_model_says_nothing_of_distance_and_shadowing_softens_an_edge() -> None:
    link = lb.link("802.11p", rate="6Mbps")
    improved = lb.link("802.11bd")
    assert isinstance(link, CsmaLink) and isinstance(improved, CsmaLink)
    with pytest.raises(LightboundError, match="no error model"):
        link_packet_error(improved, 100, 1500)
    edge = next(d for d in range(10, 20_000, 10) if link_packet_error(link, d, 1500) > 0.5)
    near, far = edge * 0.8, edge * 1.25
    assert link_packet_error(link, near, 1500) < link_packet_error(link, near, 1500, shadowing_db=3)
    assert link_packet_error(link, far, 1500) > link_packet_error(link, far, 1500, shadowing_db=3)


@given(mcs=st.integers(0, 28), blocks=st.integers(10, 272))
def test_more_resource_blocks_and_better_codes_carry_more(mcs: int, blocks: int) -> None:
    here = nr_block_bits(mcs, blocks)
    assert here % 8 == 0 and nr_block_bits(mcs, blocks + 1) >= here
    index = min(mcs, 25)
    assert lte_block_bits(index, min(blocks, 109)) <= lte_block_bits(index, min(blocks, 109) + 1)


def test_choices_after_sensing_by_draws_are_the_closed_form_where_that_is_exact() -> None:
    for resources, reselect in ((4, 0.5), (6, 0.3), (10, 0.6)):
        drawn = sensing_collision_drawn(2, resources, reselect, 100_000, seed=3)
        assert drawn == pytest.approx(sensing_collision(2, resources, reselect), rel=0.06)


def test_light_load_approaches_no_collisions_and_refuses_saturation() -> None:
    link = lb.link("802.11p", rate="6Mbps", broadcast=True)
    assert isinstance(link, CsmaLink)
    few, many = (light_load(link, 10, rate, 300).collision for rate in (0.01, 30))
    assert 0 <= few < 1e-4 < many < 1
    with pytest.raises(LightboundError, match="more than the channel carries"):
        light_load(link, 50, 1000, 1500)


def test_capacity_falls_with_senders_from_two_on_and_better_access_helps_one() -> None:
    link = lb.link("802.11p", rate="27Mbps")
    assert isinstance(link, CsmaLink)
    found = [saturation(link, senders).throughput_bps for senders in range(2, 60)]
    assert found == sorted(found, reverse=True)
    voice = lb.link("802.11p", rate="27Mbps", access="vo")
    assert voice.transfer_s(50_000) < link.transfer_s(50_000)


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        (("802.11x",), {}, "neither a link of the library"),
        (("802.11p",), {"rate": "7Mbps"}, "none of its rates"),
        (("802.11p",), {"rate": "7"}, "has no unit"),
        (("802.11p",), {"access": "xx"}, "no access category"),
        (("802.11p",), {"mcs": 3}, "is no option"),
        (("802.11p",), {"fragment": "5000 B"}, "is not between"),
        (("nr_v2x",), {"mcs": -1}, "not a number of at least 0"),
        (("ethernet",), {"mtu": "20 B"}, "no room"),
        (("ethernet",), {"protocol": "sctp"}, "is not known"),
    ],
)
def test_a_link_that_cannot_be_is_refused(arguments: tuple[str], options: dict[str, object], told: str) -> None:
    with pytest.raises(LightboundError, match=told):
        lb.link(*arguments, **options)
