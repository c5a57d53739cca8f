"""Shapes that nobody has looked at, drawn from a number: how far off predictions are where no mechanism was chosen.

Sizes lie evenly along a logarithmic scale between the least and the largest of a kernel's shapes that are always
compared, so that most are ragged; no call is predicted to be shorter or longer than those, or shorter than a
microsecond.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log, prod
from random import Random
from typing import Any

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError

from .cases import HostCase, host_cases
from .predict import host_machine, predict_host

EACH = 10  # shapes of a kernel
LEAST_S = 1e-6  # of a call
AXES = {1: (1024, 6000), 2: (24, 72), 3: (6, 20)}  # tokens of each axis of a grid, by number of axes
GRID_DIMS = (32, 64, 96, 128)
DIMS = (32, 48, 64, 72, 80, 96, 112, 128)


def fresh_cases(kernels: Iterable[str], seed: int) -> tuple[HostCase, ...]:
    """As many cases of each kernel, the same ones for the same number, whichever other kernels are asked for.

    Raises LightboundError for a number below zero, an unknown kernel, and where the machine has not been probed.
    """
    if seed < 0:
        raise LightboundError("--fresh", seed, "is below zero", "Take any number from 0 on.")
    names = dict.fromkeys(case.kernel for case in host_cases(kernels))
    machine = host_machine(1)
    return tuple(case for kernel in names for case in _of_kernel(kernel, seed, machine))


def _of_kernel(kernel: str, seed: int, machine: Machine) -> list[HostCase]:
    rng, among = Random(f"{seed} {kernel}"), host_cases([kernel])
    seconds = [predict_host(case, machine).latency_s for case in among]
    known = {case.name for case in among}
    found: list[HostCase] = []
    while len(found) < EACH:
        like = rng.choice(among)
        grid = like.options.get("grid")
        sizes, options = _on_a_grid(rng, len(grid)) if grid else _elsewhere(rng, like, among)
        case = HostCase(kernel, sizes, options, fresh=True)
        if case.name in known:
            continue
        if max(LEAST_S, min(seconds)) <= predict_host(case, machine).latency_s <= max(seconds):
            known.add(case.name)
            found.append(case)
    return found


def _drawn(rng: Random, least: int, most: int) -> int:
    """A whole number, evenly along a logarithmic scale."""
    return round(exp(rng.uniform(log(least), log(most))))


def _on_a_grid(rng: Random, axes: int) -> tuple[dict[str, int], dict[str, Any]]:
    """Sizes and options of neighbourhoods."""
    grid = tuple(_drawn(rng, *AXES[axes]) for _ in range(axes))
    window = tuple(max(2, _drawn(rng, max(2, extent // 5), extent)) for extent in grid)
    stride = tuple(rng.choice([1, max(1, length // 4), max(1, length // 2), length]) for length in window)
    dim, tokens = rng.choice(GRID_DIMS), prod(grid)
    sizes = {"B": 1, "H": rng.randint(1, 4), "P": tokens, "M": tokens, "E": dim, "F": dim}
    return sizes, {"grid": grid, "window": window, "stride": stride}


def _elsewhere(rng: Random, like: HostCase, among: tuple[HostCase, ...]) -> tuple[dict[str, int], dict[str, Any]]:
    """Sizes and options of any other kernel: what must agree agrees."""
    sizes, options = dict(like.sizes), dict(like.options)
    for rank in sizes:
        sizes[rank] = _drawn(rng, min(one.sizes[rank] for one in among), max(one.sizes[rank] for one in among))
    if "P" in sizes:
        sizes["M"] = sizes["P"]
        sizes["E"] = sizes["F"] = rng.choice(DIMS)
    else:
        sizes |= {rank: max(16, sizes[rank] // 16 * 16) for rank in ("E", "F") if rank in sizes}
    if "T0" in sizes:
        sizes["T0"] = sizes["S"] = like.sizes["T0"]
    if "before" in options:
        longest = max(one.options["before"] for one in among)
        options["before"] = _drawn(rng, 63, max(63, min(longest, sizes["P"] - 1)))
    if "share" in options:
        options["share"] = round(rng.uniform(0.05, 0.75), 2)
    return sizes, options
