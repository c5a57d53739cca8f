"""The levels of a pyramid brought to one resolution by convolutions that spread each cell: one, two by two, four by
four.

Ranks: k, l and m channels of the three levels, c those that each gives, y and x cells of the finest level, r1 and s1 of
the middle one, t1 and u1 of the coarsest, with the inner ranks r0, s0, t0, u0 counting the cells that one spreads to.
The three outputs lie side by side as channels of one map.
"""

from __future__ import annotations

from ..method import Method

CASCADE = """
FINE[c,y,x]   = max(0, sum(Z0[k,y,x] * W0[k,c], k) + B0[c])
MIDDLE[c,r1*R0+r0,s1*S0+s0] = max(0, sum(Z1[l,r1,s1] * W1[l,c,r0,s0], l) + B1[c])
COARSE[c,t1*T0+t0,u1*U0+u0] = max(0, sum(Z2[m,t1,u1] * W2[m,c,t0,u0], m) + B2[c])
"""

_CHANNELS = {"K": 64, "L": 128, "M": 256, "C": 128, "R0": 2, "S0": 2, "T0": 4, "U0": 4}

METHOD = Method(
    name="pyramid_merge",
    title="Three levels of a pyramid brought to one resolution",
    question="What does it cost to bring a pyramid's levels together?",
    source="Lu et al. 2024, HEAL, arXiv 2401.13964",
    cascades={"plain": CASCADE},
    sizes={**_CHANNELS, "Y": 128, "X": 256, "R1": 64, "S1": 128, "T1": 32, "U1": 64},
    presets={
        "dair_v2x": {**_CHANNELS, "Y": 128, "X": 256, "R1": 64, "S1": 128, "T1": 32, "U1": 64},
        "opv2v": {**_CHANNELS, "Y": 256, "X": 256, "R1": 128, "S1": 128, "T1": 64, "U1": 64},
        "tiny": {
            **_CHANNELS, "K": 2, "L": 3, "M": 4, "C": 3, "Y": 4, "X": 8, "R1": 2, "S1": 4, "T1": 1, "U1": 2,
        },
    },
    preset_sources={
        "dair_v2x": "LantaoLi/RG-Attn at 092628c",
        "opv2v": "yifanlu0227/HEAL: the same on OPV2V's grid",
        "tiny": "our choice, for tests",
    },
)  # fmt: skip
