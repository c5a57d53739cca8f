"""AttenCraft: masks of concepts out of a diffusion model's own attention, and a loss that keeps concepts apart.

New: where two concepts are learned from one picture, the attention maps of one first step become a mask for each
(self-attention to the fourth power, on cross-attention squared); later a divergence pulls each concept's map to its
mask, while only keys' and values' projections learn. So all probabilities have to be kept, which fused attention never
does.

Ranks: b images, h heads, p and m pixels or tokens as queries and keys, d width, t text width, e head dimension. Maps: l
layers of h heads at a coarse level, k layers of g heads at a finer one, p coarse pixels, s, u and v fine ones, c
concepts (z again, where two are compared), i tokens of the text, r 1: the best.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

_CROSS = """
Q[b,h,p,e] = sum(X[b,p,d] * WQ[h,e,d], d)
K[b,h,m,e] = sum(TEXT[b,m,t] * WK[h,e,t], t)
V[b,h,m,e] = sum(TEXT[b,m,t] * WV[h,e,t], t)
"""
_SELF = """
Q[b,h,p,e] = sum(X[b,p,d] * WQ[h,e,d], d)
K[b,h,m,e] = sum(X[b,m,d] * WKS[h,e,d], d)
V[b,h,m,e] = sum(X[b,m,d] * WVS[h,e,d], d)
"""
_ATTENTION = """
LG[b,h,p,m] = sum(Q[b,h,p,e] * K[b,h,m,e], e) / sqrt(E)
GM[b,h,p]   = max(LG[b,h,p,m], m)
SN[b,h,p,m] = exp(LG[b,h,p,m] - GM[b,h,p])
SD[b,h,p]   = sum(SN[b,h,p,m], m)
A[b,h,p,m]  = SN[b,h,p,m] / SD[b,h,p]
AV[b,h,p,e] = sum(A[b,h,p,m] * V[b,h,m,e], m)
Y[b,p,d]    = sum(AV[b,h,p,e] * WO[d,h,e], h, e)
"""
_KEPT = "MAP[b,h,p,m] = A[b,h,p,m]                                  # kept for the masks, the loss and the gradients\n"
CROSS, SELF = _CROSS + _ATTENTION, _SELF + _ATTENTION

TRAINING = (
    CROSS
    + _KEPT
    + """
GAV[b,h,p,e] = sum(GY[b,p,d] * WO[d,h,e], d)
GA[b,h,p,m] = sum(GAV[b,h,p,e] * V[b,h,m,e], e) + GMAP[b,h,p,m]
GT[b,h,p]   = sum(A[b,h,p,m] * GA[b,h,p,m], m)
GL[b,h,p,m] = A[b,h,p,m] * (GA[b,h,p,m] - GT[b,h,p]) / sqrt(E)
GQ[b,h,p,e] = sum(GL[b,h,p,m] * K[b,h,m,e], m)
GK[b,h,m,e] = where(m > 0, sum(GL[b,h,p,m] * Q[b,h,p,e], p), 0)     # the first token of the text is held still
GV[b,h,m,e] = where(m > 0, sum(A[b,h,p,m] * GAV[b,h,p,e], p), 0)
GX[b,p,d]   = sum(GQ[b,h,p,e] * WQ[h,e,d], h, e)
GWK[h,e,t]  = sum(GK[b,h,m,e] * TEXT[b,m,t], b, m)
GWV[h,e,t]  = sum(GV[b,h,m,e] * TEXT[b,m,t], b, m)
"""
)

MASKS = """
CM[p,i]  = sum(AX[l,h,p,i], l, h) / (L*H)
CT[p,c]  = CM[p,TOK[c]]                                     # the concepts' tokens and one of the background
CU[s,c]  = sum(CT[p,c] * BI[s,p], p)                        # bicubic, from the coarse grid to the fine one
CLO[c]   = min(CU[s,c], s)
CHI[c]   = max(CU[s,c], s)
C1[s,c]  = (CU[s,c] - CLO[c]) / (CHI[c] - CLO[c])
CQ[s,c]  = CU[s,c] * CU[s,c]
QLO[c]   = min(CQ[s,c], s)
QHI[c]   = max(CQ[s,c], s)
C2[s,c]  = (CQ[s,c] - QLO[c]) / (QHI[c] - QLO[c])
SM[s,u]  = sum(AS[k,g,s,u], k, g) / (K*G)
SLO      = min(SM[s,u], s, u)
SHI      = max(SM[s,u], s, u)
SN[s,u]  = (SM[s,u] - SLO) / (SHI - SLO)
S2[s,u]  = sum(SN[s,v] * SN[v,u], v)
S4[s,u]  = sum(S2[s,v] * S2[v,u], v)
FLO      = min(S4[s,u], s, u)
FHI      = max(S4[s,u], s, u)
S4N[s,u] = (S4[s,u] - FLO) / (FHI - FLO)
R[s,c]   = sum(S4N[s,u] * C2[u,c], u)
RLO[c]   = min(R[s,c], s)
RHI[c]   = max(R[s,c], s)
RN[s,c]  = (R[s,c] - RLO[c]) / (RHI[c] - RLO[c])
LEAD[s,c] = min(where(c == z, inf, RN[s,c] - RN[s,z]), z)
MK[s,c]  = where(LEAD[s,c] > 0.1, 1, 0)
SC[c,z]  = sum(RN[s,z] * MK[s,c], s)
OWN[c,r] = topk(SC[c,z], z)
"""

LOSS = """
MK: [S, C]
OP[s,c] = exp(C1[s,c])                                      # between 1 and e: no maximum has to come off
PD[c]   = sum(OP[s,c], s)
P[s,c]  = OP[s,c] / PD[c]
OG[s,c] = exp(sum(MK[s,OWN[c,r]], r))
GD[c]   = sum(OG[s,c], s)
G[s,c]  = OG[s,c] / GD[c]
M[s,c]  = (P[s,c] + G[s,c]) / 2
JS[c]   = sum(0.5 * P[s,c] * log(P[s,c]) + 0.5 * G[s,c] * log(G[s,c]) - M[s,c] * log(M[s,c]), s)
LATT    = sum(JS[c], c) / C
"""


def _masks(given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> dict[str, torch.Tensor]:
    import torch
    from torch.nn.functional import interpolate

    def spread(x: torch.Tensor, *axes: int) -> torch.Tensor:
        low, high = x.amin(axes, keepdim=True), x.amax(axes, keepdim=True)
        return (x - low) / (high - low)

    coarse, fine = (round(sizes[symbol] ** 0.5) for symbol in "PS")
    maps = given["AX"].mean((0, 1))[:, given["TOK"].long()]
    maps = interpolate(maps.T.reshape(1, -1, coarse, coarse), (fine, fine), mode="bicubic")[0].flatten(1).T
    near = spread(given["AS"].mean((0, 1)), 0, 1)
    near = spread(torch.linalg.matrix_power(near, 4), 0, 1)
    refined = spread(near @ spread(maps**2, 0), 0)
    lead = refined[:, :, None] - refined[:, None]
    others = ~torch.eye(refined.shape[1], dtype=torch.bool)
    kept = (lead > 0.1).logical_or(~others).all(-1).to(refined)
    owner = (kept.T @ refined).argmax(-1, keepdim=True).to(refined)
    return {"C1": spread(maps, 0), "OWN": owner}


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After junjie-shentu/AttenCraft."""
    import torch
    from torch.nn.functional import kl_div

    if variant == "masks":
        return _masks(given, sizes)
    if variant == "loss":
        own = given["OWN"].long()[:, 0]
        p, g = given["C1"].softmax(0), given["MK"][:, own].softmax(0)
        middle = ((p + g) / 2).log()
        both = [kl_div(middle, one, reduction="none").sum(0) for one in (p, g)]
        return {"LATT": ((both[0] + both[1]) / 2).mean()}
    training = variant == "cross_attention_training"
    learned = ("X", "WK", "WV")
    given = {name: value.clone().requires_grad_(training and name in learned) for name, value in given.items()}

    def heads(x: torch.Tensor, weight: str) -> torch.Tensor:
        return torch.einsum("bnd,hed->bhne", x, given[weight])

    q = heads(given["X"], "WQ")
    if variant.startswith("self"):
        k, v = heads(given["X"], "WKS"), heads(given["X"], "WVS")
    else:
        k, v = (heads(given["TEXT"], name) for name in ("WK", "WV"))
        k, v = (torch.cat([one[:, :, :1].detach(), one[:, :, 1:]], 2) for one in (k, v))
    maps = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
    y = torch.einsum("bhpe,dhe->bpd", maps @ v, given["WO"])
    found = {"Y": y} if variant.endswith("fused") else {"Y": y, "MAP": maps}
    if not training:
        return found
    gradients = torch.autograd.grad((y, maps), [given[name] for name in learned], (given["GY"], given["GMAP"]))
    return {**found, **{f"G{name}": one for name, one in zip(learned, gradients, strict=True)}}


def _bicubic(coarse: int, fine: int) -> np.ndarray:
    """Weights of coarse points in fine ones along an axis: Keys' cubic with a = -0.75, ends repeated."""
    import numpy as np

    made = np.zeros((fine, coarse))
    for row in range(fine):
        place = (row + 0.5) * coarse / fine - 0.5
        for point in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            x = abs(place - point)
            inner = (1.25 * x - 2.25) * x * x + 1
            outer = -0.75 * (((x - 5) * x + 8) * x - 4)
            made[row, min(max(point, 0), coarse - 1)] += inner if x <= 1 else outer
    return made


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Maps are positive; tokens are numbered; masks are 0 or 1."""
    import numpy as np

    made: dict[str, Any] = {
        name: generator.uniform(0, 1, shapes[name]) for name in ("AX", "AS", "C1") if name in shapes
    }
    if "BI" in shapes:
        one = _bicubic(*(round(sizes[symbol] ** 0.5) for symbol in "PS"))
        made |= {"BI": np.kron(one, one), "TOK": generator.integers(0, sizes["I"], shapes["TOK"])}
    if "OWN" in shapes:
        made |= {"OWN": generator.permutation(sizes["C"])[:, None], "MK": 1.0 * generator.integers(0, 2, shapes["MK"])}
    return made


PAPER = "AttenCraft, arXiv 2405.17965"
CODE = "junjie-shentu/AttenCraft"
_MASKS = {"L": 5, "I": 77, "S": 1024, "U": 1024, "V": 1024, "C": 3, "Z": 3, "K": 5, "G": 10, "R": 1}


def _level(pixels: int, width: int, keys: int) -> dict[str, int]:
    return {"B": 1, "H": width // 64, "P": pixels, "M": keys, "E": 64, "D": width, "T": 1024, **_MASKS}


METHOD = Method(
    name="attencraft",
    title="AttenCraft: masks and a loss from a diffusion model's attention maps",
    question="What does keeping attention maps cost against fused attention, and how few maps are enough?",
    source=f"{PAPER}; {CODE}",
    cascades={
        "cross_attention": CROSS + _KEPT,
        "self_attention": SELF + _KEPT,
        "cross_attention_fused": CROSS,
        "self_attention_fused": SELF,
        "cross_attention_training": TRAINING,
        "masks": MASKS,
        "loss": LOSS,
    },
    sizes=_level(256, 1280, 77),
    presets={
        **{f"sd21_cross{side}": _level(side * side, width, 77) for side, width in
           ((64, 320), (32, 640), (16, 1280), (8, 1280))},
        **{f"sd21_self{side}": _level(side * side, width, side * side) for side, width in
           ((64, 320), (32, 640), (16, 1280), (8, 1280))},
        "tiny": {"B": 2, "H": 2, "P": 4, "M": 4, "E": 4, "D": 6, "T": 3, "L": 2, "I": 5, "S": 16, "U": 16, "V": 16,
                 "C": 3, "Z": 3, "K": 2, "G": 2, "R": 1},
    },
    preset_sources={
        **{f"sd21_{kind}{side}": f"{CODE}: Stable Diffusion 2.1 at 512 x 512, the level of {side} x {side} pixels; "
           "masks from cross-attention at 16 x 16 and self-attention at 32 x 32"
           for kind in ("cross", "self") for side in (64, 32, 16, 8)},
        "tiny": "our choice, for tests",
    },
    weights=("WQ", "WK", "WV", "WKS", "WVS", "WO"),
    reference=reference,
    inputs=inputs,
    claims=(
        Claim("initialization", "masks come from a single step", 1, "steps", f"{CODE}, defaults", "code",
              not_derivable="a setting, not a cost"),
        Claim("training", "500 steps, keys' and values' projections and the tokens' embeddings learn", 500, "steps",
              f"{CODE}, training script", "code", not_derivable="a setting, not a cost"),
        Claim("evaluation", "concepts of 16 data sets are told apart", 16, "data sets", PAPER, "third party",
              not_derivable="accuracy"),
    ),
    assumed={
        "which concept is drawn": "a parameter outside of the cascades; the code draws each case with a third",
        "squared map": "the square is of the map before it is spread to 0 to 1",
    },
)  # fmt: skip
