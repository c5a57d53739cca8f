"""The matrix product with its sum in parts: for matrices with fewer tiles than the machine has workers.

Ranks: m rows, n columns, k of the sum (k1 parts of k0).
"""

from __future__ import annotations

from ..mappings.tiled import TILED_PARTS
from ..method import Method

METHOD = Method(
    name="split_matmul",
    title="Matrix product whose sum is split among workers, and the sum of their parts",
    question="How many parts of a sum pay for writing them and reading them again?",
    source="textbook; known as split-K in libraries of matrix products (CUTLASS, cuBLAS)",
    cascades={
        "parts": "P[k1,m,n] = sum(A[m,k1*K0+k0] * B[k1*K0+k0,n], k0)\nZ[m,n]    = sum(P[k1,m,n], k1)\n",
    },
    sizes={"M": 64, "N": 4096, "K": 4096, "K0": 1024},
    presets={"few_tokens": {"M": 64, "N": 4096, "K": 4096, "K0": 1024}},
    preset_sources={"few_tokens": "our choice: 64 tokens through a layer of width 4096, in four parts"},
    mappings=TILED_PARTS,
)
