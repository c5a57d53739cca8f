"""Whether a kernel computes what it should: its outputs, poisoned beforehand, beside a float64 reference."""

from __future__ import annotations

import math
from typing import Any

from .kernel import Call, Case, Tile, TritonKernel

NOTHING = 1e-6  # of a call's largest output: outputs below it are what rounding leaves of sums that are zero


def largest_error(call: Call) -> float:
    """The largest error of any output, relative to the largest value of its reference; infinite where one is NaN.

    An output whose reference is zero, or next to nothing beside another output, is measured by the largest of all: what
    rounding leaves of a difference says nothing of its size. Infinities have to be where those of the reference are.
    """
    call.poison()
    call.run()
    reference = call.reference()
    sizes = [_largest(expected) for expected in reference]
    most = max(sizes, default=0.0)
    worst = 0.0
    for found, expected, size in zip(call.outputs(), reference, sizes, strict=True):
        if not expected.numel():
            continue
        error = float((found.double() - expected).abs().masked_fill_(found == expected, 0.0).max())
        if error:  # of zeros alone every error is as large as can be
            error /= (size if size > NOTHING * most else most) or error
        worst = max(worst, math.inf if math.isnan(error) else error)
    return worst


def _largest(expected: Any) -> float:
    """The largest finite value of a reference; 0 where there is none."""
    finite = expected.abs().masked_fill_(expected.isinf(), 0.0)
    return float(finite.nan_to_num_(0.0).max()) if expected.numel() else 0.0


def check(kernel: TritonKernel, case: Case, tile: Tile | None = None, device: str = "cuda", seed: int = 0) -> float:
    """`largest_error` of a case at a tile, the default one if none is given."""
    return largest_error(kernel.prepare(case, tile or kernel.tile(case, capability(device)), device, seed))


def capability(device: str) -> int:
    """The compute capability of a device, such as 90; that of Hopper for "cpu", where the interpreter runs."""
    if device == "cpu":
        return 90
    import torch

    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor
