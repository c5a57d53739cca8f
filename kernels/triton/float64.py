"""Attention in float64, written from its definition: what sparse kernels are compared with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CHUNK_BYTES = 2**29  # of scores at a time

Seen = Callable[["torch.Tensor", int], "torch.Tensor"]
"""Of queries (numbers) of a head, the keys that each sees: booleans of shape (queries, keys)."""


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, seen: Seen) -> torch.Tensor:
    """Softmax attention of tensors of heads x tokens x dim; zero where a query sees no key."""
    import torch

    heads, queries, dim = q.shape
    step = max(1, CHUNK_BYTES // (8 * k.shape[1]))
    out = torch.zeros(heads, queries, v.shape[2], dtype=torch.float64, device=q.device)
    for head in range(heads):
        keys, values = k[head].double(), v[head].double()
        for low in range(0, queries, step):
            number = torch.arange(low, min(queries, low + step), device=q.device)
            scores = q[head, number].double() @ keys.T / math.sqrt(dim)
            scores.masked_fill_(~seen(number, head), -math.inf)
            weights = torch.softmax(scores, 1).nan_to_num_(0.0)
            out[head, number] = weights @ values
    return out
