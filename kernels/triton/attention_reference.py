"""Attention and its gradients in float64, written as the formulas are: what the kernels are compared with.

A head at a time and some queries at a time, so that long sequences fit the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .attention_shapes import Shape

ROWS = 2048  # queries at a time


@dataclass(frozen=True)
class Part:
    """Some queries of one head: which they are, the head of keys, the weights, and the logarithms of their sums."""

    place: tuple[int, int, slice]
    head_kv: tuple[int, int]
    weights: Any
    logsumexp: Any


def seen(shape: Shape, start: int, stop: int, device: Any) -> Any:
    """A matrix of queries `start` to `stop` by all keys: which see which."""
    import torch

    query = torch.arange(start, stop, device=device)[:, None] + shape.keys - shape.queries
    key = torch.arange(shape.keys, device=device)[None, :]
    found = torch.ones(stop - start, shape.keys, dtype=torch.bool, device=device)
    if shape.causal:
        found &= key <= query
    if shape.window:
        found &= key >= query - shape.before
    return found


def parts(shape: Shape, q: Any, k: Any) -> Iterator[Part]:
    """The weights of all queries; q: B x H x P x E, k: B x KV x M x E. A query that sees nothing has none."""
    for start in range(0, shape.queries, ROWS):
        stop = min(shape.queries, start + ROWS)
        mask = seen(shape, start, stop, q.device)
        for batch in range(shape.batch):
            for head in range(shape.heads):
                place, head_kv = (batch, head, slice(start, stop)), (batch, head // shape.group)
                scores = q[place].double() @ k[head_kv].double().T * shape.dim**-0.5
                scores = scores.masked_fill(~mask, -float("inf"))
                logsumexp = scores.logsumexp(1)
                yield Part(place, head_kv, (scores - logsumexp[:, None]).exp().nan_to_num(0.0), logsumexp)


def forward(shape: Shape, q: Any, k: Any, v: Any) -> tuple[Any, Any]:
    """Outputs, and the logarithms of the sums of exponentials (B x H x P)."""
    import torch

    out = torch.empty(q.shape, dtype=torch.float64, device=q.device)
    logsumexp = torch.empty(q.shape[:3], dtype=torch.float64, device=q.device)
    for part in parts(shape, q, k):
        out[part.place] = part.weights @ v[part.head_kv].double()
        logsumexp[part.place] = part.logsumexp
    return out, logsumexp


def backward(shape: Shape, q: Any, k: Any, v: Any, gradient: Any) -> tuple[Any, Any, Any]:
    """Gradients of q, k and v where that of the outputs is given."""
    import torch

    dq, dk, dv = (torch.zeros(one.shape, dtype=torch.float64, device=q.device) for one in (q, k, v))
    for part in parts(shape, q, k):
        upper, weights = gradient[part.place].double(), part.weights
        of_weights = upper @ v[part.head_kv].double().T
        of_scores = weights * (of_weights - (weights * of_weights).sum(1, keepdim=True)) * shape.dim**-0.5
        dv[part.head_kv] += weights.T @ upper
        dq[part.place] = of_scores @ k[part.head_kv].double()
        dk[part.head_kv] += of_scores.T @ q[part.place].double()
    return dq, dk, dv
