"""A residual block of two 3 x 3 convolutions that keeps its size; batch normalisation is folded into the weights.

Ranks: c channels in, m between and o out (all as many), y and x cells, u and v the kernel.
"""

from __future__ import annotations

from ..method import Method

CASCADE = """
IN: [C, Y, X]
MID[m,y,x] = max(0, sum(IN[c,y+u-1,x+v-1] * W1[m,c,u,v], c, u, v) + B1[m])
OUT[c,y,x] = max(0, sum(MID[m,y+u-1,x+v-1] * W2[c,m,u,v], m, u, v) + B2[c] + IN[c,y,x])
"""

METHOD = Method(
    name="residual_basic",
    title="Residual block of two 3 x 3 convolutions",
    question="What does a block of a small residual network cost at this resolution?",
    source="He et al. 2015, Deep Residual Learning, arXiv 1512.03385",
    cascades={"plain": CASCADE},
    sizes={"C": 64, "M": 64, "Y": 128, "X": 256, "U": 3, "V": 3},
    presets={
        "dair_v2x": {"C": 64, "M": 64, "Y": 128, "X": 256},
        "opv2v": {"C": 64, "M": 64, "Y": 256, "X": 256},
        "tiny": {"C": 3, "M": 3, "Y": 4, "X": 5},
    },
    preset_sources={
        "dair_v2x": "LantaoLi/RG-Attn at 092628c: blocks after the first of the bird's-eye view's backbone",
        "opv2v": "yifanlu0227/HEAL: the same on OPV2V's grid",
        "tiny": "our choice, for tests",
    },
)
