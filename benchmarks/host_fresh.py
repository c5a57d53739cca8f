"""The host's kernels at random shapes, between the least and the largest sizes of those that are always compared: how
far predictions are where nobody has looked. Probe first, then: python benchmarks/host_fresh.py [seed]
"""

from __future__ import annotations

import sys
from math import exp, log, prod
from random import Random
from typing import Any

from lightbound.validate.host.cases import KERNELS, HostCase, host_cases
from lightbound.validate.host.compare import compare_cases
from lightbound.validate.host.predict import host_machine, predict_host

EACH, BUDGET_S, REPEATS = 10, 120.0, 12
LEAST_S = 1e-6  # of a call
AXES = {1: (1024, 6000), 2: (24, 72), 3: (6, 20)}  # tokens of each axis of a grid, by number of axes
GRID_DIMS = (32, 64, 96, 128)
DIMS = (32, 48, 64, 72, 80, 96, 112, 128)


def drawn(rng: Random, least: int, most: int) -> int:
    """A whole number, evenly along a logarithmic scale."""
    return round(exp(rng.uniform(log(least), log(most))))


def on_a_grid(rng: Random, axes: int) -> tuple[dict[str, int], dict[str, Any]]:
    """Sizes and options of neighbourhoods."""
    grid = tuple(drawn(rng, *AXES[axes]) for _ in range(axes))
    window = tuple(max(2, drawn(rng, max(2, extent // 5), extent)) for extent in grid)
    stride = tuple(rng.choice([1, max(1, length // 4), max(1, length // 2), length]) for length in window)
    dim, tokens = rng.choice(GRID_DIMS), prod(grid)
    sizes = {"B": 1, "H": rng.randint(1, 4), "P": tokens, "M": tokens, "E": dim, "F": dim}
    return sizes, {"grid": grid, "window": window, "stride": stride}


def elsewhere(rng: Random, like: HostCase, among: tuple[HostCase, ...]) -> tuple[dict[str, int], dict[str, Any]]:
    """Sizes and options of any other kernel."""
    sizes, options = dict(like.sizes), dict(like.options)
    for rank in sizes:
        sizes[rank] = drawn(rng, min(one.sizes[rank] for one in among), max(one.sizes[rank] for one in among))
    if "P" in sizes:
        sizes["M"] = sizes["P"]
        sizes["E"] = sizes["F"] = rng.choice(DIMS)
    else:
        sizes |= {rank: max(16, sizes[rank] // 16 * 16) for rank in ("E", "F") if rank in sizes}
    if "T0" in sizes:
        sizes["T0"] = sizes["S"] = 64
    if "before" in options:
        options["before"] = drawn(rng, 63, min(2047, sizes["P"] - 1)) if sizes["P"] > 70 else 63
    if "share" in options:
        options["share"] = round(rng.uniform(0.05, 0.75), 2)
    return sizes, options


def fresh(seed: int) -> list[HostCase]:
    """As many cases of each kernel, no shorter or longer than those that are always compared."""
    rng, machine = Random(seed), host_machine(1)
    found: list[HostCase] = []
    for kernel in KERNELS:
        among = host_cases([kernel])
        seconds = [predict_host(case, machine).latency_s for case in among]
        known = {case.name for case in among}
        while sum(case.kernel == kernel for case in found) < EACH:
            like = rng.choice(among)
            grid = like.options.get("grid")
            case = HostCase(kernel, *(on_a_grid(rng, len(grid)) if grid else elsewhere(rng, like, among)))
            if case.name in known:
                continue
            if max(LEAST_S, min(seconds)) <= predict_host(case, machine).latency_s <= max(seconds):
                known.add(case.name)
                found.append(case)
    return found


if __name__ == "__main__":
    found = compare_cases(fresh(int(sys.argv[1]) if len(sys.argv) > 1 else 1), 1, REPEATS, BUDGET_S)
    for one in found.errors():
        print(f"{one.group:26s} n {one.n:3d}  MAPE {one.mape:6.1%}  bias {one.bias:+6.1%}  maximum {one.max:6.1%}")
    for worst in sorted(found.judged, key=lambda one: -abs(one.error))[:12]:
        print(f"  {worst.error:+6.1%}  {worst.case.kernel} {worst.case.name}")
    print(f"{sum(one.violates for one in found.cases)} cases faster than their bound. {found.copying} {found.noise}")
