"""A3-FPN: a neck of feature maps in three columns, each fusing more levels, resampled where their content asks for it.

In a fusion node the maps of n levels, brought to one size, are resampled by deformable filters whose offsets come from
a context map, weighted for each pixel and level, summed, and split by information content: the weak part is added back
with its channels reversed. `node` is one node, `resample` its deformable filters alone, `output` the last filter.

Ranks: b images, k levels (l those that are resampled, all but the node's own), c and i channels, g groups of d of them,
y and x pixels, t taps of a filter, u and v taps of a plain one, a and z the four neighbours of a position, q compressed
channels, h hidden ones, m groups of r channels in the normalization, o channels that leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim
from ..lines import layer_norm
from ..method import Method

if TYPE_CHECKING:
    import torch

_RESAMPLE = """
S: [B, K, C, Y, X]
CTX: [B, L, C, Y, X]
V[b,l,y,x,g,d]    = sum(S[b,l+1,c,y,x] * WV[l,c,g,d], c) + CV[l,g,d]
DW[b,l,c,y,x]     = sum(CTX[b,l,c,y+u-1,x+v-1] * WD[l,c,u,v], u, v) + CD[l,c]
OY[b,l,y,x,g,t]   = sum(DW[b,l,c,y,x] * WY[l,c,g,t], c) + CY[l,g,t]
OX[b,l,y,x,g,t]   = sum(DW[b,l,c,y,x] * WX[l,c,g,t], c) + CX[l,g,t]
MK[b,l,y,x,g,t]   = sum(DW[b,l,c,y,x] * WK[l,c,g,t], c) + CK[l,g,t]     # no softmax over taps
PY[b,l,y,x,g,t]   = y + t // 3 - 1 + 2 * OY[b,l,y,x,g,t]                # offsets count twice
PX[b,l,y,x,g,t]   = x + t % 3 - 1 + 2 * OX[b,l,y,x,g,t]
IY[b,l,y,x,g,t,a] = PY[b,l,y,x,g,t] // 1 + a
IX[b,l,y,x,g,t,z] = PX[b,l,y,x,g,t] // 1 + z
BY[b,l,y,x,g,t,a] = where(a == 1, PY[b,l,y,x,g,t] % 1, 1 - PY[b,l,y,x,g,t] % 1)
BX[b,l,y,x,g,t,z] = where(z == 1, PX[b,l,y,x,g,t] % 1, 1 - PX[b,l,y,x,g,t] % 1)
WT[b,l,y,x,g,t,a,z] = MK[b,l,y,x,g,t] * BY[b,l,y,x,g,t,a] * BX[b,l,y,x,g,t,z]
R[b,l,y,x,g,d]    = sum(WT[b,l,y,x,g,t,a,z] * V[b,l,IY[b,l,y,x,g,t,a],IX[b,l,y,x,g,t,z],g,d], t, a, z)
RP[b,l,y,x,c]     = sum(R[b,l,y,x,g,d] * WP[l,g,d,c], g, d) + CP[l,c]
MR[b,l,y,x]       = sum(RP[b,l,y,x,c], c) / C
VR[b,l,y,x]       = sum((RP[b,l,y,x,c] - MR[b,l,y,x]) ** 2, c) / C
RS[b,l,c,y,x]     = gelu((RP[b,l,y,x,c] - MR[b,l,y,x]) * rsqrt(VR[b,l,y,x] + 1e-6) * GR[l,c] + BR[l,c])
"""

RESAMPLE = _RESAMPLE

NODE = f"""
CTX[b,l,c,y,x]    = gelu(sum(S[b,k,i,y,x] * WC[k,i,l,c], k, i) + CC[l,c])
{_RESAMPLE.replace("CTX: [B, L, C, Y, X]", "")}
M[b,k,c,y,x]      = where(k > 0, RS[b,k-1,c,y,x], S[b,k,c,y,x])         # the node's own map is the first
LW[b,k,q,y,x]     = gelu(sum(M[b,k,c,y,x] * WL[k,c,q], c) + CL[k,q])
H1[b,h,y,x]       = gelu(sum(LW[b,k,q,y,x] * W1[k,q,h], k, q) + C1[h])
H2[b,h,y,x]       = gelu(sum(LW[b,k,q,y,x] * W2[k,q,h], k, q) + C2[h])
H3[b,h,y,x]       = sum(H1[b,j,y+u-1,x+v-1] * W3[h,j,u,v], j, u, v) + sum(H1[b,j,y,x] * W4[h,j], j) + C3[h]
H4[b,h,y,x]       = gelu(H3[b,h,y,x]) + H2[b,h,y,x]
W[b,k,y,x]        = sigmoid(sum(H4[b,h,y,x] * W5[h,k], h) + C5[k])      # a weight for each level and pixel
F[b,c,y,x]        = sum(M[b,k,c,y,x] * W[b,k,y,x], k)
MG[b,m]           = sum(F[b,m*R+r,y,x], r, y, x) / (R*Y*X)
VG[b,m]           = sum((F[b,m*R+r,y,x] - MG[b,m]) ** 2, r, y, x) / (R*Y*X)
N[b,m*R+r,y,x]    = (F[b,m*R+r,y,x] - MG[b,m]) * rsqrt(VG[b,m] + 1e-5) * GG[m*R+r] + BG[m*R+r]
GS                = sum(GG[c], c)
RE[b,c,y,x]       = sigmoid(N[b,c,y,x] * GG[c] / GS)
HI[b,c,y,x]       = where(RE[b,c,y,x] > 0.5, 1, RE[b,c,y,x]) * F[b,c,y,x]
LO[b,c,y,x]       = where(RE[b,c,y,x] > 0.5, 0, RE[b,c,y,x]) * F[b,c,y,x]
SP[b,y,x,c]       = HI[b,c,y,x] + LO[b,C-1-c,y,x]
{layer_norm("SP", "E", "GE", "BE", "b,y,x", "c")}
OUT[b,c,y,x]      = gelu(E[b,y,x,c])
"""

OUTPUT = """
X: [B, C, Y, X]
Z[b,o,y,x]        = sum(X[b,c,y+u-1,x+v-1] * W6[o,c,u,v], c, u, v) + C6[o]
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After mason-ching/A3-FPN; deformable filters by sampling a grid once for each tap."""
    import torch
    from torch.nn.functional import conv2d, gelu, grid_sample, group_norm, layer_norm, pad

    def sampled(values: torch.Tensor, py: torch.Tensor, px: torch.Tensor) -> torch.Tensor:
        """Bilinear, zero outside: `values` [n, d, y, x] at positions [n, y, x], by PyTorch's own sampling."""
        height, width = values.shape[-2:]
        grid = torch.stack([2 * px / (width + 1), 2 * py / (height + 1)], -1)
        grid = grid + grid.new_tensor([2 / (width + 1) - 1, 2 / (height + 1) - 1])
        return grid_sample(pad(values, (1, 1, 1, 1)), grid, align_corners=True, padding_mode="zeros")

    def resampled(one: int, source: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        channels, height, width = source.shape[1:]
        value = torch.einsum("bcyx,cgd->bgdyx", source, given["WV"][one]) + given["CV"][one][..., None, None]
        context = conv2d(context, given["WD"][one][:, None], given["CD"][one], padding=1, groups=channels)

        def linear(name: str) -> torch.Tensor:
            weight, bias = given[f"W{name}"][one], given[f"C{name}"][one]
            return torch.einsum("bcyx,cgt->bgtyx", context, weight) + bias[..., None, None]

        down, right, strength = linear("Y"), linear("X"), linear("K")
        rows, columns = torch.arange(height).double()[:, None], torch.arange(width).double()
        total = torch.zeros_like(value)
        for tap in range(9):
            at = [rows + tap // 3 - 1 + 2 * down[:, :, tap], columns + tap % 3 - 1 + 2 * right[:, :, tap]]
            found = sampled(value.flatten(0, 1), *(one.flatten(0, 1) for one in at)).reshape(value.shape)
            total = total + strength[:, :, tap, None] * found
        mixed = torch.einsum("bgdyx,gdc->byxc", total, given["WP"][one]) + given["CP"][one]
        normal = layer_norm(mixed, (channels,), given["GR"][one], given["BR"][one], 1e-6)
        return gelu(normal).permute(0, 3, 1, 2)

    if variant == "output":
        return {"Z": conv2d(given["X"], given["W6"], given["C6"], padding=1)}
    maps = given["S"]
    levels = sizes["L"]
    if variant == "resample":
        return {"RS": torch.stack([resampled(n, maps[:, n + 1], given["CTX"][:, n]) for n in range(levels)], 1)}
    context = torch.einsum("bkiyx,kilc->blcyx", maps, given["WC"]) + given["CC"][..., None, None]
    context = gelu(context)
    parts = [maps[:, 0], *(resampled(n, maps[:, n + 1], context[:, n]) for n in range(levels))]
    together = torch.stack(parts, 1)
    thin = gelu(torch.einsum("bkcyx,kcq->bkqyx", together, given["WL"]) + given["CL"][..., None, None])
    first, second = (
        gelu(torch.einsum("bkqyx,kqh->bhyx", thin, given[f"W{n}"]) + given[f"C{n}"][:, None, None]) for n in (1, 2)
    )
    deep = conv2d(first, given["W3"], given["C3"], padding=1) + conv2d(first, given["W4"][..., None, None])
    weight = torch.einsum("bhyx,hk->bkyx", gelu(deep) + second, given["W5"]) + given["C5"][:, None, None]
    fused = (together * weight.sigmoid()[:, :, None]).sum(1)
    normal = group_norm(fused, fused.shape[1] // sizes["R"], given["GG"], given["BG"])
    gate = (normal * (given["GG"] / given["GG"].sum())[:, None, None]).sigmoid()
    high = torch.where(gate > 0.5, torch.ones_like(gate), gate) * fused
    low = torch.where(gate > 0.5, torch.zeros_like(gate), gate) * fused
    split = (high + low.flip(1)).permute(0, 2, 3, 1)
    return {"OUT": gelu(layer_norm(split, split.shape[-1:], given["GE"], given["BE"])).permute(0, 3, 1, 2)}


PAPER = "A3-FPN 2026, arXiv 2604.10210"
CODE = "mason-ching/A3-FPN at 95cb097"
_FIXED = {"T": 9, "U": 3, "V": 3, "A": 2, "Z": 2, "O": 256}


def _node(levels: int, channels: int, rows: int, columns: int) -> dict[str, int]:
    """A node over so many levels: groups of 16 channels to resample, of as many groups to normalize."""
    groups = channels // 16
    return {
        "B": 1,
        "K": levels,
        "L": levels - 1,
        "C": channels,
        "I": channels,
        "G": groups,
        "D": 16,
        "Y": rows,
        "X": columns,
        "Q": groups,
        "H": 4 * levels,
        "J": 4 * levels,
        "M": groups,
        "R": 16,
        **_FIXED,
    }


METHOD = Method(
    name="a3_fpn",
    title="A3-FPN: feature maps of several levels, resampled by content and weighted for each pixel",
    question="How much of a neck's time is the irregular gather, how much the products of a pixel, and do 16 channels "
    "of a group fill a warp's load?",
    source=f"{PAPER}; {CODE}",
    cascades={"node": NODE, "resample": RESAMPLE, "output": OUTPUT},
    sizes=_node(4, 256, 200, 336),
    presets={
        "coco_c2": _node(4, 256, 200, 336),
        "coco_c4": _node(4, 256, 50, 84),
        "coco_c5": _node(4, 512, 25, 42),
        "city_c2": _node(4, 256, 128, 256),
        "tiny": {
            "B": 1,
            "K": 3,
            "L": 2,
            "C": 4,
            "I": 4,
            "G": 2,
            "D": 2,
            "Y": 4,
            "X": 3,
            "Q": 2,
            "H": 3,
            "J": 3,
            "M": 2,
            "R": 2,
            **_FIXED,
            "O": 3,
        },
    },
    preset_sources={
        "coco_c2": f"{CODE}, Mask R-CNN with ResNet-50 at 800 x 1344: the last column's node at stride 4",
        "coco_c4": f"{CODE}, Mask R-CNN with ResNet-50 at 800 x 1344: the last column's node at stride 16",
        "coco_c5": f"{CODE}, Mask R-CNN with ResNet-50 at 800 x 1344: the last column's node at stride 32",
        "city_c2": f"{CODE}, UperNet at 512 x 1024: the last column's node at stride 4",
        "tiny": "our choice, for tests",
    },
    weights=(
        *("WV", "CV", "WD", "CD", "WY", "CY", "WX", "CX", "WK", "CK", "WP", "CP", "GR", "BR", "WC", "CC", "WL", "CL"),
        *("W1", "C1", "W2", "C2", "W3", "W4", "C3", "W5", "C5", "GG", "BG", "GE", "BE", "W6", "C6"),
    ),
    reference=reference,
    claims=(
        Claim(
            name="accuracy",
            statement="49.6 mask AP on COCO and 85.6 mIoU on Cityscapes with OneFormer and Swin-L",
            value=49.6,
            unit="AP",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
        Claim(
            name="accuracy of Mask R-CNN",
            statement="43.70 box AP and 39.19 mask AP with ResNet-50",
            value=43.70,
            unit="AP",
            source=f"{CODE}, README",
            evidence="code",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        "levels": "maps already brought to one size: what resizes them is left out",
        "weights of levels": "a GELU after each filter but the last of the small network that gives them",
    },
    counted_apart={
        "mac": (
            "R and F are sums of products; the reference multiplies samples by strengths, and maps by weights, and "
            "adds (mul, add)"
        ),
        "mul": (
            "grid_sample scales coordinates and weighs four corners, and the reference multiplies by strengths and "
            "weights (mac in R and F); WT has three factors a corner"
        ),
        "add": (
            "grid_sample adds to coordinates and adds four corners, and the reference adds taps (mac in R); PY, PX, "
            "IY, IX only place them"
        ),
        **dict.fromkeys(
            ("compare", "select"), "grid_sample checks each corner of each sample for bounds; BY, BX and M only select"
        ),
        "div": (
            "grid_sample counts floor and casts of indices; IY, IX, BY, BX take floor and remainder, and RE divides "
            "at each pixel by GS where the reference does once a channel"
        ),
        "sub": (
            "grid_sample's corner weights are differences for each corner; BY and BX are once per axis, and VR, RS, "
            "VG, N, VE, E subtract a mean twice where native norms do once"
        ),
    },
)
