"""Softmax over the columns of a matrix, one row at a time. Ranks: r rows, n columns."""

from __future__ import annotations

from ..mappings.row_blocks import SOFTMAX as BLOCKS
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

RECIPROCAL = """
G[r]     = max(X[r,n], n)
NU[r,n]  = exp(X[r,n] - G[r])
D[r]     = sum(NU[r,n], n)
I[r]     = 1 / D[r]                               # once a row
Y[r,n]   = NU[r,n] * I[r]
"""

ONLINE = """
RM[r,n0,0]     = -inf
RM[r,n0,n1+1]  = max(RM[r,n0,n1], X[r,n1*N0+n0])  # largest so far of every N0-th column
PC[r,n0,n1]    = exp(RM[r,n0,n1] - RM[r,n0,n1+1])
P[r,n0,n1]     = exp(X[r,n1*N0+n0] - RM[r,n0,n1+1])
U[r,n0,0]      = 0
U[r,n0,n1+1]   = U[r,n0,n1] * PC[r,n0,n1] + P[r,n0,n1]
G[r]           = max(RM[r,n0,N1], n0)
F[r,n0]        = U[r,n0,N1] * exp(RM[r,n0,N1] - G[r])
D[r]           = sum(F[r,n0], n0)
I[r]           = 1 / D[r]
E[r,n0,n1]     = exp(X[r,n1*N0+n0] - G[r])
Y[r,n1*N0+n0]  = E[r,n0,n1] * I[r]
"""

METHOD = Method(
    name="softmax",
    title="Softmax of the rows of a matrix",
    question="Does memory bound a softmax here, or its exponentials, and what does a row that is not kept cost?",
    source="textbook, with the usual subtraction of the maximum",
    cascades={"3-pass": THREE_PASS, "recompute": RECOMPUTE, "reciprocal": RECIPROCAL, "online": ONLINE},
    sizes={"R": 4096, "N": 4096},
    presets={"scores_2k": {"R": 32 * 2048, "N": 2048}, "logits": {"R": 1024, "N": 32000}},
    preset_sources={
        "scores_2k": "our choice: the scores of 32 heads at 2048 tokens",
        "logits": "our choice: 1024 tokens over the 32000 words of Llama 2 (arXiv 2307.09288)",
    },
    mappings={**SOFTMAX, **BLOCKS},
)
