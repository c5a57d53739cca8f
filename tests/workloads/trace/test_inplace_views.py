"""In-place views and strides of what is read in part: both keep their meaning in a trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lightbound as lb
from lightbound.workloads.trace import replay

torch = pytest.importorskip("torch", reason="PyTorch is an optional extra of lightbound")


class Squeezed(torch.nn.Module):
    """Autograd's own product of a vector and a matrix squeezes a row in place."""

    def forward(self, x: Any, w: Any) -> Any:
        y = (x.unsqueeze(0) @ w).squeeze_(0)
        return y.exp().unsqueeze_(1).transpose_(0, 1)


class Shifted(torch.nn.Module):
    """A relative shift reads a part of joined dimensions, whose inner length no line runs over."""

    def forward(self, x: Any) -> Any:
        rows, columns = x.shape[-2:]
        padded = torch.nn.functional.pad(x, (0, 1)).flatten(-2)
        return padded[..., : rows * columns].view_as(x).exp()[..., -2:]


@pytest.mark.parametrize(("module", "shapes"), [(Squeezed(), [(4,), (4, 6)]), (Shifted(), [(2, 3, 5)])])
def test_a_trace_follows_views(module: Any, shapes: list[tuple[int, ...]]) -> None:
    given = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    found = replay(lb.trace(module, *given), module, *given)["output"]
    assert np.abs(found - module(*given).numpy()).max() < 1e-12
