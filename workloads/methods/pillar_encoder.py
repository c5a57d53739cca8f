"""Points to a map: features of each pillar of points from one linear layer, and their place on the bird's-eye view.

Ranks: p pillars that hold points, n points of a pillar, r what a point has (three coordinates, intensity), s the
coordinates among it, c channels, y and x cells. A point's ten features are its own four, its distance from the mean
of its pillar and from the pillar's centre. Rows of POINT without a point are zero, and so is VALID. Batch
normalisation is folded into the weights.
"""

from __future__ import annotations

from ..method import Method

CASCADE = """
MEAN[p,s]    = sum(POINT[p,n,s], n) * SHARE[p]                                    # SHARE: one over the points
FEATURE[p,n,c] = sum(POINT[p,n,r] * WP[r,c], r) + sum((POINT[p,n,s] - MEAN[p,s]) * WM[s,c], s) \\
    + sum((POINT[p,n,s] - CENTRE[p,s]) * WC[s,c], s)
ACTIVE[p,n,c] = max(0, FEATURE[p,n,c] * VALID[p,n] + B[c])
PILLAR[p,c]  = max(ACTIVE[p,n,c], n)
BEV[c,y,x]   = scatter(sum, PILLAR[p,c], ROW[p], COLUMN[p], p)                    # a pillar has a cell to itself
"""

_POINTS = {"N": 32, "R": 4, "S": 3, "C": 64}
_HEAL = (
    "yifanlu0227/HEAL and LantaoLi/RG-Attn at 092628c: pillars of 0.4 m with 32 points; how many hold points is assumed"
)

METHOD = Method(
    name="pillar_encoder",
    title="Pillars of points to a bird's-eye view (PointPillars)",
    question="Is turning points into a map of features work, or traffic?",
    source="Lang et al. 2019, PointPillars, arXiv 1812.05784",
    cascades={"plain": CASCADE},
    sizes={**_POINTS, "P": 10000, "Y": 256, "X": 512},
    presets={
        "dair_v2x": {**_POINTS, "P": 10000, "Y": 256, "X": 512},
        "opv2v": {**_POINTS, "P": 10000, "Y": 512, "X": 512},
        "tiny": {"P": 6, "N": 4, "R": 4, "S": 3, "C": 5, "Y": 4, "X": 6},
    },
    preset_sources={"dair_v2x": _HEAL, "opv2v": _HEAL, "tiny": "our choice, for tests"},
)
