"""What lightbound answers for one case of a table of link figures: parameters and a quantity in, a number out.

A case states its quantity, the technology it belongs to, and parameters as JSON with units in their names. Measured
packet simulations are answered by events; closed forms by closed forms. How each is answered is said in a word beside
the figure. Nothing here knows single cases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import ceil, log2, prod
from typing import Any

import numpy as np

from lightbound.base.errors import LightboundError, choose_from
from lightbound.sim.agents.age import periodic_age
from lightbound.sim.agents.pipeline import run
from lightbound.sim.agents.queues import asynchronous_delay, random_arrivals_wait_s, tandem_latency_s
from lightbound.sim.agents.scenario import Agent, Scenario, Stage
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
from lightbound.workloads.architecture import Agent as Sensors
from lightbound.workloads.architecture import architecture
from lightbound.workloads.counts import operations
from lightbound.workloads.registry import workload

Params = Mapping[str, Any]
SEEDS = 5
SATURATED_S = 10.0
FRAMES = 150
PERIODS = 400_000


class LinkCase:
    """One case, and the answer to it: a number in the unit of the case, and how it was found."""

    def __init__(self, cells: Mapping[str, Any], where: str) -> None:
        self.where = where
        self.name, self.kind, self.tech = cells["id"], cells["kind"], cells["tech"]
        self.words = f"{self.name} {cells.get('description', '')}".lower()
        self.quantity = cells["quantity"]
        try:
            self.params: Params = json.loads(cells.get("params", "{}"))
        except json.JSONDecodeError as error:
            remedy = 'Write JSON, such as {"N": 2}.'
            raise LightboundError(f"{where}: params", cells["params"], f"is not JSON ({error.msg})", remedy) from error

    def answer(self) -> tuple[float, str]:
        """The figure in the unit of the case, and whether a closed form or events gave it."""
        if self.quantity not in _ANSWERS:
            raise LightboundError(
                f"{self.where}: quantity",
                self.quantity,
                "is not one that is answered",
                choose_from(_ANSWERS, self.quantity),
            )
        try:
            return _ANSWERS[self.quantity](self)
        except KeyError as error:
            remedy = f"Add it: {self.quantity!r} needs it."
            raise LightboundError(f"{self.where}: params", dict(self.params), f"has no {error}", remedy) from error

    @property
    def broadcast(self) -> bool:
        """Whether nothing is acknowledged."""
        return "broadcast" in self.words

    def link(self) -> CsmaLink:
        """802.11p with what the parameters change."""
        p = self.params
        made = link(
            "802.11p",
            rate=f"{p['rate_mbps']} Mbps" if "rate_mbps" in p else None,
            ack_rate=f"{p['ack_rate_mbps']} Mbps" if "ack_rate_mbps" in p else None,
            symbol=f"{p['symbol_us']} us" if "symbol_us" in p else None,
            retry_limit=None if p.get("retry", "inf") == "inf" else p["retry"],
            broadcast=self.broadcast,
        )
        assert isinstance(made, CsmaLink)
        fields: dict[str, Any] = {
            name: p[key] for name, key in (("fragment_bytes", "frag_B"), ("header_bytes", "hdr_B")) if key in p
        }
        if "payload_B" in p:
            fields["fragment_bytes"] = p["payload_B"]
        if "W" in p:
            fields["cw_min"] = p["W"] - 1
        if "CWmax" in p:
            fields["cw_max"] = p["CWmax"]
        elif "m" in p and "W" in p:
            fields["cw_max"] = p["W"] * 2 ** p["m"] - 1
        for name, key in (("slot_s", "slot_us"), ("sifs_s", "sifs_us"), ("ack_timeout_s", "ack_timeout_us")):
            if key in p:
                fields[name] = p[key] * 1e-6
        made = replace(made, **fields)
        if "difs_us" in p:
            made = replace(made, aifs_slots=round((p["difs_us"] * 1e-6 - made.sifs_s) / made.slot_s))
        return made


Answer = tuple[float, str]


def _closed(value: float) -> Answer:
    return float(value), "closed form"


def _duration(case: LinkCase) -> Answer:
    p = case.params
    made = case.link()
    if "preamble_us" in p:
        made = replace(made, preamble_s=(p["preamble_us"] + p.get("signal_us", 0)) * 1e-6)
    return _closed(1e6 * made.ppdu_s(p["mpdu_B"]))


def _frame_mean(case: LinkCase) -> Answer:
    return _closed(1e3 * case.link().transfer_s(case.params["bytes"]))


def _throughput(case: LinkCase) -> Answer:
    made, p = case.link(), case.params
    if case.kind.startswith("measured"):
        found = [saturated_throughput_bps(made, p["N"], SATURATED_S, seed) for seed in range(SEEDS)]
        return float(np.mean(found)) / 1e6, "events"
    if case.broadcast or "Ts_us" in p:
        tau, _ = fixed_point(p["N"], p["W"], p.get("m", 0))
        success = p.get("Ts_us", p.get("T_us", 0)) * 1e-6
        both = (success, p["Tc_us"] * 1e-6 if "Tc_us" in p else success)
        return _closed(throughput_bps(p["N"], tau, p["payload_B"], made.slot_s, *both) / 1e6)
    return _closed(saturation(made, p["N"]).throughput_bps / 1e6)


def _tau(case: LinkCase) -> Answer:
    return _closed(fixed_point(case.params["N"], case.params["W"], case.params.get("m", 0))[0])


def _collision(case: LinkCase) -> Answer:
    p = case.params
    if "W" in p:
        return _closed(fixed_point(p["N"], p["W"], p.get("m", 0))[1])
    if "r" not in p:
        return _closed(memoryless_collision(p["N"], p["R"]))
    if p["N"] == 2:
        return _closed(sensing_collision(2, p["R"], p["r"]))
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
    return _closed(packet_error(p["snr_db"], modulation, p["rate"], p["bits"]))


def _block(case: LinkCase) -> Answer:
    p = case.params
    if "itbs" in p:
        return _closed(lte_block_bits(p["itbs"], p["prb"]))
    shape = (p["symbols"], p["dmrs_re_per_prb"], p["sci1_re"], p["sci2_bits"], p["beta"])
    return _closed(nr_block_bits(p["mcs"], p["prb"], *shape))


def _slots(case: LinkCase) -> Answer:
    p = case.params
    bits = p["tbs"] if "tbs" in p else lte_block_bits(p["itbs"], p["prb"])
    return _closed(ceil(8 * p["bytes"] / bits))


def _shapes(params: Params) -> list[list[int]]:
    """Every tensor that the parameters give: as C, H and W, or as lists."""
    found = [[params["C"], params["H"], params["W"]]] if "C" in params and "H" in params else []
    for value in params.values():
        if isinstance(value, list):
            found += value if value and isinstance(value[0], list) else [value]
    return found


def _bytes(case: LinkCase) -> Answer:
    shapes = _shapes(case.params)
    word = case.params.get("bytes", case.params.get("dtype_B", 4))
    if not shapes:
        name = "cos_coco" if "cos" in case.words else "ptp"
        return _closed(word * architecture(name).message(Sensors()).values)
    return _closed(sum(prod(shape) for shape in shapes) * word)


def _log2_bytes(case: LinkCase) -> Answer:
    return _closed(log2(_bytes(case)[0]))


def _macs(case: LinkCase) -> Answer:
    """Of the products of one radian-glue block, or of an architecture's agents together."""
    p = case.params
    if "C1" in p:
        sizes = {"W": p["w"], "I": p["h1"], "J": p["h2"], "D": p["C2"], "A": p["C1"], "C": p["C1"]}
        heads = p.get("heads", 8)
        block = workload("rg_attn", "dair_v2x_ptp", **sizes, H=heads, E=p["C1"] // heads)
        counted = {name: kinds.get("mac", 0) for name, kinds in operations(block.cascade).items()}
        return _closed((sum(counted.values()) - counted["RAY"]) / 1e9)  # the gather is no product
    chosen = architecture("cos_coco" if "cos" in case.words else "ptp", pillars=p.get("P", p.get("points")))
    agents = [Sensors()] * p.get("N", p.get("agents", 2))
    if "sender" in case.words:
        return _closed(sum(stage.macs for stage in chosen.sender_stages(agents[0], sends=False)) / 1e9)
    if "ego" in case.words:
        return _closed(sum(stage.macs for stage in chosen.ego_stages(agents)) / 1e9)
    return _closed(chosen.macs(agents) / 1e9)


def _megabits(case: LinkCase) -> Answer:
    return _closed(sum(prod(shape) for shape in _shapes(case.params)) * 32 / 1e6)


def _age(which: int) -> Callable[[LinkCase], Answer]:
    def answer(case: LinkCase) -> Answer:
        p = case.params
        return _closed(1e3 * periodic_age(p["T_ms"] * 1e-3, p["d_ms"] * 1e-3, p["p"])[which])

    return answer


def _busy_ratio(case: LinkCase) -> Answer:
    p = case.params
    return _closed(p["N"] * p["hz"] * case.link().ppdu_s(p["mpdu_B"]))


def _wait(case: LinkCase) -> Answer:
    return _closed(1e3 * random_arrivals_wait_s(case.params["S_ms"] * 1e-3, case.params["rho"]))


def _ratio(case: LinkCase) -> Answer:
    p = case.params
    capacity = link("ideal", rate=f"{p['rate_mbps']} Mbps").capacity_bytes_per_s(1)
    return _closed(p["N"] * p["bytes"] * p["hz"] / capacity)


def _latency(case: LinkCase) -> Answer:
    """The pipeline by events, which must be the closed form."""
    p = case.params
    stages = tuple(Stage(f"stage {n}", 1e-3 * ms, unit=f"server {n}") for n, ms in enumerate(p["stages_ms"]))
    alone = Scenario((Agent("alone", before=stages),), link("ideal"), p["T_ms"] * 1e-3, p["frame"], fusion="newest")
    output = next(one for one in run(alone, drain_s=60).outputs if one.frame == p["frame"] - 1)
    exact = tandem_latency_s([1e-3 * ms for ms in p["stages_ms"]], p["T_ms"] * 1e-3, p["frame"] - 1)
    found = output.output_s - output.captured_s
    if abs(found - exact) > 1e-6:
        raise AssertionError(f"events say {found}, the closed form {exact}")
    return 1e3 * found, "events"


def _path_loss(case: LinkCase) -> Answer:
    p = case.params
    if "h_m" in p or "winner" in case.words:
        return _closed(winner_b1_los(p["d_m"], p["f_ghz"], p.get("h_m", 1.5)))
    model = nlos if "nlos" in case.words else urban_los if "urban" in case.words else highway_los
    return _closed(model(p["d_m"], p["f_ghz"]))


def _delay(case: LinkCase) -> Answer:
    return _closed(1e6 * free_delay_s(case.params["d_m"]))


def _noise(case: LinkCase) -> Answer:
    p = case.params
    hertz = p["bw_mhz"] * 1e6 if "bw_mhz" in p else p["bw_hz"]
    return _closed(noise_dbm(hertz, p.get("nf_db", 9)))


def _transfer(case: LinkCase) -> Answer:
    p = case.params
    port = link("ethernet", rate=f"{p.get('rate_mbit', p.get('rate_mbps'))} Mbps", protocol=p["proto"])
    assert isinstance(port, WiredLink)
    return _closed(1e3 * port.transfer_s(p["bytes"]))


def _sending(case: LinkCase) -> Answer:
    return _closed(1e3 * _asynchronous(case).sending_s)


def _mean_delay(case: LinkCase) -> Answer:
    return 1e3 * drawn_delays(case.params).mean(), "events"


def _stale(case: LinkCase) -> Answer:
    return _closed(_asynchronous(case).stale)


def _asynchronous(case: LinkCase) -> Any:
    p = case.params
    computing, overhead = p.get("backbone_ms", 10) * 1e-3, p.get("overhead_ms", 100) * 1e-3
    return asynchronous_delay(p["data_Mb"] * 1e6, p["rate_mbps"] * 1e6, overhead, computing)


def drawn_delays(params: Params, frames: int = 10_000, seed: int = 0) -> np.ndarray:
    """Delays in seconds of messages in the pipeline by events, on a channel of their own: no contention, no headers."""
    late = Stage("asynchrony", 0.0, "clock", params["overhead_ms"] * 1e-3)
    stages = (late, Stage("backbone", params["backbone_ms"] * 1e-3))
    agents = (Agent("fuser"), Agent("sender", stages, payload_bytes=round(params["data_Mb"] * 1e6 / 8)))
    alone = Scenario(agents, link("ideal", rate=f"{params['rate_mbps']} Mbps"), 1.0, frames, fusion="newest")
    return np.array([one.arrived[0] - one.captured_s for one in run(alone, seed).messages])


def _budget(case: LinkCase) -> Answer:
    return _closed(case.params["rate_mbps"] / case.params["hz"])


def _half_duplex(case: LinkCase) -> Answer:
    p = case.params
    slot = p.get("subframe_ms", p.get("slot_ms"))
    return _closed(half_duplex_loss(p["rate_hz"], slot * 1e-3))


def _tenure(case: LinkCase) -> Answer:
    p = case.params
    return _closed(mean_tenure(p["rc_min"], p["rc_max"], p["p_keep"]))


_ANSWERS: dict[str, Callable[[LinkCase], Answer]] = {
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
    "subframes": _slots,
    "p_hd": _half_duplex,
    "mean_tenure": _tenure,
    "bytes": _bytes,
    "log2_bytes": _log2_bytes,
    "GMAC": _macs,
    "Mb": _megabits,
    "mean_AoI": _age(0),
    "mean_PAoI": _age(1),
    "CBR": _busy_ratio,
    "wait": _wait,
    "ratio": _ratio,
    "latency": _latency,
    "PL": _path_loss,
    "delay": _delay,
    "noise": _noise,
    "transfer": _transfer,
    "t_tx": _sending,
    "mean_delay": _mean_delay,
    "p_stale": _stale,
    "Mb_per_frame": _budget,
}
