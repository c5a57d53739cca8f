"""FuseMax: exact attention as cascades of one, two and three passes over the keys.

Ranks: b batch, h heads, p query positions, m key positions (m1 tiles of m0), e head dimension of Q and K, f
of V. The scale 1/sqrt(E) is left out, as the paper leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..mappings.fusemax import MAPPINGS
from ..method import Method

if TYPE_CHECKING:
    import torch

ONE_PASS = """
RM[b,h,0,p]      = -inf
RD[b,h,0,p]      = 0
RNV[b,h,f,0,p]   = 0
BQK[b,h,m1,m0,p] = sum(Q[b,h,p,e] * K[b,h,m1*M0+m0,e], e)
LM[b,h,m1,p]     = max(BQK[b,h,m1,m0,p], m0)                         # local maximum of a tile of keys
RM[b,h,m1+1,p]   = max(RM[b,h,m1,p], LM[b,h,m1,p])                   # running maximum
SLN[b,h,m1,m0,p] = exp(BQK[b,h,m1,m0,p] - RM[b,h,m1+1,p])            # local numerator
SLD[b,h,m1,p]    = sum(SLN[b,h,m1,m0,p], m0)                         # local denominator
SLNV[b,h,f,m1,p] = sum(SLN[b,h,m1,m0,p] * V[b,h,m1*M0+m0,f], m0)     # local numerator times V
PRM[b,h,m1,p]    = exp(RM[b,h,m1,p] - RM[b,h,m1+1,p])                # correction of what was summed before
SPD[b,h,m1,p]    = RD[b,h,m1,p] * PRM[b,h,m1,p]
RD[b,h,m1+1,p]   = SLD[b,h,m1,p] + SPD[b,h,m1,p]                     # running denominator
SPNV[b,h,f,m1,p] = RNV[b,h,f,m1,p] * PRM[b,h,m1,p]
RNV[b,h,f,m1+1,p] = SLNV[b,h,f,m1,p] + SPNV[b,h,f,m1,p]              # running numerator times V
AV[b,h,p,f]      = RNV[b,h,f,M1,p] / RD[b,h,M1,p]
"""

TWO_PASS = """
BQK[b,h,m1,m0,p] = sum(Q[b,h,p,e] * K[b,h,m1*M0+m0,e], e)
LM[b,h,m1,p]     = max(BQK[b,h,m1,m0,p], m0)                         # local maximum of a tile of keys
GM[b,h,p]        = max(LM[b,h,m1,p], m1)                             # global maximum
SLN[b,h,m1,m0,p] = exp(BQK[b,h,m1,m0,p] - LM[b,h,m1,p])              # local numerator
SLD[b,h,m1,p]    = sum(SLN[b,h,m1,m0,p], m0)                         # local denominator
CF[b,h,m1,p]     = exp(LM[b,h,m1,p] - GM[b,h,p])                     # from a tile's maximum to the global one
SD[b,h,p]        = sum(SLD[b,h,m1,p] * CF[b,h,m1,p], m1)             # denominator
A[b,h,m1,m0,p]   = SLN[b,h,m1,m0,p] * CF[b,h,m1,p] / SD[b,h,p]
AV[b,h,p,f]      = sum(A[b,h,m1,m0,p] * V[b,h,m1*M0+m0,f], m1, m0)
"""

THREE_PASS = """
QK[b,h,m,p] = sum(Q[b,h,p,e] * K[b,h,m,e], e)
GM[b,h,p]   = max(QK[b,h,m,p], m)                                    # global maximum
SN[b,h,m,p] = exp(QK[b,h,m,p] - GM[b,h,p])                           # numerator
SD[b,h,p]   = sum(SN[b,h,m,p], m)                                    # denominator
A[b,h,m,p]  = SN[b,h,m,p] / SD[b,h,p]
AV[b,h,p,f] = sum(A[b,h,m,p] * V[b,h,m,f], m)
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Every variant computes the same: PyTorch's own attention, without its scale."""
    from torch.nn.functional import scaled_dot_product_attention

    return {"AV": scaled_dot_product_attention(given["Q"], given["K"], given["V"], scale=1.0)}


_SHARED = {
    "B": 64,
    "M": 4096,
    "P": 4096,
}  # the paper's batch; a default length, it sweeps 2^10 to 2^20 tokens
_PAPER = "heads, head dimension and batch of the FuseMax artifact; a length of 4096 tokens is our default"

METHOD = Method(
    name="fusemax",
    title="FuseMax: exact attention in one pass over the keys",
    question="How much faster is attention when its softmax needs one pass over the keys, not three?",
    source="FuseMax, MICRO 2024, arXiv 2406.10491; artifact FPSG-UIUC/micro24-fusemax-artifact at f543beb",
    cascades={"1-pass": ONE_PASS, "2-pass": TWO_PASS, "3-pass": THREE_PASS},
    sizes={**_SHARED, "H": 12, "E": 64, "F": 64},
    presets={
        "tiny": {"B": 2, "H": 3, "E": 4, "F": 4, "M": 8, "P": 6, "M0": 4},
        "bert": {**_SHARED, "H": 12, "E": 64, "F": 64},
        "trxl": {**_SHARED, "H": 16, "E": 64, "F": 64},
        "t5": {**_SHARED, "H": 8, "E": 64, "F": 64},
        "xlm": {**_SHARED, "H": 16, "E": 128, "F": 128},
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "bert": f"BERT-Base; {_PAPER}",
        "trxl": f"Transformer-XL, wt103; {_PAPER}",
        "t5": f"T5-small encoder; {_PAPER}",
        "xlm": f"XLM; {_PAPER}",
    },
    mappings=MAPPINGS,
    reference=reference,
    counted_apart={
        **dict.fromkeys(
            ("exp", "sub", "max", "mul"),
            "RM, PRM, SPD and SPNV carry and rescale what tiles before have summed; softmax in one piece has none",
        ),
        "add": "RD and RNV add a tile's sums to those before; softmax in one piece adds exponentials only",
        "div": "AV divides F sums a query; softmax each of M weights",
    },
)
