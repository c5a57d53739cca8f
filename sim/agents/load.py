"""How much of each resource a scenario asks for, in closed form: above one, no queue ever empties.

Units of computation and wired ports are exact. Radio with contention is held against Bianchi's saturation (good to a
few per cent), sidelinks against the slots there are.
"""

from __future__ import annotations

from ..radio.bianchi import completions_per_s
from ..radio.csma import CsmaLink
from ..radio.sidelink import Sidelink
from ..radio.wired import IdealLink
from .scenario import Scenario


def loads(scenario: Scenario) -> dict[str, float]:
    """Work asked for over what can be done in the same time: of the link, and of every unit of an agent."""
    found: dict[str, float] = {}
    if scenario.senders:
        found["link"] = link_load(scenario)
    for number, agent in enumerate(scenario.agents):
        fused = [sender for sender in scenario.senders if sender != number] if number in scenario.fusers else []
        for stage in (*agent.before, *(agent.after if number in scenario.fusers else ())):
            name = f"{stage.unit} of {agent.name}"
            took = stage.seconds + stage.jitter_s / 2 + len(fused) * stage.each_s
            found[name] = found.get(name, 0.0) + took / scenario.period_s
    return found


def link_load(scenario: Scenario) -> float:
    """The link's load by all senders together; of a link with channels of their own, the largest."""
    link, period = scenario.link, scenario.period_s
    payloads = [scenario.agents[number].payload_bytes for number in scenario.senders]
    if isinstance(link, IdealLink):
        return max(8 * payload / link.rate_bps for payload in payloads) / period
    if isinstance(link, CsmaLink):
        fragments = sum(_whole_fragments(link, payload) for payload in payloads)
        return fragments / period / completions_per_s(link, len(payloads))
    if isinstance(link, Sidelink):
        sent = [link.transmissions(payload) for payload in payloads]
        return max(max(sent) / link.slots, sum(sent) / link.resources)
    return sum(8 * link.wire_bytes(payload) / link.rate_bps for payload in payloads) / period


def _whole_fragments(link: CsmaLink, payload: int) -> float:
    """Fragments of a message, the last one by the share of a full exchange that it takes."""
    count, last = link.fragments(payload)
    full = link.exchange_s(link.fragment_bytes) + link.mean_backoff_s
    return count - 1 + (link.exchange_s(last) + link.mean_backoff_s) / full
