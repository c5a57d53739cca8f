"""SHViT: one attention head on a fraction of the channels, in two late stages of a convolutional network.

In a stage with attention, r of the channels are normalized, projected and attended by one head; the others pass by and
are joined before the projection. The stem shrinks an image sixteen-fold at once, so that 196 tokens are the most there
are. The variants are the pieces of the network: `shsa` the attention, `multi_head` what it replaces (every channel, h
heads), `depthwise`, `ffn`, `stem`, `merge` and `head` the rest. Batch normalization is folded, as inference has it.

Ranks: b images, c channels (o those that come out, i those that go in), n and m tokens, a channels that are attended
and k their values, g those that pass by, e width of queries and keys; y and x pixels, u and v filter taps; f hidden
channels, s squeezed ones; h heads of width d.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..lines import softmax
from ..method import Method

if TYPE_CHECKING:
    import torch

SHSA = f"""
X: [B, C, N]
MU[b]      = sum(X[b,a,n], a, n) / (A*N)
VR[b]      = sum((X[b,a,n] - MU[b]) ** 2, a, n) / (A*N)           # one group of all attended channels
XN[b,a,n]  = (X[b,a,n] - MU[b]) * rsqrt(VR[b] + 1e-5) * GA[a] + BA[a]
Q[b,n,e]   = sum(XN[b,a,n] * WQ[e,a], a) + CQ[e]
K[b,m,e]   = sum(XN[b,a,m] * WK[e,a], a) + CK[e]
V[b,m,k]   = sum(XN[b,a,m] * WV[k,a], a) + CV[k]
S[b,n,m]   = sum(Q[b,n,e] * K[b,m,e], e) / sqrt(E)
{softmax("S", "P", "b,n", "m")}
O[b,k,n]   = sum(P[b,n,m] * V[b,m,k], m)
R[b,k,n]   = relu(O[b,k,n])
PASS[b,g,n] = relu(X[b,g+A,n])                                    # channels that no head looks at
Y[b,c,n]   = X[b,c,n] + sum(R[b,k,n] * WP[c,k], k) + sum(PASS[b,g,n] * WR[c,g], g) + CP[c]
"""

MULTI_HEAD = f"""
MU[b]      = sum(X[b,c,n], c, n) / (C*N)
VR[b]      = sum((X[b,c,n] - MU[b]) ** 2, c, n) / (C*N)
XN[b,c,n]  = (X[b,c,n] - MU[b]) * rsqrt(VR[b] + 1e-5) * GM[c] + BM[c]
Q[b,h,n,e] = sum(XN[b,c,n] * HQ[h,e,c], c) + CH[h,e]
K[b,h,m,e] = sum(XN[b,c,m] * HK[h,e,c], c) + CI[h,e]
V[b,h,m,d] = sum(XN[b,c,m] * HV[h,d,c], c) + CJ[h,d]
S[b,h,n,m] = sum(Q[b,h,n,e] * K[b,h,m,e], e) / sqrt(E)
{softmax("S", "P", "b,h,n", "m")}
O[b,h,n,d] = relu(sum(P[b,h,n,m] * V[b,h,m,d], m))
Y[b,c,n]   = X[b,c,n] + sum(O[b,h,n,d] * HP[c,h,d], h, d) + CP[c]
"""

DEPTHWISE = """
X: [B, C, Y, X]
O[b,c,y,x] = X[b,c,y,x] + sum(X[b,c,y+u-1,x+v-1] * WD[c,u,v], u, v) + CD[c]
"""

FFN = """
F[b,f,n]   = relu(sum(X[b,c,n] * W1[f,c], c) + C1[f])
O[b,c,n]   = X[b,c,n] + sum(F[b,f,n] * W2[c,f], f) + C2[c]
"""

STEM = """
X: [B, I, 2*Y, 2*X]
O[b,o,y,x] = relu(sum(X[b,i,y*2+u-1,x*2+v-1] * WS[o,i,u,v], i, u, v) + CS[o])
"""

MERGE = """
X: [B, I, Y0, X0]
Y0: size
X0: size
A[b,f,p,q]  = relu(sum(X[b,i,p,q] * W3[f,i], i) + C3[f])
D[b,f,y,x]  = relu(sum(A[b,f,y*2+u-1,x*2+v-1] * W4[f,u,v], u, v) + C4[f])
G[b,f]      = sum(D[b,f,y,x], y, x) / (Y*X)
Z[b,s]      = relu(sum(G[b,f] * W5[s,f], f) + C5[s])              # squeeze and excitation
T[b,f]      = sigmoid(sum(Z[b,s] * W6[f,s], s) + C6[f])
O[b,o,y,x]  = sum(D[b,f,y,x] * T[b,f] * W7[o,f], f) + C7[o]
"""

HEAD = """
P[b,c]     = sum(X[b,c,n], n) / N
O[b,k]     = sum((P[b,c] * GH[c] + BH[c]) * WH[k,c], c) + CK[k]
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After ysj9909/SHViT, batch normalization folded into the convolutions."""
    import torch
    from torch.nn.functional import conv2d, group_norm, linear, relu, scaled_dot_product_attention

    x = given["X"]

    def pointwise(x: torch.Tensor, weight: str, bias: str) -> torch.Tensor:
        return conv2d(x, given[weight][:, :, None, None], given[bias])

    match variant:
        case "shsa":
            image = x[..., None]
            attended, passed = image.split([sizes["A"], sizes["G"]], dim=1)
            attended = group_norm(attended, 1, given["GA"], given["BA"])
            weight = torch.cat([given["WQ"], given["WK"], given["WV"]])
            bias = torch.cat([given["CQ"], given["CK"], given["CV"]])
            qkv = conv2d(attended, weight[:, :, None, None], bias).flatten(2)
            q, k, v = qkv.split([sizes["E"], sizes["E"], sizes["A"]], dim=1)
            scores = (q.transpose(-2, -1) @ k) * sizes["E"] ** -0.5
            heads = (v @ scores.softmax(dim=-1).transpose(-2, -1)).reshape(attended.shape)
            joined = relu(torch.cat([heads, passed], dim=1))
            whole = torch.cat([given["WP"], given["WR"]], dim=1)
            return {"Y": x + conv2d(joined, whole[:, :, None, None], given["CP"])[..., 0]}
        case "multi_head":
            normal = group_norm(x, 1, given["GM"], given["BM"])
            q, k, v = (
                torch.einsum("bcn,hec->bhne", normal, given[weight]) + given[bias][:, None]
                for weight, bias in (("HQ", "CH"), ("HK", "CI"), ("HV", "CJ"))
            )
            heads = relu(scaled_dot_product_attention(q, k, v))
            return {"Y": x + torch.einsum("bhnd,chd->bcn", heads, given["HP"]) + given["CP"][:, None]}
        case "depthwise":
            return {"O": x + conv2d(x, given["WD"][:, None], given["CD"], padding=1, groups=sizes["C"])}
        case "ffn":
            hidden = relu(pointwise(x[..., None], "W1", "C1"))
            return {"O": x + pointwise(hidden, "W2", "C2")[..., 0]}
        case "stem":
            return {"O": relu(conv2d(x, given["WS"], given["CS"], stride=2, padding=1))}
        case "merge":
            x = relu(pointwise(x, "W3", "C3"))
            x = relu(conv2d(x, given["W4"][:, None], given["C4"], stride=2, padding=1, groups=sizes["F"]))
            gate = pointwise(relu(pointwise(x.mean((2, 3), keepdim=True), "W5", "C5")), "W6", "C6").sigmoid()
            return {"O": pointwise(x * gate, "W7", "C7")}
        case _:
            return {"O": linear(x.mean(-1) * given["GH"] + given["BH"], given["WH"], given["CK"])}


PAPER = "Yun and Ro 2024, SHViT, arXiv 2401.16456"
CODE = "ysj9909/SHViT at 6a729cc"


def _network(
    batch: int, image: int, widths: tuple[int, ...], depths: tuple[int, ...], attended: tuple[int, ...]
) -> tuple[Run, ...]:
    """The whole network as runs of its pieces, in the order in which it does them."""
    return tuple(_pieces(batch, image, widths, depths, attended))


def _pieces(
    batch: int, image: int, widths: tuple[int, ...], depths: tuple[int, ...], attended: tuple[int, ...]
) -> Iterator[Run]:
    taps = {"U": 3, "V": 3}
    channels, side = [3, widths[0] // 8, widths[0] // 4, widths[0] // 2, widths[0]], image
    for before, after in pairwise(channels):
        side //= 2
        yield Run("stem", sizes={"B": batch, "I": before, "O": after, "Y": side, "X": side, **taps})

    def local(width: int, side: int, times: int = 1) -> Iterator[Run]:
        yield Run("depthwise", sizes={"B": batch, "C": width, "Y": side, "X": side, **taps}, times=times)
        yield Run("ffn", sizes={"B": batch, "C": width, "N": side * side, "F": 2 * width}, times=times)

    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            yield from local(widths[stage - 1], side)
            half, hidden = -(-side // 2), 4 * widths[stage - 1]
            yield Run("merge", sizes={
                "B": batch, "I": widths[stage - 1], "O": width, "F": hidden, "S": hidden // 4, "Y0": side, "X0": side,
                "P": side, "Q": side, "Y": half, "X": half, **taps,
            })  # fmt: skip
            side = half
            yield from local(width, side)
        yield from local(width, side, depth)
        if stage:
            yield Run("shsa", sizes=_attention(batch, width, attended[stage - 1], side), times=depth)
    yield Run("head", sizes={"B": batch, "C": widths[-1], "N": side * side, "K": 1000})


def _attention(batch: int, width: int, attended: int, side: int) -> dict[str, int]:
    tokens = side * side
    return {
        "B": batch, "C": width, "A": attended, "K": attended, "G": width - attended, "N": tokens, "M": tokens, "E": 16,
    }  # fmt: skip


_NETWORKS = {  # side of the image, widths, depths, attended channels; parameters, multiply-accumulates, images a second
    "S1": ((224, (128, 224, 320), (2, 4, 5), (48, 68)), 6.3e6, 241e6, 33489),
    "S2": ((224, (128, 308, 448), (2, 4, 5), (66, 96)), 11.4e6, 366e6, 26878),
    "S3": ((224, (192, 352, 448), (3, 5, 5), (75, 96)), 14.2e6, 601e6, 20522),
    "S4": ((256, (224, 336, 448), (4, 7, 6), (72, 96)), 16.5e6, 986e6, 14283),
}
_MULTI = {"H": 8, "D": 42}
_PIECES = {  # of S1 at 224: its second stage, and the pieces around it
    **_attention(256, 224, 48, 7), "H": 8, "D": 28, "F": 448, "S": 128, "I": 128, "O": 224, "Y": 7, "X": 7, "U": 3,
    "V": 3, "Y0": 14, "X0": 14, "P": 14, "Q": 14,
}  # fmt: skip


def _claims(name: str) -> Iterator[Claim]:
    shape, parameters, macs, images = _NETWORKS[name]
    one = _network(1, *shape)
    yield Claim(
        f"parameters of {name}", f"{name} has {parameters / 1e6:.1f} M parameters", parameters, "parameters",
        f"{CODE}, README", "code", "parameters", one, exact=True,
        note="batch normalization folded: a shift for each channel, no scale",
    )  # fmt: skip
    yield Claim(
        f"operations of {name}", f"{name} takes {macs / 1e6:.0f} M FLOPs (multiply-accumulates) an image", macs, "MAC",
        f"{CODE}, README", "code", "macs", one, tolerance=0.02,
    )  # fmt: skip
    yield Claim(
        f"throughput of {name}", f"{name} classifies {images} images a second in batches of 256, fp16, on an A100",
        256 / images, "s", f"{CODE}, README and speed_test.py", "code", "latency_s", _network(256, *shape),
        machine="a100",
        note="every piece of the network as kernels of its own, under the mapping that is found for it; the A100 is "
        "recalled",
    )  # fmt: skip


METHOD = Method(
    name="shvit",
    title="SHViT: single-head attention on some of the channels",
    question="Is one head on a fraction of the channels faster because of its operations, or because of fewer bytes "
    "and launches?",
    source=f"{PAPER}; {CODE}",
    cascades={
        "shsa": SHSA,
        "multi_head": MULTI_HEAD,
        "depthwise": DEPTHWISE,
        "ffn": FFN,
        "stem": STEM,
        "merge": MERGE,
        "head": HEAD,
    },
    sizes=_PIECES,
    presets={
        "s1_b256": {**_attention(256, 224, 48, 7), "H": 8, "D": 28},
        "s4_b256": {**_attention(256, 336, 72, 8), **_MULTI},
        "s3_b16": {**_attention(16, 352, 75, 7), "H": 8, "D": 44},
        "tiny": {
            "B": 2, "C": 12, "A": 5, "K": 5, "G": 7, "N": 9, "M": 9, "E": 4, "H": 2, "D": 3, "F": 6, "S": 2, "I": 3,
            "O": 4, "Y": 3, "X": 3, "U": 3, "V": 3, "Y0": 6, "X0": 5, "P": 6, "Q": 5,
        },
    },
    preset_sources={
        "s1_b256": f"{CODE}: stage 2 of S1 at 224, batch 256 of speed_test.py; heads of multi_head are our choice",
        "s4_b256": f"{CODE}: stage 2 of S4 at 256, batch 256; heads of multi_head are our choice",
        "s3_b16": f"{CODE}: stage 2 of S3 at 224, batch 16 as the CPU is timed; heads of multi_head are our choice",
        "tiny": "our choice, for tests",
    },
    weights=(
        *("GA", "BA", "WQ", "CQ", "WK", "CK", "WV", "CV", "WP", "WR", "CP", "GM", "BM", "HQ", "CH", "HK", "CI", "HV"),
        *("CJ", "HP", "WD", "CD", "W1", "C1", "W2", "C2", "WS", "CS", "W3", "C3", "W4", "C4", "W5", "C5", "W6", "C6"),
        *("W7", "C7", "GH", "BH", "WH"),
    ),
    reference=reference,
    dense=Run("multi_head"),
    claims=(
        *(claim for name in _NETWORKS for claim in _claims(name)),
        Claim(
            "speedup over MobileViTv2", "S4 is 3.3 times as fast as MobileViTv2 x1.0 on a GPU", 3.3, "x",
            f"{PAPER}, abstract", "abstract", not_derivable="the network it is compared with is not written here",
        ),
        Claim(
            "backbone", "3.8 times less latency than FastViT-SA12 on a GPU, under Mask R-CNN", 3.8, "x",
            f"{PAPER}, abstract", "abstract", not_derivable="the network it is compared with is not written here",
        ),
        Claim(
            "accuracy", "1.3 points more accurate than MobileViTv2 x1.0 on ImageNet", 1.3, "points",
            f"{PAPER}, abstract", "abstract", not_derivable="accuracy",
        ),
    ),
    counted_apart={
        "add": "Y adds the products of attended and passed channels; the reference joins them and multiplies once",
        "sub": "VR and XN both subtract the mean; native_group_norm keeps x - mean",
    },
)  # fmt: skip
