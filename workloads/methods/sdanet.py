"""SDANet: a neck that rebuilds each level of a feature pyramid from all five, by attention over levels.

All levels are brought to the size of one (maximum over windows of the finer ones, nearest pixel of the coarser ones)
and mixed twice: by a softmax over levels for each channel, and by one for each pixel. The sum of both mixtures is
refined by a block of global context, and the level itself is added. `level_0` (the finest) to `level_4` are one level
each; `neck` is all of them, with weights of their own.

Ranks: b image, i source level, c channel, z squeezed width of the channel branch, s of the refinement, q statistic, dy
and dx taps of a convolution, and for each level a pair of pixel ranks (ya, xa of the finest to ye, xe); ua, va to ud,
vd are pixels of windows of 2, 4, 8 and 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim
from ..method import Method

if TYPE_CHECKING:
    import torch

_LEVELS = range(5)


def _rescaled(r: int, i: int) -> str:
    """Source level i at the size of level r."""
    y, x, to = f"y{'abcde'[r]}", f"x{'abcde'[r]}", f"F{r}{i}"
    if i == r:
        return ""
    if i < r:
        window, factor = "abcd"[r - i - 1], 2 ** (r - i)
        u, v = f"u{window}", f"v{window}"
        return f"{to}[b,c,{y},{x}] = max(P{i}[b,c,{y}*{factor}+{u},{x}*{factor}+{v}], {u}, {v})\n"
    factor = 2 ** (i - r)
    return f"""
IY{r}{i}[{y}] = {y} // {factor}
IX{r}{i}[{x}] = {x} // {factor}
{to}[b,c,{y},{x}] = P{i}[b,c,IY{r}{i}[{y}],IX{r}{i}[{x}]]
"""


def _level(r: int) -> str:
    y, x = f"y{'abcde'[r]}", f"x{'abcde'[r]}"
    at = f"b,c,{y},{x}"
    sources = [f"P{r}[{at}]" if i == r else f"F{r}{i}[{at}]" for i in _LEVELS]
    lines = (
        "".join(_rescaled(r, i) for i in _LEVELS)
        + f"""
U[{at}]     = {" + ".join(sources)}
G[b,c]      = sum(U[{at}], {y}, {x}) / ({y.upper()} * {x.upper()})
Z[b,z]      = relu(sum(G[b,c] * WA[z,c], c) * SB[z] + TB[z])           # the batch normalization is a scale by now
LA[b,i,c]   = sum(Z[b,z] * WB[i,c,z], z) + BB[i,c]
MA[b,c]     = max(LA[b,i,c], i)
EA[b,i,c]   = exp(LA[b,i,c] - MA[b,c])
DA[b,c]     = sum(EA[b,i,c], i)
AC[b,i,c]   = EA[b,i,c] / DA[b,c]
FC[{at}]    = {" + ".join(f"{source} * AC[b,{i},c]" for i, source in enumerate(sources))}
T[b,q,{y},{x}] = where(q == 0, sum(U[{at}], c) / C, max(U[{at}], c))
LS[b,i,{y},{x}] = sum(T[b,q,{y}+dy-3,{x}+dx-3] * WS[i,q,dy,dx], q, dy, dx)
MS[b,{y},{x}] = max(LS[b,i,{y},{x}], i)
ES[b,i,{y},{x}] = exp(LS[b,i,{y},{x}] - MS[b,{y},{x}])
DS[b,{y},{x}] = sum(ES[b,i,{y},{x}], i)
AS[b,i,{y},{x}] = ES[b,i,{y},{x}] / DS[b,{y},{x}]
X[{at}]     = FC[{at}] + {" + ".join(f"{source} * AS[b,{i},{y},{x}]" for i, source in enumerate(sources))}
MK[b,{y},{x}] = sum(X[{at}] * WM[c], c) + BM                           # the mask of the global context
MM[b]       = max(MK[b,{y},{x}], {y}, {x})
EM[b,{y},{x}] = exp(MK[b,{y},{x}] - MM[b])
DM[b]       = sum(EM[b,{y},{x}], {y}, {x})
CT[b,c]     = sum(X[{at}] * EM[b,{y},{x}], {y}, {x}) / DM[b]
H[b,s]      = sum(CT[b,c] * W1[s,c], c) + B1[s]
MH[b]       = sum(H[b,s], s) / S
VH[b]       = sum((H[b,s] - MH[b]) ** 2, s) / S
R[b,s]      = relu((H[b,s] - MH[b]) * rsqrt(VH[b] + 1e-5) * GH[s] + BH[s])
D2[b,c]     = sum(R[b,s] * W2[c,s], s) + B2[c]
O[{at}]     = X[{at}] + D2[b,c] + P{r}[{at}]
"""
    )
    return _numbered(lines, r)


_OWN = (
    "U", "G", "Z", "LA", "MA", "EA", "DA", "AC", "FC", "T", "LS", "MS", "ES", "DS", "AS", "X", "MK", "MM", "EM", "DM",
    "CT", "H", "MH", "VH", "R", "D2", "O", "WA", "SB", "TB", "WB", "BB", "WS", "WM", "BM", "W1", "B1", "GH", "BH", "W2",
    "B2",
)  # fmt: skip


def _numbered(lines: str, r: int) -> str:
    """Every tensor of a level under the level's number."""
    import re

    return re.sub(rf"\b({'|'.join(_OWN)})(?=\[)|\bBM\b", lambda found: f"{found.group()}_{r}", lines)


def _cascade(*levels: int) -> str:
    first = min(levels)
    declared = "".join(f"BM_{r}: []\n" for r in levels)
    for i in _LEVELS:
        if i > first:
            shrunk = 2 ** (i - first)
            y, x = f"Y{'ABCDE'[first]}", f"X{'ABCDE'[first]}"
            declared += f"P{i}: [B, C, {y} // {shrunk}, {x} // {shrunk}]\n"
    return declared + "".join(_level(r) for r in levels)


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Adaptive pooling, nearest interpolation and convolutions of PyTorch, level by level."""
    import torch
    from torch.nn.functional import adaptive_max_pool2d, conv2d, interpolate, layer_norm, relu

    pyramid = [given[f"P{i}"] for i in _LEVELS]

    def level(r: int) -> torch.Tensor:
        w = {name.removesuffix(f"_{r}"): tensor for name, tensor in given.items() if name.endswith(f"_{r}")}
        size = (pyramid[r].shape[2], pyramid[r].shape[3])
        scaled = [adaptive_max_pool2d(p, size) if i < r else interpolate(p, size) for i, p in enumerate(pyramid)]
        f = torch.stack(scaled, 1)
        u = f.sum(1)
        z = relu(u.mean((2, 3)) @ w["WA"].T * w["SB"] + w["TB"])
        channels = (torch.einsum("bz,icz->bic", z, w["WB"]) + w["BB"]).softmax(1)
        statistics = torch.stack([u.mean(1), u.amax(1)], 1)
        pixels = conv2d(statistics, w["WS"], padding=3).softmax(1)
        x = (f * channels[..., None, None]).sum(1) + (f * pixels[:, :, None]).sum(1)
        mask = (torch.einsum("bcyx,c->byx", x, w["WM"]) + w["BM"]).flatten(1).softmax(1)
        context = torch.einsum("bcn,bn->bc", x.flatten(2), mask)
        hidden = layer_norm(context @ w["W1"].T + w["B1"], w["B1"].shape, w["GH"], w["BH"])
        return x + (relu(hidden) @ w["W2"].T + w["B2"])[..., None, None] + pyramid[r]

    levels = _LEVELS if variant == "neck" else [int(variant[-1])]
    return {f"O_{r}": level(r) for r in levels}


PAPER = "Wang et al. 2021, Towards Real-World Prohibited Item Detection, arXiv 2108.07020"
CODE = "bywang2018/security-dataset, cascade detector"


def _sizes(batch: int, finest: int, channels: int, squeezed: int, refined: int) -> dict[str, int]:
    pixels = {f"{axis}{'ABCDE'[r]}": finest // 2**r for axis in "YX" for r in _LEVELS}
    windows = {f"{axis}{window}": 2 ** (n + 1) for axis in "UV" for n, window in enumerate("ABCD")}
    return {
        "B": batch,
        "I": 5,
        "C": channels,
        "Z": squeezed,
        "S": refined,
        "Q": 2,
        "DY": 7,
        "DX": 7,
        **pixels,
        **windows,
    }


METHOD = Method(
    name="sdanet",
    title="SDANet: each level of a feature pyramid rebuilt from all, by attention over levels",
    question=(
        "What do time and traffic of the neck add on a machine bound by bandwidth, how many walks over the pyramid "
        "does it need, and which buffer keeps five levels of a tile on chip?"
    ),
    source=f"{PAPER}; {CODE}",
    cascades={**{f"level_{r}": _cascade(r) for r in _LEVELS}, "neck": _cascade(*_LEVELS)},
    sizes=_sizes(1, 128, 256, 128, 16),
    presets={
        "tiny": _sizes(2, 16, 4, 3, 2),
        "pidray_512": _sizes(1, 128, 256, 128, 16),
        "pidray_training": _sizes(2, 128, 256, 128, 16),
        "large": _sizes(1, 256, 256, 128, 16),
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "pidray_512": f"{CODE}: images of 512 x 512 (500 pixels, padded), levels of 128 to 8 pixels, 256 channels",
        "pidray_training": f"{CODE}: two images on each GPU",
        "large": "our choice: images of 1024 x 1024",
    },
    weights=tuple(
        f"{name}_{r}"
        for r in _LEVELS
        for name in ("WA", "SB", "TB", "WB", "BB", "WS", "WM", "BM", "W1", "B1", "GH", "BH", "W2", "B2")
    ),
    reference=reference,
    claims=(
        Claim(
            name="detection",
            statement="61.6 AP where Cascade Mask R-CNN has 61.0 (ResNet-101)",
            value=61.6,
            unit="AP",
            source=f"{PAPER}, main results",
            evidence="code",
            not_derivable="accuracy",
        ),
        Claim(
            name="other necks",
            statement="61.6 AP where BiFPN has 58.7 and PAFPN 60.2",
            value=61.6,
            unit="AP",
            source=f"{PAPER}, main results",
            evidence="code",
            not_derivable="accuracy",
        ),
    ),
    assumed={"batch normalization": "folded into a scale and a shift, as at inference"},
    counted_apart={
        "add": (
            "U, FC and X add five maps by four additions; sum over a stacked rank counts five, and FC and X apart one "
            "more"
        ),
        "div": "CT divides a sum over pixels; the reference's softmax each pixel's weight",
        "select": "T selects mean or maximum; the reference stacks them (a copy) and selects places of interpolate",
        "sub": (
            "LayerNorm: VH, R subtract the mean in the variance and again in the result; native_layer_norm keeps x - "
            "mean"
        ),
    },
)
