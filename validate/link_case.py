"""One case of a table of link figures: its parameters with units in their names, and the link that they describe.

A case states its quantity, the technology it belongs to, and parameters as JSON. What is answered, and how, is in
``radio_answers`` and ``agent_answers``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lightbound.base.errors import LightboundError, choose_from
from lightbound.sim.radio.csma import CsmaLink
from lightbound.sim.radio.link import link

Params = Mapping[str, Any]
Answer = tuple[float, str]
"""A number in the unit of the case, and how it was found: ``closed form``, ``events`` or ``draws``."""

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
ALIASES = {
    "per": "PER",
    "tbs": "TBS",
    "cbr": "CBR",
    "subframes": "slots",
    "mean": "mean_ms",
    "p50_ms": "p50",
    "p95_ms": "p95",
    "volume_mb": "Mb",
    "mean_aoi": "mean_AoI",
    "mean_paoi": "mean_PAoI",
    "path_loss": "PL",
    "t_prop": "delay",
    "propagation": "delay",
    "prop_delay": "delay",
    "noise_dbm": "noise",
    "stale": "p_stale",
    "p_stale_ge1": "p_stale",
    "stale_prob": "p_stale",
    "gmac": "GMAC",
}


class LinkCase:
    """One case, read."""

    def __init__(self, cells: Mapping[str, Any], where: str) -> None:
        self.where = where
        self.name, self.kind, self.tech = cells["id"], cells["kind"], cells["tech"]
        self.words = f"{self.name} {cells.get('description', '')}".lower()
        self.quantity, self.unit = cells["quantity"], cells["unit"]
        try:
            self.params: Params = json.loads(cells.get("params", "{}"))
        except json.JSONDecodeError as error:
            remedy = 'Write JSON, such as {"N": 2}.'
            raise LightboundError(f"{where}: params", cells["params"], f"is not JSON ({error.msg})", remedy) from error

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


Answers = Mapping[str, Callable[[LinkCase], Answer]]


def answer(case: LinkCase, answers: Answers) -> Answer:
    """The answer to a case. Raises LightboundError for a quantity that has none, and for parameters that it lacks."""
    asked = ALIASES.get(case.quantity.lower(), case.quantity)
    if asked not in answers:
        remedy = choose_from(answers, case.quantity)
        raise LightboundError(f"{case.where}: quantity", case.quantity, "is not one that is answered", remedy)
    try:
        return answers[asked](case)
    except KeyError as error:
        remedy = f"Add it: {case.quantity!r} needs it."
        raise LightboundError(f"{case.where}: params", dict(case.params), f"has no {error}", remedy) from error


def closed(value: float) -> Answer:
    """An answer in closed form."""
    return float(value), "closed form"
