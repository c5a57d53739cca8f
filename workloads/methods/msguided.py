"""Multi-scale self-guided attention: pixels attend pixels, channels attend channels, and a first stack guides a second.

At each of four scales of an encoder, brought to one size, a position attention over pixels and a channel attention over
maps are added, weighted by a small encoder-decoder, and what comes out guides a second stack of the same kind.
`position` and `channel` are the two attentions, each with its convolutions left out; `layer` is a position attention
between its two convolutions; `semantic` a block of the encoder-decoder; `guide` what leads from one stack to the next.

Ranks: b images, n and m pixels, c channels (k and o others of them), e width of queries and keys, f of values; y and x
pixels (p and q others, i and j before pooling), u and v filter taps, s and t the window of the pooling, g channels
that go in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim
from ..lines import softmax
from ..method import Method

if TYPE_CHECKING:
    import torch

POSITION = f"""
ALPHA: []
Q[b,n,e]   = sum(X[b,c,n] * WQ[e,c], c) + CQ[e]
K[b,m,e]   = sum(X[b,c,m] * WK[e,c], c) + CK[e]
V[b,f,m]   = sum(X[b,c,m] * WV[f,c], c) + CV[f]
S[b,n,m]   = sum(Q[b,n,e] * K[b,m,e], e)                          # no scale
{softmax("S", "A", "b,n", "m")}
O[b,f,n]   = ALPHA * sum(A[b,n,m] * V[b,f,m], m) + X[b,f,n]
"""

DEFERRED = """
ALPHA: []
Q[b,n,e]   = sum(X[b,c,n] * WQ[e,c], c) + CQ[e]
K[b,m,e]   = sum(X[b,c,m] * WK[e,c], c) + CK[e]
V[b,f,m]   = sum(X[b,c,m] * WV[f,c], c) + CV[f]
S[b,n,m]   = sum(Q[b,n,e] * K[b,m,e], e)
G[b,n]     = max(S[b,n,m], m)
N[b,n,m]   = exp(S[b,n,m] - G[b,n])
D[b,n]     = sum(N[b,n,m], m)
NV[b,f,n]  = sum(N[b,n,m] * V[b,f,m], m)
O[b,f,n]   = ALPHA * NV[b,f,n] / D[b,n] + X[b,f,n]               # a division for each value, not for each pair
"""

CHANNEL = f"""
BETA: []
R[b,c,k]   = sum(X[b,c,n] * X[b,k,n], n)
MX[b,c]    = max(R[b,c,k], k)
S[b,c,k]   = MX[b,c] - R[b,c,k]                                   # what is least alike weighs most
{softmax("S", "A", "b,c", "k")}
O[b,c,n]   = BETA * sum(A[b,c,k] * X[b,k,n], k) + X[b,c,n]
"""


def _convolution(source: str, result: str, weight: str, out: str, into: str) -> str:
    """A 3 x 3 convolution with its normalization folded, and a rectifier with a learned slope."""
    body = f"sum({source}[b,{into},y+u-1,x+v-1] * {weight}[{out},{into},u,v], {into}, u, v) + C{weight}[{out}]"
    return (
        f"L{result}[b,{out},y,x] = {body}\n"
        f"{result}[b,{out},y,x] = max(L{result}[b,{out},y,x], 0) + S{weight} * min(L{result}[b,{out},y,x], 0)\n"
    )


LAYER = f"""
ALPHA: []
SW1: []
SW2: []
X: [B, G, Y, X]
{_convolution("X", "F", "W1", "c", "g")}
Q[b,y,x,e] = sum(F[b,c,y,x] * WQ[e,c], c) + CQ[e]
K[b,p,q,e] = sum(F[b,c,p,q] * WK[e,c], c) + CK[e]
V[b,f,p,q] = sum(F[b,c,p,q] * WV[f,c], c) + CV[f]
S[b,y,x,p,q] = sum(Q[b,y,x,e] * K[b,p,q,e], e)
M[b,y,x]   = max(S[b,y,x,p,q], p, q)
N[b,y,x,p,q] = exp(S[b,y,x,p,q] - M[b,y,x])
D[b,y,x]   = sum(N[b,y,x,p,q], p, q)
A[b,y,x,p,q] = N[b,y,x,p,q] / D[b,y,x]
O[b,f,y,x] = ALPHA * sum(A[b,y,x,p,q] * V[b,f,p,q], p, q) + F[b,f,y,x]
{_convolution("O", "Z", "W2", "o", "f")}
"""

SEMANTIC = """
X: [B, G, 2*Y, 2*X]
F1[b,c,i,j] = relu(sum(X[b,g,i+u-1,j+v-1] * W3[c,g,u,v], g, u, v) + CW3[c])
F2[b,o,i,j] = relu(sum(F1[b,c,i+u-1,j+v-1] * W4[o,c,u,v], c, u, v) + CW4[o])
Z[b,o,y,x]  = max(F2[b,o,y*2+s,x*2+t], s, t)
"""

GUIDE = """
SEM: [B, C, Y, X]
W[b,o,y,x]  = sum(SEM[b,c,y+u-1,x+v-1] * W5[o,c,u,v], c, u, v) + CW5[o]
J[b,o,y,x]  = (P[b,o,y,x] + R[b,o,y,x]) * W[b,o,y,x]
Z[b,f,y,x]  = sum(J[b,o,y,x] * W6[f,o], o) + CW6[f]
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After sinAshish/Multi-Scale-Attention, batch normalization folded."""
    from torch.nn.functional import conv2d, max_pool2d, prelu, relu

    def point(x: torch.Tensor, name: str) -> torch.Tensor:
        return conv2d(x, given[f"W{name}"][..., None, None], given[f"C{name}"]).flatten(2)

    def position(x: torch.Tensor) -> torch.Tensor:
        energy = point(x, "Q").transpose(1, 2) @ point(x, "K")
        mixed = point(x, "V") @ energy.softmax(-1).transpose(1, 2)
        return given["ALPHA"] * mixed.reshape(x.shape) + x

    def filtered(x: torch.Tensor, name: str) -> torch.Tensor:
        return conv2d(x, given[name], given[f"C{name}"], padding=1)

    match variant:
        case "position" | "deferred-division":
            return {"O": position(given["X"][..., None])[..., 0]}
        case "channel":
            x = given["X"]
            energy = x @ x.transpose(1, 2)
            weights = (energy.max(-1, keepdim=True)[0].expand_as(energy) - energy).softmax(-1)
            return {"O": given["BETA"] * (weights @ x) + x}
        case "layer":
            inner = position(prelu(filtered(given["X"], "W1"), given["SW1"].reshape(1)))
            return {"Z": prelu(filtered(inner, "W2"), given["SW2"].reshape(1))}
        case "semantic":
            return {"Z": max_pool2d(relu(filtered(relu(filtered(given["X"], "W3")), "W4")), 2)}
        case _:
            joined = (given["P"] + given["R"]) * filtered(given["SEM"], "W5")
            return {"Z": conv2d(joined, given["W6"][..., None, None], given["CW6"])}


PAPER = "Sinha and Dolz 2019, Multi-scale self-guided attention for medical image segmentation, arXiv 1906.02849"
CODE = "sinAshish/Multi-Scale-Attention at 96d76f2"


def _sizes(batch: int, side: int) -> dict[str, int]:
    pixels = {"N": side * side, "M": side * side, "Y": side, "X": side, "P": side, "Q": side}
    before = {"I": 2 * side, "J": 2 * side, "S": 2, "T": 2}
    return {"B": batch, "C": 64, "K": 64, "O": 64, "F": 64, "E": 8, "G": 128, "U": 3, "V": 3, **pixels, **before}


METHOD = Method(
    name="msguided",
    title="Multi-scale self-guided attention: pixels, channels, and a stack that guides the next",
    question="What do eight attentions over pixels keep in memory for the backward pass, and what does a fused kernel "
    "gain where keys are an eighth as wide as values?",
    source=f"{PAPER}; {CODE}",
    cascades={
        "position": POSITION,
        "deferred-division": DEFERRED,
        "channel": CHANNEL,
        "layer": LAYER,
        "semantic": SEMANTIC,
        "guide": GUIDE,
    },
    sizes=_sizes(8, 64),
    presets={
        "chaos256": _sizes(8, 64),
        "infer256": _sizes(1, 64),
        "big512": _sizes(1, 128),
        "tiny": {
            "B": 2, "C": 4, "K": 4, "O": 4, "F": 4, "E": 2, "G": 3, "U": 3, "V": 3, "N": 6, "M": 6, "Y": 3, "X": 2,
            "P": 3, "Q": 2, "I": 6, "J": 4, "S": 2, "T": 2,
        },
    },
    preset_sources={
        "chaos256": f"{CODE}: batch 8 of train.sh; slices of 256 x 256 are assumed",
        "infer256": f"{CODE}, one slice; 256 x 256 is assumed",
        "big512": "assumed: slices of 512 x 512",
        "tiny": "our choice, for tests",
    },
    weights=(
        *("WQ", "CQ", "WK", "CK", "WV", "CV", "ALPHA", "BETA", "W1", "CW1", "SW1", "W2", "CW2", "SW2", "W3", "CW3"),
        *("W4", "CW4", "W5", "CW5", "W6", "CW6"),
    ),
    reference=reference,
    claims=(
        Claim(
            "maps of attention",
            "Eight attentions over pixels keep 4.3 GB of maps for the backward pass, in fp32 at batch 8",
            8 * 8 * 4096 * 4096 * 4,
            "B",
            f"counted in {CODE}",
            "derived",
            not_derivable="our own count: the memory of a schedule says it for any schedule",
        ),
        Claim(
            "accuracy",
            "More accurate segmentation than other networks of attention on three data sets",
            3,
            "data sets",
            f"{PAPER}, abstract",
            "abstract",
            not_derivable="accuracy",
        ),
    ),
    assumed={"slices": "256 x 256 pixels, so that the stride of 4 leaves 64 x 64"},
)  # fmt: skip
