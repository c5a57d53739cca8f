"""A module and its trace side by side: what both compute, to float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from lightbound.workloads.cascade import Cascade
from lightbound.workloads.trace import TracedCascade, replay, trace  # type: ignore[attr-defined]

TOLERANCE = 1e-9


def agrees(module: Callable[..., Any], *inputs: Any, train: bool = False, **keywords: Any) -> TracedCascade:
    """The trace, after a proof that it computes what the module computes (with gradients in a training step), and
    that its text reads back as the same lines."""
    traced = trace(module, *inputs, train=train, **keywords)
    assert Cascade.parse(traced.text).structure == traced.structure
    found = replay(traced, module, *inputs, **keywords)
    if isinstance(module, torch.nn.Module):
        module.train(train)
        module.zero_grad()
    outputs = [one for one in tree_leaves(module(*inputs, **keywords)) if one is not None]
    for mine, expected in zip(found.values(), outputs, strict=False):
        close(mine, expected)
    if train:
        assert isinstance(module, torch.nn.Module)
        graded = [one for one in outputs if one.requires_grad]
        torch.autograd.backward(graded, [torch.ones_like(one) for one in graded])
        for path, parameter in module.named_parameters():
            if parameter.grad is not None:
                close(found[f"grad.{path}"], parameter.grad)
    return traced


def close(mine: np.ndarray, expected: torch.Tensor) -> None:
    """Equal shapes, and no element further apart than rounding."""
    theirs = expected.detach().to(torch.float64).numpy()
    assert mine.shape == theirs.shape
    np.testing.assert_allclose(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE)
