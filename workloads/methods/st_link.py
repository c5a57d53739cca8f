"""ST-LINK, as assumed: a language model's layer on sensors of a road network, whose rotary angles have a spatial part.

Only the abstract, the problem statement and the preliminaries could be read. The layer here is a self-consistent
reading of them: one token a sensor; the angle of a pair of dimensions is the token's position times a frequency, plus a
learned projection of the sensor's embedding; beside the feed-forward network, a memory of patterns is looked up by the
k nearest keys and added through a gate.

Ranks: b samples, n sensors that ask and m that are asked, d width (k when it is summed over), h heads, i pairs of head
dimensions, c width of a sensor's embedding, f hidden, r slots of the memory, j slots that are looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..lines import softmax
from ..method import Method

if TYPE_CHECKING:
    import torch


def _rotated(name: str, token: str, of: str) -> str:
    """Pairs of dimensions of queries or keys, turned by an angle of the token; `of` are the ranks of angles."""
    lines = f"""
{name}1[b,{token},h,i] = sum(X[b,{token},d] * W{name}1[d,h,i], d)
{name}2[b,{token},h,i] = sum(X[b,{token},d] * W{name}2[d,h,i], d)
R{name}1[b,{token},h,i] = {name}1[b,{token},h,i] * CA[{of}] - {name}2[b,{token},h,i] * SA[{of}]
R{name}2[b,{token},h,i] = {name}1[b,{token},h,i] * SA[{of}] + {name}2[b,{token},h,i] * CA[{of}]
"""
    return lines.lstrip()


def _attention(each: str) -> str:
    return f"""
CA[n,{each}] = cos(AN[n,{each}])
SA[n,{each}] = sin(AN[n,{each}])
{_rotated("Q", "n", f"n,{each}")}
{_rotated("K", "m", f"m,{each}")}
V[b,m,h,e] = sum(X[b,m,d] * WV[d,h,e], d)
S[b,h,n,m] = (sum(RQ1[b,n,h,i] * RK1[b,m,h,i], i) + sum(RQ2[b,n,h,i] * RK2[b,m,h,i], i)) / sqrt(E)
{softmax("S", "A", "b,h,n", "m")}
O[b,n,h,e] = sum(A[b,h,n,m] * V[b,m,h,e], m)
X1[b,n,d]  = sum(O[b,n,h,e] * WO[h,e,d], h, e) + X[b,n,d]
"""


_FEED_FORWARD = """
F1[b,n,f]  = gelu(sum(X1[b,n,d] * W1[d,f], d) + C1[f])
F2[b,n,d]  = sum(F1[b,n,f] * W2[f,d], f) + C2[d]
"""
_MEMORY = f"""
SC[b,n,r]  = sum(X1[b,n,d] * MK[r,d], d) / sqrt(D)
I[b,n,j]   = topk(SC[b,n,r], r)
TOP[b,n,j] = SC[b,n,I[b,n,j]]
{softmax("TOP", "P", "b,n", "j")}
MV: [R, D]
RET[b,n,d] = sum(P[b,n,j] * MV[I[b,n,j],d], j)
GT[b,n,d]  = sigmoid(sum(X1[b,n,k] * WG[k,d], k) + sum(RET[b,n,k] * WR[k,d], k))
Y[b,n,d]   = F2[b,n,d] + GT[b,n,d] * RET[b,n,d] + X1[b,n,d]
"""
LAYER = f"""
AN[n,h,i]  = n * FREQ[i] + sum(SE[n,c] * WS[c,h,i], c)            # a position's angle and a place's
{_attention("h,i")}{_FEED_FORWARD}{_MEMORY}"""
PLAIN = f"""
AN[n,i]    = n * FREQ[i]
{_attention("i")}{_FEED_FORWARD}
Y[b,n,d]   = F2[b,n,d] + X1[b,n,d]
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Rotation of a head's two halves against each other; the memory by `topk` and indexing."""
    import torch
    from torch.nn.functional import gelu, linear, scaled_dot_product_attention

    x = given["X"]
    angles = torch.arange(sizes["N"])[:, None, None] * given["FREQ"] + torch.zeros(sizes["H"], 1)
    if variant == "layer":
        angles = angles + torch.einsum("nc,chi->nhi", given["SE"], given["WS"])
    cos, sin = angles.cos(), angles.sin()

    def rotated(one: str) -> torch.Tensor:
        parts = [torch.einsum("bnd,dhi->bnhi", x, given[f"W{one}{half}"]) for half in (1, 2)]
        x1, x2 = parts
        return torch.cat([x1 * cos - x2 * sin, x1 * sin + x2 * cos], -1).transpose(1, 2)

    v = torch.einsum("bnd,dhe->bhne", x, given["WV"])
    heads = scaled_dot_product_attention(rotated("Q"), rotated("K"), v).transpose(1, 2).flatten(2)
    x1 = heads @ given["WO"].flatten(0, 1) + x
    y = linear(gelu(linear(x1, given["W1"].T, given["C1"])), given["W2"].T, given["C2"]) + x1
    if variant == "layer":
        values, slots = (x1 @ given["MK"].T / sizes["D"] ** 0.5).topk(sizes["J"])
        found = torch.einsum("bnj,bnjd->bnd", values.softmax(-1), given["MV"][slots])
        y = y + (x1 @ given["WG"] + found @ given["WR"]).sigmoid() * found
    return {"Y": y}


PAPER = "Jeon et al. 2025, ST-LINK, arXiv 2509.13753"
_MODEL = {"D": 768, "K": 768, "H": 12, "I": 32, "E": 64, "C": 64, "F": 3072, "R": 64, "J": 5}

METHOD = Method(
    name="st_link",
    title="ST-LINK (assumed): rotary angles with a spatial part, and a memory beside the feed-forward network",
    question="Does a rotation that depends on the place break the fusion of projection and attention, and what does "
    "the memory add?",
    source=f"{PAPER}: abstract and preliminaries; no code was found, see what is assumed",
    cascades={"layer": LAYER, "plain": PLAIN},
    sizes={"B": 16, "N": 207, "M": 207, **_MODEL},
    presets={
        "metr": {"B": 16, "N": 207, "M": 207, **_MODEL},
        "bay": {"B": 16, "N": 325, "M": 325, **_MODEL},
        "tiny": {"B": 2, "N": 6, "M": 6, "D": 16, "K": 16, "H": 2, "I": 4, "E": 8, "C": 3, "F": 12, "R": 8, "J": 2},
    },
    preset_sources={
        "metr": "METR-LA has 207 sensors; the model's widths are assumed",
        "bay": "PEMS-BAY has 325 sensors; the model's widths are assumed",
        "tiny": "our choice, for tests",
    },
    weights=("WQ1", "WQ2", "WK1", "WK2", "WV", "WO", "WS", "SE", "W1", "C1", "W2", "C2", "MK", "MV", "WG", "WR"),
    reference=reference,
    dense=Run("plain"),
    claims=(
        Claim(
            name="accuracy",
            statement="Better forecasts than deep-learning and language-model baselines, at long horizons above all",
            value=1,
            unit="rank",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        "backbone": "GPT-2's width of 768 in 12 heads, one token a sensor, no mask over sensors",
        "spatial angle": "a linear projection of a learned embedding of the sensor, of width 64",
        "memory": "64 slots, 5 of them looked up, added through a gate of the token and of what was found",
    },
    counted_apart={
        "add": "S adds the products of two halves; the reference joins halves and multiplies once",
    },
)
