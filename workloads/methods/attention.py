"""Softmax attention with its scale, as frameworks write it and as fused kernels compute it.

Ranks: b batch, h heads, p query positions, m key positions (m1 tiles of m0), e head dimension of Q and K, f
of V. Every head has its own keys and values (no grouped queries), and every query sees every key (no mask).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..mappings.attention import MAPPINGS
from ..method import Method

if TYPE_CHECKING:
    import torch

THREE_PASS = """
S[b,h,p,m] = sum(Q[b,h,p,e] * K[b,h,m,e], e) / sqrt(E)
G[b,h,p]   = max(S[b,h,p,m], m)
N[b,h,p,m] = exp(S[b,h,p,m] - G[b,h,p])
D[b,h,p]   = sum(N[b,h,p,m], m)
A[b,h,p,m] = N[b,h,p,m] / D[b,h,p]
O[b,h,p,f] = sum(A[b,h,p,m] * V[b,h,m,f], m)
"""

DEFERRED_DIVISION = """
S[b,h,p,m]  = sum(Q[b,h,p,e] * K[b,h,m,e], e) / sqrt(E)
G[b,h,p]    = max(S[b,h,p,m], m)
N[b,h,p,m]  = exp(S[b,h,p,m] - G[b,h,p])
D[b,h,p]    = sum(N[b,h,p,m], m)
NV[b,h,p,f] = sum(N[b,h,p,m] * V[b,h,m,f], m)
O[b,h,p,f]  = NV[b,h,p,f] / D[b,h,p]                                  # F divisions a query instead of M
"""

ONE_PASS = """
RM[b,h,p,0]     = -inf
RD[b,h,p,0]     = 0
RO[b,h,p,f,0]   = 0
S[b,h,p,m1,m0]  = sum(Q[b,h,p,e] * K[b,h,m1*M0+m0,e], e)
LM[b,h,p,m1]    = max(S[b,h,p,m1,m0], m0)
RM[b,h,p,m1+1]  = max(RM[b,h,p,m1], LM[b,h,p,m1] / sqrt(E))           # running maximum
N[b,h,p,m1,m0]  = exp(S[b,h,p,m1,m0] / sqrt(E) - RM[b,h,p,m1+1])      # scale and subtraction: one multiply-add
LD[b,h,p,m1]    = sum(N[b,h,p,m1,m0], m0)
LO[b,h,p,f,m1]  = sum(N[b,h,p,m1,m0] * V[b,h,m1*M0+m0,f], m0)
C[b,h,p,m1]     = exp(RM[b,h,p,m1] - RM[b,h,p,m1+1])                  # rescales what was summed before
RD[b,h,p,m1+1]  = RD[b,h,p,m1] * C[b,h,p,m1] + LD[b,h,p,m1]           # running denominator
RO[b,h,p,f,m1+1] = RO[b,h,p,f,m1] * C[b,h,p,m1] + LO[b,h,p,f,m1]      # running output
O[b,h,p,f]      = RO[b,h,p,f,M1] / RD[b,h,p,M1]
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Every variant computes the same: PyTorch's own attention."""
    from torch.nn.functional import scaled_dot_product_attention

    return {"O": scaled_dot_product_attention(given["Q"], given["K"], given["V"])}


METHOD = Method(
    name="attention",
    title="Softmax attention: unfused, with deferred division, and in one pass",
    question="How fast can exact attention run here, and is the softmax or the matrix product the bound?",
    source=(
        "3-pass: Vaswani et al. 2017, arXiv 1706.03762, with the usual subtraction of the maximum; "
        "deferred-division and 1-pass: Dao, FlashAttention-2, arXiv 2307.08691"
    ),
    cascades={"3-pass": THREE_PASS, "deferred-division": DEFERRED_DIVISION, "1-pass": ONE_PASS},
    sizes={"B": 1, "H": 32, "E": 128, "F": 128, "M": 4096, "P": 4096},
    presets={
        "tiny": {"B": 2, "H": 3, "E": 4, "F": 5, "M": 8, "P": 6, "M0": 4},
        "bert_base": {"B": 32, "H": 12, "E": 64, "F": 64, "M": 512, "P": 512},
        "gpt3_6_7b": {"B": 1, "H": 32, "E": 128, "F": 128, "M": 2048, "P": 2048},
        "llama2_7b": {"B": 1, "H": 32, "E": 128, "F": 128, "M": 4096, "P": 4096},
        "llama2_7b_decode": {"B": 16, "H": 32, "E": 128, "F": 128, "M": 4096, "P": 1},
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "bert_base": "Devlin et al. 2018, arXiv 1810.04805: 12 heads of 64, 512 tokens, batch 32",
        "gpt3_6_7b": "Brown et al. 2020, arXiv 2005.14165, table 2.1: 32 heads of 128, context of 2048",
        "llama2_7b": "Touvron et al. 2023, arXiv 2307.09288: 32 heads of 128, context of 4096",
        "llama2_7b_decode": "as llama2_7b, one new token for each of 16 sequences (the batch is our choice)",
    },
    mappings=MAPPINGS,
    reference=reference,
    backward="attention_backward",
    counted_apart={
        "mul": (
            "with F unlike E, scaled_dot_product_attention scales Q and K by the root of the scale; S scales scores"
        ),
        **dict.fromkeys(
            ("compare", "select"),
            "scaled_dot_product_attention guards rows that are masked as a whole (_safe_softmax); no line does",
        ),
    },
)
