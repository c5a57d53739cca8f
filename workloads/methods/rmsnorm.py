"""Root-mean-square normalization of the columns of a matrix with scale W. Ranks: r rows, n columns."""

from __future__ import annotations

from ..mappings.row_blocks import RMSNORM as BLOCKS
from ..mappings.rows import RMSNORM
from ..method import Method

PLAIN = """
Q[r]   = sum(X[r,n] * X[r,n], n) / N
V[r]   = rsqrt(Q[r] + 0.00001)
Y[r,n] = X[r,n] * V[r] * W[n]
"""

METHOD = Method(
    name="rmsnorm",
    title="Root-mean-square normalization of the rows of a matrix",
    question="How close to one read and one write of its matrix does this normalization run here?",
    source="Zhang and Sennrich 2019, arXiv 1910.07467",
    cascades={"plain": PLAIN},
    sizes={"R": 4096, "N": 4096},
    presets={"llama2_7b": {"R": 4096, "N": 4096}},
    preset_sources={"llama2_7b": "Touvron et al. 2023, arXiv 2307.09288: width 4096, context of 4096"},
    mappings={**RMSNORM, **BLOCKS},
)
