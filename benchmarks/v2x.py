"""How fast cooperating agents are simulated: ten agents, a thousand frames of 100 kB each at 27 Mb/s, and replications.

Run it on an idle machine: python benchmarks/v2x.py
"""

from __future__ import annotations

import os
from time import perf_counter

import lightbound as lb
from lightbound.sim.agents.pipeline import run
from lightbound.sim.agents.replicate import replicate
from lightbound.sim.agents.scenario import Agent, Scenario


def main() -> None:
    """Print seconds and packets a second, and how replications scale with processes."""
    agents = (Agent("ego"), *(Agent(f"agent {n}", payload_bytes=100_000) for n in range(10)))
    whole = Scenario(agents, lb.link("802.11p", rate="27Mbps"), frames=1000, fusion="newest")
    start = perf_counter()
    done = run(whole, drain_s=600)
    took = perf_counter() - start
    ended = sum(one.fate == "ended" for one in done.messages)
    print(f"10 agents, 1000 frames of 100 kB at 27 Mb/s: {took:.2f} s, {ended:,} messages, ", end="")
    print(f"{done.tally.attempts:,} transmissions, {done.tally.attempts / took:,.0f} a second")
    some = whole.with_(frames=100)
    base = None
    for workers in sorted({1, os.cpu_count() or 1}):
        start = perf_counter()
        replicate(some, 8, workers=workers)
        took = perf_counter() - start
        base = base or took
        print(f"8 replications of 100 frames in {workers} processes: {took:.2f} s, {base / took:.2f}x")


if __name__ == "__main__":
    main()
