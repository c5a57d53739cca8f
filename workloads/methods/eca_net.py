"""ECA-Net: channels of a feature map are gated by a convolution over neighbouring channels, of a few weights in all.

New over squeeze-and-excitation: no bottleneck between the pooled channels and their gates. A module takes the mean of
each channel, runs one filter of k taps along the channels, and scales each channel by the sigmoid of what comes out.

Ranks: b images, c channels, y and x pixels, k taps; q the narrow layer of squeeze-and-excitation. In blocks of a
network: c channels in, m and n in the middle, o out, i and j pixels between two strides, u and v pixels out, r and s
the filter; g and h, and p and q, those of the stem. Batch normalization is that of inference, a scale and a shift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import torch

MODULE = """
G[b,c]     = sum(X[b,c,y,x], y, x) / (Y*X)
S[b,c]     = sum(G[b,c+k-(K-1)//2] * T[k], k)
O[b,c,y,x] = X[b,c,y,x] * sigmoid(S[b,c])
"""

PER_CHANNEL = """
G[b,c]     = sum(X[b,c,y,x], y, x) / (Y*X)
S[b,c]     = sum(G[b,c+k-(K-1)//2] * TC[c,k], k)                 # every channel has taps of its own
O[b,c,y,x] = X[b,c,y,x] * sigmoid(S[b,c])
"""

SQUEEZE_EXCITE = """
G[b,c]     = sum(X[b,c,y,x], y, x) / (Y*X)
Z[b,q]     = relu(sum(G[b,c] * WS[q,c], c))
S[b,c]     = sum(Z[b,q] * WE[c,q], q)
O[b,c,y,x] = X[b,c,y,x] * sigmoid(S[b,c])
"""

_GATE = """
P[b,o]     = sum(E[b,o,u,v], u, v) / (U*V)
Z[b,o]     = sigmoid(sum(P[b,o+k-(K-1)//2] * T[k], k))
"""
_PROJECTION = "D[b,o,u,v] = sum(X[b,c,u*(S1*S2),v*(S1*S2)] * WD[o,c], c) * GD[o] + BD[o]\n"

BOTTLENECK = """
S1: size
S2: size
X: [B, C, S1*I, S1*J]
A[b,m,i,j] = relu(sum(X[b,c,i*S1,j*S1] * W1[m,c], c) * G1[m] + B1[m])
F[b,n,u,v] = relu(sum(A[b,m,u*S2+r-1,v*S2+s-1] * W2[n,m,r,s], m, r, s) * G2[n] + B2[n])
E[b,o,u,v] = sum(F[b,n,u,v] * W3[o,n], n) * G3[o] + B3[o]
""" + _GATE  # fmt: skip

BASIC = """
S1: size
S2: size
X: [B, C, S1*S2*U, S1*S2*V]
A[b,m,u,v] = relu(sum(X[b,c,u*(S1*S2)+r-1,v*(S1*S2)+s-1] * W1[m,c,r,s], c, r, s) * G1[m] + B1[m])
E[b,o,u,v] = sum(A[b,m,u+r-1,v+s-1] * W3[o,m,r,s], m, r, s) * G3[o] + B3[o]
""" + _GATE  # fmt: skip

_IDENTITY = "Y[b,o,u,v] = relu(E[b,o,u,v] * Z[b,o] + X[b,o,u,v])\n"
_SUM = "Y[b,o,u,v] = relu(E[b,o,u,v] * Z[b,o] + D[b,o,u,v])\n"

STEM = """
X: [B, C, 4*U, 4*V]
A[b,o,g,h] = relu(sum(X[b,c,g*2+r-(R-1)//2,h*2+s-(S-1)//2] * W1[o,c,r,s], c, r, s) * G1[o] + B1[o])
Y[b,o,u,v] = max(A[b,o,u*2+p-1,v*2+q-1], p, q)          # what lies outside is 0, and nothing here is less
"""

HEAD = """
P[b,c] = sum(X[b,c,y,x], y, x) / (Y*X)
Y[b,o] = sum(P[b,c] * W3[o,c], c) + B3[o]
"""


def _gated(x: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import conv1d

    pooled = x.mean((2, 3))
    return conv1d(pooled[:, None], taps[None, None], padding=(len(taps) - 1) // 2)[:, 0].sigmoid()[..., None, None]


def _scaled(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return x * scale[:, None, None] + shift[:, None, None]


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """The module after BangguWu/ECANet, its two neighbours, and the blocks of a residual network around it."""
    from torch.nn.functional import conv1d, conv2d, linear, max_pool2d, pad

    x = given["X"]
    match variant:
        case "module":
            return {"O": x * _gated(x, given["T"])}
        case "per_channel":
            channels, taps = given["TC"].shape
            pooled = pad(x.mean((2, 3)), ((taps - 1) // 2,) * 2).unfold(1, taps, 1).reshape(len(x), -1, taps)
            one = conv1d(pooled.reshape(len(x), channels * taps, 1), given["TC"].reshape(channels, taps, 1),
                         groups=channels)  # fmt: skip
            return {"O": x * one[..., None].sigmoid()}
        case "squeeze_excite":
            gate = linear(linear(x.mean((2, 3)), given["WS"]).relu(), given["WE"]).sigmoid()
            return {"O": x * gate[..., None, None]}
        case "stem":
            first = conv2d(x, given["W1"], stride=2, padding=(sizes["R"] - 1) // 2)
            return {"Y": max_pool2d(_scaled(first, given["G1"], given["B1"]).relu(), 3, 2, 1)}
        case "head":
            return {"Y": linear(x.mean((2, 3)), given["W3"], given["B3"])}
        case _:
            pass
    one, two = sizes["S1"], sizes["S2"]
    if variant.startswith("bottleneck"):
        first = conv2d(x, given["W1"][..., None, None], stride=one)
        inner = _scaled(first, given["G1"], given["B1"]).relu()
        inner = _scaled(conv2d(inner, given["W2"], stride=two, padding=1), given["G2"], given["B2"]).relu()
        last = conv2d(inner, given["W3"][..., None, None])
    else:
        first = conv2d(x, given["W1"], stride=one * two, padding=1)
        last = conv2d(_scaled(first, given["G1"], given["B1"]).relu(), given["W3"], padding=1)
    last = _scaled(last, given["G3"], given["B3"])
    if "WD" in given:
        x = _scaled(conv2d(x, given["WD"][..., None, None], stride=one * two), given["GD"], given["BD"])
    return {"Y": (last * _gated(last, given["T"]) + x).relu()}


PAPER = "Wang et al. 2019, ECA-Net, arXiv 1910.03151"
CODE = "BangguWu/ECANet"
_STAGES = {"stage1": (256, 56, 3, 3), "stage2": (512, 28, 5, 4), "stage3": (1024, 14, 5, 6), "stage4": (2048, 7, 7, 3)}


def _stage(channels: int, pixels: int, taps: int) -> dict[str, int]:
    return {"B": 1, "C": channels, "Y": pixels, "X": pixels, "K": taps, "Q": channels // 16}


def _network(depths: tuple[int, ...], *, wide: int, taps: tuple[int, ...]) -> tuple[Run, ...]:
    """A residual network for 224 x 224 pixels as runs; `wide` is 4 for bottlenecks and 1 for basic blocks."""
    kind = "bottleneck" if wide == 4 else "basic"
    runs = [Run("stem", sizes={"B": 1, "C": 3, "O": 64, "G": 112, "H": 112, "U": 56, "V": 56, "R": 7, "S": 7, "P": 3,
                               "Q": 3})]  # fmt: skip
    inside = 64
    for number, (depth, k) in enumerate(zip(depths, taps, strict=True)):
        middle, pixels, stride = 64 << number, 56 >> number, 1 if number == 0 else 2
        out = middle * wide
        one = {"B": 1, "M": middle, "N": middle, "O": out, "U": pixels, "V": pixels, "R": 3, "S": 3, "K": k, "S1": 1}
        first = {**one, "C": inside, "S2": stride, "I": pixels * stride, "J": pixels * stride}
        projected = out != inside or stride > 1
        runs.append(Run(f"{kind}_projected" if projected else kind, sizes=_known(kind, first)))
        rest = {**one, "C": out, "S2": 1, "I": pixels, "J": pixels}
        runs.append(Run(kind, sizes=_known(kind, rest), times=depth - 1))
        inside = out
    return (*runs, Run("head", sizes={"B": 1, "C": inside, "Y": 7, "X": 7, "O": 1000}))


def _known(kind: str, sizes: Mapping[str, int]) -> dict[str, int]:
    return {symbol: size for symbol, size in sizes.items() if kind == "bottleneck" or symbol not in "NIJ"}


_BOTTLENECKS, _BASICS = (3, 5, 5, 7), (5, 5, 5, 7)
_NETWORKS = {
    "ECA-Net18": (_network((2, 2, 2, 2), wide=1, taps=_BASICS), 11.15, 1.70),
    "ECA-Net34": (_network((3, 4, 6, 3), wide=1, taps=_BASICS), 20.79, 3.43),
    "ECA-Net50": (_network((3, 4, 6, 3), wide=4, taps=_BOTTLENECKS), 24.37, 3.86),
    "ECA-Net101": (_network((3, 4, 23, 3), wide=4, taps=_BOTTLENECKS), 42.49, 7.35),
    "ECA-Net152": (_network((3, 8, 36, 3), wide=4, taps=_BOTTLENECKS), 57.41, 10.83),
}
_MODULES = tuple(Run("module", f"resnet50_{stage}", times=count) for stage, (_, _, _, count) in _STAGES.items())

METHOD = Method(
    name="eca_net",
    title="ECA-Net: channel attention by one small filter over neighbouring channels",
    question="The module has next to no operations: what does it cost in traffic and latency?",
    source=f"{PAPER}; {CODE}",
    cascades={
        "module": MODULE,
        "per_channel": PER_CHANNEL,
        "squeeze_excite": SQUEEZE_EXCITE,
        "bottleneck": BOTTLENECK + _IDENTITY,
        "bottleneck_projected": BOTTLENECK + _PROJECTION + _SUM,
        "basic": BASIC + _IDENTITY,
        "basic_projected": BASIC + _PROJECTION + _SUM,
        "stem": STEM,
        "head": HEAD,
    },
    sizes={
        **_stage(256, 56, 3),
        "M": 64,
        "N": 64,
        "O": 256,
        "U": 56,
        "V": 56,
        "R": 3,
        "S": 3,
        "S1": 1,
        "S2": 1,
        "I": 56,
        "J": 56,
        "G": 112,
        "H": 112,
        "P": 3,
    },
    presets={
        **{f"resnet50_{stage}": _stage(*sizes[:3]) for stage, sizes in _STAGES.items()},
        "mobilenetv2_last": _stage(320, 7, 3),
        "tiny": {
            "B": 2,
            "C": 6,
            "Y": 3,
            "X": 3,
            "K": 3,
            "Q": 3,
            "M": 4,
            "N": 3,
            "O": 6,
            "U": 3,
            "V": 2,
            "R": 3,
            "S": 3,
            "S1": 1,
            "S2": 1,
            "I": 3,
            "J": 2,
            "G": 6,
            "H": 4,
            "P": 3,
        },
    },
    preset_sources={
        **{f"resnet50_{stage}": f"{CODE}: ResNet-50 at 224 x 224, taps 3, 5, 5, 7 by stage" for stage in _STAGES},
        "mobilenetv2_last": f"{CODE}: the last block of MobileNetV2 at 224 x 224, 3 taps from 96 channels on",
        "tiny": "our choice, for tests",
    },
    weights=("T", "TC", "WS", "WE", "W1", "W2", "W3", "WD", "G1", "B1", "G2", "B2", "G3", "B3", "GD", "BD"),
    reference=reference,
    claims=(
        Claim(
            "parameters",
            "16 modules of ResNet-50 have 80 parameters in all",
            80,
            "parameters",
            f"{PAPER}, abstract",
            "abstract",
            "parameters",
            _MODULES,
            exact=True,
        ),
        Claim(
            "operations",
            "16 modules of ResNet-50 take 4.7e-4 GFLOPs",
            4.7e5,
            "FLOP",
            f"{PAPER}, abstract",
            "abstract",
            not_derivable=(
                "what was counted is not published: the filters alone are 86,272 multiply-accumulates, and the means "
                "and scalings 1.1e7 operations"
            ),
        ),
        *(
            claim
            for name, (runs, millions, billions) in _NETWORKS.items()
            for claim in (
                Claim(
                    f"parameters of {name}",
                    f"{name} has {millions} M parameters",
                    millions * 2**20,
                    "parameters",
                    f"{CODE}, README",
                    "code",
                    "parameters",
                    runs,
                    tolerance=0.0005,
                    note="the table counts in units of 2^20, as its row for the plain network shows",
                ),
                Claim(
                    f"operations of {name}",
                    f"{name} takes {billions} GFLOPs at 224 x 224",
                    billions * 2**30,
                    "MAC",
                    f"{CODE}, README",
                    "code",
                    "macs",
                    runs,
                    tolerance=0.02,
                    note="in units of 2^30; a multiply-accumulate is one; the table counts some pointwise "
                    "operations too, which this quantity does not",
                ),
            )
        ),
        Claim(
            "MobileNetV2",
            "ECA-MobileNetV2 has 3.34 M parameters and takes 319.9 MFLOPs",
            3.34 * 2**20,
            "parameters",
            f"{CODE}, README",
            "code",
            not_derivable="the blocks of MobileNetV2 are not written here",
        ),
        Claim(
            "detection",
            "RetinaNet with ECA-Net50 has 37.74 M parameters and takes 239.43 GFLOPs",
            239.43e9,
            "FLOP",
            f"{CODE}, README",
            "code",
            not_derivable="detectors are not written here",
        ),
        Claim(
            "accuracy",
            "over 2 points of top-1 accuracy on ImageNet with ResNet-50",
            2,
            "points",
            f"{PAPER}, abstract",
            "abstract",
            not_derivable="accuracy",
        ),
        Claim(
            "speed",
            "ResNet-50 with the modules runs at 97.3 % of the plain network's images a second",
            1805 / 1855,
            "x",
            PAPER,
            "recalled",
            not_derivable="the graphics card and its batch are not known here",
        ),
    ),
)
