"""Whether a kernel computes what it should: its outputs, poisoned beforehand, beside a float64 reference."""

from __future__ import annotations

import math

from .kernel import Call, Case, Tile, TritonKernel


def largest_error(call: Call) -> float:
    """The largest error of any output, relative to the largest value of its reference; infinite where one is NaN."""
    call.poison()
    call.run()
    worst = 0.0
    for found, expected in zip(call.outputs(), call.reference(), strict=True):
        scale = max(float(expected.abs().max()), 1e-30) if expected.numel() else 1.0
        error = float((found.double() - expected).abs().max()) / scale if expected.numel() else 0.0
        worst = max(worst, math.inf if math.isnan(error) else error)
    return worst


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
