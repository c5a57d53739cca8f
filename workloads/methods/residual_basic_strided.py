"""A residual block of two 3 x 3 convolutions that changes size or channels; its shortcut is a 1 x 1 convolution.

Ranks: k channels in, m between, c out, y and x cells of the output (P x Q of the input, at stride S), u and v the
kernel.
"""

from __future__ import annotations

from ..method import Method

CASCADE = """
S: size
IN: [K, P, Q]
MID[m,y,x] = max(0, sum(IN[k,S*y+u-1,S*x+v-1] * W1[m,k,u,v], k, u, v) + B1[m])
CUT[c,y,x] = sum(IN[k,S*y,S*x] * WS[c,k], k)                                     # the shortcut
OUT[c,y,x] = max(0, sum(MID[m,y+u-1,x+v-1] * W2[c,m,u,v], m, u, v) + B2[c] + CUT[c,y,x])
"""

_HALVED = {"K": 64, "M": 64, "C": 64, "S": 2, "U": 3, "V": 3}

METHOD = Method(
    name="residual_basic_strided",
    title="Residual block of two 3 x 3 convolutions with a stride and a projected shortcut",
    question="What does the block cost that halves a resolution?",
    source="He et al. 2015, Deep Residual Learning, arXiv 1512.03385",
    cascades={"plain": CASCADE},
    sizes={**_HALVED, "P": 256, "Q": 512, "Y": 128, "X": 256},
    presets={
        "dair_v2x": {**_HALVED, "P": 256, "Q": 512, "Y": 128, "X": 256},
        "opv2v": {**_HALVED, "P": 512, "Q": 512, "Y": 256, "X": 256},
        "tiny": {**_HALVED, "K": 5, "M": 3, "C": 3, "P": 8, "Q": 10, "Y": 4, "X": 5},
    },
    preset_sources={
        "dair_v2x": "LantaoLi/RG-Attn at 092628c: first block of the bird's-eye view's backbone",
        "opv2v": "yifanlu0227/HEAL: the same on OPV2V's grid",
        "tiny": "our choice, for tests",
    },
)
