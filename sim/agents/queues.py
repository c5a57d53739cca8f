"""Closed forms of what the pipeline does where nothing contends: they check the events, and answer at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from lightbound.base.errors import LightboundError


def tandem_latency_s(stages_s: Sequence[float], period_s: float, frame: int) -> float:
    """Latency of a frame (the first is 0) through stages with a server each, frames arriving every period. Exact."""
    return sum(stages_s) + frame * max(0.0, max(stages_s) - period_s)


def random_arrivals_wait_s(service_s: float, utilization: float) -> float:
    """Mean wait before a server with a fixed time of service, under Poisson arrivals (M/D/1). Exact."""
    if not 0 <= utilization < 1:
        raise LightboundError("utilization", utilization, "is not in [0, 1)", "Above it the queue never empties.")
    return utilization * service_s / (2 * (1 - utilization))


@dataclass(frozen=True)
class AsynchronousDelay:
    """Delay of a message without contention: sending, the mean of the whole, and the chance that it is a frame late."""

    sending_s: float
    mean_s: float
    stale: float


def asynchronous_delay(
    data_bits: float, rate_bps: float, overhead_s: float, computing_s: float, period_s: float = 0.1
) -> AsynchronousDelay:
    """A uniform delay from 0 to `overhead_s`, sending at a rate, and computing: the model of OpenCOOD and V2X-ViT.

    They cut the delay to whole milliseconds before they count frames, which moves neither figure here.
    """
    sending = data_bits / rate_bps
    fixed = sending + computing_s
    whole = floor(fixed / period_s)
    rest = fixed - whole * period_s
    late = min(1.0, max(0.0, (overhead_s - (period_s - rest)) / overhead_s)) if overhead_s else 0.0
    return AsynchronousDelay(sending, overhead_s / 2 + fixed, 1.0 if whole else late)
