"""RelationNet++ (bridging visual representations): pixels of a detector attend to a few key points.

New: every pixel of a feature pyramid attends to 50 key points that a heat map found across all levels; the bias of a
pair for its relative position is looked up in one small table instead of being computed for each pair.

Ranks: g kinds of key points (one of centres, or two of corners), n pixels of all levels, d width, h heads, e head
dimension, k key points, s the two coordinates, u and v the table, q sine or cosine of either coordinate, i frequencies.
Heat maps of one level: c and o channels, m channels of one of w groups, y and x pixels, a and b the filter, z classes,
r peaks of a class, l peaks of all classes, t those that stay; p all pixels in a row; j
peaks of all levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

_WAVES = """
SU[u,i] = sin((u - (U-1)//2) * FREQ[i])
CU[u,i] = cos((u - (U-1)//2) * FREQ[i])
SV[v,i] = sin((v - (V-1)//2) * FREQ[i])
CV[v,i] = cos((v - (V-1)//2) * FREQ[i])
"""
TABLE = (
    _WAVES
    + """
PE[u,v,q,i] = where(q == 0, SV[v,i], where(q == 1, CV[v,i], where(q == 2, SU[u,i], CU[u,i])))
TB[g,h,u,v] = sum(PE[u,v,q,i] * WE[g,h,q,i], q, i) + BE[g,h]
"""
)
_KEYS = "KF[g,k,d] = F[SI[g,k],d]\n"
_LOOKED_UP = """
AT[g,n,k,s] = min(max(((KP[g,k,s] - QP[n,s]) / 8 / ((U-1)//2) + 1) * U / 2 - 0.5, 0), U - 1)  # a place in the table
LO[g,n,k,s] = AT[g,n,k,s] // 1
HI[g,n,k,s] = min(LO[g,n,k,s] + 1, U - 1)
FR[g,n,k,s] = AT[g,n,k,s] - LO[g,n,k,s]
ROW0[g,h,n,k] = (1 - FR[g,n,k,0]) * TB[g,h,LO[g,n,k,1],LO[g,n,k,0]] + FR[g,n,k,0] * TB[g,h,LO[g,n,k,1],HI[g,n,k,0]]
ROW1[g,h,n,k] = (1 - FR[g,n,k,0]) * TB[g,h,HI[g,n,k,1],LO[g,n,k,0]] + FR[g,n,k,0] * TB[g,h,HI[g,n,k,1],HI[g,n,k,0]]
RB[g,h,n,k] = log(max((1 - FR[g,n,k,1]) * ROW0[g,h,n,k] + FR[g,n,k,1] * ROW1[g,h,n,k], 1e-6))
"""
_DIRECT = """
DX[g,n,k,s] = (KP[g,k,s] - QP[n,s]) / 8
PX[g,n,k,q,i] = where(q == 0, sin(DX[g,n,k,0] * FREQ[i]), where(q == 1, cos(DX[g,n,k,0] * FREQ[i]), 0))
PY[g,n,k,q,i] = where(q == 2, sin(DX[g,n,k,1] * FREQ[i]), where(q == 3, cos(DX[g,n,k,1] * FREQ[i]), 0))
RB[g,h,n,k] = log(max(sum((PX[g,n,k,q,i] + PY[g,n,k,q,i]) * WE[g,h,q,i], q, i) + BE[g,h], 1e-6))
"""
_ATTENTION = """
Q[g,h,n,e] = sum(F[n,d] * WQ[g,h,e,d], d) + BQ[g,h,e]
K[g,h,k,e] = sum(KF[g,k,d] * WK[g,h,e,d], d) + BK[g,h,e]
VAL[g,h,k,e] = sum(KF[g,k,d] * WV[g,h,e,d], d) + BV[g,h,e]
LG[g,h,n,k] = sum(Q[g,h,n,e] * K[g,h,k,e], e) / sqrt(E) + RB[g,h,n,k]
GM[g,h,n]  = max(LG[g,h,n,k], k)
SN[g,h,n,k] = exp(LG[g,h,n,k] - GM[g,h,n])
SD[g,h,n]  = sum(SN[g,h,n,k], k)
AV[g,h,n,e] = sum(SN[g,h,n,k] * VAL[g,h,k,e], k) / SD[g,h,n]
OG[g,n,d]  = sum(AV[g,h,n,e] * WO[g,d,h,e], h, e) + BO[g,d]
Y[n,d]     = relu(F[n,d] + sum(OG[g,n,d], g))
"""
_DECLARED = "F: [N, D]\n"
BVR = _DECLARED + "TB: [G, H, U, V]\n" + _KEYS + _LOOKED_UP + _ATTENTION
WITH_TABLE = _DECLARED + TABLE + _KEYS + _LOOKED_UP + _ATTENTION
DIRECT = _DECLARED + _KEYS + _DIRECT + _ATTENTION


def _normalized(given: str, number: int) -> str:
    """A 3 x 3 convolution, its groups normalized, and a ReLU."""
    return f"""
C{number}[w*M+m,y,x] = sum({given}[c,y+a-1,x+b-1] * W{number}[w,m,c,a,b], c, a, b)
N{number}[w] = sum(C{number}[w*M+m,y,x], m, y, x) / (M*Y*X)
R{number}[w] = sum((C{number}[w*M+m,y,x] - N{number}[w]) ** 2, m, y, x) / (M*Y*X)
A{number}[w,m] = S{number}[w,m] * rsqrt(R{number}[w] + 1e-5)
H{number}[w*M+m,y,x] = relu((C{number}[w*M+m,y,x] - N{number}[w]) * A{number}[w,m] + T{number}[w,m])
"""  # fmt: skip


HEAT_MAP = (
    "STRIDE: size\nIMG: [C, Y, X]\n" + _normalized("IMG", 1) + _normalized("H1", 2)
    + """
J1[o,y,x] = relu(sum(H2[c,y+a-1,x+b-1] * W3[o,c,a,b], c, a, b) + T3[o])
HM[z,y,x] = sigmoid(sum(J1[o,y+a-1,x+b-1] * W4[z,o,a,b], o, a, b) + T4[z])
J2[o,y,x] = relu(sum(H2[c,y+a-1,x+b-1] * W5[o,c,a,b], c, a, b) + T5[o])
OFF[s,y*X+x] = sum(J2[o,y+a-1,x+b-1] * W6[s,o,a,b], o, a, b) + T6[s]
NB[z,y,x] = max(HM[z,y+a-1,x+b-1], a, b)
PK[z,y*X+x] = where(HM[z,y,x] == NB[z,y,x], HM[z,y,x], 0)   # peaks stay
TC[z,r]   = topk(PK[z,p], p)
SC[z*R+r] = PK[z,TC[z,r]]
PL[z*R+r] = TC[z,r]
TA[t]     = topk(SC[l], l)
SCORE[t]  = SC[TA[t]]
PIXEL[t]  = PL[TA[t]]
POINT[t,s] = where(s == 0, PIXEL[t] % X, PIXEL[t] // X) * STRIDE + STRIDE / 2 + STRIDE * OFF[s,PIXEL[t]]
"""
)  # fmt: skip


ACROSS_LEVELS = """
PLACE: [G, J]
SPOT: [G, J, S]
BEST[g,k] = topk(PEAK[g,j], j)                              # the peaks of all levels, the strongest
SI[g,k]   = PLACE[g,BEST[g,k]]
KP[g,k,s] = SPOT[g,BEST[g,k],s]
"""


def _heat_map(given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> dict[str, torch.Tensor]:
    import torch
    from torch.nn.functional import conv2d, group_norm, max_pool2d

    x = given["IMG"][None]
    for number in (1, 2):
        weight, scale, shift = (given[f"{k}{number}"].flatten(0, 1) for k in "WST")
        x = group_norm(conv2d(x, weight, padding=1), sizes["W"], scale, shift).relu()
    scores = conv2d(
        conv2d(x, given["W3"], given["T3"], padding=1).relu(), given["W4"], given["T4"], padding=1
    ).sigmoid()
    offsets = conv2d(conv2d(x, given["W5"], given["T5"], padding=1).relu(), given["W6"], given["T6"], padding=1)[0]
    peaks = (scores * (scores == max_pool2d(scores, 3, 1, 1)))[0].flatten(1)
    best, places = peaks.topk(sizes["R"], 1)
    score, which = best.flatten().topk(sizes["T"])
    pixel = places.flatten()[which]
    width = x.shape[-1]
    here = torch.stack([pixel % width, pixel // width], 1) + 0.5
    return {"SCORE": score, "POINT": sizes["STRIDE"] * (here + offsets.flatten(1)[:, pixel].T)}


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After microsoft/RelationNet2: grid_sample looks the table up."""
    import torch
    from torch.nn.functional import grid_sample, scaled_dot_product_attention

    if variant == "heat_map":
        return _heat_map(given, sizes)
    if variant == "across_levels":
        best = given["PEAK"].topk(sizes["K"], 1).indices
        spots = given["SPOT"].gather(1, best[..., None].expand(-1, -1, sizes["S"]))
        return {"SI": given["PLACE"].gather(1, best), "KP": spots}

    def waves(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        parts = [f(one[..., None] * given["FREQ"]) for one in (x, y) for f in (torch.sin, torch.cos)]
        return torch.cat(parts, -1)

    def embedded(x: torch.Tensor, y: torch.Tensor, g: int) -> torch.Tensor:
        return torch.einsum("...c,hc->h...", waves(x, y), given["WE"][g].flatten(1)) + given["BE"][g][:, None, None]

    half = (sizes.get("U", 1) - 1) // 2
    steps = torch.arange(-half, half + 1, dtype=torch.float64)
    features, total = given["F"], given["F"].clone()
    for g, points in enumerate(given["KP"]):
        apart = (points[None] - given["QP"][:, None]) / 8
        if variant == "direct":
            bias = embedded(apart[..., 0], apart[..., 1], g)
        else:
            across, down = torch.meshgrid(steps, steps, indexing="xy")
            table = given["TB"][g] if "TB" in given else embedded(across, down, g)
            bias = grid_sample(table[None], apart[None] / half, padding_mode="border", align_corners=False)[0]
        keys = features[given["SI"][g].long()]
        heads = [torch.einsum("nd,hed->hne", x, given[f"W{k}"][g]) + given[f"B{k}"][g][:, None]
                 for x, k in ((features, "Q"), (keys, "K"), (keys, "V"))]  # fmt: skip
        out = scaled_dot_product_attention(*heads, attn_mask=bias.clamp(min=1e-6).log())
        total = total + torch.einsum("hne,dhe->nd", out, given["WO"][g]) + given["BO"][g]
    return {"Y": total.relu()}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Places in an image, frequencies, which pixels are keys, and positions that some tables leave."""
    made: dict[str, Any] = {}
    if "SI" in shapes and "KP" in shapes:
        made["SI"] = generator.integers(0, sizes["N"], shapes["SI"])
        made |= {name: generator.uniform(0, 80, shapes[name]) for name in ("KP", "QP")}
    if "FREQ" in shapes:
        made["FREQ"] = generator.uniform(0.05, 0.5, shapes["FREQ"])
    return made


PAPER = "Chi et al. 2020, RelationNet++, arXiv 2010.15831"
CODE = "microsoft/RelationNet2"
_HEAD = {
    "C": 256,
    "O": 256,
    "W": 32,
    "M": 8,
    "A": 3,
    "Z": 80,
    "R": 20,
    "L": 1600,
    "T": 20,
    "J": 100,
    "S": 2,
    "STRIDE": 8,
}


def _image(pixels: tuple[tuple[int, int], ...], kinds: int) -> dict[str, int]:
    high, wide = pixels[0]
    return {"N": sum(y * x for y, x in pixels), "G": kinds, "D": 256, "H": 8, "E": 32, "K": 50, "U": 401, "V": 401,
            "Q": 4, "I": 64, "Y": high, "X": wide, "P": high * wide, "B": 3, **_HEAD}  # fmt: skip


_800 = ((100, 168), (50, 84), (25, 42), (13, 21), (7, 11))
_512 = ((64, 64), (32, 32), (16, 16), (8, 8), (4, 4))

METHOD = Method(
    name="bvr",
    title="RelationNet++: pixels attend to key points, with a table of relative positions",
    question="What dominates: heat maps, projections, position bias or attention; and what does the table save?",
    source=f"{PAPER}; {CODE}",
    cascades={"bvr": BVR, "with_table": WITH_TABLE, "direct": DIRECT, "heat_map": HEAT_MAP,
              "across_levels": ACROSS_LEVELS},
    sizes=_image(_800, 1),
    presets={
        "retinanet_800_classes": _image(_800, 1),
        "retinanet_800_boxes": _image(_800, 2),
        "retinanet_512_classes": _image(_512, 1),
        "retinanet_512_boxes": _image(_512, 2),
        "tiny": {"N": 20, "G": 2, "D": 8, "H": 2, "E": 4, "K": 5, "U": 9, "V": 9, "Q": 4, "I": 2, "C": 8, "O": 8,
                 "W": 2, "M": 4, "Y": 4, "X": 5, "P": 20, "A": 3, "B": 3, "Z": 3, "R": 4, "L": 12, "T": 4, "J": 8,
                 "S": 2, "STRIDE": 8},
    },
    preset_sources={
        "retinanet_800_classes": f"{CODE}, RetinaNet: 5 levels of 800 x 1344, 50 centres; the heat map of stride 8",
        "retinanet_800_boxes": f"{CODE}, RetinaNet: 5 levels of 800 x 1344, 50 corners of two kinds",
        "retinanet_512_classes": f"{CODE}, RetinaNet, for images of 512 x 512",
        "retinanet_512_boxes": f"{CODE}, RetinaNet, for images of 512 x 512, corners of two kinds",
        "tiny": "our choice, for tests",
    },
    weights=("WE", "BE", "WQ", "BQ", "WK", "BK", "WV", "BV", "WO", "BO", "W1", "S1", "T1", "W2", "S2", "T2", "W3", "T3",
             "W4", "T4", "W5", "T5", "W6", "T6"),
    reference=reference,
    inputs=inputs,
    claims=(
        Claim("AP", "1.5 to 3.0 AP more for four detectors on COCO", 3.0, "AP", f"{PAPER}, abstract", "abstract",
              not_derivable="accuracy"),
        Claim("best AP", "52.7 AP on COCO test-dev", 52.7, "AP", f"{PAPER}, abstract", "abstract",
              not_derivable="accuracy"),
        Claim("direct embedding", "RetinaNet takes 239 GFLOPs, 468 with direct embeddings and 266 with the table",
              468 / 266, "x", PAPER, "recalled", not_derivable="recalled, and what it counts is not known"),
    ),
    assumed={"branches of the heat map": "a ReLU between their two convolutions"},
    counted_apart={
        "compare": (
            "grid_sample checks each corner for bounds and _safe_softmax guards rows; samples of the cascade are "
            "clamped (AT, HI)"
        ),
        "select": "grid_sample selects corners within bounds and _safe_softmax guards rows; no line selects",
        "div": (
            "grid_sample counts floor and casts of indices, softmax divides each weight; LO is one floor a sample, AV "
            "divides sums"
        ),
        "min": "grid_sample clamps a coordinate (border); AT does, and HI clamps the neighbour's index",
        **dict.fromkeys(("add", "mul"),
            "grid_sample scales coordinates and weighs four corners; AT and HI place samples, ROW0, ROW1 and RB "
            "interpolate along one axis, then the other"
        ),
        "sub": (
            "grid_sample takes differences for each corner's weight; AT, FR and the interpolations of ROW0, ROW1, RB "
            "do for each step"
        ),
    },
)  # fmt: skip
