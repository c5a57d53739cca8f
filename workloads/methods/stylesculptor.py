"""StyleSculptor: a frozen image-to-3D transformer on four streams of tokens, one of which takes style from another.

Streams: 0 content, 1 target, 2 style, 3 edges of the style. In every self-attention the target's queries also read the
style's keys and values, but not in the channels that vary most over the tokens of the edge stream: these K channels
stay those of the content. `released` computes five attentions, as the code does; `select` uses that a mask of channels
commutes with the softmax: four attentions, of which the crossed one multiplies unprotected channels only. `plain` is a
block of the transformer without any of it.

Ranks: s stream (y without the target), p and m token, h heads, e head dimension, c and d channel, k protected and j
unprotected channels, i condition token, f feed-forward width, g one of six modulations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import torch


def _softmax(x: str, y: str, scores: str) -> str:
    return f"""
S{x}[{y}h,p,m]   = {scores} / sqrt(E)
G{x}[{y}h,p]     = max(S{x}[{y}h,p,m], m)
N{x}[{y}h,p,m]   = exp(S{x}[{y}h,p,m] - G{x}[{y}h,p])
D{x}[{y}h,p]     = sum(N{x}[{y}h,p,m], m)
"""


def _normed(out: str, x: str) -> str:
    return f"""
MU{out}[s,p]     = sum({x}[s,p,c], c) / C
VR{out}[s,p]     = sum(({x}[s,p,c] - MU{out}[s,p]) ** 2, c) / C
{out}[s,p,c]     = ({x}[s,p,c] - MU{out}[s,p]) * rsqrt(VR{out}[s,p] + 1e-6)
"""


_BEFORE = f"""
ST[d]           = silu(TIME[d])
MOD[g,c]        = sum(ST[d] * WM[g,d,c], d) + BM[g,c]                    # shifts, scales and gates of the time step
{_normed("LX", "X")}
XN[s,p,c]       = LX[s,p,c] * (1 + MOD[1,c]) + MOD[0,c]
Q0[s,p,h,e]     = sum(XN[s,p,c] * WQ[c,h,e], c) + BQ[h,e]
K0[s,p,h,e]     = sum(XN[s,p,c] * WK[c,h,e], c) + BK[h,e]
V[s,p,h,e]      = sum(XN[s,p,c] * WV[c,h,e], c) + BV[h,e]
NQ[s,p,h]       = sum(Q0[s,p,h,e] ** 2, e)
NK[s,p,h]       = sum(K0[s,p,h,e] ** 2, e)
Q[s,p,h,e]      = Q0[s,p,h,e] * rsqrt(NQ[s,p,h]) * GQ[h,e] * sqrt(E)
K[s,p,h,e]      = K0[s,p,h,e] * rsqrt(NK[s,p,h]) * GK[h,e] * sqrt(E)
"""
_OWN = f"""
OF[y]           = where(y > 0, y + 1, 0)                                 # the streams 0, 2, 3
AT[s]           = where(s > 1, s - 1, 0)                                 # and where they are; the target goes with 0
{_softmax("", "y,", "sum(Q[OF[y],p,h,e] * K[OF[y],m,h,e], e)")}
HY[y,p,h,e]     = sum(N[y,h,p,m] * V[OF[y],m,h,e], m) / D[y,h,p]
ME[h,e]         = sum(HY[2,p,h,e], p) / P
VA[h*E+e]       = sum((HY[2,p,h,e] - ME[h,e]) ** 2, p) / (P - 1)         # how much a channel of the edges varies
TOP[k]          = topk(VA[c], c)
MASK[h,e]       = max(where(TOP[k] == h * E + e, 1, 0), k)
{_softmax("X", "", "sum(Q[1,p,h,e] * K[2,m,h,e], e)")}
"""
_RELEASED = f"""{_OWN}
VX[m,h,e]       = V[2,m,h,e] * (1 - MASK[h,e])
VC[m,h,e]       = V[0,m,h,e] * MASK[h,e]
HX[p,h,e]       = sum(NX[h,p,m] * VX[m,h,e], m) / DX[h,p]
{_softmax("C", "", "sum(Q[0,p,h,e] * K[0,m,h,e], e)")}
HC[p,h,e]       = sum(NC[h,p,m] * VC[m,h,e], m) / DC[h,p]
H1[p,h,e]       = HX[p,h,e] + HC[p,h,e]
"""
_SELECT = f"""{_OWN}
LOW[j]          = topk(0 - VA[c], c)                                     # the channels that take the style
LH[j]           = LOW[j] // E
LE[j]           = LOW[j] % E
HX[p,j]         = sum(NX[LH[j],p,m] * V[2,m,LH[j],LE[j]], m) / DX[LH[j],p]
PL[h,e]         = sum(where(LOW[j] == h * E + e, j, 0), j)
H1[p,h,e]       = where(MASK[h,e] > 0, HY[0,p,h,e], HX[p,PL[h,e]])
"""
_JOIN = "HO[s,p,h,e]     = where(s == 1, H1[p,h,e], HY[AT[s],p,h,e])\n"
_AFTER = f"""
XS[s,p,c]       = X[s,p,c] + MOD[2,c] * (sum(HO[s,p,h,e] * WO[h,e,c], h, e) + BO[c])
{_normed("LS", "XS")}
XC[s,p,c]       = LS[s,p,c] * GL[c] + BL[c]
QC[s,p,h,e]     = sum(XC[s,p,c] * VQ[c,h,e], c) + CQ[h,e]
KC[s,i,h,e]     = sum(COND[AT[s],i,c] * VK[c,h,e], c) + CK[h,e]
VV[s,i,h,e]     = sum(COND[AT[s],i,c] * VVW[c,h,e], c) + CV[h,e]
SI[s,h,p,i]     = sum(QC[s,p,h,e] * KC[s,i,h,e], e) / sqrt(E)
GI[s,h,p]       = max(SI[s,h,p,i], i)
NI[s,h,p,i]     = exp(SI[s,h,p,i] - GI[s,h,p])
DI[s,h,p]       = sum(NI[s,h,p,i], i)
HI[s,p,h,e]     = sum(NI[s,h,p,i] * VV[s,i,h,e], i) / DI[s,h,p]
XI[s,p,c]       = XS[s,p,c] + sum(HI[s,p,h,e] * VO[h,e,c], h, e) + CO[c]
{_normed("LF", "XI")}
XF[s,p,c]       = LF[s,p,c] * (1 + MOD[4,c]) + MOD[3,c]
FF[s,p,f]       = gelu(sum(XF[s,p,c] * W1[c,f], c) + B1[f])
Y[s,p,c]        = XI[s,p,c] + MOD[5,c] * (sum(FF[s,p,f] * W2[f,c], f) + B2[c])
"""
_PLAIN = (
    _softmax("", "", "sum(Q[p,h,e] * K[m,h,e], e)")
    + """
HO[p,h,e]       = sum(N[h,p,m] * V[m,h,e], m) / D[h,p]
"""
)

RELEASED = f"COND: [Y, I, C]\n{_BEFORE}{_RELEASED}{_JOIN}{_AFTER}"
SELECT = f"COND: [Y, I, C]\n{_BEFORE}{_SELECT}{_JOIN}{_AFTER}"
PLAIN = f"{_BEFORE}{_PLAIN}{_AFTER}".replace("AT[s],", "").replace("[s,", "[")


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Five calls of PyTorch's attention on masked values, as the released code has them."""
    import torch
    from torch.nn.functional import gelu, layer_norm, normalize, scaled_dot_product_attention, silu

    g, width = given, (sizes["C"],)
    x = g["X"] if variant != "plain" else g["X"][None]
    conditions = g["COND"][[0, 0, 1, 2]] if variant != "plain" else g["COND"][None]
    mod = torch.einsum("d,gdc->gc", silu(g["TIME"]), g["WM"]) + g["BM"]

    def project(y: torch.Tensor, weight: str, bias: str) -> torch.Tensor:
        return torch.einsum("spc,che->shpe", y, g[weight]) + g[bias][:, None]

    def merged(o: torch.Tensor, weight: str, bias: str) -> torch.Tensor:
        return torch.einsum("shpe,hec->spc", o, g[weight]) + g[bias]

    xn = layer_norm(x, width, eps=1e-6) * (1 + mod[1]) + mod[0]
    scale = sizes["E"] ** 0.5
    q = normalize(project(xn, "WQ", "BQ"), dim=-1) * g["GQ"][:, None] * scale
    k = normalize(project(xn, "WK", "BK"), dim=-1) * g["GK"][:, None] * scale
    v = project(xn, "WV", "BV")
    o = scaled_dot_product_attention(q, k, v)
    if variant != "plain":
        channels = o[3].transpose(0, 1).flatten(1)
        mask = torch.zeros(width, dtype=x.dtype)
        mask[channels.var(0).topk(sizes["K"]).indices] = 1
        mask = mask.view(sizes["H"], 1, sizes["E"])
        style = scaled_dot_product_attention(q[1], k[2], v[2] * (1 - mask))
        content = scaled_dot_product_attention(q[0], k[0], v[0] * mask)
        o = torch.stack([o[0], style + content, o[2], o[3]])
    x = x + mod[2] * merged(o, "WO", "BO")
    xc = layer_norm(x, width, g["GL"], g["BL"], eps=1e-6)
    keys, values = project(conditions, "VK", "CK"), project(conditions, "VVW", "CV")
    x = x + merged(scaled_dot_product_attention(project(xc, "VQ", "CQ"), keys, values), "VO", "CO")
    xf = layer_norm(x, width, eps=1e-6) * (1 + mod[4]) + mod[3]
    y = x + mod[5] * (gelu(xf @ g["W1"] + g["B1"]) @ g["W2"] + g["B2"])
    return {"Y": y if variant != "plain" else y[0]}


PAPER = "StyleSculptor, SIGGRAPH Asia 2025, arXiv 2509.13301"
CODE = "quzefan/StyleSculptor"


def _sizes(tokens: int, kept: int) -> dict[str, int]:
    base = {"S": 4, "Y": 3, "G": 6, "P": tokens, "M": tokens, "C": 1024, "D": 1024, "H": 16, "E": 64, "F": 4096}
    return {**base, "I": 1374, "K": kept, "J": 1024 - kept}


METHOD = Method(
    name="stylesculptor",
    title="StyleSculptor: four streams of tokens, and style by channel from one to another",
    question=(
        "What does style cost over the plain transformer for each step, how much of it does the select remove, and "
        "which tile of scores makes a block of four streams bound by arithmetic?"
    ),
    source=f"{PAPER}; {CODE}, on microsoft/TRELLIS",
    cascades={"released": RELEASED, "select": SELECT, "plain": PLAIN},
    sizes=_sizes(4096, 975),
    presets={
        "tiny": {
            "S": 4,
            "Y": 3,
            "G": 6,
            "P": 6,
            "M": 6,
            "C": 8,
            "D": 8,
            "H": 2,
            "E": 4,
            "F": 16,
            "I": 5,
            "K": 3,
            "J": 5,
        },
        "geometry": _sizes(4096, 975),
        "texture": _sizes(8192, 350),
        "texture_small": _sizes(5000, 500),
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "geometry": f"{CODE}: 16^3 tokens, 975 channels kept (intensity 3), 1374 condition tokens, 24 blocks",
        "texture": f"{CODE}: 350 channels kept; 8192 tokens assumed, a quarter of TRELLIS's 32,768 voxels",
        "texture_small": f"{CODE}: 500 channels kept; 5000 tokens assumed",
    },
    weights=(
        "WM",
        "BM",
        "WQ",
        "WK",
        "WV",
        "WO",
        "BQ",
        "BK",
        "BV",
        "BO",
        "GQ",
        "GK",
        "GL",
        "BL",
        "VQ",
        "VK",
        "VVW",
        "VO",
        "CQ",
        "CK",
        "CV",
        "CO",
        "W1",
        "B1",
        "W2",
        "B2",
    ),
    reference=reference,
    dense=Run("plain"),
    claims=(
        Claim(
            name="time per asset",
            statement="About two minutes for an asset, released inference script, RTX 4090",
            value=120,
            unit="s",
            source=f"{CODE}, README",
            evidence="code",
            quantity="latency_s",
            runs=(
                Run("released", "geometry", times=24 * 100),
                Run("plain", "geometry", times=24 * 5),
                Run("released", "texture", times=24 * 100),
                Run("plain", "texture", times=24 * 10),
            ),
            machine="rtx4090",
            note="The two transformers, 100 steps each; encoders, decoders and meshes are not in it",
        ),
        Claim(
            name="memory",
            statement="At least 16 GB of GPU memory",
            value=16e9,
            unit="B",
            source=f"{CODE}, README",
            evidence="code",
            not_derivable="all models of the pipeline together, most of which are not described",
        ),
    ),
    assumed={
        "tokens of the texture stage": "a quarter of the voxels that TRELLIS trains with",
        "activation": "the exact GELU, where TRELLIS approximates it by tanh",
    },
    counted_apart={
        **dict.fromkeys(
            ("mac", "exp"), "the reference attends for all S streams and replaces one; S and HY for the three that stay"
        ),
        "add": "the denominators D of the replaced stream, which only the reference computes",
        "max": (
            "normalize clamps norms (Q, K do not), and the replaced stream has a maximum; MASK is a maximum over "
            "chosen channels"
        ),
        "mul": (
            "Q and K multiply by a reciprocal root where normalize divides; the reference scales also the replaced "
            "stream's scores, and Q and K where SX and SC scale scores"
        ),
        "div": "normalize and softmax divide each element; HY, HX, HC, HI divide sums",
        **dict.fromkeys(("rsqrt", "sqrt"), "Q and K multiply by a reciprocal root; normalize divides by the norm"),
        "select": (
            "OF, AT and HO pick streams and MASK channels; the reference stacks and writes ones (copies), and "
            "_safe_softmax guards rows"
        ),
        "sub": (
            "the replaced stream's softmax; LayerNorm: VRLX, LX, VRLS, LS, VRLF, LF subtract the mean in the variance "
            "and again in the result; native_layer_norm keeps x - mean"
        ),
    },
)
