"""Rotating inputs of a case: so many independent sets that their bytes exceed the L2 cache twice, as memory allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from .plan import Task
from .records import OURS
from .timing import Run

MOST_SETS = 512  # enough for 240 KiB a call, or less where a launch takes longer than to read them
MEMORY = 0.7  # of what is free, for inputs and outputs


@dataclass(frozen=True)
class Inputs:
    """What to call in turn, each with inputs of its own. `bytes`: that one call must read and write. `l2`: ``cold``
    where all together exceed the L2 cache twice, else ``partly warm``.
    """

    runs: tuple[Run, ...]
    bytes: float
    l2: str


def make_inputs(task: Task, device: str) -> Inputs:
    """The inputs of a task: random, from fixed seeds."""
    make = _maker(task, device)
    moved = task.kernel.work(task.case).bytes
    if device == "cpu":
        return Inputs((make(0), make(1)), moved, "not a GPU")
    import torch

    cache = torch.cuda.get_device_properties(device).L2_cache_size
    before = torch.cuda.memory_allocated()
    runs = [make(0)]
    taken = max(torch.cuda.memory_allocated() - before, int(moved), 1)
    wanted = max(2, ceil(2 * cache / max(moved, 1)) + 1)
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    sets = max(1, min(wanted, MOST_SETS, 1 + int(MEMORY * free / (2 * taken))))
    runs += [make(seed) for seed in range(1, sets)]
    cold = len(runs) * moved > 2 * cache
    return Inputs(tuple(runs), moved, "cold" if cold else "partly warm")


def _maker(task: Task, device: str) -> Callable[[int], Any]:
    if task.implementation == OURS:
        return lambda seed: task.kernel.prepare(task.case, task.tile, device, seed).run
    peer = task.kernel.peers[task.implementation]
    return lambda seed: peer(task.case, device, seed)
