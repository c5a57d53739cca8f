"""The host's kernels against the figures one would want: speed beside PyTorch and the peak, errors of predictions, and
the ladder of masks. Run it on a quiet machine that has been probed: python benchmarks/host.py [--quick]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from lightbound.kernels import host
from lightbound.validate.host.compare import compare
from lightbound.validate.host.predict import host_machine
from lightbound.validate.host.sparsity import climb
from lightbound.validate.suites.host import report

WANTED = {"all": 0.12, "controls": 0.08, "held": 1.2}
SHAPES = ((8, 4096, 64), (2, 2048, 64), (2, 2048, 128))


def thread_seconds(run: Callable[[], object], times: int) -> float:
    """The median processor time of calls on one thread."""
    taken = []
    run()
    for _ in range(times):
        start = time.thread_time()
        run()
        taken.append(time.thread_time() - start)
    return float(np.median(taken))


def attention_speed(times: int) -> None:
    """Fused attention in fp32 on one thread, beside PyTorch's and the probed peak."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    torch.set_num_threads(1)
    peak = 2 * float(host_machine(1).peak_per_s("mac"))
    print(f"peak of a core {peak / 1e9:.0f} GFLOP/s, {host.instruction_set()['name']}")
    print("heads tokens dim causal   GFLOP/s  of peak   PyTorch   ratio")
    for heads, tokens, dim in SHAPES:
        rng = np.random.default_rng(0)
        q, k, v = (rng.standard_normal((1, heads, tokens, dim)).astype(np.float32) for _ in range(3))
        out = np.empty_like(q)
        theirs = [torch.from_numpy(array) for array in (q, k, v)]
        for causal in (False, True):
            operations = 4 * heads * tokens**2 * dim / (2 if causal else 1)

            def run(causal: bool = causal, q=q, k=k, v=v, out=out) -> object:  # type: ignore[no-untyped-def]
                return host.attention(q, k, v, causal=causal, threads=1, out=out)

            def reference(causal: bool = causal, theirs=theirs) -> object:  # type: ignore[no-untyped-def]
                return scaled_dot_product_attention(*theirs, is_causal=causal)

            ours, torchs = thread_seconds(run, times), thread_seconds(reference, times)
            print(
                f"{heads:5d} {tokens:6d} {dim:3d} {causal!s:6s} {operations / ours / 1e9:9.1f} "
                f"{operations / ours / peak:8.1%} {operations / torchs / 1e9:9.1f} {torchs / ours:7.2f}"
            )


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
    attention_speed(3 if quick else 11)
    ladder(30.0 if quick else 90.0)
    predictions(45.0 if quick else 180.0)
