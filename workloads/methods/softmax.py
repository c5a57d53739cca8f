"""Softmax over the columns of a matrix, one row at a time. Ranks: r rows, n columns."""

from __future__ import annotations

from ..mappings.rows import SOFTMAX
from ..method import Method

THREE_PASS = """
G[r]     = max(X[r,n], n)
NU[r,n]  = exp(X[r,n] - G[r])
D[r]     = sum(NU[r,n], n)
Y[r,n]   = NU[r,n] / D[r]
"""

RECOMPUTE = """
G[r]   = max(X[r,n], n)
D[r]   = sum(exp(X[r,n] - G[r]), n)
Y[r,n] = exp(X[r,n] - G[r]) / D[r]                # exponentials again, so that none has to be kept
"""

METHOD = Method(
    name="softmax",
    title="Softmax of the rows of a matrix",
    question="Does memory bound a softmax here, or its exponentials, and what does a row that is not kept cost?",
    source="textbook, with the usual subtraction of the maximum",
    cascades={"3-pass": THREE_PASS, "recompute": RECOMPUTE},
    sizes={"R": 4096, "N": 4096},
    presets={"scores_2k": {"R": 32 * 2048, "N": 2048}, "logits": {"R": 1024, "N": 32000}},
    preset_sources={
        "scores_2k": "our choice: the scores of 32 heads at 2048 tokens",
        "logits": "our choice: 1024 tokens over the 32000 words of Llama 2 (arXiv 2307.09288)",
    },
    mappings=SOFTMAX,
)
