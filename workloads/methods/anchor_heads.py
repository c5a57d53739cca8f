"""Detection heads: for each cell and anchor a class, a box and a direction, each a 1 x 1 convolution.

Ranks: c channels in, o classes, b box values and d directions of all anchors of a cell, y and x cells.
"""

from __future__ import annotations

from ..method import Method

CASCADE = """
CLASS[o,y,x]     = sum(IN[c,y,x] * WO[o,c], c) + BO[o]
BOX[b,y,x]       = sum(IN[c,y,x] * WB[b,c], c) + BB[b]
DIRECTION[d,y,x] = sum(IN[c,y,x] * WD[d,c], c) + BD[d]
"""

_ANCHORS = {"C": 256, "O": 6, "B": 42, "D": 12}

METHOD = Method(
    name="anchor_heads",
    title="Detection heads with anchors",
    question="What do the heads of a detector cost, once its features are there?",
    source="Lang et al. 2019, PointPillars, arXiv 1812.05784",
    cascades={"plain": CASCADE},
    sizes={**_ANCHORS, "Y": 128, "X": 256},
    presets={
        "dair_v2x": {**_ANCHORS, "Y": 128, "X": 256},
        "opv2v": {**_ANCHORS, "Y": 256, "X": 256},
        "tiny": {"C": 4, "O": 2, "B": 7, "D": 2, "Y": 3, "X": 4},
    },
    preset_sources={
        "dair_v2x": "LantaoLi/RG-Attn at 092628c: six anchors a cell, of seven values and two directions",
        "opv2v": "yifanlu0227/HEAL: the same on OPV2V's grid",
        "tiny": "our choice, for tests",
    },
)
