"""Layer normalization of the columns of a matrix with scale W and shift C. Ranks: r rows, n columns."""

from __future__ import annotations

from ..mappings.row_blocks import NORM as BLOCKS
from ..mappings.rows import NORM
from ..method import Method

MOMENTS = """
A[r]   = sum(X[r,n], n) / N
Q[r]   = sum(X[r,n] * X[r,n], n) / N
V[r]   = rsqrt(Q[r] - A[r] * A[r] + 0.00001)
Y[r,n] = (X[r,n] - A[r]) * V[r] * W[n] + C[n]
"""

CENTRED = """
A[r]   = sum(X[r,n], n) / N
B[r,n] = X[r,n] - A[r]
Q[r]   = sum(B[r,n] * B[r,n], n) / N
V[r]   = rsqrt(Q[r] + 0.00001)
Y[r,n] = B[r,n] * V[r] * W[n] + C[n]
"""

RECOMPUTE = """
A[r]   = sum(X[r,n], n) / N
Q[r]   = sum((X[r,n] - A[r]) * (X[r,n] - A[r]), n) / N
V[r]   = rsqrt(Q[r] + 0.00001)
Y[r,n] = (X[r,n] - A[r]) * V[r] * W[n] + C[n]
"""

METHOD = Method(
    name="layernorm",
    title="Layer normalization of the rows of a matrix",
    question="How close to one read and one write of its matrix does a layer normalization run here?",
    source="Ba et al. 2016, arXiv 1607.06450; both moments in one pass, or the variance about the mean in a second",
    cascades={"moments": MOMENTS, "centred": CENTRED, "recompute": RECOMPUTE},
    sizes={"R": 4096, "N": 4096},
    presets={"gpt3_175b": {"R": 2048, "N": 12288}},
    preset_sources={"gpt3_175b": "Brown et al. 2020, arXiv 2005.14165, table 2.1: width 12288, context of 2048"},
    mappings={**NORM, **BLOCKS},
)
