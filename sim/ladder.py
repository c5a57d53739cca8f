"""A ladder of speedup bounds: each rung says what it is over dense attention, what was lost since the last, and why.

Values and their wording only; what the rungs are made of is bound.py.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from lightbound.base.errors import LightboundError, choose_from
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.masks.tile_count import TileCount
from lightbound.workloads.method import EndToEnd

from .estimate import Estimate
from .outside import Permutation, run_speedup

ROUNDING = 1e-12


@dataclass(frozen=True)
class Rung:
    """One bound on the speedup of a masked kernel over the same kernel run dense, on a machine that dense keeps busy.

    lost: the part of the speedup of the nearest bound above that is lost here. time_s: the least time of the masked
    kernel, where a machine says. A rung that is no bound (`is_bound`) may be beaten; `why` says when.
    """

    name: str
    speedup: float
    why: str
    lost: float = 0.0
    is_bound: bool = True
    informative: bool = True
    time_s: float | None = None


@dataclass(frozen=True, eq=False)
class Ladder:
    """The rungs for one mask under one tiling, and beside them what is no bound: an estimate, and costs outside.

    backends: kernels that offer the tile pair. tested_visits: visits in which kernels test scores, for one copy.
    dense_s: times of dense attention by the rungs and the estimate that have one.
    """

    workload: str
    mask: Mask
    machine: str | None
    copies: int
    count: TileCount
    rungs: tuple[Rung, ...]
    backends: tuple[str, ...]
    tested_visits: int
    permutation: Permutation
    dense_s: dict[str, float]
    estimate: Estimate | None = None
    no_estimate: str = ""
    end_to_end: EndToEnd | None = None

    @property
    def block_sparse(self) -> bool:
        """Whether no visited tile needs a mask."""
        return self.count.block_sparse

    @property
    def dense_loss(self) -> float:
        """What dense attention itself loses to waves, as a part of its time without them; 0 without a machine."""
        return self.dense_s["schedule"] / self.dense_s["roofline"] - 1 if self.dense_s else 0.0

    @property
    def speedup(self) -> float:
        """The tightest bound on the speedup over dense attention that runs in the same way, waves included."""
        return min(rung.speedup for rung in self.rungs if rung.is_bound) * (1 + self.dense_loss)

    @property
    def time_s(self) -> float | None:
        """The latest of the times that no kernel can be faster than; None without a machine."""
        return max((rung.time_s for rung in self.rungs if rung.time_s is not None), default=None)

    @property
    def estimated_speedup(self) -> float | None:
        """Predicted time of dense attention over that of the masked kernel; token permutation not counted."""
        return self.dense_s["estimate"] / self.estimate.kernel_s if self.estimate else None

    @property
    def estimated_total_speedup(self) -> float | None:
        """The same with token permutation before and after the kernel."""
        if self.estimate is None:
            return None
        return self.dense_s["estimate"] / (self.estimate.kernel_s + (self.permutation.seconds or 0.0))

    def rung(self, name: str) -> Rung:
        """The rung of this name; LightboundError lists those there are."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise LightboundError("rung", name, "is not on this ladder", choose_from((r.name for r in self.rungs), name))

    def run_speedup(self, speedup: float, dense_steps: int = 0, share: float | None = None) -> float:
        """How much faster a run of the model gets from a speedup of attention; the share is the preset's if not given.

        Raises LightboundError where neither says what share of a run attention is.
        """
        known = self.end_to_end
        if share is None and known is None:
            remedy = "Give a share, or take a preset that has one."
            raise LightboundError("share", None, f"of {self.workload} in a run is not known", remedy)
        steps = known.steps if known is not None else max(dense_steps, 1)
        return run_speedup(speedup, share if share is not None else known.share if known else 0, steps, dense_steps)

    def explain(self) -> str:
        """The ladder in sentences."""
        from .ladder_text import explain

        return explain(self)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        runs = {rung.name: self.run_speedup(rung.speedup) for rung in self.rungs} if self.end_to_end else None
        return {
            "workload": self.workload,
            "mask": repr(self.mask),
            "machine": self.machine,
            "copies": self.copies,
            "backends": list(self.backends),
            "count": self.count.to_dict(),
            "block_sparse": self.block_sparse,
            "tested_visits": self.tested_visits,
            "speedup": self.speedup,
            "dense_loss": self.dense_loss,
            "time_s": self.time_s,
            "rungs": [asdict(rung) for rung in self.rungs],
            "estimate": self.estimate.to_dict() if self.estimate else None,
            "estimated_speedup": self.estimated_speedup,
            "estimated_total_speedup": self.estimated_total_speedup,
            "no_estimate": self.no_estimate,
            "dense_s": dict(self.dense_s),
            "permutation": asdict(self.permutation),
            "end_to_end": asdict(self.end_to_end) if self.end_to_end else None,
            "run_speedups": runs,
        }


def chained(rungs: list[Rung]) -> tuple[Rung, ...]:
    """The rungs with what each lost since the bound above it. One that lies below a later bound is none itself.

    A later rung is higher where dense attention loses more to padding than the masked kernel does.
    """
    highest = 0.0
    claimed: list[Rung] = []
    for rung in reversed(rungs):
        holds = rung.is_bound and rung.speedup >= highest * (1 - ROUNDING)
        highest = max(highest, rung.speedup) if holds else highest
        claimed.append(rung if holds or not rung.is_bound else replace(rung, is_bound=False, why=rung.why + _BEATEN))
    above: float | None = None
    found = []
    for rung in reversed(claimed):
        lost = 1 - rung.speedup / above if above else 0.0
        found.append(replace(rung, lost=0.0 if abs(lost) < ROUNDING else lost))
        above = rung.speedup if rung.is_bound else above
    return tuple(found)


_BEATEN = " Not a bound here: dense attention itself pads more."
