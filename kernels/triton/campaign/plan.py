"""What a campaign times, and in which order.

The order is fixed. Cases of all kernels are interleaved, so that a drift of the machine shows in all alike, and a run
that stops early has some of every kernel; those of one kernel come in the order of a hash, so that the first few are of
all sizes. Peers run right after the kernel they stand beside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lightbound.base.errors import LightboundError, choose_from

from ..kernel import Case, Tile, TritonKernel
from .records import OURS

SPLITS = ("calibration", "held_out", "all")
Peers = bool | tuple[str, ...]  # all, none, or those whose names begin so
TUNED = 4  # calibration cases of a kernel on which tiles are compared


@dataclass(frozen=True)
class Task:
    """One thing to time: a case by a kernel at a tile, or by one of its peers."""

    kernel: TritonKernel
    case: Case
    tile: Tile
    implementation: str = OURS
    tuning: bool = False

    @property
    def key(self) -> str:
        """The task in words, the same in every run."""
        what = self.tile.name if self.implementation == OURS else self.implementation
        kind = "tuning" if self.tuning else "timing"
        return f"{kind} | {self.case.kernel} | {self.case.name} | {what}"


def plan(
    kernels: Sequence[TritonKernel], capability: int, split: str = "all", peers: Peers = False, tune: bool = False
) -> list[Task]:
    """The tasks of a campaign, in order; with `tune`, tiles of some calibration cases instead of all cases."""
    if split not in SPLITS:
        raise LightboundError("--split", split, "is no part of the cases", choose_from(SPLITS, split))
    ordered: list[tuple[float, int, list[Task]]] = []
    for number, kernel in enumerate(kernels):
        cases = _tuned(kernel) if tune else _in_split(kernel.cases, split)
        for place, case in enumerate(cases):
            make = _tiles if tune else _implementations
            ordered.append((place / len(cases), number, make(kernel, case, capability, peers)))
    ordered.sort(key=lambda one: one[:2])
    return [task for _, _, tasks in ordered for task in tasks]


def _in_split(cases: Iterable[Case], split: str) -> list[Case]:
    kept = [case for case in cases if split == "all" or case.held_out == (split == "held_out")]
    return sorted(kept, key=lambda case: hashlib.sha256(f"order {case.name}".encode()).digest())


def _implementations(kernel: TritonKernel, case: Case, capability: int, peers: Peers) -> list[Task]:
    ours = Task(kernel, case, kernel.tile(case, capability))
    beside = (name for name in kernel.peers if peers is True or (peers and name.startswith(tuple(peers))))
    return [ours, *(Task(kernel, case, ours.tile, name) for name in beside)]


def _tuned(kernel: TritonKernel) -> list[Case]:
    """Calibration cases from the smallest to the largest, evenly spread."""
    cases = sorted((case for case in kernel.cases if not case.held_out), key=lambda case: kernel.work(case).bytes)
    if len(cases) <= TUNED:
        return cases
    return [cases[round(place * (len(cases) - 1) / (TUNED - 1))] for place in range(TUNED)]


def _tiles(kernel: TritonKernel, case: Case, capability: int, peers: Peers) -> list[Task]:
    every = [kernel.tile(case, capability), *kernel.tiles(case, capability)]
    by_name = {tile.name: tile for tile in every}
    return [Task(kernel, case, tile, tuning=True) for tile in by_name.values()]
