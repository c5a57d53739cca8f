"""What lightbound answers for figures of cooperating agents: messages, work, ages, delays, queues and capacity.

Nothing here knows single cases.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log2, prod
from typing import Any

import numpy as np

from lightbound.sim.agents.age import periodic_age
from lightbound.sim.agents.pipeline import run
from lightbound.sim.agents.queues import asynchronous_delay, random_arrivals_wait_s, tandem_latency_s
from lightbound.sim.agents.scenario import Agent, Scenario, Stage
from lightbound.sim.radio.link import link
from lightbound.workloads.architecture import Agent as Sensors
from lightbound.workloads.architecture import architecture
from lightbound.workloads.counts import operations
from lightbound.workloads.registry import workload

from .link_case import Answer, Answers, LinkCase, Params, closed


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
        return closed(word * architecture(name).message(Sensors()).values)
    return closed(sum(prod(shape) for shape in shapes) * word)


def _log2_bytes(case: LinkCase) -> Answer:
    return closed(log2(_bytes(case)[0]))


def _macs(case: LinkCase) -> Answer:
    """Of the products of one radian-glue block, or of an architecture's agents together."""
    p = case.params
    if "C1" in p:
        sizes = {"W": p["w"], "I": p["h1"], "J": p["h2"], "D": p["C2"], "A": p["C1"], "C": p["C1"]}
        heads = p.get("heads", 8)
        block = workload("rg_attn", "dair_v2x_ptp", **sizes, H=heads, E=p["C1"] // heads)
        counted = {name: kinds.get("mac", 0) for name, kinds in operations(block.cascade).items()}
        return closed((sum(counted.values()) - counted["RAY"]) / 1e9)  # the gather is no product
    chosen = architecture("cos_coco" if "cos" in case.words else "ptp", pillars=p.get("P", p.get("points")))
    agents = [Sensors()] * p.get("N", p.get("agents", 2))
    if "sender" in case.words:
        return closed(sum(stage.macs for stage in chosen.sender_stages(agents[0], sends=False)) / 1e9)
    if "ego" in case.words:
        return closed(sum(stage.macs for stage in chosen.ego_stages(agents)) / 1e9)
    return closed(chosen.macs(agents) / 1e9)


def _megabits(case: LinkCase) -> Answer:
    return closed(sum(prod(shape) for shape in _shapes(case.params)) * 32 / 1e6)


def _age(which: int) -> Callable[[LinkCase], Answer]:
    def answer(case: LinkCase) -> Answer:
        p = case.params
        return closed(1e3 * periodic_age(p["T_ms"] * 1e-3, p["d_ms"] * 1e-3, p["p"])[which])

    return answer


def _wait(case: LinkCase) -> Answer:
    return closed(1e3 * random_arrivals_wait_s(case.params["S_ms"] * 1e-3, case.params["rho"]))


def _ratio(case: LinkCase) -> Answer:
    p = case.params
    capacity = link("ideal", rate=f"{p['rate_mbps']} Mbps").capacity_bytes_per_s(1)
    return closed(p["N"] * p["bytes"] * p["hz"] / capacity)


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


def _sending(case: LinkCase) -> Answer:
    return closed(1e3 * _asynchronous(case).sending_s)


def _mean_delay(case: LinkCase) -> Answer:
    return 1e3 * drawn_delays(case.params).mean(), "events"


def _stale(case: LinkCase) -> Answer:
    return closed(_asynchronous(case).stale)


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
    return closed(case.params["rate_mbps"] / case.params["hz"])


AGENTS: Answers = {
    "bytes": _bytes,
    "log2_bytes": _log2_bytes,
    "GMAC": _macs,
    "Mb": _megabits,
    "mean_AoI": _age(0),
    "mean_PAoI": _age(1),
    "wait": _wait,
    "ratio": _ratio,
    "latency": _latency,
    "t_tx": _sending,
    "mean_delay": _mean_delay,
    "p_stale": _stale,
    "Mb_per_frame": _budget,
}
