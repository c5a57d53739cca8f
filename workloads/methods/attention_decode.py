"""Attention of one new token a sequence against its cache of keys and values, walked in parts side by side (split KV).

Ranks: b batch, h heads of keys and values, g queries that share such a head (grouped queries; every one has a head of
its own), m2 parts of the keys, m1 tiles of m0 keys in a part, e and f head dimensions. Every part has running values
of its own; the last lines merge them.
"""

from __future__ import annotations

from ..mappings.decode import MAPPINGS
from ..method import Method

SPLIT = """
RM[b,h,g,m2,0]      = -inf
RD[b,h,g,m2,0]      = 0
RO[b,h,g,m2,f,0]    = 0
S[b,h,g,m2,m1,m0]   = sum(Q[b,h,g,e] * K[b,h,m2*M1*M0+m1*M0+m0,e], e)
LM[b,h,g,m2,m1]     = max(S[b,h,g,m2,m1,m0], m0)
RM[b,h,g,m2,m1+1]   = max(RM[b,h,g,m2,m1], LM[b,h,g,m2,m1] / sqrt(E))
N[b,h,g,m2,m1,m0]   = exp(S[b,h,g,m2,m1,m0] / sqrt(E) - RM[b,h,g,m2,m1+1])
LD[b,h,g,m2,m1]     = sum(N[b,h,g,m2,m1,m0], m0)
LO[b,h,g,m2,f,m1]   = sum(N[b,h,g,m2,m1,m0] * V[b,h,m2*M1*M0+m1*M0+m0,f], m0)
R[b,h,g,m2,m1]      = exp(RM[b,h,g,m2,m1] - RM[b,h,g,m2,m1+1])
RD[b,h,g,m2,m1+1]   = RD[b,h,g,m2,m1] * R[b,h,g,m2,m1] + LD[b,h,g,m2,m1]
RO[b,h,g,m2,f,m1+1] = RO[b,h,g,m2,f,m1] * R[b,h,g,m2,m1] + LO[b,h,g,m2,f,m1]
PM[b,h,g,m2]        = RM[b,h,g,m2,M1]
PD[b,h,g,m2]        = RD[b,h,g,m2,M1]
PO[b,h,g,m2,f]      = RO[b,h,g,m2,f,M1]
GM[b,h,g]          = max(PM[b,h,g,m2], m2)                                # parts meet
W[b,h,g,m2]         = exp(PM[b,h,g,m2] - GM[b,h,g])
D[b,h,g]           = sum(W[b,h,g,m2] * PD[b,h,g,m2], m2)
NV[b,h,g,f]        = sum(W[b,h,g,m2] * PO[b,h,g,m2,f], m2)
O[b,h,g,f]         = NV[b,h,g,f] / D[b,h,g]
"""

METHOD = Method(
    name="attention_decode",
    title="Attention of one new token against a cache, the keys in parts, queries in groups",
    question="How long does a step of decoding spend in attention, and in how many parts should the cache be walked?",
    source="Dao et al., Flash-Decoding for long-context inference, PyTorch blog, 2023; grouped queries: Ainslie et al. "
    "2023, arXiv 2305.13245",
    cascades={"split": SPLIT},
    sizes={"B": 1, "H": 8, "G": 4, "E": 128, "F": 128, "M": 8192},
    presets={
        "llama2_7b": {"B": 16, "H": 32, "G": 1, "M": 4096},
        "llama3_8b": {"B": 16, "H": 8, "G": 4, "M": 8192},
        "llama3_70b": {"B": 16, "H": 8, "G": 8, "M": 8192},
    },
    preset_sources={
        "llama2_7b": "Touvron et al. 2023, arXiv 2307.09288: 32 heads of 128, context of 4096; the batch is our choice",
        "llama3_8b": "Grattafiori et al. 2024, arXiv 2407.21783, table 3: 32 heads of 128, 8 of keys, context of "
        "8192; the "
        "batch is our choice",
        "llama3_70b": "Grattafiori et al. 2024, arXiv 2407.21783, table 3: 64 heads of 128, 8 of keys, context of "
        "8192; the "
        "batch is our choice",
    },
    mappings=MAPPINGS,
)
