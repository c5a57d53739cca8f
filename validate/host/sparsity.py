"""Masks for real: how much faster the host's sparse kernel is than its dense one, beside every rung of the ladder.

The ladder counts operations, then tiles, then adds what a kernel does beside whole tiles (the estimate). Operations and
tiles are bounds: a visit cannot be quicker than the quickest visit of the dense kernel, which is measured at several
lengths, since a shorter one keeps its keys in a nearer cache.

A speedup compares what was measured alike: samples that had the core for themselves where both kernels have enough of
them, else all samples of both, and then no bound is judged: how much of the core either had is a matter of luck.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.kernels import host
from lightbound.kernels.host.windows import TILES
from lightbound.workloads.masks.gna import GNA

from .cases import Call, HostCase
from .measure import Measurement, measure
from .predict import issue_width, predict_host

HEADS, DIM = 1, 128
MASKS = (
    ((12, 24, 24), (4, 12, 12), (4, 4, 4)),
    ((12, 24, 24), (4, 8, 8), (4, 8, 8)),
    ((12, 24, 24), (8, 12, 12), (4, 4, 4)),
    ((12, 24, 24), (4, 12, 12), (1, 1, 1)),
    ((12, 24, 24), (8, 8, 8), (8, 8, 8)),
    ((48, 48), (16, 16), (8, 8)),
    ((48, 48), (16, 16), (16, 16)),
    ((48, 48), (24, 24), (1, 1)),
    ((48, 48), (15, 17), (3, 5)),
    ((4096,), (512,), (64,)),
    ((4096,), (256,), (256,)),
    ((4096,), (1000,), (1,)),
)
"""Grid, window and stride; the first is a small grid of a video model with a stride at which no visit is masked."""
LENGTHS = (512, 1024, 2048)  # of dense runs that show how quick a visit can be


@dataclass(frozen=True)
class Rungs:
    """One mask: speedups over the dense kernel of the same grid, each rung at most the one before.

    quickest: how much quicker the quickest dense visit is than a visit of this grid's dense kernel, 1 or more; the
    rungs that are bounds are multiplied by it.
    """

    mask: GNA
    dense: Measurement
    sparse: Measurement
    operations: float
    tiles: float
    estimated: float
    quickest: float

    @property
    def alone(self) -> bool:
        """Whether both kernels were measured while the core was theirs alone."""
        return _alone(self.dense, self.sparse)

    @property
    def measured(self) -> float:
        """Dense over sparse time."""
        return _seconds(self.dense, self.alone) / _seconds(self.sparse, self.alone)

    @property
    def share(self) -> float:
        """The measured speedup over the bound by tiles."""
        return self.measured / self.tiles

    @property
    def violated(self) -> str:
        """The tightest bound that was beaten beyond both confidence intervals; empty if all hold, or none is judged."""
        if not self.alone:
            return ""
        least = self.dense.interval_s[0] / self.sparse.interval_s[1]
        for name, bound in (("tiles", self.tiles), ("operations", self.operations)):
            if least > bound * self.quickest:
                return name
        return ""

    def to_dict(self) -> dict[str, Any]:
        """The mask as one flat row."""
        return {
            "grid": "x".join(map(str, self.mask.grid)),
            "window": "x".join(map(str, self.mask.window)),
            "stride": "x".join(map(str, self.mask.stride)),
            "operations": self.operations,
            "tiles": self.tiles,
            "estimated": self.estimated,
            "measured": self.measured,
            "share_of_tiles": self.share,
            "violated": self.violated,
            "alone": self.alone,
            "noisy": self.dense.noisy or self.sparse.noisy,
        }


def climb(
    machine: Machine,
    masks: Sequence[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = MASKS,
    repeats: int = 8,
    budget_s: float = 60.0,
) -> tuple[Rungs, ...]:
    """The ladder of every mask, measured on one thread of a machine of `host_machine`."""
    made = [GNA(*mask) for mask in masks]
    tokens = list(dict.fromkeys(mask.queries for mask in made))
    calls = [_dense(count) for count in (*LENGTHS, *tokens)] + [_sparse(mask) for mask in made]
    found = measure(calls, repeats, budget_s, issue_width=issue_width(machine))
    short, dense = found[: len(LENGTHS)], dict(zip(tokens, found[len(LENGTHS) :], strict=False))
    lengths = (*zip(LENGTHS, short, strict=True), *dense.items())
    alone = _alone(*(one for _, one in lengths))
    quickest = {count: (one.interval_s[0] if alone else one.every_s) / _visits(count) for count, one in lengths}
    visit_s = min(quickest.values())
    rungs = []
    for mask, sparse in zip(made, found[len(LENGTHS) + len(tokens) :], strict=True):
        counted = mask.count(*TILES[len(mask.grid)])
        base = dense[mask.queries]
        sizes = {"B": 1, "H": HEADS, "P": mask.queries, "M": mask.keys, "E": DIM, "F": DIM}
        options = {"grid": mask.grid, "window": mask.window, "stride": mask.stride}
        estimates = [predict_host(case, machine).latency_s for case in (HostCase("attention", sizes),
                     HostCase("attention_gna", sizes, options))]  # fmt: skip
        rungs.append(
            Rungs(
                mask=mask,
                dense=base,
                sparse=sparse,
                operations=1 / mask.density,
                tiles=_visits(mask.queries) / HEADS / counted.visits_total,
                estimated=estimates[0] / estimates[1],
                quickest=max(1.0, _seconds(base, alone) / _visits(mask.queries) / visit_s),
            )
        )
    return tuple(rungs)


def _alone(*measured: Measurement) -> bool:
    return all(not one.noisy and one.share == 1 for one in measured)


def _seconds(measured: Measurement, alone: bool) -> float:
    """Of a call, by the samples that had the core for themselves or by all."""
    return measured.median_s if alone else measured.every_s


def _visits(tokens: int) -> int:
    return HEADS * (-(-tokens // 64)) ** 2


def _inputs(tokens: int) -> list[np.ndarray]:
    rng = np.random.default_rng(tokens)
    return [rng.standard_normal((1, HEADS, tokens, DIM)).astype(np.float32) for _ in range(3)]


def _dense(tokens: int) -> Call:
    q, k, v = _inputs(tokens)
    out = np.empty_like(q)
    return lambda seconds: host.attention(q, k, v, threads=1, seconds=seconds, out=out)


def _sparse(mask: GNA) -> Call:
    q, k, v = _inputs(prod(mask.grid))
    out = np.empty_like(q)
    function: Callable[..., Any] = host.gna_attention
    return lambda seconds: function(q, k, v, mask.grid, mask.window, mask.stride, threads=1, seconds=seconds, out=out)
