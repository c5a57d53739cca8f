"""GMAN: sensors attend sensors and steps attend steps, side by side, and a learned gate mixes the two.

`block` is one block of the encoder or decoder with full attention over sensors, as the public code has it. `group` is
the spatial attention of the paper, which attends inside random groups of sensors and between the groups' maxima, with
`full` beside it: the same part of a block without groups. `transform` maps past steps to future ones in one go.

Ranks: b samples, t and s steps, n and m sensors, d width (c twice that), k heads of width e; g groups of i (j) sensors,
and h groups that are looked at; q future steps, p past ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim
from ..lines import softmax
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch


def _two_layers(source: str, result: str, index: str, number: str) -> str:
    """Two fully connected layers, normalization folded, the first one rectified; heads are joined before."""
    return (
        f"F{result}[{index},d] = relu(sum({source}[{index},k,e] * W{number}A[k,e,d], k, e) + C{number}A[d])\n"
        f"{result}[{index},d] = sum(F{result}[{index},a] * W{number}B[a,d], a) + C{number}B[d]\n"
    )


_INPUT = """
H: [B, T, N, D]
ST: [B, T, N, D]
X[b,t,n,c]  = where(c < D, H[b,t,n,c], ST[b,t,n,c-D])             # the state and what is known of place and time
"""
_FULL = f"""
QS[b,t,n,k,e] = relu(sum(X[b,t,n,c] * WQ[c,k,e], c) + CQ[k,e])
KS[b,t,m,k,e] = relu(sum(X[b,t,m,c] * WK[c,k,e], c) + CK[k,e])
VS[b,t,m,k,e] = relu(sum(X[b,t,m,c] * WV[c,k,e], c) + CV[k,e])
SS[b,t,k,n,m] = sum(QS[b,t,n,k,e] * KS[b,t,m,k,e], e) / sqrt(E)
{softmax("SS", "A", "b,t,k,n", "m")}
OS[b,t,n,k,e] = sum(A[b,t,k,n,m] * VS[b,t,m,k,e], m)
{_two_layers("OS", "HS", "b,t,n", "S")}"""

GROUP = f"""
X: [B, T, N, C]
Y[b,t,g,i,c] = where(g*I + i < N, X[b,t,PERM[g,i],c], 0)          # sensors in a random order, the last group padded
QG[b,t,g,i,k,e] = relu(sum(Y[b,t,g,i,c] * WQ[c,k,e], c) + CQ[k,e])
KG[b,t,g,j,k,e] = relu(sum(Y[b,t,g,j,c] * WK[c,k,e], c) + CK[k,e])
VG[b,t,g,j,k,e] = relu(sum(Y[b,t,g,j,c] * WV[c,k,e], c) + CV[k,e])
SG[b,t,k,g,i,j] = where(g*I + j < N, sum(QG[b,t,g,i,k,e] * KG[b,t,g,j,k,e], e) / sqrt(E), -32767)
{softmax("SG", "A", "b,t,k,g,i", "j")}
OG[b,t,g,i,k,e] = sum(A[b,t,k,g,i,j] * VG[b,t,g,j,k,e], j)
{_two_layers("OG", "HL", "b,t,g,i", "S")}
PG[b,t,g,d]  = max(HL[b,t,g,i,d], i)                              # one vector a group, and attention among those
Q2[b,t,g,k,e] = relu(sum(PG[b,t,g,d] * WQ2[d,k,e], d) + CQ2[k,e])
K2[b,t,h,k,e] = relu(sum(PG[b,t,h,d] * WK2[d,k,e], d) + CK2[k,e])
V2[b,t,h,k,e] = relu(sum(PG[b,t,h,d] * WV2[d,k,e], d) + CV2[k,e])
S2[b,t,k,g,h] = sum(Q2[b,t,g,k,e] * K2[b,t,h,k,e], e) / sqrt(E)
{softmax("S2", "B2", "b,t,k,g", "h")}
O2[b,t,g,k,e] = sum(B2[b,t,k,g,h] * V2[b,t,h,k,e], h)
{_two_layers("O2", "HG", "b,t,g", "G")}
HS[b,t,g,i,d] = HL[b,t,g,i,d] + HG[b,t,g,d]
"""

BLOCK = f"""{_INPUT}{_FULL}
QT[b,n,t,k,e] = relu(sum(X[b,t,n,c] * WQT[c,k,e], c) + CQT[k,e])
KT[b,n,s,k,e] = relu(sum(X[b,s,n,c] * WKT[c,k,e], c) + CKT[k,e])
VT[b,n,s,k,e] = relu(sum(X[b,s,n,c] * WVT[c,k,e], c) + CVT[k,e])
TT[b,n,k,t,s] = where(s <= t, sum(QT[b,n,t,k,e] * KT[b,n,s,k,e], e) / sqrt(E), -32767)
{softmax("TT", "AT", "b,n,k,t", "s")}
OT[b,t,n,k,e] = sum(AT[b,n,k,t,s] * VT[b,n,s,k,e], s)
{_two_layers("OT", "HT", "b,t,n", "T")}
Z[b,t,n,d]    = sigmoid(sum(HS[b,t,n,a] * WZ1[a,d], a) + sum(HT[b,t,n,a] * WZ2[a,d], a) + CZ[d])
R[b,t,n,d]    = Z[b,t,n,d] * HS[b,t,n,d] + (1 - Z[b,t,n,d]) * HT[b,t,n,d]
F1[b,t,n,d]   = relu(sum(R[b,t,n,a] * WF1[a,d], a) + CF1[d])
OUT[b,t,n,d]  = H[b,t,n,d] + sum(F1[b,t,n,a] * WF2[a,d], a) + CF2[d]
"""

TRANSFORM = f"""
QF[b,n,q,k,e] = relu(sum(STQ[b,q,n,d] * WQ[d,k,e], d) + CQ[k,e])
KF[b,n,p,k,e] = relu(sum(STP[b,p,n,d] * WK[d,k,e], d) + CK[k,e])
VF[b,n,p,k,e] = relu(sum(H[b,p,n,d] * WV[d,k,e], d) + CV[k,e])
SF[b,n,k,q,p] = sum(QF[b,n,q,k,e] * KF[b,n,p,k,e], e) / sqrt(E)
{softmax("SF", "A", "b,n,k,q", "p")}
OF[b,q,n,k,e] = sum(A[b,n,k,q,p] * VF[b,n,p,k,e], p)
{_two_layers("OF", "OUT", "b,q,n", "S")}"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After zhengchuanpan/GMAN and the paper's group attention, batch normalization folded."""
    import torch
    from torch.nn.functional import relu

    def project(x: torch.Tensor, name: str) -> torch.Tensor:
        return relu(torch.tensordot(x, given[f"W{name}"], 1) + given[f"C{name}"])

    def attend(projected: Iterable[torch.Tensor], hidden: torch.Tensor | None = None) -> torch.Tensor:
        """Over the third last axis of queries, keys and values; heads and their width are the last two."""
        q, k, v = (one.transpose(-2, -3) for one in projected)
        scores = q @ k.transpose(-1, -2) / sizes["E"] ** 0.5
        if hidden is not None:
            scores = scores.masked_fill(hidden, -32767.0)
        return (scores.softmax(-1) @ v).transpose(-2, -3)

    def layers(heads: torch.Tensor, number: str) -> torch.Tensor:
        inner = relu(torch.tensordot(heads, given[f"W{number}A"], 2) + given[f"C{number}A"])
        return inner @ given[f"W{number}B"] + given[f"C{number}B"]

    match variant:
        case "transform":
            q, k, v = (project(given[x].transpose(1, 2), w) for x, w in (("STQ", "Q"), ("STP", "K"), ("H", "V")))
            return {"OUT": layers(attend((q, k, v)).transpose(1, 2), "S")}
        case "full":
            return {"HS": layers(attend(project(given["X"], one) for one in "QKV"), "S")}
        case "group":
            x, (groups, size) = given["X"], (sizes["G"], sizes["I"])
            order = given["PERM"].long().flatten()
            there = torch.arange(groups * size) < sizes["N"]
            picked = torch.where(there[:, None], x[:, :, order], 0.0)
            picked = picked.reshape(*x.shape[:2], groups, size, -1)
            hidden = ~there.reshape(groups, 1, 1, size)
            local = layers(attend((project(picked, one) for one in "QKV"), hidden), "S")
            among = local.max(3)[0]
            between = layers(attend(project(among, f"{one}2") for one in "QKV"), "G")
            return {"HS": local + between[:, :, :, None]}
        case _:
            x = torch.cat([given["H"], given["ST"]], -1)
            spatial = layers(attend(project(x, one) for one in "QKV"), "S")
            later = torch.ones(sizes["T"], sizes["T"], dtype=torch.bool).triu(1)
            steps = (project(x, f"{one}T").transpose(1, 2) for one in "QKV")
            temporal = layers(attend(steps, later).transpose(1, 2), "T")
            gate = (spatial @ given["WZ1"] + temporal @ given["WZ2"] + given["CZ"]).sigmoid()
            mixed = gate * spatial + (1 - gate) * temporal
            return {"OUT": given["H"] + relu(mixed @ given["WF1"] + given["CF1"]) @ given["WF2"] + given["CF2"]}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """A random order of the sensors, filled up by the first one."""
    if "PERM" not in shapes:
        return {}
    order = generator.permutation(sizes["N"])
    return {"PERM": [[*order, *[0] * sizes["I"]][group * sizes["I"] :][: sizes["I"]] for group in range(sizes["G"])]}


PAPER = "Zheng et al. 2020, GMAN, arXiv 1911.08415"
CODE = "zhengchuanpan/GMAN at 45ed232"
_HEADS = {"K": 8, "E": 8, "D": 64, "A": 64, "C": 128, "T": 12, "S": 12, "P": 12, "Q": 12}


def _sensors(batch: int, sensors: int, groups: int, size: int) -> dict[str, int]:
    return {"B": batch, "N": sensors, "M": sensors, "G": groups, "H": groups, "I": size, "J": size, **_HEADS}


_PROJECTED = ("Q", "K", "V", "QT", "KT", "VT", "Q2", "K2", "V2", "SA", "SB", "TA", "TB", "GA", "GB")

METHOD = Method(
    name="gman",
    title="GMAN: attention over sensors and over steps, mixed by a gate",
    question="Do groups of sensors pay on a GPU at 325 of them, where launches bind, and does padding eat the gain?",
    source=f"{PAPER}; {CODE}, which has no groups",
    cascades={"block": BLOCK, "full": _FULL, "group": GROUP, "transform": TRANSFORM},
    sizes=_sensors(32, 325, 37, 9),
    presets={
        "pems_paper": _sensors(32, 325, 37, 9),
        "metr_code": _sensors(16, 207, 26, 8),
        "xiamen_group": _sensors(32, 95, 19, 5),
        "tiny": {
            "B": 2, "N": 7, "M": 7, "G": 3, "H": 3, "I": 3, "J": 3, "K": 2, "E": 4, "D": 8, "A": 8, "C": 16, "T": 4,
            "S": 4, "P": 4, "Q": 3,
        },
    },
    preset_sources={
        "pems_paper": f"{PAPER}: 325 sensors in 37 groups of 9, 12 steps, batch 32 of {CODE}",
        "metr_code": f"{CODE}, METR-LA: 207 sensors, batch 16; groups of 8 are our choice",
        "xiamen_group": f"{PAPER}: 95 sensors in 19 groups of 5; batch 32 is our choice",
        "tiny": "our choice, for tests",
    },
    weights=(*(f"{kind}{one}" for one in _PROJECTED for kind in "WC"), "WZ1", "WZ2", "CZ", "WF1", "CF1", "WF2", "CF2"),
    reference=reference,
    inputs=inputs,
    claims=(
        Claim(
            "scores", "Groups of M sensors leave N*M + (N/M)^2 scores of N^2", 105625 / 4366, "x",
            f"{PAPER}, spatial attention, at 325 sensors in groups of 9", "paper",
            not_derivable="an identity of the sizes",
        ),
        Claim(
            "training time", "217.62 s an epoch on PeMS", 217.62, "s", f"{PAPER}, table 2", "paper",
            not_derivable="the graphics card is not named in what was read",
        ),
        Claim(
            "inference time", "9.34 s for the validation set of PeMS", 9.34, "s", f"{PAPER}, table 2", "paper",
            not_derivable="the graphics card is not named in what was read",
        ),
        Claim(
            "accuracy", "A mean absolute error of 1.86 an hour ahead on PeMS", 1.86, "mph", f"{PAPER}, table 1",
            "paper", not_derivable="accuracy",
        ),
    ),
    counted_apart={
        "select": "X joins two tensors by selection; torch.cat is a copy, which does not count",
    },
)  # fmt: skip
