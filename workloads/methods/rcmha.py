"""RCMHA: attention with relative positions and a memory, whose queries, keys and values each pass a short convolution.

As in Transformer-XL, a segment attends its own tokens and those of a memory, and scores have a term of the distance: a
learned key and a learned scalar for each. What is new is a causal depthwise convolution of three taps along the
sequence, its filters shared by the heads. `released` multiplies queries by the keys of all J + I distances and then
shifts rows; `gathered` reads each score's distance directly; `relative` is the same layer without convolutions (RMHA),
`plain` without positions as well.

Ranks: b batch, i query in the segment, j key in memory and segment, r distance, c width, h heads, e head dimension, k
tap, f feed-forward width. PMAX is half of the table of distances.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import torch

_TABLES = """
PMAX: size
ETAB: [2*PMAX, H, E]
BTAB: [2*PMAX, H]
"""
_PROJECTIONS = """
MX[b,j]       = sum(XM[b,j,c], c) / C
VX[b,j]       = sum((XM[b,j,c] - MX[b,j]) ** 2, c) / C
ZN[b,j,c]     = (XM[b,j,c] - MX[b,j]) * rsqrt(VX[b,j] + 1e-5) * GA[c] + BA[c]
Q0[b,i,h,e]   = sum(ZN[b,i+J-I,c] * WQ[c,h,e], c)
K0[b,j,h,e]   = sum(ZN[b,j,c] * WK[c,h,e], c)
V0[b,j,h,e]   = sum(ZN[b,j,c] * WV[c,h,e], c) + BV[h,e]
"""
_CONVOLVED = """
Q[b,i,h,e]    = sum(Q0[b,i-k,h,e] * CQ[k,e], k) + DQ[e]                # nothing before the segment
K[b,j,h,e]    = sum(K0[b,j-k,h,e] * CK[k,e], k) + DK[e]
V[b,j,h,e]    = sum(V0[b,j-k,h,e] * CV[k,e], k) + DV[e]
"""
_CONTENT = """
QU[b,i,h,e]   = Q[b,i,h,e] + U[h,e]
AC[b,h,i,j]   = sum(QU[b,i,h,e] * K[b,j,h,e], e)
"""
_SHIFTED = """
BR[b,h,i,r]   = sum(Q[b,i,h,e] * ETAB[r+PMAX-J,h,e], e) + BTAB[r+PMAX-J,h]
BD[b,h,i,j]   = BR[b,h,i,j-i+I]                                        # the shift of rows
"""
_GATHERED = """
BD[b,h,i,j]   = sum(Q[b,i,h,e] * ETAB[j-i+PMAX-J+I,h,e], e) + BTAB[j-i+PMAX-J+I,h]
"""
_REST = """
G[b,h,i]      = max(S[b,h,i,j], j)
P[b,h,i,j]    = exp(S[b,h,i,j] - G[b,h,i])
D[b,h,i]      = sum(P[b,h,i,j], j)
O[b,i,h,e]    = sum(P[b,h,i,j] * V[b,j,h,e], j) / D[b,h,i]
A[b,i,c]      = XM[b,i+J-I,c] + sum(O[b,i,h,e] * WO[h,e,c], h, e) + BO[c]
MA[b,i]       = sum(A[b,i,c], c) / C
VA[b,i]       = sum((A[b,i,c] - MA[b,i]) ** 2, c) / C
AN[b,i,c]     = (A[b,i,c] - MA[b,i]) * rsqrt(VA[b,i] + 1e-5) * GF[c] + BF[c]
FF[b,i,f]     = relu(sum(AN[b,i,c] * W1[c,f], c) + B1[f])
Y[b,i,c]      = A[b,i,c] + sum(FF[b,i,f] * W2[f,c], f) + B2[c]
"""
_SCORES = "S[b,h,i,j]    = where(j - J + I <= i, (AC[b,h,i,j] + BD[b,h,i,j]) / sqrt(E), -inf)\n"


def _without_convolutions(text: str) -> str:
    return text.replace("Q0[", "Q[").replace("K0[", "K[").replace("V0[", "V[")


RELEASED = f"{_TABLES}{_PROJECTIONS}{_CONVOLVED}{_CONTENT}{_SHIFTED}{_SCORES}{_REST}"
GATHERED = f"{_TABLES}{_PROJECTIONS}{_CONVOLVED}{_CONTENT}{_GATHERED}{_SCORES}{_REST}"
RELATIVE = f"{_TABLES}{_without_convolutions(_PROJECTIONS)}{_CONTENT}{_SHIFTED}{_SCORES}{_REST}"
PLAIN = f"""{_without_convolutions(_PROJECTIONS)}
S[b,h,i,j]    = where(j - J + I <= i, sum(Q[b,i,h,e] * K[b,j,h,e], e) / sqrt(E), -inf)
{_REST}"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Depthwise convolutions of PyTorch, and the shift by padding and reshaping."""
    import torch
    from torch.nn.functional import conv1d, layer_norm, pad, relu

    g, own = given, sizes["I"]
    every = g["XM"]
    x = every[:, -own:]
    zm = layer_norm(every, every.shape[-1:], g["GA"], g["BA"])

    def project(z: torch.Tensor, which: str) -> torch.Tensor:
        y = torch.einsum("bnc,che->bhen", z, g["W" + which]) + (g["BV"][..., None] if which == "V" else 0)
        if variant in ("relative", "plain"):
            return y
        taps = g["C" + which].flip(0).T[:, None]
        columns = pad(y.flatten(0, 1), (len(g["C" + which]) - 1, 0))
        return conv1d(columns, taps, g["D" + which], groups=sizes["E"]).view_as(y)

    q, k, v = project(zm[:, -own:], "Q"), project(zm, "K"), project(zm, "V")
    if variant == "plain":
        scores = torch.einsum("bhei,bhej->bhij", q, k)
    else:
        scores = torch.einsum("bhei,bhej->bhij", q + g["U"][..., None], k)
        near = slice(sizes["PMAX"] - sizes["J"], sizes["PMAX"] + own)
        distances = torch.einsum("bhei,rhe->bhir", q, g["ETAB"][near]) + g["BTAB"][near].T[:, None]
        padded = pad(distances, (0, 1)).flatten(-2)
        shifted = padded[..., : distances.shape[-2] * distances.shape[-1]].view_as(distances)
        scores = scores + shifted[..., -sizes["J"] :]
    later = torch.ones(own, sizes["J"], dtype=torch.bool).triu(sizes["J"] - own + 1)
    weights = (scores / sizes["E"] ** 0.5).masked_fill(later, -torch.inf).softmax(-1)
    a = x + torch.einsum("bhij,bhej,hec->bic", weights, v, g["WO"]) + g["BO"]
    hidden = relu(layer_norm(a, a.shape[-1:], g["GF"], g["BF"]) @ g["W1"] + g["B1"])
    return {"Y": a + hidden @ g["W2"] + g["B2"]}


PAPER = "RCMHA: Relative Convolutional Multi-Head Attention, arXiv 2308.03429"
CODE = "hermansh-id/rcmha"


def _sizes(batch: int, segment: int, memory: int, width: int, hidden: int) -> dict[str, int]:
    lengths = {"B": batch, "I": segment, "J": memory + segment, "R": memory + 2 * segment, "PMAX": 4096}
    return {**lengths, "C": width, "H": 8, "E": width // 8, "K": 3, "F": hidden}


METHOD = Method(
    name="rcmha",
    title="RCMHA: relative positions, a memory, and short convolutions of queries, keys and values",
    question=(
        "What does the term of positions cost (a product, a shift, a table), and does a kernel that reads distances "
        "directly remove the waste and the tensors as large as the scores?"
    ),
    source=f"{PAPER}; {CODE}",
    cascades={"released": RELEASED, "gathered": GATHERED, "relative": RELATIVE, "plain": PLAIN},
    sizes=_sizes(32, 128, 128, 128, 256),
    presets={
        "tiny": {"B": 2, "I": 3, "J": 5, "R": 8, "PMAX": 9, "C": 8, "H": 2, "E": 4, "K": 3, "F": 16},
        "script": _sizes(32, 2, 32, 128, 256),
        "class_default": _sizes(32, 128, 128, 128, 256),
        "scaled": _sizes(8, 1024, 1024, 512, 2048),
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "script": f"{CODE}: segments of 2, memory of 32, width 128, batch 32, 6 layers",
        "class_default": f"{CODE}: the class's memory of 128; as long a segment is assumed",
        "scaled": "our choice: longer and wider, to load a machine",
    },
    weights=(
        "GA",
        "BA",
        "WQ",
        "WK",
        "WV",
        "BV",
        "CQ",
        "DQ",
        "CK",
        "DK",
        "CV",
        "DV",
        "U",
        "ETAB",
        "BTAB",
        "WO",
        "BO",
        "GF",
        "BF",
        "W1",
        "B1",
        "W2",
        "B2",
    ),
    reference=reference,
    dense=Run("plain"),
    claims=(
        Claim(
            name="memory",
            statement="2.98 GB on average, where relative attention without convolutions takes 3.5 GB",
            value=2.98 / 3.5,
            unit="x of RMHA",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            quantity="peak_memory_bytes",
            runs=(Run("released", "script", training=True),),
            baseline=(Run("relative", "script", training=True),),
            inverted=True,
            tolerance=0.05,
            note="A convolution adds activations and removes none: no tensor of the method explains less memory",
        ),
        Claim(
            name="accuracy",
            statement="0.572 on characters of text, the best of four forms of attention",
            value=0.572,
            unit="accuracy",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        "class": "the one of the abstract and the repository's attention file; its main script imports plain attention",
        "feed-forward": "normalized before, as the attention is",
    },
    counted_apart={
        "div": "softmax divides each weight; O divides the sums of values",
        "sub": (
            "LayerNorm: VX, ZN, VA, AN subtract the mean in the variance and again in the result; native_layer_norm "
            "keeps x - mean"
        ),
    },
)
