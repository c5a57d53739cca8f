"""Class semantics-based attention (CSA) in a boundary-matching network (BMN) for finding actions in video.

New: attention for a proposal network's features is computed from its inputs, which are class scores over time, and not
from the features: one branch weighs channels, another weighs times, and both weighted copies are added.

Ranks: b videos, t times, r channels of scores, c channels of features, y the narrow layer, k taps. In grouped
convolutions: q groups of i channels in, j out (v between two). z start and end, x samples of a stretch, d durations, u
starts, n samples of a proposal, o, a and f channels of the map, w two scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

_ATTENTION = """
GP[b,r]   = sum(SCORES[b,r,t], t) / T
ZP[b,y]   = relu(sum(GP[b,r] * W1[y,r], r))
AC[b,c]   = sigmoid(sum(ZP[b,y] * W2[c,y], y))
AT[b,t]   = sigmoid(sum(SCORES[b,r,t+k-1] * W3[r,k], r, k))
FA[b,c,t] = F[b,c,t] * AC[b,c] + F[b,c,t] * AT[b,t]
"""
_DECLARED = "SCORES: [B, R, T]\n"
ATTENTION = _DECLARED + _ATTENTION

_BASE = """
F1[b,q*V+v,t] = relu(sum(SCORES[b,q*I+i,t+k-1] * WA[q,v,i,k], i, k) + BA[q,v])
F[b,q*J+j,t]  = relu(sum(F1[b,q*V+v,t+k-1] * WB[q,j,v,k], v, k) + BB[q,j])
"""
_BOUNDARIES = """
SE[b,z,q*V+v,t] = relu(sum(FA[b,q*J+j,t+k-1] * WC[z,q,v,j,k], j, k) + BC[z,q,v])
EDGE[b,z,t]   = sigmoid(sum(SE[b,z,c,t] * WD[z,c], c) + BD[z])
P[b,a,t]      = relu(sum(FA[b,c,t+k-1] * WE[a,c,k], c, k) + BE[a])
"""
_DENSE_SAMPLES = "BM[b,a,n,d,u] = sum(P[b,a,t] * SM[t,n,d,u], t)\n"
_SPARSE_SAMPLES = "BM[b,a,n,d,u] = sum(P[b,a,AT6[n,d,u,x]] * SW[n,d,u,x], x)\n"
_MAP = """
C3[b,o,d,u] = relu(sum(BM[b,a,n,d,u] * WF[o,a,n], a, n) + BF[o])
M1[b,f,d,u] = relu(sum(C3[b,o,d,u] * WG[f,o], o) + BG[f])
M2[b,g,d,u] = relu(sum(M1[b,f,d+e-1,u+h-1] * WH[g,f,e,h], f, e, h) + BH[g])
M3[b,f,d,u] = relu(sum(M2[b,g,d+e-1,u+h-1] * WI[f,g,e,h], g, e, h) + BI[f])
MAP[b,w,d,u] = sigmoid(sum(M3[b,f,d,u] * WJ[w,f], f) + BJ[w])
"""
DENSE = _DECLARED + _BASE + _ATTENTION + _BOUNDARIES + _DENSE_SAMPLES + _MAP
SPARSE = _DECLARED + _BASE + _ATTENTION + _BOUNDARIES + _SPARSE_SAMPLES + _MAP
PLAIN = _DECLARED + _BASE + _BOUNDARIES.replace("FA[", "F[") + _SPARSE_SAMPLES + _MAP


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Attention after the paper's prose; the network after JJBOY/BMN-Boundary-Matching-Network."""
    import torch
    from torch.nn.functional import conv1d, conv2d, linear

    scores = given["SCORES"]

    def attended(features: torch.Tensor) -> torch.Tensor:
        channels = linear(linear(scores.mean(-1), given["W1"]).relu(), given["W2"]).sigmoid()
        times = conv1d(scores, given["W3"][None], padding=1).sigmoid()
        return features * channels[..., None] + features * times

    if variant == "attention":
        return {"FA": attended(given["F"])}
    groups = sizes["Q"]
    x = conv1d(scores, given["WA"].flatten(0, 1), given["BA"].flatten(), padding=1, groups=groups).relu()
    x = conv1d(x, given["WB"].flatten(0, 1), given["BB"].flatten(), padding=1, groups=groups).relu()
    x = attended(x) if variant != "bmn" else x
    edges = []
    for z in range(2):
        one = conv1d(x, given["WC"][z].flatten(0, 1), given["BC"][z].flatten(), padding=1, groups=groups).relu()
        edges.append(conv1d(one, given["WD"][z][None, :, None], given["BD"][z, None]).sigmoid()[:, 0])
    x = conv1d(x, given["WE"], given["BE"], padding=1).relu()
    times = x.shape[-1]
    if "SM" in given:
        samples = given["SM"]
    else:
        places, weights = given["AT6"].long(), given["SW"]
        samples = torch.zeros(times, *places.shape[:3], dtype=x.dtype)
        for one in range(places.shape[3]):
            samples.scatter_add_(0, places[None, ..., one], weights[None, ..., one])
    x = torch.einsum("bat,tndu->bandu", x, samples)
    x = torch.einsum("bandu,oan->bodu", x, given["WF"]) + given["BF"][:, None, None]
    x = conv2d(x.relu(), given["WG"][..., None, None], given["BG"]).relu()
    x = conv2d(x, given["WH"], given["BH"], padding=1).relu()
    x = conv2d(x, given["WI"], given["BI"], padding=1).relu()
    x = conv2d(x, given["WJ"][..., None, None], given["BJ"]).sigmoid()
    return {"EDGE": torch.stack(edges, 1), "MAP": x}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Which times a sample reads, and shares of them; nothing where a proposal would end behind the video."""
    import numpy as np

    if "AT6" not in shapes:
        return {}
    shape = tuple(shapes["AT6"])
    _, durations, starts, _ = shape
    valid = np.arange(durations)[:, None] + np.arange(starts) < sizes["T"]
    weights = generator.uniform(0, 1, shape) * valid[None, :, :, None]
    return {"AT6": generator.integers(0, sizes["T"], shape), "SW": weights}


PAPER = "Sridhar et al. 2021, Class Semantics-based Attention for Action Detection, arXiv 2109.02613"
CODE = "JJBOY/BMN-Boundary-Matching-Network"


def _network(times: int, durations: int, scores: int, channels: int = 256, hidden: int = 128) -> dict[str, int]:
    return {"B": 1, "T": times, "R": scores, "C": channels, "Y": max(channels // 16, 2), "K": 3, "Q": 4,
            "I": scores // 4, "V": channels // 4, "J": channels // 4, "Z": 2, "A": channels, "N": 32, "D": durations,
            "U": times, "X": 6, "O": 512, "F": hidden, "G": hidden, "E": 3, "H": 3, "W": 2}  # fmt: skip


METHOD = Method(
    name="csa_bmn",
    title="Class semantics-based attention in a boundary-matching network",
    question="Is attention visible in the network's cost, and what do sparse samples save in traffic?",
    source=f"{PAPER}; network: {CODE}",
    cascades={"csa_bmn": SPARSE, "dense_samples": DENSE, "attention": ATTENTION, "bmn": PLAIN},
    sizes=_network(100, 100, 400),
    presets={
        "bmn_csa_anet": _network(100, 100, 400),
        "bmn_csa_thumos": _network(256, 64, 2048),
        "tiny": {**_network(6, 6, 8, 8, 3), "Y": 2, "N": 3, "O": 5, "G": 4, "X": 2, "B": 2},
    },
    preset_sources={
        "bmn_csa_anet": f"{CODE}: ActivityNet, 100 times, 400 class scores, 256 channels, 32 samples of 3 points each",
        "bmn_csa_thumos": "windows of 256 times and durations of up to 64, with 2048 channels of input: assumed",
        "tiny": "our choice, for tests",
    },
    weights=("W1", "W2", "W3", "WA", "BA", "WB", "BB", "WC", "BC", "WD", "BD", "WE", "BE", "WF", "BF", "WG", "BG", "WH",
             "BH", "WI", "BI", "WJ", "BJ"),
    reference=reference,
    inputs=inputs,
    claims=(
        Claim("THUMOS-14", "47.5 % mAP, about 6.2 over BMN", 47.5, "%", f"{PAPER}, abstract", "abstract",
              not_derivable="accuracy"),
        Claim("ActivityNet", "36.25 % mAP on v1.3", 36.25, "%", f"{PAPER}, abstract", "abstract",
              not_derivable="accuracy"),
        Claim("challenge", "runner-up of 2021 at 44.11 %", 44.11, "%", "project page", "third party",
              not_derivable="accuracy"),
    ),
    assumed={
        "attention's layers": "the channel branch as in squeeze-and-excitation with a 16th of the channels, the other "
                              "one convolution of three taps, their results added: the text does not say",
    },
    counted_apart={
        "mac": (
            "the reference multiplies by a dense matrix of samples over all T times; BM reads the X times of a sample"
        ),
        "opaque": "scatter_add_ fills the matrix of samples of the reference; the cascade has no such matrix",
    },
)  # fmt: skip
