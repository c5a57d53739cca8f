"""The gradients of softmax attention, with scores and probabilities computed again.

Ranks as in attention: b batch, h heads, p queries, m keys, e and f head dimensions. GO is the gradient of the output O,
L the logarithm of each query's denominator plus its maximum, both kept by the forward pass. XQ is the gradient of the
scaled queries, added up from ZQ = 0 over all keys.
"""

from __future__ import annotations

from ..mappings.attention_backward import MAPPINGS
from ..method import Method
from .attention import METHOD as ATTENTION

RECOMPUTE = """
DL[b,h,p]   = sum(GO[b,h,p,f] * O[b,h,p,f], f)
ZQ[b,h,p,e] = 0
S[b,h,p,m]  = sum(Q[b,h,p,e] * K[b,h,m,e], e)
A[b,h,p,m]  = exp(S[b,h,p,m] / sqrt(E) - L[b,h,p])                    # probabilities again: one multiply-add, one exp
DA[b,h,p,m] = sum(GO[b,h,p,f] * V[b,h,m,f], f)
DS[b,h,p,m] = A[b,h,p,m] * (DA[b,h,p,m] - DL[b,h,p])
DV[b,h,m,f] = sum(A[b,h,p,m] * GO[b,h,p,f], p)
DK[b,h,m,e] = sum(DS[b,h,p,m] * Q[b,h,p,e], p) / sqrt(E)
XQ[b,h,p,e] = ZQ[b,h,p,e] + sum(DS[b,h,p,m] * K[b,h,m,e], m)          # every tile of keys adds its part
DQ[b,h,p,e] = XQ[b,h,p,e] / sqrt(E)
"""

METHOD = Method(
    name="attention_backward",
    title="Gradients of softmax attention, with probabilities computed again",
    question="How long does the backward pass of exact attention take, and does it overlap anything?",
    source="Dao et al., FlashAttention-2, arXiv 2307.08691, algorithm 2",
    cascades={"recompute": RECOMPUTE},
    sizes=ATTENTION.sizes,
    presets={name: sizes for name, sizes in ATTENTION.presets.items() if sizes["P"] > 1},
    preset_sources={
        name: ATTENTION.preset_sources[name] for name, sizes in ATTENTION.presets.items() if sizes["P"] > 1
    },
    mappings=MAPPINGS,
)
