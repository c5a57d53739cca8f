"""From distance to packet loss: path loss, noise, and the error model of OFDM rates.

The error model is NIST's (Pei and Henderson, Validation of OFDM error rate model in ns-3), a union bound over the
distance spectrum of the convolutional code. It holds for white noise, without fading inside a packet.
"""

from __future__ import annotations

from collections.abc import Callable
from math import erfc, exp, log10, sqrt
from typing import TYPE_CHECKING

from lightbound.base.errors import LightboundError, choose_from

if TYPE_CHECKING:
    from .csma import CsmaLink

LIGHT_M_PER_S = 299_792_458.0
_SHADOWING_STEPS = 400  # over four standard deviations to each side
# Of the code of constraint length 7: bits k, the first distance and its step, and how many errors there are at each.
_SPECTRUM = {
    "1/2": (1, 10, 2, (36, 211, 1404, 11633, 77433, 502690, 3322763, 21292910, 134365911)),
    "2/3": (2, 6, 1, (3, 70, 285, 1276, 6160, 27128, 117019, 498860, 2103891, 8784123)),
    "3/4": (3, 5, 1, (42, 201, 1492, 10469, 62935, 379644, 2253373, 13073811, 75152755, 428005675)),
}
_BIT_ERROR: dict[str, Callable[[float], float]] = {
    "bpsk": lambda snr: 0.5 * erfc(sqrt(snr)),
    "qpsk": lambda snr: 0.5 * erfc(sqrt(snr / 2)),
    "16qam": lambda snr: 0.375 * erfc(sqrt(snr / 10)),
    "64qam": lambda snr: 7 / 24 * erfc(sqrt(snr / 42)),
}


def packet_error(snr_db: float, modulation: str, code: str, bits: int) -> float:
    """Probability that a packet of so many bits is lost at a signal-to-noise ratio of each subcarrier."""
    if modulation not in _BIT_ERROR:
        raise LightboundError("modulation", modulation, "has no error model", choose_from(_BIT_ERROR, modulation))
    if code not in _SPECTRUM:
        raise LightboundError("code", code, "has no error model", choose_from(_SPECTRUM, code))
    p = min(0.5, _BIT_ERROR[modulation](10 ** (snr_db / 10)))
    distance = sqrt(4 * p * (1 - p))
    k, first, step, errors = _SPECTRUM[code]
    bit = min(1.0, sum(a * distance ** (first + step * i) for i, a in enumerate(errors)) / (2 * k))
    return 1 - (1 - bit) ** bits


def free_delay_s(distance_m: float) -> float:
    """Time of light over a distance."""
    return distance_m / LIGHT_M_PER_S


def noise_dbm(bandwidth_hz: float, noise_figure_db: float = 9) -> float:
    """Thermal noise at 290 K in a bandwidth, as the receiver sees it."""
    return -174 + 10 * log10(bandwidth_hz) + noise_figure_db


def highway_los(distance_m: float, frequency_ghz: float) -> float:
    """Path loss in dB in line of sight on a highway (3GPP TR 37.885)."""
    return 32.4 + 20 * log10(distance_m) + 20 * log10(frequency_ghz)


def urban_los(distance_m: float, frequency_ghz: float) -> float:
    """Path loss in dB in line of sight in a town (3GPP TR 37.885)."""
    return 38.77 + 16.7 * log10(distance_m) + 18.2 * log10(frequency_ghz)


def nlos(distance_m: float, frequency_ghz: float) -> float:
    """Path loss in dB round a corner (3GPP TR 37.885)."""
    return 36.85 + 30 * log10(distance_m) + 18.9 * log10(frequency_ghz)


def winner_b1_los(distance_m: float, frequency_ghz: float, height_m: float = 1.5) -> float:
    """Path loss in dB in line of sight in a town by WINNER+ B1, antennas at one height; it has a break point."""
    above = height_m - 1
    if above <= 0:
        raise LightboundError(
            "height_m", height_m, "is not above 1 m", "The model takes heights over 1 m, such as 1.5."
        )
    if distance_m < 4 * above**2 * frequency_ghz * 1e9 / LIGHT_M_PER_S:
        return 22.7 * log10(distance_m) + 41 + 20 * log10(frequency_ghz / 5)
    return 40 * log10(distance_m) + 9.45 - 17.3 * log10(above**2) + 2.7 * log10(frequency_ghz / 5)


PATH_LOSS: dict[str, Callable[[float, float], float]] = {
    "highway": highway_los,
    "urban": urban_los,
    "nlos": nlos,
    "winner_b1": winner_b1_los,
}


def link_packet_error(
    link: CsmaLink,
    distance_m: float,
    payload_bytes: int,
    environment: str = "highway",
    shadowing_db: float = 0.0,
) -> float:
    """Loss of a packet over a distance; with shadowing, the mean over its log-normal distribution.

    Raises LightboundError for a link without an error model, an unknown environment, and a distance of nothing.
    """
    if environment not in PATH_LOSS:
        raise LightboundError("environment", environment, "is not known", choose_from(PATH_LOSS, environment))
    if not distance_m > 0:
        raise LightboundError("distance", distance_m, "is not positive", "Write a distance in metres.")
    if link.error_model is None:
        problem = f"says nothing of loss on {link.name}, which has no error model"
        raise LightboundError("distance", distance_m, problem, "Give the loss itself.")
    received = link.power_dbm + 2 * link.antenna_dbi - PATH_LOSS[environment](distance_m, link.frequency_ghz)
    snr = received - noise_dbm(link.bandwidth_hz, link.noise_figure_db)
    bits = 8 * (payload_bytes + link.header_bytes)
    if not shadowing_db:
        return packet_error(snr, link.modulation, link.code, bits)
    steps = [-4 + 8 * (i + 0.5) / _SHADOWING_STEPS for i in range(_SHADOWING_STEPS)]
    weights = [exp(-x * x / 2) for x in steps]
    lost = [packet_error(snr + shadowing_db * x, link.modulation, link.code, bits) for x in steps]
    return sum(w * p for w, p in zip(weights, lost, strict=True)) / sum(weights)
