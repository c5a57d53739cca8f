"""What a published claim about hardware comes to here: reproduced, bounded, contradicted, or not derivable.

A quantity follows from the runs that a claim names, their cascades and sizes, and the machine: never from the number
that is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from lightbound.base.errors import LightboundError
from lightbound.sim.simulate import simulate
from lightbound.workloads.claim import Claim, Quantity, Run
from lightbound.workloads.counts import compulsory_traffic, footprint, operations
from lightbound.workloads.memory import peak_memory
from lightbound.workloads.method import Method
from lightbound.workloads.passes import pass_of
from lightbound.workloads.registry import Workload, workload

Verdict = Literal["reproduced", "bounded", "contradicted", "not derivable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Judged:
    """A claim of a method with what was derived for it. `derived` is None where nothing could be, and `why` says why
    not, or why it differs; `error` is relative to the claim.
    """

    method: str
    claim: Claim
    verdict: Verdict
    derived: float | None = None
    why: str = ""

    @property
    def error(self) -> float | None:
        return None if self.derived is None else self.derived / self.claim.value - 1

    def to_dict(self) -> dict[str, object]:
        """The verdict as one flat row."""
        one = self.claim
        return {
            "method": self.method,
            "claim": one.name,
            "statement": one.statement,
            "claimed": one.value,
            "unit": one.unit,
            "derived": self.derived,
            "relative_error": self.error,
            "verdict": self.verdict,
            "why": self.why,
            "quantity": one.quantity,
            "machine": one.machine,
            "exact": one.exact,
            "evidence": one.evidence,
            "source": one.source,
        }


def judge(method: Method, claim: Claim) -> Judged:
    """Derive a claim's quantity and class it."""
    if claim.not_derivable:
        return Judged(method.name, claim, "not derivable", why=claim.not_derivable)
    derived = derive(method, claim)
    if claim.exact:
        met = agrees(derived, claim.value)
        return Judged(method.name, claim, "reproduced" if met else "contradicted", derived, claim.note)
    if abs(derived / claim.value - 1) <= claim.tolerance:
        return Judged(method.name, claim, "reproduced", derived, claim.note)
    if _may_fall_short(claim) and _beyond(derived, claim):
        return Judged(method.name, claim, "bounded", derived, claim.note)
    return Judged(method.name, claim, "contradicted", derived, claim.note)


def derive(method: Method, claim: Claim) -> float:
    """The claim's quantity from its runs alone; of a ratio, the ratio."""
    if claim.quantity is None:
        remedy = f"Choose of {', '.join(OF)}, or say why it is not derivable."
        raise LightboundError(f"claims of {method.name}", claim.name, "names no quantity", remedy)
    of = OF[claim.quantity]
    value = of(method, claim, claim.runs)
    if not claim.baseline:
        return value
    baseline = of(method, claim, claim.baseline)
    return value / baseline if claim.inverted else baseline / value


def agrees(derived: float, value: float) -> bool:
    """Whether a count is the claimed one, to the digits that the claim has: all of an integer."""
    if isinstance(value, int):
        return derived == value
    mantissa = repr(value).partition("e")[0]
    digits = mantissa.replace(".", "").replace("-", "").strip("0")
    leading = math.floor(math.log10(abs(value)))
    unit = 10.0 ** (leading - len(digits) + 1)
    return abs(derived - value) <= 0.5 * unit * (1 + 1e-9)


def _may_fall_short(claim: Claim) -> bool:
    """Measured times: a real kernel may be slower than what is simulated, and a real speedup smaller."""
    return claim.quantity == "latency_s"


def _beyond(derived: float, claim: Claim) -> bool:
    smaller_is_better = not claim.baseline or claim.inverted
    return derived <= claim.value if smaller_is_better else derived >= claim.value


# ---- quantities ---------------------------------------------------------------------------------------------------


def _work(method: Method, run: Run) -> Workload:
    return workload(run.method or method.name, run.preset, run.variant, **run.sizes)


def _machine(claim: Claim) -> str:
    if claim.machine is None:
        raise LightboundError(f"claim {claim.name}", None, "names no machine", "Give it the one it was measured on.")
    return claim.machine


@lru_cache(maxsize=1024)
def _latency(run: tuple[Any, ...], sizes: tuple[tuple[str, Any], ...], machine: str) -> float:
    name, preset, variant, mapping = run
    return float(simulate(workload(name, preset, variant, **dict(sizes)), machine, mapping).latency_s)


def _latency_s(method: Method, claim: Claim, runs: Iterable[Run]) -> float:
    total = 0.0
    for run in runs:
        meant = (run.method or method.name, run.preset, run.variant, run.mapping)
        total += run.times * _latency(meant, tuple(sorted(run.sizes.items())), _machine(claim))
    return total


def _summed(of: Callable[[Workload, Run, Claim], float]) -> Callable[[Method, Claim, Iterable[Run]], float]:
    return lambda method, claim, runs: sum(run.times * of(_work(method, run), run, claim) for run in runs)


def _macs(work: Workload, run: Run, claim: Claim) -> float:
    return kept_operations(work).get("mac", 0)


def kept_operations(work: Workload) -> dict[str, float]:
    """Operations by kind; of an Einsum over the pairs of a mask, those of the pairs that it leaves."""
    total: dict[str, float] = {}
    masked = set(work.method.mask_ranks) if work.mask is not None else set()
    for name, kinds in operations(work.cascade).items():
        over_pairs = bool(masked) and masked <= set(work.cascade.einsum(name).ranks)
        share = work.mask.density if over_pairs and work.mask is not None else 1
        for op, count in kinds.items():
            total[op] = total.get(op, 0) + share * float(count)
    return total


def _parameters(work: Workload, run: Run, claim: Claim) -> float:
    return float(
        sum(footprint(work.cascade, tensor) for tensor in work.cascade.inputs if tensor in work.method.weights)
    )


def _traffic_bytes(work: Workload, run: Run, claim: Claim) -> float:
    if claim.machine is None:
        return float(sum(compulsory_traffic(work.cascade, work.word_bytes).values()))
    found = simulate(work, claim.machine, run.mapping)
    return float(next(iter(found.traffic_bytes.values())))


def _state_bytes(work: Workload, run: Run, claim: Claim) -> float:
    carried = [*work.cascade.iterative, *(tensor for tensor in work.cascade.inputs if tensor in work.method.state)]
    return float(sum(footprint(work.cascade, tensor) for tensor in carried) * work.word_bytes)


def _peak_memory_bytes(work: Workload, run: Run, claim: Claim) -> float:
    learned = [tensor for tensor in work.cascade.inputs if tensor in work.method.weights]
    return float(peak_memory(work, training=run.training, parameters=learned).activation_bytes)


def _passes(method: Method, claim: Claim, runs: Iterable[Run]) -> float:
    return max(max(one.count for one in pass_of(_work(method, run).cascade).values()) for run in runs)


def _growth(method: Method, claim: Claim, runs: Iterable[Run]) -> float:
    small = large = 0.0
    for run in runs:
        work = _work(method, run)
        doubled = {symbol: 2 * work.sizes[symbol] for symbol in claim.grows_with if symbol in work.sizes}
        small += run.times * sum(kept_operations(work).values())
        large += run.times * sum(kept_operations(work.with_sizes(**doubled)).values())
    return math.log2(large / small)


OF: dict[Quantity, Callable[[Method, Claim, Iterable[Run]], float]] = {
    "latency_s": _latency_s,
    "flops": lambda method, claim, runs: 2 * _summed(_macs)(method, claim, runs),
    "macs": _summed(_macs),
    "parameters": _summed(_parameters),
    "traffic_bytes": _summed(_traffic_bytes),
    "peak_memory_bytes": _summed(_peak_memory_bytes),
    "state_bytes": _summed(_state_bytes),
    "passes": _passes,
    "growth": _growth,
}
