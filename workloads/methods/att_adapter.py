"""Att-Adapter: continuous attributes steer a diffusion model through a second cross-attention.

New: a small variational autoencoder turns attribute values into adapter tokens; a cross-attention of its own keys and
values reads them with the queries of the text's, and what it finds is added.

Ranks: b images, p pixels, d width, h heads, e head dimension, m text tokens of t features, a adapter tokens, c
attributes, i image features, f hidden units, z latent values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim
from ..method import Method

if TYPE_CHECKING:
    import torch

_TEXT = """
Q[b,h,p,e] = sum(X[b,p,d] * WQ[h,e,d], d)
K[b,h,m,e] = sum(TEXT[b,m,t] * WK[h,e,t], t)
V[b,h,m,e] = sum(TEXT[b,m,t] * WV[h,e,t], t)
S[b,h,p,m] = sum(Q[b,h,p,e] * K[b,h,m,e], e) / sqrt(E)
SG[b,h,p]  = max(S[b,h,p,m], m)
SN[b,h,p,m] = exp(S[b,h,p,m] - SG[b,h,p])
SD[b,h,p]  = sum(SN[b,h,p,m], m)
O1[b,h,p,e] = sum(SN[b,h,p,m] * V[b,h,m,e], m) / SD[b,h,p]
"""
_ADAPTER_KEYS = "KA[b,h,a,e] = sum(TOKENS[b,a,t] * WKA[h,e,t], t)\n"
_ADAPTER_VALUES = "VA[b,h,a,e] = sum(TOKENS[b,a,t] * WVA[h,e,t], t)\n"
_ADAPTER = """
SA[b,h,p,a] = sum(Q[b,h,p,e] * KA[b,h,a,e], e) / sqrt(E)
AG[b,h,p]   = max(SA[b,h,p,a], a)
AN[b,h,p,a] = exp(SA[b,h,p,a] - AG[b,h,p])
AD[b,h,p]   = sum(AN[b,h,p,a], a)
O2[b,h,p,e] = sum(AN[b,h,p,a] * VA[b,h,a,e], a) / AD[b,h,p]
"""
_BOTH = "LAMBDA: []\n"
_OUT = "Y[b,p,d] = sum((O1[b,h,p,e] + LAMBDA * O2[b,h,p,e]) * WO[d,h,e], h, e)\n"
LAYER = _BOTH + _TEXT + _ADAPTER_KEYS + _ADAPTER_VALUES + _ADAPTER + _OUT
CACHED = _BOTH + _TEXT + _ADAPTER + _OUT
ONE_TOKEN = _BOTH + _TEXT + "Y[b,p,d] = sum((O1[b,h,p,e] + LAMBDA * VA1[b,h,e]) * WO[d,h,e], h, e)\n"
TEXT_ONLY = _TEXT + "Y[b,p,d] = sum(O1[b,h,p,e] * WO[d,h,e], h, e)\n"

_TOKENS = """
HT[b,f]   = relu(sum(ZV[b,z] * WZ[f,z], z) + sum(ATTRIBUTES[b,c] * WC[f,c], c) + BT[f])
AT[b,a,t] = sum(HT[b,f] * WT[a,t,f], f) + BA[a,t]
"""
TOKENS = _TOKENS
ENCODER = (
    """
EN[b,f] = relu(sum(IMAGE[b,i] * W0[f,i], i) + sum(ATTRIBUTES[b,c] * W1[f,c], c) + B0[f])
MU[b,z] = sum(EN[b,f] * WM[z,f], f) + BM[z]
LS[b,z] = sum(EN[b,f] * WL[z,f], f) + BL[z]
ZV[b,z] = MU[b,z] + exp(LS[b,z] / 2) * NOISE[b,z]
KL      = 0.5 * sum(exp(LS[b,z]) + MU[b,z] ** 2 - 1 - LS[b,z], b, z) / B
"""
    + _TOKENS
)


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Decoupled cross-attention as IP-Adapter made it known, and a conditional variational autoencoder."""
    import torch
    from torch.nn.functional import linear, scaled_dot_product_attention

    def tokens(latent: torch.Tensor) -> torch.Tensor:
        hidden = linear(
            torch.cat([latent, given["ATTRIBUTES"]], 1), torch.cat([given["WZ"], given["WC"]], 1), given["BT"]
        )
        return torch.einsum("bf,atf->bat", hidden.relu(), given["WT"]) + given["BA"]

    if variant == "tokens":
        return {"AT": tokens(given["ZV"])}
    if variant == "encoder":
        first = torch.cat([given["W0"], given["W1"]], 1)
        hidden = linear(torch.cat([given["IMAGE"], given["ATTRIBUTES"]], 1), first, given["B0"]).relu()
        mean, spread = linear(hidden, given["WM"], given["BM"]), linear(hidden, given["WL"], given["BL"])
        normal = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        posterior = torch.distributions.Normal(mean, (spread / 2).exp())
        divergence = torch.distributions.kl_divergence(posterior, normal).sum(1).mean()
        return {"KL": divergence, "AT": tokens(mean + (spread / 2).exp() * given["NOISE"])}

    def heads(x: torch.Tensor, weight: str) -> torch.Tensor:
        return torch.einsum("bnd,hed->bhne", x, given[weight])

    q = heads(given["X"], "WQ")
    out = scaled_dot_product_attention(q, heads(given["TEXT"], "WK"), heads(given["TEXT"], "WV"))
    match variant:
        case "layer":
            keys, values = heads(given["TOKENS"], "WKA"), heads(given["TOKENS"], "WVA")
            out = out + given["LAMBDA"] * scaled_dot_product_attention(q, keys, values)
        case "cached":
            out = out + given["LAMBDA"] * scaled_dot_product_attention(q, given["KA"], given["VA"])
        case "one_token":
            value = given["VA1"][:, :, None]
            out = out + given["LAMBDA"] * scaled_dot_product_attention(q, torch.ones_like(value), value)
        case _:
            pass
    return {"Y": torch.einsum("bhpe,dhe->bpd", out, given["WO"])}


PAPER = "Att-Adapter, arXiv 2503.11937"
LEVELS = {0: (4096, 320), 1: (1024, 640), 2: (256, 1280), 3: (64, 1280)}
"""Pixels and width of Stable Diffusion 1.5 at 512 x 512; 5, 5, 5 and 1 cross-attention layers."""


def _level(pixels: int, width: int, tokens: int = 4, heads: int = 8) -> dict[str, int]:
    return {"B": 1, "P": pixels, "D": width, "H": heads, "E": width // heads, "M": 77, "T": 768, "A": tokens, "C": 20,
            "I": 768, "F": 768, "Z": 64}  # fmt: skip


METHOD = Method(
    name="att_adapter",
    title="Att-Adapter: a second, decoupled cross-attention that reads attributes",
    question="What does a second cross-attention add to a denoising step, with its keys and values cached or not?",
    source=f"{PAPER}; no code is public",
    cascades={
        "layer": LAYER,
        "cached": CACHED,
        "one_token": ONE_TOKEN,
        "text_only": TEXT_ONLY,
        "tokens": TOKENS,
        "encoder": ENCODER,
    },
    sizes=_level(*LEVELS[0]),
    presets={
        **{f"sd15_level{level}": _level(*sizes) for level, sizes in LEVELS.items()},
        "sd15_level0_one_token": _level(*LEVELS[0], tokens=1),
        "tiny": {"B": 2, "P": 4, "D": 8, "H": 2, "E": 4, "M": 3, "T": 6, "A": 2, "C": 3, "I": 5, "F": 7, "Z": 2},
    },
    preset_sources={
        **{f"sd15_level{level}": "Stable Diffusion 1.5 at 512 x 512; 4 adapter tokens, assumed" for level in LEVELS},
        "sd15_level0_one_token": "Stable Diffusion 1.5 at 512 x 512; 1 adapter token, assumed",
        "tiny": "our choice, for tests",
    },
    weights=("WQ", "WK", "WV", "WKA", "WVA", "WO", "WZ", "WC", "BT", "WT", "BA", "W0", "W1", "B0", "WM", "BM",
             "WL", "BL"),
    state=("KA", "VA", "VA1"),
    reference=reference,
    claims=(
        Claim("control", "a wider range of control and less entangled attributes than adapters of low rank and "
              "StyleGAN", 1, "", f"{PAPER}, abstract", "abstract", not_derivable="accuracy"),
    ),
    assumed={
        "base model": "Stable Diffusion 1.5, with the layers that IP-Adapter adapts",
        "adapter": "1 or 4 tokens, 20 attributes, 64 latent values, 768 hidden units, 768 image features",
    },
    counted_apart={
        "div": "softmax divides each weight; O1 and O2 divide the sums of values",
    },
)  # fmt: skip
