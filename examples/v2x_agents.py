"""How many vehicles can share painted features at 10 Hz, what that takes, and which part to improve first.

The times of computation are given here, so that the script takes seconds; name a machine instead (``machine="orin"``)
and they are predicted. Run it: python examples/v2x_agents.py
"""

from __future__ import annotations

from typing import Any

import lightbound as lb

COMPUTING: dict[str, Any] = {"sender_s": 0.020, "fuser_s": 0.012, "fuser_each_s": 0.002}


def main() -> None:
    """Print a sweep over agents, what helps, and how two radios compare."""
    print("Agents that share features of 32 KiB over 802.11p at 27 Mb/s")
    for agents in range(2, 8):
        study = lb.v2x("ptp", agents, "802.11p", rate="27Mbps", compression=256, frames=60, **COMPUTING)
        outcomes = study.outcomes
        fused = outcomes.over_runs(lambda run: run.fused_share).mean
        keeps_up = "keeps up" if outcomes.stable else "does not keep up"
        print(f"  {agents}: p95 {1e3 * outcomes.latency.p95_s:5.1f} ms, {fused:6.1%} of the messages fused, {keeps_up}")

    print("\nFour of them, in words")
    four = lb.v2x("ptp", 4, "802.11p", rate="27Mbps", compression=256, **COMPUTING)
    print("  " + four.explain().replace("\n", "\n  "))

    print("\nLeast compression of four agents' messages within 100 ms")
    for link, rate in (("802.11p", "6Mbps"), ("802.11p", "27Mbps"), ("802.11bd", "39Mbps")):
        limits = lb.v2x("ptp", 4, link, rate=rate, compression=256, frames=40, **COMPUTING).limits
        ratio = limits.compression.value
        print(f"  {link} at {rate}: " + (f"{ratio:.0f} times" if ratio is not None else "none is enough"))


if __name__ == "__main__":
    main()
