"""A real link: packets between two processes over a shaped cable of this machine, against the closed form for it.

This suite measures, and takes about half a minute: it runs where it is asked for by name. Where the machine does not
let it make a link it says why and scores nothing.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from lightbound.sim.radio.link import link

from ..shaped_link import RefusedError, Transfer, measure
from ..suite import Check, Score, Suite, SuiteReport, largest_error

PAYLOADS = (250_000, 2_000_000)
RATES = (6e6, 27e6)
PROTOCOLS = ("tcp", "udp")
REPEATS = {250_000: 5, 2_000_000: 3}
BAR = 0.02
_NOTES = (
    "Measured: from the first byte handed to a socket to the last one read by the other process, median of repeats. "
    "Predicted: payload and headers of every frame, less the burst that the token bucket lets pass, over the rate.",
    "Nothing contends for this link: it checks serialisation and framing, not the radio.",
)


def run() -> SuiteReport:
    """Both protocols, payloads and rates, each several times, in rounds so that a slow moment falls on all alike."""
    cases = [Transfer(protocol, size, rate) for rate in RATES for protocol in PROTOCOLS for size in PAYLOADS]
    rounds = [case for number in range(max(REPEATS.values())) for case in cases if number < REPEATS[case.payload_bytes]]
    try:
        seconds = measure(rounds)
    except RefusedError as error:
        return SUITE.report((), (), (f"Skipped: {error}.",))
    found: dict[Transfer, list[float]] = defaultdict(list)
    for case, took in zip(rounds, seconds, strict=True):
        found[case].append(took)
    scores = [_score(case, found[case]) for case in cases]
    what = f"medians of {len(scores)} transfers, largest error"
    return SUITE.report((Check(what, BAR, largest_error(scores)),), scores, (*_NOTES, _spread(found)))


def _score(case: Transfer, seconds: list[float]) -> Score:
    shaped = link("ethernet", rate=case.rate_bps, protocol=case.protocol, burst=case.burst_bytes)
    keys = {"protocol": case.protocol, "payload_bytes": case.payload_bytes, "rate_bps": case.rate_bps}
    group = f"{case.protocol}, {case.payload_bytes / 1e6:g} MB at {case.rate_bps / 1e6:g} Mb/s"
    predicted = shaped.transfer_s(case.payload_bytes)
    return Score(group, "seconds", {**keys, "repeats": len(seconds)}, median(seconds), predicted)


def _spread(found: dict[Transfer, list[float]]) -> str:
    widest = max(max(seconds) / min(seconds) - 1 for seconds in found.values())
    return f"Between repeats of one transfer, at most {widest:.1%} lay between the quickest and the slowest."


SUITE = Suite(
    name="link",
    title="A real link: TCP and UDP between two processes over a shaped cable",
    source="measured here and now, in network namespaces joined by veth and shaped by tc tbf",
    run=run,
    by_name=True,
)
