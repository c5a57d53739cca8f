"""Softmax attention as a framework runs it without fusion: every line is a kernel, and scores go through memory.

Ranks as in attention. Inputs lie token by token (``Q[b,p,h,e]``), so that products of matrices need copies; a causal
mask is a matrix B that is added to the scores. In `training` variants the gradients of everything are computed too;
`long` ones are for rows of scores that no warp can keep, whose exponentials are computed twice.
"""

from __future__ import annotations

from itertools import product

from ..mappings.unfused import MAPPINGS
from ..method import Method
from .attention import METHOD as ATTENTION

_SCORES = """
QC[b,h,p,e] = Q[b,p,h,e]
KC[b,h,m,e] = K[b,m,h,e]
S[b,h,p,m]  = sum(QC[b,h,p,e] * KC[b,h,m,e], e) / sqrt(E)
"""
_MASK = "SB[b,h,p,m] = S[b,h,p,m] + B[p,m]\n"
_SOFTMAX = """
G[b,h,p]    = max({S}[b,h,p,m], m)
N[b,h,p,m]  = exp({S}[b,h,p,m] - G[b,h,p])
D[b,h,p]    = sum(N[b,h,p,m], m)
A[b,h,p,m]  = N[b,h,p,m] / D[b,h,p]
"""
_SOFTMAX_LONG = """
G[b,h,p]    = max({S}[b,h,p,m], m)
D[b,h,p]    = sum(exp({S}[b,h,p,m] - G[b,h,p]), m)
A[b,h,p,m]  = exp({S}[b,h,p,m] - G[b,h,p]) / D[b,h,p]
"""
_OUTPUT = """
VC[b,h,m,f] = V[b,m,h,f]
O[b,h,p,f]  = sum(A[b,h,p,m] * VC[b,h,m,f], m)
"""
_GRADIENTS = """
GC[b,h,p,f] = GO[b,p,h,f]
DV[b,h,m,f] = sum(A[b,h,p,m] * GC[b,h,p,f], p)
DA[b,h,p,m] = sum(GC[b,h,p,f] * VC[b,h,m,f], f)
T[b,h,p]    = sum(A[b,h,p,m] * DA[b,h,p,m], m)
DS[b,h,p,m] = A[b,h,p,m] * (DA[b,h,p,m] - T[b,h,p])
XQ[b,h,p,e] = sum(DS[b,h,p,m] * KC[b,h,m,e], m)
XK[b,h,m,e] = sum(DS[b,h,p,m] * QC[b,h,p,e], p)
DQ[b,h,p,e] = XQ[b,h,p,e] / sqrt(E)
DK[b,h,m,e] = XK[b,h,m,e] / sqrt(E)
GQ[b,p,h,e] = DQ[b,h,p,e]
GK[b,m,h,e] = DK[b,h,m,e]
GV[b,m,h,f] = DV[b,h,m,f]
"""


def _cascade(masked: bool, training: bool, long: bool) -> str:
    softmax = (_SOFTMAX_LONG if long else _SOFTMAX).format(S="SB" if masked else "S")
    return _SCORES + (_MASK if masked else "") + softmax + _OUTPUT + (_GRADIENTS if training else "")


def _name(masked: bool, training: bool, long: bool) -> str:
    words = {"masked": masked, "training": training, "long": long}
    return "-".join(word for word, said in words.items() if said) or "plain"


_CASES = list(product((False, True), repeat=3))

METHOD = Method(
    name="attention_unfused",
    title="Softmax attention as a framework runs it without fusion, forward or with gradients",
    question="What does attention cost when every step writes its scores to memory?",
    source="Dao-AILab/flash-attention, benchmarks/benchmark_flash_attention.py, attention_pytorch",
    cascades={_name(*case): _cascade(*case) for case in _CASES},
    sizes=ATTENTION.sizes,
    presets={name: sizes for name, sizes in ATTENTION.presets.items() if sizes["P"] > 1},
    preset_sources={
        name: ATTENTION.preset_sources[name] for name, sizes in ATTENTION.presets.items() if sizes["P"] > 1
    },
    mappings=MAPPINGS,
    interchangeable=False,
)
