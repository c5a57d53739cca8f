"""Radian-glue attention: an image column and the ray of map cells that it looks along attend, and it is painted there.

Ranks: w radians (one ray and one image column each), i cells on a ray, j image rows of a column, a channels of the
bird's-eye view (BEV), c channels between the projections, d channels of the image, h heads of e channels (C = H*E), y
and x cells of the BEV, q the four cells that a sample on a ray is interpolated from.

Where samples fall is geometry, known once a camera is mounted: ROW, COLUMN and TAP are the cells and weights of each
sample, ROWN and COLUMNN its nearest cell, SHARE one over the number of samples that fall on a cell (any number where
none does). A camera takes one run; several take one after the other, each on what the one before painted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

_SAMPLE = """
RAY[w,i,a]   = sum(BEV[a,ROW[w,i,q],COLUMN[w,i,q]] * TAP[w,i,q], q) + PA[i,a]   # cells of the ray, with positions
COL[w,j,d]   = IMG[d,j,w] + PB[j,d]                                             # its image column, with positions
"""

_ATTEND = """
S[w,h,i,j]   = sum(QH[w,h,i,e] * KH[w,h,j,e], e) / sqrt(E)
G[w,h,i]     = max(S[w,h,i,j], j)
N[w,h,i,j]   = exp(S[w,h,i,j] - G[w,h,i])
DEN[w,h,i]   = sum(N[w,h,i,j], j)
PR[w,h,i,j]  = N[w,h,i,j] / DEN[w,h,i]
O[w,h,i,e]   = sum(PR[w,h,i,j] * VH[w,h,j,e], j)
Z[w,i,a]     = sum(O[w,h,i,e] * UO[h,e,a], h, e) + BO[a]
HIT[a,y,x]   = scatter(sum, Z[w,i,a], ROWN[w,i], COLUMNN[w,i], w, i)            # back to the nearest cell
OUT[a,y,x]   = BEV[a,y,x] + HIT[a,y,x] * SHARE[y,x]
"""

PUBLISHED = f"""{_SAMPLE}
Q0[w,i,c]    = sum(RAY[w,i,a] * WQ[a,c], a) + BQ[c]
K0[w,j,c]    = sum(COL[w,j,d] * WK[d,c], d) + BK[c]
V0[w,j,c]    = sum(COL[w,j,d] * WV[d,c], d) + BV[c]
QH[w,h,i,e]  = sum(Q0[w,i,c] * UQ[c,h,e], c) + CQ[h,e]                          # projected a second time
KH[w,h,j,e]  = sum(K0[w,j,c] * UK[c,h,e], c) + CK[h,e]
VH[w,h,j,e]  = sum(V0[w,j,c] * UV[c,h,e], c) + CV[h,e]
{_ATTEND}"""

# WQU = WQ * UQ and CQU = BQ * UQ + CQ, and so for K and V: two linear maps in a row are one.
MERGED = f"""{_SAMPLE}
QH[w,h,i,e]  = sum(RAY[w,i,a] * WQU[a,h,e], a) + CQU[h,e]
KH[w,h,j,e]  = sum(COL[w,j,d] * WKU[d,h,e], d) + CKU[h,e]
VH[w,h,j,e]  = sum(COL[w,j,d] * WVU[d,h,e], d) + CVU[h,e]
{_ATTEND}"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After LantaoLi/RG-Attn: sampling by indexing, projections, PyTorch's own attention, sums per cell."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    def place(row: str, column: str) -> tuple[torch.Tensor, torch.Tensor]:
        return given[row].long(), given[column].long()

    def heads(x: torch.Tensor, name: str) -> torch.Tensor:
        if variant == "published":
            x = x @ given[f"W{name}"] + given[f"B{name}"]
            return torch.einsum("wnc,che->whne", x, given[f"U{name}"]) + given[f"C{name}"][:, None]
        return torch.einsum("wnc,che->whne", x, given[f"W{name}U"]) + given[f"C{name}U"][:, None]

    cells = given["BEV"].permute(1, 2, 0)
    ray = torch.einsum("wiqa,wiq->wia", cells[place("ROW", "COLUMN")], given["TAP"]) + given["PA"]
    column = given["IMG"].permute(2, 1, 0) + given["PB"]
    mixed = scaled_dot_product_attention(heads(ray, "Q"), heads(column, "K"), heads(column, "V"))
    painted = torch.einsum("whie,hea->wia", mixed, given["UO"]) + given["BO"]
    hit = torch.zeros_like(cells).index_put(place("ROWN", "COLUMNN"), painted, accumulate=True)
    return {"OUT": given["BEV"] + hit.permute(2, 0, 1) * given["SHARE"]}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Cells of the map that samples read and write."""
    rows = {name: generator.integers(0, sizes["Y"], shapes[name]) for name in ("ROW", "ROWN")}
    return rows | {name: generator.integers(0, sizes["X"], shapes[name]) for name in ("COLUMN", "COLUMNN")}


PAPER = "Li et al. 2025, RG-Attn, arXiv 2501.16803, and LantaoLi/RG-Attn at 092628c"
_DAIR = {"W": 256, "I": 128, "J": 144, "D": 8, "Q": 4, "Y": 128, "X": 256}
_OPV2V = {"W": 256, "I": 256, "J": 192, "D": 8, "Q": 4, "Y": 256, "X": 256}
_OWN = {"A": 64, "C": 64, "H": 8, "E": 8}  # on an agent's own map
_FUSED = {"A": 256, "C": 256, "H": 8, "E": 32}  # on the fused map

METHOD = Method(
    name="rg_attn",
    title="Radian-glue attention between a camera and a bird's-eye view",
    question="What does it cost to paint a camera onto a map of features, before agents fuse or after?",
    source=PAPER,
    cascades={"published": PUBLISHED, "merged": MERGED},
    sizes={**_DAIR, **_OWN},
    presets={
        "dair_v2x_ptp": {**_DAIR, **_OWN},
        "dair_v2x_cos_coco": {**_DAIR, **_FUSED},
        "opv2v_ptp": {**_OPV2V, **_OWN},
        "opv2v_cos_coco": {**_OPV2V, **_FUSED},
        "tiny": {"W": 6, "I": 5, "J": 7, "D": 3, "Q": 4, "Y": 5, "X": 8, "A": 8, "C": 8, "H": 2, "E": 4},
    },
    preset_sources={
        "dair_v2x_ptp": f"{PAPER}, DAIR-V2X: an agent's own map of 64 channels",
        "dair_v2x_cos_coco": f"{PAPER}, DAIR-V2X: the fused map of 256 channels",
        "opv2v_ptp": "grids of HEAL for OPV2V (in LantaoLi/RG-Attn); that image rows scale as on DAIR is assumed",
        "opv2v_cos_coco": "as opv2v_ptp, on the fused map of 256 channels; assumed alike",
        "tiny": "our choice, for tests",
    },
    weights=(
        "PA", "PB", "WQ", "BQ", "WK", "BK", "WV", "BV", "UQ", "CQ", "UK", "CK", "UV", "CV", "UO", "BO",
        "WQU", "CQU", "WKU", "CKU", "WVU", "CVU",
    ),
    reference=reference,
    inputs=inputs,
    assumed={"opv2v": "The released code has no configuration for OPV2V: its image rows are scaled as on DAIR-V2X."},
)  # fmt: skip
