"""Attentive Convolution (ATConv): a depthwise convolution whose filters are made from the image itself.

New: each channel of each image gets a filter of its own, from means over nine stretches of the flattened map, and a
learned fraction of the filter's mean is taken off, so that taps compete as weights of a softmax do. Linear in pixels.

Ranks: b images, c channels (i as input of a projection), y and x pixels, j taps (v before they are mixed), w pixels of
one stretch, r and s the filter's rows and columns, g hidden channels of the gated network. Attention for comparison: h
heads, p and m pixels, e head dimension. Around blocks: o channels out, u and z pixels out, l classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import torch

_STRETCHES = """
POS[v,w] = v*(Y*X) // V + w                                # a stretch of the raster; neighbours share a pixel at most
AVG[v,w] = where(POS[v,w] < ((v+1)*(Y*X) + V - 1) // V, 1 / (((v+1)*(Y*X) + V - 1) // V - v*(Y*X) // V), 0)
"""
_KERNEL = """
KA[b,c,v] = gelu(KQ[b,c,v])
KG[b,c,j] = sum(KA[b,c,v] * WG[j,v], v) + BG[j]
KM[b,c]   = sum(KG[b,c,j], j) / J
KD[b,c,j] = KG[b,c,j] - sigmoid(DELTA[c]) * KM[b,c]
XP[b,c,y,x] = sum(IN[b,i,y,x] * WX[c,i], i) + BX[c]
YC[b,c,y,x] = sum(XP[b,c,y+r-(R-1)//2,x+s-(S-1)//2] * KD[b,c,r*S+s], r, s)
"""
_PROJECTED_FIRST = (
    _STRETCHES
    + """
KP[b,c,y*X+x] = sum(IN[b,i,y,x] * WK[c,i], i) + BK[c]
KQ[b,c,v] = sum(KP[b,c,POS[v,w]] * AVG[v,w], w)
"""
    + _KERNEL
)
_OUT = "OUT[b,c,y,x] = sum(YC[b,i,y,x] * WO[c,i], i) + BO[c]\n"
MIXER = _PROJECTED_FIRST + _OUT

POOLED_FIRST = (
    _STRETCHES
    + """
XF[b,c,y*X+x] = IN[b,c,y,x]
KI[b,c,v] = sum(XF[b,c,POS[v,w]] * AVG[v,w], w)            # means commute with projections: nine pixels instead of all
KQ[b,c,v] = sum(KI[b,i,v] * WK[c,i], i) + BK[c]
"""
    + _KERNEL
    + _OUT
)

ATTENTION = """
Q[b,h,p,e] = sum(TOK[b,p,i] * WQ[h,e,i], i)
K[b,h,m,e] = sum(TOK[b,m,i] * WKA[h,e,i], i)
V[b,h,m,e] = sum(TOK[b,m,i] * WV[h,e,i], i)
S[b,h,p,m] = sum(Q[b,h,p,e] * K[b,h,m,e], e) / sqrt(E)
SG[b,h,p]  = max(S[b,h,p,m], m)
SN[b,h,p,m] = exp(S[b,h,p,m] - SG[b,h,p])
SD[b,h,p]  = sum(SN[b,h,p,m], m)
AV[b,h,p,e] = sum(SN[b,h,p,m] * V[b,h,m,e], m) / SD[b,h,p]
OUT[b,p,c] = sum(AV[b,h,p,e] * WOA[c,h,e], h, e)
"""


def _norm(given: str, made: str, scale: str) -> str:
    return f"""
M{scale}[b,y,x] = sum({given}[b,c,y,x], c) / C
V{scale}[b,y,x] = sum(({given}[b,c,y,x] - M{scale}[b,y,x]) ** 2, c) / C
{made}[b,c,y,x] = ({given}[b,c,y,x] - M{scale}[b,y,x]) * rsqrt(V{scale}[b,y,x] + 1e-6) * G{scale}[c] + B{scale}[c]
"""


def _block(scaled: bool, normed: bool) -> str:
    """A whole block: mixer and gated network, each after a layer norm; with layer scales, with an RMS norm inside."""
    one, two = (" * LS1[c]", " * LS2[c]") if scaled else ("", "")
    inside = "HN" if normed else "HV"
    rms = """
MS[b,y,x] = sum(HV[b,g,y,x] ** 2, g) / G
HN[b,g,y,x] = HV[b,g,y,x] * rsqrt(MS[b,y,x] + 1e-6) * GR[g]
""" if normed else ""  # fmt: skip
    return _norm("Z0", "IN", "1") + _PROJECTED_FIRST + f"""
Z1[b,c,y,x] = Z0[b,c,y,x] + (sum(YC[b,i,y,x] * WO[c,i], i) + BO[c]){one}
""" + _norm("Z1", "IN2", "2") + """
F1[b,g,y,x] = sum(IN2[b,c,y,x] * WF1[g,c], c) + BF1[g]
F2[b,g,y,x] = sum(IN2[b,c,y,x] * WF2[g,c], c) + BF2[g]
DW[b,g,y,x] = sum(F1[b,g,y+r-1,x+s-1] * WD[g,r,s], r, s) + BD[g]
HV[b,g,y,x] = gelu(DW[b,g,y,x]) * F2[b,g,y,x]
""" + rms + f"""
OUT[b,c,y,x] = Z1[b,c,y,x] + (sum({inside}[b,g,y,x] * WF3[c,g], g) + BF3[c]){two}
"""  # fmt: skip


DOWN = """
IMG: [B, I, 2*U, 2*Z]
OUT[b,o,u,z] = sum(IMG[b,i,u*2+r-1,z*2+s-1] * WS[o,i,r,s], i, r, s) * GS[o] + BS[o]
"""
HEAD = """
P[b,i]  = sum(IMG[b,i,y,x], y, x) / (Y*X)
M1[b]   = sum(P[b,i], i) / I
V1[b]   = sum((P[b,i] - M1[b]) ** 2, i) / I
PN[b,i] = (P[b,i] - M1[b]) * rsqrt(V1[b] + 1e-5) * GH[i] + BH[i]
OUT[b,l] = sum(PN[b,i] * WH[l,i], i) + BL[l]
"""


def _convolved(x: torch.Tensor, given: Mapping[str, torch.Tensor], taps: int) -> torch.Tensor:
    from torch.nn.functional import adaptive_avg_pool1d, conv2d, gelu, linear

    batch, channels, height, width = x.shape
    keys = conv2d(x, given["WK"][..., None, None], given["BK"]).flatten(2)
    kernels = linear(gelu(adaptive_avg_pool1d(keys, taps)), given["WG"], given["BG"])
    kernels = kernels - given["DELTA"].sigmoid()[:, None] * kernels.mean(-1, keepdim=True)
    side = round(taps**0.5)
    values = conv2d(x, given["WX"][..., None, None], given["BX"]).reshape(1, -1, height, width)
    mixed = conv2d(values, kernels.reshape(-1, 1, side, side), padding=side // 2, groups=batch * channels)
    return conv2d(mixed.reshape(x.shape), given["WO"][..., None, None], given["BO"])


def _gated(x: torch.Tensor, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    from torch.nn.functional import conv2d, gelu

    gate = conv2d(x, given["WF1"][..., None, None], given["BF1"])
    gate = conv2d(gate, given["WD"][:, None], given["BD"], padding=1, groups=gate.shape[1])
    hidden = gelu(gate) * conv2d(x, given["WF2"][..., None, None], given["BF2"])
    if "GR" in given:
        mean = (hidden * hidden).mean(1, keepdim=True)
        hidden = hidden / (mean + 1e-6).sqrt() * given["GR"][:, None, None]
    return conv2d(hidden, given["WF3"][..., None, None], given["BF3"])


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After price112/Attentive-Convolution, models/AttNet.py."""
    import torch
    from torch.nn.functional import conv2d, layer_norm, linear, scaled_dot_product_attention

    match variant:
        case "mixer" | "pooled_first":
            return {"OUT": _convolved(given["IN"], given, sizes["J"])}
        case "attention":
            q, k, v = (torch.einsum("bni,hei->bhne", given["TOK"], given[name]) for name in ("WQ", "WKA", "WV"))
            return {"OUT": torch.einsum("bhne,che->bnc", scaled_dot_product_attention(q, k, v), given["WOA"])}
        case "downsample":
            out = conv2d(given["IMG"], given["WS"], stride=2, padding=1)
            return {"OUT": out * given["GS"][:, None, None] + given["BS"][:, None, None]}
        case "head":
            pooled = given["IMG"].mean((2, 3))
            normal = layer_norm(pooled, pooled.shape[-1:], given["GH"], given["BH"], 1e-5)
            return {"OUT": linear(normal, given["WH"], given["BL"])}
        case _:
            pass

    def normed(x: torch.Tensor, which: str) -> torch.Tensor:
        moved = x.movedim(1, -1)
        return layer_norm(moved, moved.shape[-1:], given[f"G{which}"], given[f"B{which}"], 1e-6).movedim(-1, 1)

    def scaled(x: torch.Tensor, name: str) -> torch.Tensor:
        return x * given[name][:, None, None] if name in given else x

    x = given["Z0"]
    x = x + scaled(_convolved(normed(x, "1"), given, sizes["J"]), "LS1")
    return {"OUT": x + scaled(_gated(normed(x, "2"), given), "LS2")}


PAPER = "Attentive Convolution, arXiv 2510.20092"
CODE = "price112/Attentive-Convolution"
_KINDS = {  # with layer scales, with an RMS norm
    "block": (True, True), "block_scaled": (True, False), "block_plain": (False, False),
}  # fmt: skip
_NETWORKS = {  # kind of block, depths, channels, millions of parameters
    "XXS": ("block_plain", (2, 2, 4, 2), (32, 64, 128, 240), 2.86),
    "XS": ("block_scaled", (2, 2, 7, 2), (40, 80, 160, 320), 5.56),
    "S": ("block_plain", (2, 3, 10, 3), (40, 80, 160, 320), 7.69),
    "T1": ("block", (2, 3, 12, 3), (48, 96, 224, 384), 13.71),
    "T2": ("block", (3, 3, 16, 3), (64, 128, 288, 512), 27.01),
    "T3": ("block", (4, 4, 26, 4), (72, 144, 320, 576), 49.18),
    "T4": ("block", (5, 5, 28, 5), (96, 192, 384, 768), 87.32),
}


def _map(channels: int, pixels: int, rate: int = 4, heads: int = 1) -> dict[str, int]:
    taps = 9
    count = pixels * pixels
    return {"B": 1, "C": channels, "I": channels, "Y": pixels, "X": pixels, "R": 3, "S": 3, "J": taps, "V": taps,
            "W": min(-(-count // taps) + 1, count), "G": int(2 * (channels * rate) / 3), "P": count, "M": count,
            "H": heads, "E": channels // heads}  # fmt: skip


def _network(kind: str, depths: tuple[int, ...], channels: tuple[int, ...]) -> tuple[Run, ...]:
    """An AttNet for 224 x 224 pixels."""
    runs: list[Run] = []
    inside, pixels = 3, 224
    for stage, (depth, out) in enumerate(zip(depths, channels, strict=True)):
        for wide in (out // 2, out) if stage == 0 else (out,):
            pixels //= 2
            runs.append(Run("downsample", sizes={
                "B": 1, "I": inside, "O": wide, "U": pixels, "Z": pixels, "R": 3, "S": 3}))  # fmt: skip
            inside = wide
        sizes = _map(out, pixels, 8 if stage < 2 else 4)
        runs.append(Run(kind, sizes={k: n for k, n in sizes.items() if k not in "PMHE"}, times=depth))
    return (*runs, Run("head", sizes={"B": 1, "I": inside, "Y": pixels, "X": pixels, "L": 1000}))


METHOD = Method(
    name="attentive_conv",
    title="Attentive Convolution: depthwise filters made from the image, with competing taps",
    question="From which resolution does a swap of attention for this convolution pay?",
    source=f"{PAPER}; {CODE}",
    cascades={
        "mixer": MIXER,
        "pooled_first": POOLED_FIRST,
        "attention": ATTENTION,
        **{kind: _block(*flags) for kind, flags in _KINDS.items()},
        "downsample": DOWN,
        "head": HEAD,
    },
    sizes={**_map(288, 14), "O": 288, "U": 14, "Z": 14, "L": 1000},
    presets={
        "attnet_t2_stage1": _map(64, 56, 8),
        "attnet_t2_stage3": _map(288, 14),
        "sit_xl2_256": _map(1152, 16, heads=16),
        "sit_xl2_512": _map(1152, 32, heads=16),
        "tiny": {**_map(4, 5, 2, 2), "B": 2, "O": 3, "U": 3, "Z": 2, "L": 3},
    },
    preset_sources={
        "attnet_t2_stage1": f"{CODE}, models/AttNet.py: AttNet-T2 at 224 x 224, first stage, 3 blocks",
        "attnet_t2_stage3": f"{CODE}, models/AttNet.py: AttNet-T2 at 224 x 224, third stage, 16 blocks",
        "sit_xl2_256": f"{CODE}, generation/SiT/models.py: SiT-XL/2 for 256 x 256, 28 blocks of 1152, 16 heads of 72",
        "sit_xl2_512": f"{CODE}, generation/SiT/models.py: SiT-XL/2 for 512 x 512",
        "tiny": "our choice, for tests: 25 pixels in nine stretches that do not divide them",
    },
    weights=("WK", "BK", "WG", "BG", "DELTA", "WX", "BX", "WO", "BO", "WQ", "WKA", "WV", "WOA", "G1", "B1", "G2", "B2",
             "LS1", "LS2", "WF1", "BF1", "WF2", "BF2", "WD", "BD", "GR", "WF3", "BF3", "WS", "GS", "BS", "GH", "BH",
             "WH", "BL"),
    reference=reference,
    claims=(
        *(Claim(f"parameters of AttNet-{size}", f"AttNet-{size} has {millions} M parameters", millions * 1e6,
                "parameters", f"{CODE}, models/AttNet.py, comments", "code", "parameters",
                _network(kind, depths, channels), tolerance=0.005)
          for size, (kind, depths, channels, millions) in _NETWORKS.items()),
        Claim("faster sampling", "diffusion samples faster with all attention replaced (no factor is given)", 1, "x",
              f"{PAPER}, abstract", "abstract", not_derivable="no number is published"),
        Claim("top-1", "84.4 % on ImageNet-1K with 27 M parameters", 84.4, "%", f"{PAPER}, abstract", "abstract",
              not_derivable="accuracy"),
        Claim("FID", "0.15 lower for SiT-XL/2 with all attention replaced", 0.15, "FID", f"{PAPER}, abstract",
              "abstract", not_derivable="accuracy"),
    ),
    counted_apart={
        "mac": "KQ sums pixels times AVG; adaptive_avg_pool2d is opaque to the trace",
        "opaque": "adaptive_avg_pool2d with bins of unequal size: elements read and written; KQ in the cascade",
        **dict.fromkeys(("compare", "div", "select"),
            "AVG, the weights of bins, is computed by the cascade and part of adaptive_avg_pool2d in the trace"
        ),
    },
)  # fmt: skip
