"""How fast lightbound itself is, beside the bars it is held to.

Figures of one machine at one moment: no test reads them.

Run it with `make bench` or `python benchmarks/engine.py`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import lightbound as lb
from lightbound.validate.suite import find_suite

POINTS = 100_000


def once(work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    begin = perf_counter()
    work()
    return perf_counter() - begin


def warm(work: Callable[[], Any], calls: int) -> float:
    """Seconds of one call, the median of several after the first."""
    work()
    return float(np.median([once(work) for _ in range(calls)]))


def sweep() -> tuple[Any, Any]:
    """A workload of so many random sizes, and the machine it runs on."""
    random = np.random.default_rng(0)
    sizes: dict[str, Any] = {symbol: random.integers(1, 1024, POINTS) * 256.0 for symbol in "MP"}
    sizes |= {symbol: random.integers(16, 257, POINTS) * 1.0 for symbol in "EF"}
    return lb.workload("fusemax").with_sizes(**sizes), lb.machine("fusemax")


def main() -> None:
    suite = find_suite("fusemax")
    point, fusemax = lb.workload("fusemax", preset="bert", M=16384, P=16384), lb.machine("fusemax")
    many, _ = sweep()
    rows: list[tuple[str, float, float]] = [
        ("the FuseMax suite: 192 points and 10 headline means, first run", 2.0, once(suite.run)),
        ("the same again", 2.0, warm(suite.run, 3)),
        ("one simulate call, warm", 2e-3, warm(lambda: lb.simulate(point, fusemax, "binding"), 200)),
        (
            f"{POINTS:,} sizes in one simulate call, arrays of M, P, E and F",
            2.0,
            warm(lambda: lb.simulate(many, fusemax, "binding"), 3),
        ),
    ]
    table = Table(title=f"lightbound {lb.__version__}, Python {platform.python_version()}, {platform.machine()}")
    for title in ("what", "bar", "measured", "of the bar"):
        table.add_column(title, justify="left" if title == "what" else "right")
    for what, bar, seconds in rows:
        table.add_row(what, f"{1e3 * bar:,.0f} ms", f"{1e3 * seconds:,.2f} ms", f"{seconds / bar:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
