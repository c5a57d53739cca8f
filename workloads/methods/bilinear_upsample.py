"""A map interpolated to more rows and columns, bilinearly.

Ranks: d channels, r and s rows and columns of the map, j and w those that follow, b and f the two rows and the two
columns that a point is interpolated from (at ROW and COLUMN, with weights WR and WC).
"""

from __future__ import annotations

from ..method import Method

CASCADE = """
IN: [D, R, S]
TAP[j,w,b,f] = WR[j,b] * WC[w,f]
OUT[d,j,w]   = sum(IN[d,ROW[j,b],COLUMN[w,f]] * TAP[j,w,b,f], b, f)
"""

_TWO = {"D": 8, "B": 2, "F": 2}

METHOD = Method(
    name="bilinear_upsample",
    title="Bilinear upsampling of a map",
    question="Should a map be sent small and upsampled where it is used, or sent large?",
    source="textbook",
    cascades={"plain": CASCADE},
    sizes={**_TWO, "R": 18, "S": 32, "J": 144, "W": 256},
    presets={
        "dair_v2x": {**_TWO, "R": 18, "S": 32, "J": 144, "W": 256},
        "opv2v": {**_TWO, "R": 24, "S": 32, "J": 192, "W": 256},
        "tiny": {**_TWO, "D": 3, "R": 3, "S": 4, "J": 7, "W": 6},
    },
    preset_sources={
        "dair_v2x": "LantaoLi/RG-Attn at 092628c: 18 x 32 to 144 x 256, one column for each radian",
        "opv2v": "the same ratio on images of 384 x 512 pixels; assumed",
        "tiny": "our choice, for tests",
    },
)
