"""Your own attention: from five Einsum lines in a file to a latency, a bottleneck and a buffer size.

Change own_attention.einsum (another softmax, a scale, a window), SIZES or MACHINES, and run it again. It first computes
the lines in numpy, at tiny sizes, beside an attention of a few lines: what is simulated below is then what you meant.

How to read what it prints: two passes mean that the scores of a query must live until all keys were seen. Where they
fit, memory carries the compulsory traffic and a unit binds. On the GPU they go out and come back, and memory binds. The
last lines say how the buffer that avoids this grows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lightbound as lb
from lightbound.sim.explain import seconds, size

LINES = Path(__file__).with_name("own_attention.einsum")
SIZES = {"H": 32, "P": 4096, "M": 4096, "E": 128, "F": 128}
MACHINES = ("flat", "fusemax", "tpu_v4i", "h100_sxm")
LONGER = 4  # times as many tokens, for the second look at the buffer


def largest_difference(attention: lb.Cascade) -> float:
    """Between the Einsum lines and the same attention in numpy, on random inputs at tiny sizes."""
    draw = np.random.default_rng(1)
    q, k, v = draw.normal(size=(2, 5, 4)), draw.normal(size=(7, 4)), draw.normal(size=(7, 3))
    scores = np.exp(np.einsum("hpe,me->hpm", q, k) / np.sqrt(4))
    expected = np.einsum("hpm,mf->hpf", scores / scores.sum(axis=-1, keepdims=True), v)
    return float(np.abs(attention.evaluate({"Q": q, "K": k, "V": v})["O"] - expected).max())


def main() -> None:
    attention = lb.workload(LINES).with_sizes(**SIZES)
    difference = largest_difference(lb.workload(LINES).cascade)
    print(f"The lines compute attention: largest difference from numpy {difference:.0e}\n")
    print(lb.passes(attention.cascade, "m").explain())

    print("\nOn four machines, each with the mapping that was found for it:")
    for name in MACHINES:
        p = lb.simulate(attention, name)
        traffic = p.traffic_bytes["dram"] / p.compulsory_bytes
        waits = p.decomposition_s[p.bottleneck] / p.latency_s
        print(
            f"  {name:9s} {seconds(p.latency_s):>9s}, {waits:4.0%} of it waits for {p.bottleneck:5s}"
            f"{traffic:5.1f}x the compulsory traffic"
        )

    print("\nWhy so on the last one:")
    print(lb.simulate(attention, MACHINES[-1]).explain())

    print("\nHow large the buffer of fusemax must be, so that nothing is fetched twice:")
    for factor in (1, LONGER):
        tokens = factor * SIZES["M"]
        sizing = lb.size_buffers(attention.with_sizes(P=tokens, M=tokens), "fusemax", growth=False)
        assert sizing.smallest_compulsory_bytes is not None
        print(f"  {tokens:6d} tokens: {size(sizing.smallest_compulsory_bytes)}")


if __name__ == "__main__":
    main()
