"""One level of pyramid fusion: the maps of all agents are warped into one frame and joined by weights of their own.

Ranks: n agents, c channels, y and x cells, q the four cells that a cell of the common frame is interpolated from. ROW,
COLUMN and TAP are their places and weights in each agent's map (weight zero outside). Where no agent sees a cell its
weights are zero.
"""

from __future__ import annotations

from ..method import Method

CASCADE = """
BU: []
SEEN[n,y,x]   = 1 / (1 + exp(-sum(F[n,c,y,x] * U[c], c) - BU)) + 0.0001            # how much an agent sees there
WARP[n,c,y,x] = sum(F[n,c,ROW[n,y,x,q],COLUMN[n,y,x,q]] * TAP[n,y,x,q], q)
SCORE[n,y,x]  = sum(SEEN[n,ROW[n,y,x,q],COLUMN[n,y,x,q]] * TAP[n,y,x,q], q)
L[n,y,x]      = where(SCORE[n,y,x] == 0, -inf, SCORE[n,y,x])
G[y,x]        = max(L[n,y,x], n)
E[n,y,x]      = where(SCORE[n,y,x] == 0, 0, exp(L[n,y,x] - G[y,x]))
D[y,x]        = sum(E[n,y,x], n)
SHARE[n,y,x]  = where(SCORE[n,y,x] == 0, 0, E[n,y,x] / D[y,x])
OUT[c,y,x]    = sum(SHARE[n,y,x] * WARP[n,c,y,x], n)
"""

_TWO = {"N": 2, "Q": 4}
_LEVELS = "LantaoLi/RG-Attn at 092628c, pyramid fusion on DAIR-V2X with two agents: level"

METHOD = Method(
    name="pyramid_level",
    title="One level of pyramid fusion of several agents' maps",
    question="Does fusing more agents' maps cost anything beside the traffic of reading them?",
    source="Lu et al. 2024, HEAL, arXiv 2401.13964",
    cascades={"plain": CASCADE},
    sizes={**_TWO, "C": 64, "Y": 128, "X": 256},
    presets={
        "dair_v2x_0": {**_TWO, "C": 64, "Y": 128, "X": 256},
        "dair_v2x_1": {**_TWO, "C": 128, "Y": 64, "X": 128},
        "dair_v2x_2": {**_TWO, "C": 256, "Y": 32, "X": 64},
        "tiny": {"N": 3, "Q": 4, "C": 5, "Y": 4, "X": 6},
    },
    preset_sources={**{f"dair_v2x_{n}": f"{_LEVELS} {n}" for n in (0, 1, 2)}, "tiny": "our choice, for tests"},
)
