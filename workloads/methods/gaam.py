"""Gaussian (later density) adaptive attention: a feature is weighted by Gaussian densities around its own mean.

New: no product of queries and keys. Each head normalizes its part of an axis by its mean and variance, evaluates one or
more Gaussians of learned offset and width, and multiplies the features by them, so that cost is linear.

Ranks: library: s rows, r the normalized axis, h heads (a head has a stretch of r, the last one what is left), k
Gaussians of a head. Papers: b inputs, h heads of j layers each, t frames, f features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

_MOMENTS = """
HD[r]   = min(r // (R // H), H - 1)                        # the head of a position
CNT[h]  = scatter(sum, 1, HD[r], r)
MS[s,h] = scatter(sum, X[s,r], HD[r], r)
MU[s,h] = MS[s,h] / CNT[h]
D[s,r]  = X[s,r] - MU[s,HD[r]]
VS[s,h] = scatter(sum, D[s,r] ** 2, HD[r], r)
VR[s,h] = VS[s,h] / (CNT[h] - 1) + 1e-8
"""
_WEIGHTED = """
NM[s,h] = scatter(sum, MX[s,r], HD[r], r)
NS[s,h] = max(NM[s,h], 1e-8)
Y[s,r]  = X[s,r] + X[s,r] * (MX[s,r] / NS[s,HD[r]])
"""
LIBRARY = (
    "DL: [H, K]\nCC: [H, K]\n"
    + _MOMENTS
    + """
Z[k,s,r]  = (D[s,r] - DL[HD[r],k]) / sqrt(VR[s,HD[r]])
PD[k,s,r] = exp(-(Z[k,s,r] ** 2) / (2 * CC[HD[r],k] ** 2)) / sqrt(2 * pi * CC[HD[r],k] ** 2)
MX[s,r]   = prod(PD[k,s,r], k)
"""
    + _WEIGHTED
)

ONE_EXPONENTIAL = (
    _MOMENTS
    + """
IA[h]   = sum(1 / (2 * CC[h,k] ** 2), k)                   # the product of Gaussians is one exponential of a square
IB[h]   = sum(DL[h,k] / CC[h,k] ** 2, k)
IG[h]   = sum(DL[h,k] ** 2 / (2 * CC[h,k] ** 2), k)
IC[h]   = prod(rsqrt(2 * pi * CC[h,k] ** 2), k)
QD[s,r] = (IA[HD[r]] * D[s,r] - IB[HD[r]]) * D[s,r] + IG[HD[r]]
MX[s,r] = IC[HD[r]] * exp(-QD[s,r] / VR[s,HD[r]])
"""
    + _WEIGHTED
)

_DENSITY = """
YB[b,h,j,f] = sum(X[b,h*J+j,t,f], t) / T
MU[b,h,f]   = sum(YB[b,h,j,f], j) / J
VR[b,h,f]   = abs(sum(YB[b,h,j,f] ** 2, j) / J - MU[b,h,f] ** 2) + 1e-8
Z[b,h,j,f]  = (YB[b,h,j,f] - MU[b,h,f] - DL[h,f]) * rsqrt(VR[b,h,f] + 1e-5)
AT[b,h,j,f] = exp(-(Z[b,h,j,f] ** 2) / (2 * CC[h,f]))
"""
DENSITY = (
    _DENSITY
    + """
Y[b,h,j,t,f] = X[b,h*J+j,t,f] * AT[b,h,j,f]
OUT[b,h*J+j,f] = sum(Y[b,h,j,t,f], t) / T
"""
)
READ_ONCE = _DENSITY + "OUT[b,h*J+j,f] = AT[b,h,j,f] * YB[b,h,j,f]\n"


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After gioannides/Gaussian-Adaptive-Attention (library) and gioannides/DAAM-PEFT-paper-code (papers)."""
    import math

    import torch

    x, offset, width = given["X"], given["DL"], given["CC"]
    if variant in ("library", "one_exponential"):
        heads, part = sizes["H"], sizes["R"] // sizes["H"]
        made = []
        for h in range(heads):
            own = x[:, h * part : (h + 1) * part if h < heads - 1 else None]
            mean, variance = own.mean(1, keepdim=True), own.var(1, keepdim=True) + 1e-8
            density = torch.ones_like(own)
            for shift, scale in zip(offset[h], width[h], strict=True):
                z = (own - mean - shift) / variance.sqrt()
                density = density * (-(z**2) / (2 * scale**2)).exp() / (2 * math.pi * scale**2).sqrt()
            made.append(own + own * density / density.sum(1, keepdim=True).clamp(min=1e-8))
        return {"Y": torch.cat(made, 1)}
    made = []
    for h, own in enumerate(x.split(sizes["J"], 1)):
        means = own.mean(2)
        mean = means.mean(1, keepdim=True)
        variance = ((means**2).mean(1, keepdim=True) - mean**2).abs() + 1e-8
        z = (means - mean - offset[h]) / (variance + 1e-5).sqrt()
        made.append((own * (-(z**2) / (2 * width[h])).exp()[:, :, None]).mean(2))
    return {"OUT": torch.cat(made, 1)}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Widths are positive."""
    return {"CC": generator.uniform(0.5, 2, shapes["CC"])}


PAPER = "Gaussian Adaptive Attention is All You Need, arXiv 2401.11143"
CODE = "gioannides/DAAM-PEFT-paper-code"


def _encoder(layers: int, frames: int, features: int, heads: int) -> dict[str, int]:
    return {"B": 1, "H": heads, "J": layers // heads, "T": frames, "F": features}


def _parameters(name: str, preset: str, heads: int, millions: float) -> Claim:
    return Claim(f"parameters of {name}", f"{name} has {millions} M parameters", millions * 1e6, "parameters",
                 f"{PAPER}, the authors' summary", "third party", "parameters",
                 (Run("density", preset, sizes={"H": heads}),), exact=True)  # fmt: skip


METHOD = Method(
    name="gaam",
    title="Gaussian adaptive attention: features weighted by densities around their mean",
    question="Is this bound by bandwidth alone, and how many walks over the features does fusing leave?",
    source=f"{PAPER}; gioannides/Gaussian-Adaptive-Attention and {CODE}",
    cascades={
        "density": DENSITY,
        "read_once": READ_ONCE,
        "library": LIBRARY,
        "one_exponential": ONE_EXPONENTIAL,
    },
    sizes={**_encoder(24, 249, 1024, 8), "S": 10, "R": 128, "K": 5},
    presets={
        "wavlm_daam": _encoder(24, 249, 1024, 8),
        "beit_daam": _encoder(24, 1, 1024, 8),
        "llama13b_daam": _encoder(40, 1, 5120, 8),
        "library_block": {"S": 10, "R": 128, "H": 4, "K": 5, "B": 1, "J": 6, "T": 249, "F": 1024},
        "tiny": {"S": 4, "R": 10, "H": 3, "K": 2, "B": 2, "J": 2, "T": 3, "F": 5},
    },
    preset_sources={
        "wavlm_daam": f"{CODE}: WavLM-large, 24 layers of 1024, 249 frames of IEMOCAP, 8 heads over the layers",
        "beit_daam": f"{CODE}: BEiT-large, 24 layers of 1024, 8 heads",
        "llama13b_daam": f"{CODE}: Llama2-13B, 40 layers of 5120, 8 heads",
        "library_block": "gioannides/Gaussian-Adaptive-Attention, README: 10 x 128, axis 1, 4 heads of 5 Gaussians",
        "tiny": "our choice, for tests: heads of 3, 3 and 4",
    },
    weights=("DL", "CC"),
    reference=reference,
    inputs=inputs,
    claims=(
        _parameters("one head over 1024 features", "wavlm_daam", 1, 0.002),
        _parameters("8 heads over 1024 features", "wavlm_daam", 8, 0.016),
        _parameters("8 heads over 5120 features", "llama13b_daam", 8, 0.082),
        Claim("accuracy", "up to about 20 % more accuracy, absolute, than attention before", 20, "%",
              f"{PAPER}, abstract", "abstract", not_derivable="accuracy"),
    ),
    assumed={"mean over frames": "the mathematical mean; the released view of the array takes it over mixed frames"},
    counted_apart={
        "mac": "VR is a sum of squares; the reference squares (mul) and takes the mean (add)",
        "add": "mean adds the squares that are mac in VR",
        **dict.fromkeys(("div", "sqrt", "rsqrt"), "Z multiplies by a reciprocal root; the reference divides by sqrt"),
    },
)  # fmt: skip
