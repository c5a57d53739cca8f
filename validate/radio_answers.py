"""What lightbound answers for figures of links: airtime, contention, loss, blocks, reservation, path loss, transfers.

Measured packet simulations are answered by events, closed forms by closed forms. Nothing here knows single cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from math import ceil

import numpy as np

from lightbound.sim.agents.pipeline import run
from lightbound.sim.agents.scenario import Agent, Scenario
from lightbound.sim.radio.bianchi import fixed_point, saturation, throughput_bps
from lightbound.sim.radio.block_sizes import lte_block_bits, nr_block_bits
from lightbound.sim.radio.contention import saturated_throughput_bps
from lightbound.sim.radio.csma import CsmaLink
from lightbound.sim.radio.link import link
from lightbound.sim.radio.propagation import (
    free_delay_s,
    highway_los,
    nlos,
    noise_dbm,
    packet_error,
    urban_los,
    winner_b1_los,
)
from lightbound.sim.radio.resource_choice import (
    half_duplex_loss,
    mean_tenure,
    memoryless_collision,
    sensing_collision,
    sensing_collision_drawn,
)
from lightbound.sim.radio.wired import WiredLink

from .link_case import SECONDS, Answer, Answers, LinkCase, closed

SEEDS = 5
SATURATED_S = 10.0
FRAMES = 150
PERIODS = 400_000


def _duration(case: LinkCase) -> Answer:
    p = case.params
    made = case.link()
    if "preamble_us" in p:
        made = replace(made, preamble_s=(p["preamble_us"] + p.get("signal_us", 0)) * 1e-6)
    return closed(1e6 * made.ppdu_s(p["mpdu_B"]))


def _frame_mean(case: LinkCase) -> Answer:
    return closed(1e3 * case.link().transfer_s(case.params["bytes"]))


def _throughput(case: LinkCase) -> Answer:
    made, p = case.link(), case.params
    if case.kind.startswith("measured"):
        found = [saturated_throughput_bps(made, p["N"], SATURATED_S, seed) for seed in range(SEEDS)]
        return float(np.mean(found)) / 1e6, "events"
    if case.broadcast or "Ts_us" in p:
        tau, _ = fixed_point(p["N"], p["W"], p.get("m", 0))
        success = p.get("Ts_us", p.get("T_us", 0)) * 1e-6
        both = (success, p["Tc_us"] * 1e-6 if "Tc_us" in p else success)
        return closed(throughput_bps(p["N"], tau, p["payload_B"], made.slot_s, *both) / 1e6)
    return closed(saturation(made, p["N"]).throughput_bps / 1e6)


def _tau(case: LinkCase) -> Answer:
    return closed(fixed_point(case.params["N"], case.params["W"], case.params.get("m", 0))[0])


def _collision(case: LinkCase) -> Answer:
    p = case.params
    if "W" in p:
        return closed(fixed_point(p["N"], p["W"], p.get("m", 0))[1])
    if "r" not in p:
        return closed(memoryless_collision(p["N"], p["R"]))
    if p["N"] == 2:
        return closed(sensing_collision(2, p["R"], p["r"]))
    return sensing_collision_drawn(p["N"], p["R"], p["r"], PERIODS), "draws"


@lru_cache(maxsize=64)
def completion_ms(made: CsmaLink, senders: int, payload: int, period_s: float, phases: str = "same") -> np.ndarray:
    """Times of whole messages in milliseconds, where all senders hand over theirs at one instant each period."""
    step = period_s / senders if phases == "staggered" else 0.0
    agents = (
        Agent("receiver"),
        *(Agent(f"sender {n}", payload_bytes=payload, phase_s=n * step) for n in range(senders)),
    )
    times: list[float] = []
    for seed in range(SEEDS):
        done = run(Scenario(agents, made, period_s, FRAMES, fusion="newest"), seed)
        times += [1e3 * (one.ended_s - one.ready_s) for one in done.messages if one.arrived]
    return np.array(times)


def _completion(statistic: Callable[[np.ndarray], float]) -> Callable[[LinkCase], Answer]:
    def answer(case: LinkCase) -> Answer:
        p = case.params
        phases = "staggered" if "stagger" in case.words else "same"
        times = completion_ms(case.link(), p["N"], p["bytes"], p.get("period_ms", 100) * 1e-3, phases)
        return float(statistic(times)), "events"

    return answer


def _packet_error(case: LinkCase) -> Answer:
    p = case.params
    modulation = f"{p['mod']}qam" if str(p["mod"]).isdigit() else str(p["mod"])
    return closed(packet_error(p["snr_db"], modulation, p["rate"], p["bits"]))


def _block(case: LinkCase) -> Answer:
    p = case.params
    if "itbs" in p:
        return closed(lte_block_bits(p["itbs"], p["prb"]))
    shape = (p["symbols"], p["dmrs_re_per_prb"], p["sci1_re"], p["sci2_bits"], p["beta"])
    return closed(nr_block_bits(p["mcs"], p["prb"], *shape))


def _slots(case: LinkCase) -> Answer:
    p = case.params
    bits = p["tbs"] if "tbs" in p else lte_block_bits(p["itbs"], p["prb"])
    return closed(ceil(8 * p["bytes"] / bits))


def _airtime(case: LinkCase) -> Answer:
    slot_s = 1e-3 * case.params.get("slot_ms", case.params.get("subframe_ms", 1.0))
    return closed(_slots(case)[0] * slot_s / SECONDS.get(case.unit, 1e-3))


def _half_duplex(case: LinkCase) -> Answer:
    p = case.params
    slot = p.get("subframe_ms", p.get("slot_ms"))
    return closed(half_duplex_loss(p["rate_hz"], slot * 1e-3))


def _tenure(case: LinkCase) -> Answer:
    p = case.params
    return closed(mean_tenure(p["rc_min"], p["rc_max"], p["p_keep"]))


def _busy_ratio(case: LinkCase) -> Answer:
    p = case.params
    return closed(p["N"] * p["hz"] * case.link().ppdu_s(p["mpdu_B"]))


def _path_loss(case: LinkCase) -> Answer:
    p = case.params
    if "h_m" in p or "winner" in case.words:
        return closed(winner_b1_los(p["d_m"], p["f_ghz"], p.get("h_m", 1.5)))
    model = nlos if "nlos" in case.words else urban_los if "urban" in case.words else highway_los
    return closed(model(p["d_m"], p["f_ghz"]))


def _delay(case: LinkCase) -> Answer:
    return closed(free_delay_s(case.params["d_m"]) / SECONDS.get(case.unit, 1e-6))


def _noise(case: LinkCase) -> Answer:
    p = case.params
    hertz = p["bw_mhz"] * 1e6 if "bw_mhz" in p else p["bw_hz"]
    return closed(noise_dbm(hertz, p.get("nf_db", 9)))


def _transfer(case: LinkCase) -> Answer:
    p = case.params
    port = link("ethernet", rate=f"{p.get('rate_mbit', p.get('rate_mbps'))} Mbps", protocol=p["proto"])
    assert isinstance(port, WiredLink)
    return closed(1e3 * port.transfer_s(p["bytes"]))


RADIO: Answers = {
    "ppdu_duration": _duration,
    "frame_completion_mean": _frame_mean,
    "throughput": _throughput,
    "tau": _tau,
    "p_coll": _collision,
    "mean_ms": _completion(lambda times: times.mean()),
    "p50": _completion(lambda times: np.percentile(times, 50)),
    "p95": _completion(lambda times: np.percentile(times, 95)),
    "PER": _packet_error,
    "TBS": _block,
    "slots": _slots,
    "airtime": _airtime,
    "p_hd": _half_duplex,
    "mean_tenure": _tenure,
    "CBR": _busy_ratio,
    "PL": _path_loss,
    "delay": _delay,
    "noise": _noise,
    "transfer": _transfer,
}
