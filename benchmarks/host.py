"""The host's kernels against the figures one would want: speed beside PyTorch and the peak, errors of predictions, and
the ladder of masks. Run it on a quiet machine that has been probed: python benchmarks/host.py [--quick]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from lightbound.kernels import host
from lightbound.validate.host.compare import compare
from lightbound.validate.host.measure import measure
from lightbound.validate.host.predict import host_machine, issue_width
from lightbound.validate.host.sampling import Loops
from lightbound.validate.host.sparsity import climb
from lightbound.validate.suites.host import report

WANTED = {"all": 0.12, "controls": 0.08, "held": 1.2}
SHAPES = ((8, 4096, 64), (2, 2048, 64), (2, 2048, 128))


def thread_seconds(run: Callable[[], object]) -> float:
    """The processor time of a call on one thread."""
    start = time.thread_time()
    run()
    return time.thread_time() - start


def attention_speed(turns: int, budget_s: float) -> None:
    """Fused attention in fp32 on one thread, beside PyTorch's and the peak.

    As it came: medians of calls in turns with PyTorch's, against the peak that a loop of multiply-adds reached between
    the same calls. Alone: of one head, by the parts of calls during which the core was ours, against the probed peak.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    torch.set_num_threads(1)
    machine, isa = host_machine(1), str(host.instruction_set()["name"])
    peak, multiply_adds = 2 * float(machine.peak_per_s("mac")), Loops(0).rate(isa, "fma32")
    print(f"probed peak of a core {peak / 1e9:.0f} GFLOP/s, {isa}\n")
    print("                         as it came                             alone")
    print("heads tokens dim causal   GFLOP/s  of peak   PyTorch   ratio  GFLOP/s  of peak")
    for heads, tokens, dim in SHAPES:
        rng = np.random.default_rng(0)
        q, k, v = (rng.standard_normal((1, heads, tokens, dim)).astype(np.float32) for _ in range(3))
        out = np.empty_like(q)
        theirs = [torch.from_numpy(array) for array in (q, k, v)]
        for causal in (False, True):
            operations = 4 * heads * tokens**2 * dim / (2 if causal else 1)
            kernel = partial(host.attention, causal=causal, threads=1)
            run, one_head = (partial(kernel, q[:, :n], k[:, :n], v[:, :n], out=out[:, :n]) for n in (heads, 1))
            reference = partial(scaled_dot_product_attention, *theirs, is_causal=causal)
            found = []
            for turn in range(turns + 1):
                one = (2 * multiply_adds()[0], thread_seconds(run), 2 * multiply_adds()[0], thread_seconds(reference))
                found += [one] if turn else []
            peaks, ours, more, torchs = np.array(found).T
            beside, here, there = np.median([peaks, more]), np.median(ours), np.median(torchs)
            print(
                f"{heads:5d} {tokens:6d} {dim:3d} {causal!s:6s} {operations / here / 1e9:9.1f} "
                f"{operations / here / beside:8.1%} {operations / there / 1e9:9.1f} {there / here:7.2f} "
                f"{_alone(one_head, operations / heads, peak, budget_s)}"
            )


def _alone(run: Callable[..., object], operations: float, peak: float, budget_s: float) -> str:
    """GFLOP/s of a call and their part of the peak, by its parts during which the core was ours."""
    (found,) = measure([lambda seconds: run(seconds=seconds)], 12, budget_s, None, issue_width(host_machine(1)))
    if found.noisy or found.share != 1:
        return "hardly ever"
    return f"{operations / found.median_s / 1e9:8.1f} {operations / found.median_s / peak:8.1%}"


def ladder(budget_s: float) -> None:
    """Measured speedups of masks beside every rung."""
    print("\ngrid        window     stride     operations  tiles  estimated  measured  of tiles  violated")
    for rung in climb(host_machine(1), budget_s=budget_s):
        row = rung.to_dict()
        print(
            f"{row['grid']:11s} {row['window']:10s} {row['stride']:10s} {row['operations']:10.2f} {row['tiles']:6.2f} "
            f"{row['estimated']:10.2f} {row['measured']:9.2f} {row['share_of_tiles']:9.1%}  "
            f"{row['violated'] or 'none'}{'  noisy' if row['noisy'] else '' if row['alone'] else '  shared'}"
        )


def predictions(budget_s: float) -> None:
    """Errors of all cases, against the figures wanted."""
    found = compare(budget_s=budget_s)
    scored = report(found, bars=WANTED)
    print()
    for check in scored.checks:
        print(f"{'met   ' if check.passed else 'missed'} {check.what}: {check.value:.3g}, wanted {check.bar}")
    for one in found.errors():
        print(f"  {one.group:26s} n {one.n:3d}  MAPE {one.mape:6.1%}  bias {one.bias:+6.1%}  maximum {one.max:6.1%}")
    print(" ".join(scored.notes))


if __name__ == "__main__":
    quick = "--quick" in sys.argv[1:]
    attention_speed(3 if quick else 11, 2.0 if quick else 8.0)
    ladder(30.0 if quick else 90.0)
    predictions(45.0 if quick else 180.0)
