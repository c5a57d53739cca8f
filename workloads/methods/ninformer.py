"""NiNformer: attention replaced by a gate, which is a whole MLP-Mixer block run on the same tokens.

One linear projection of the normalized tokens is multiplied, element by element, by what the Mixer makes of them. There
is no softmax. `transformer` is the block that it replaces: attention of the same width, the same feed-forward network.

Ranks: b images, n tokens, d width (k when it is summed over in a projection), t hidden tokens and f hidden channels; of
the Transformer h heads of width e, and m the tokens that are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..lines import layer_norm, softmax
from ..method import Method

if TYPE_CHECKING:
    import torch

_FEED_FORWARD = f"""
{layer_norm("Y", "N3", "GN", "BN", "b,n", "d")}
F1[b,n,f]  = gelu(sum(N3[b,n,d] * W5[d,f], d) + C5[f])
OUT[b,n,d] = sum(F1[b,n,f] * W6[f,d], f) + C6[d] + Y[b,n,d]
"""

BLOCK = f"""
{layer_norm("X", "N", "GN", "BN", "b,n", "d")}
{layer_norm("N", "N1", "G1", "B1", "b,n", "d")}
T1[b,t,d]  = gelu(sum(N1[b,n,d] * W1[n,t], n) + C1[t])            # the gate mixes tokens
M1[b,n,d]  = sum(T1[b,t,d] * W2[t,n], t) + C2[n] + N[b,n,d]
{layer_norm("M1", "N2", "G2", "B2", "b,n", "d")}
H1[b,n,f]  = gelu(sum(N2[b,n,d] * W3[d,f], d) + C3[f])            # and then channels
G[b,n,d]   = sum(H1[b,n,f] * W4[f,d], f) + C4[d] + M1[b,n,d]
U[b,n,d]   = sum(N[b,n,k] * WU[k,d], k) + CU[d]
Y[b,n,d]   = U[b,n,d] * G[b,n,d] + X[b,n,d]
{_FEED_FORWARD}"""

TRANSFORMER = f"""
{layer_norm("X", "N", "GN", "BN", "b,n", "d")}
Q[b,n,h,e] = sum(N[b,n,d] * WQ[d,h,e], d) + CQ[h,e]
K[b,m,h,e] = sum(N[b,m,d] * WK[d,h,e], d) + CK[h,e]
V[b,m,h,e] = sum(N[b,m,d] * WV[d,h,e], d) + CV[h,e]
S[b,h,n,m] = sum(Q[b,n,h,e] * K[b,m,h,e], e) / sqrt(E)
{softmax("S", "A", "b,h,n", "m")}
O[b,n,h,e] = sum(A[b,h,n,m] * V[b,m,h,e], m)
Y[b,n,d]   = sum(O[b,n,h,e] * WO[h,e,d], h, e) + CO[d] + X[b,n,d]
{_FEED_FORWARD}"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After Abdullah-88/NiNformer: a mixer block as the gate; one normalization serves twice."""
    import torch
    from torch.nn.functional import gelu, linear, scaled_dot_product_attention
    from torch.nn.functional import layer_norm as normalize

    def norm(x: torch.Tensor, gain: str, shift: str) -> torch.Tensor:
        return normalize(x, (sizes["D"],), given[gain], given[shift])

    def mlp(x: torch.Tensor, first: int, second: int) -> torch.Tensor:
        inner = gelu(linear(x, given[f"W{first}"].T, given[f"C{first}"]))
        return linear(inner, given[f"W{second}"].T, given[f"C{second}"])

    x = given["X"]
    tokens = norm(x, "GN", "BN")
    if variant == "block":
        mixed = tokens + mlp(norm(tokens, "G1", "B1").transpose(1, 2), 1, 2).transpose(1, 2)
        gate = mixed + mlp(norm(mixed, "G2", "B2"), 3, 4)
        y = linear(tokens, given["WU"].T, given["CU"]) * gate + x
    else:
        q, k, v = (
            torch.einsum("bnd,dhe->bhne", tokens, given[f"W{one}"]) + given[f"C{one}"][:, None, :] for one in "QKV"
        )
        heads = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        y = heads @ given["WO"].flatten(0, 1) + given["CO"] + x
    return {"OUT": y + mlp(norm(y, "GN", "BN"), 5, 6)}


PAPER = "Abdullah et al. 2024, NiNformer, arXiv 2403.02411"
CODE = "Abdullah-88/NiNformer at 0ec85d4"
_WIDTH = {"D": 256, "K": 256, "T": 512, "F": 512, "H": 8, "E": 32}

METHOD = Method(
    name="ninformer",
    title="NiNformer: tokens gated by a Mixer instead of attention",
    question="Into how few kernels do its normalizations and products fuse, and from how many tokens on is softmax "
    "attention of the same width dearer?",
    source=f"{PAPER}; {CODE}",
    cascades={"block": BLOCK, "transformer": TRANSFORMER},
    sizes={"B": 128, "N": 64, "M": 64, **_WIDTH},
    presets={
        "cifar_b128": {"B": 128, "N": 64, "M": 64, **_WIDTH},
        "cifar_b1": {"B": 1, "N": 64, "M": 64, **_WIDTH},
        "img224": {"B": 1, "N": 196, "M": 196, **_WIDTH},
        "tiny": {"B": 2, "N": 8, "M": 8, "D": 16, "K": 16, "T": 12, "F": 32, "H": 2, "E": 8},
    },
    preset_sources={
        "cifar_b128": f"{CODE}: images of 32 in patches of 4, width 256, hidden 512, batch 128",
        "cifar_b1": f"{CODE}, one image",
        "img224": "assumed: images of 224 in patches of 16",
        "tiny": "our choice, for tests",
    },
    weights=(
        *("GN", "BN", "G1", "B1", "W1", "C1", "W2", "C2", "G2", "B2", "W3", "C3", "W4", "C4", "WU", "CU", "W5", "C5"),
        *("W6", "C6", "WQ", "CQ", "WK", "CK", "WV", "CV", "WO", "CO"),
    ),
    reference=reference,
    dense=Run("transformer"),
    claims=(
        Claim(
            name="parameters",
            statement="A block for 64 tokens of width 256 has 659,264 parameters",
            value=659_264,
            unit="parameters",
            source=f"counted in {CODE}",
            evidence="derived",
            quantity="parameters",
            runs=(Run("block", "cifar_b1"),),
            exact=True,
        ),
        Claim(
            name="linear in tokens",
            statement="The cost is linear in the tokens",
            value=1,
            unit="exponent",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            quantity="growth",
            runs=(Run("block", "cifar_b1"),),
            grows_with=("N",),
            note="with as many hidden tokens as before; the weights that mix tokens grow with them",
        ),
        Claim(
            name="accuracy",
            statement="Better than ViT, MLP-Mixer and Local-ViT on MNIST, CIFAR-10 and CIFAR-100",
            value=3,
            unit="data sets",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
        Claim(
            name="inference time",
            statement="A little more time than MLP-Mixer",
            value=1,
            unit="x",
            source=f"{PAPER}, as reviews have it",
            evidence="third party",
            not_derivable="the table of seconds was not found",
        ),
    ),
    assumed={"transformer": "8 heads of 32, its feed-forward network that of the block", "img224": "its sizes"},
    counted_apart={
        "sub": (
            "LayerNorm: VN, N, VN1, N1, VN2, N2, VN3, N3 subtract the mean in the variance and again in the result; "
            "native_layer_norm keeps x - mean"
        ),
    },
)
