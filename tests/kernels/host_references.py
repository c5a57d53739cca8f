"""What the host's kernels should compute, written out in float64 numpy; and how far two results are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-5  # of the largest value of a result


def apart(found: Any, expected: NDArray[np.float64], terms: NDArray[np.float64] | None = None) -> float:
    """The largest difference over the largest value. `terms`: the same sums of magnitudes; where few values are left of
    many terms that cancel, a tenth of the largest of these counts instead: what is rounded is of their size.
    """
    assert found.shape == expected.shape
    if not expected.size:
        return 0.0
    largest = max(np.max(np.abs(expected)), 0.0 if terms is None else np.max(terms) / 10)
    return float(np.max(np.abs(found - expected)) / (largest or 1.0))


def attention(q: Any, k: Any, v: Any, seen: Any = None, scale: float | None = None) -> NDArray[np.float64]:
    """Softmax attention; `seen` [queries, keys] says which pairs exist. Queries without keys get zeros."""
    q, k, v = (np.asarray(array, dtype=np.float64) for array in (q, k, v))
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    if not k.shape[2]:
        return np.zeros((*q.shape[:3], v.shape[3]))
    scores = q @ np.swapaxes(k, 2, 3) * (q.shape[3] ** -0.5 if scale is None else scale)
    if seen is not None:
        scores = np.where(seen, scores, -np.inf)
    most = np.max(scores, axis=3, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(most), most, 0))
    total = weights.sum(axis=3, keepdims=True)
    return weights @ v / np.where(total > 0, total, 1)


def linear_attention(q: Any, k: Any, v: Any, decay: Any, scale: float, state: Any) -> tuple[Any, Any]:
    """Causal linear attention, token by token."""
    q, k, v, state = (np.asarray(array, dtype=np.float64) for array in (q, k, v, state))
    state, out = state.copy(), np.zeros((*q.shape[:2], v.shape[2]))
    for t in range(q.shape[1]):
        state = state * np.asarray(decay, dtype=np.float64)[:, None, None] + k[:, t, :, None] * v[:, t, None, :]
        out[:, t] = scale * np.einsum("he,hef->hf", q[:, t], state)
    return out, state


def prefix_attention(scores: Any, v: Any) -> NDArray[np.float64]:
    """Softmax averages of all prefixes, each from its own maximum."""
    scores, v = np.asarray(scores, dtype=np.float64), np.asarray(v, dtype=np.float64)
    out = np.zeros_like(v)
    for t in range(scores.shape[1]):
        weights = np.exp(scores[:, : t + 1] - scores[:, : t + 1].max(axis=1, keepdims=True))
        out[:, t] = np.einsum("hs,hsf->hf", weights, v[:, : t + 1]) / weights.sum(axis=1, keepdims=True)
    return out
