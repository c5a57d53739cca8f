"""Softmax averages of all prefixes: the scan of Aaren by itself, chunk by chunk.

`chunked` walks tiles of n0 tokens: the weighted sums of all prefixes of a tile are a product with a triangular matrix,
on top of the state (maximum, sum, weighted sum) of the tiles before it. `states` is the state of a whole sequence: what
segments of a long one are walked for first, each a head of its own.

Ranks: b batch, h heads, n token (n1 tiles of n0, i prefix that ends in a tile), e features of values.
"""

from __future__ import annotations

from ..mappings.prefix import PREFIX
from ..method import Method

CHUNKED = """
PM[b,h,n1,n0]    = scan(max, X[b,h,n1*N0+n0], n0)                 # largest so far within a tile
RM[b,h,0]        = -inf
RM[b,h,n1+1]     = max(RM[b,h,n1], max(X[b,h,n1*N0+n0], n0))      # and of the tiles before
M[b,h,n1,i]      = max(RM[b,h,n1], PM[b,h,n1,i])
P[b,h,n1,i,n0]   = where(n0 <= i, exp(X[b,h,n1*N0+n0] - M[b,h,n1,i]), 0)
F[b,h,n1,i]      = exp(RM[b,h,n1] - M[b,h,n1,i])
T[b,h,n1,n0]     = exp(X[b,h,n1*N0+n0] - RM[b,h,n1+1])
FT[b,h,n1]       = exp(RM[b,h,n1] - RM[b,h,n1+1])
RU[b,h,0]        = 0
RU[b,h,n1+1]     = RU[b,h,n1] * FT[b,h,n1] + sum(T[b,h,n1,n0], n0)
RW[b,h,e,0]      = 0
RW[b,h,e,n1+1]   = RW[b,h,e,n1] * FT[b,h,n1] + sum(T[b,h,n1,n0] * V[b,h,n1*N0+n0,e], n0)
U[b,h,n1,i]      = RU[b,h,n1] * F[b,h,n1,i] + sum(P[b,h,n1,i,n0], n0)
IU[b,h,n1,i]     = 1 / U[b,h,n1,i]
W[b,h,n1,i,e]    = RW[b,h,e,n1] * F[b,h,n1,i] + sum(P[b,h,n1,i,n0] * V[b,h,n1*N0+n0,e], n0)
O[b,h,n1*N0+n0,e] = W[b,h,n1,n0,e] * IU[b,h,n1,n0]
"""

STATES = """
G[b,h]    = max(X[b,h,n], n)
T[b,h,n]  = exp(X[b,h,n] - G[b,h])
U[b,h]    = sum(T[b,h,n], n)
W[b,h,e]  = sum(T[b,h,n] * V[b,h,n,e], n)
"""

METHOD = Method(
    name="prefix_attention",
    title="Softmax averages of all prefixes: the scan of Aaren",
    question="Is a scan of attention with one query bound by memory here, and how many segments does it take?",
    source="Feng et al. 2024, Attention as an RNN, arXiv 2405.13956; in tiles as a product with a triangular matrix",
    cascades={"chunked": CHUNKED, "states": STATES},
    sizes={"B": 1, "H": 8, "N": 8192, "N0": 64, "I": 64, "E": 64},
    presets={"long": {"B": 1, "H": 8, "N": 524288, "N0": 64, "I": 64, "E": 64}},
    preset_sources={"long": "our choice: 8 heads of 64 features over half a million tokens"},
    mappings=PREFIX,
    interchangeable=("chunked",),
)
