"""A masked workload where no kernel for the machine skips tiles: all pairs are computed, and it is said."""

from __future__ import annotations

from lightbound.sim.simulate import simulate
from lightbound.workloads.registry import workload


def test_a_machine_without_a_kernel_that_skips_computes_every_pair() -> None:
    sizes = {"tokens": 4096, "H": 1}
    causal = simulate(workload("longca_bench", "causal_16k", "3-pass", **sizes), "fusemax")
    full = simulate(workload("longca_bench", "full_16k", "3-pass", **sizes), "fusemax")
    assert causal.latency_s == full.latency_s
    assert any("every query attends every key" in note for note in causal.assumptions)
    skipping = simulate(workload("longca_bench", "causal_16k", "3-pass", **sizes), "h200")
    assert not any("every query attends every key" in note for note in skipping.assumptions)
