"""Cycles that kernels of fused attention spend on no unit, as sums of latencies that the machine states in `params`.

`alu_latency`, `sfu_latency`, `shuffle_latency`, `shared_latency`, `ldmatrix_latency`: from an instruction to one that
needs its result. `mma_sync_latency`: the same of mma.sync; `mma_latency`: from the end of an asynchronous product to
whoever waits for it. `mma_registers_gap`: between two such products whose first operand lies in registers. A barrier
takes `barrier_latency` and one cycle for every `barrier_threads` threads. `block_gap`: from the last instruction of a
block to the first of its successor on the SM. `l2_rate`: bytes a cycle.
"""

from __future__ import annotations

ROW = "2 * (shuffle_latency + alu_latency)"
"""A sum or maximum over the four threads that share a row of scores."""

SOFTMAX = f"{ROW} + 2 * sfu_latency + 4 * alu_latency"
"""From scores to numerators: the row's maximum, its correction, then scale, exponential, sum and conversion."""


def barrier(threads: int | str) -> str:
    """A barrier of so many threads."""
    return f"(barrier_latency + ({threads}) / barrier_threads)"


def filled(words: str, level: str = "l2") -> str:
    """The first tiles of what an SM starts at once, of so many words: a block_gap after the last block, its parameters
    come from L2, the first words from memory, and the rest as fast as a level serves all SMs at once.
    """
    return f"block_gap + l2_latency + dram_latency + word_bytes * ({words}) * sm / {level}_rate"


def written(threads: int | str) -> str:
    """The end of a block: sums of rows, a reciprocal, the output through shared memory and on its way to L2."""
    return f"{ROW} + sfu_latency + shared_latency + {barrier(threads)} + l2_latency"
