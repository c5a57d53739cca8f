"""A residual block of three convolutions, the middle one 3 x 3 in groups; batch normalisation is folded into the
weights.

Ranks: c channels in and out, g groups of m channels before the middle convolution and r after it, y and x cells, u
and v the kernel. One group is ResNet's bottleneck, several are ResNeXt's.
"""

from __future__ import annotations

from ..method import Method

CASCADE = """
NARROW[g,m,y,x] = max(0, sum(IN[c,y,x] * W1[g,m,c], c) + B1[g,m])
WIDE[g,r,y,x]   = max(0, sum(NARROW[g,m,y+u-1,x+v-1] * W2[g,r,m,u,v], m, u, v) + B2[g,r])
OUT[c,y,x]      = max(0, sum(WIDE[g,r,y,x] * W3[c,g,r], g, r) + B3[c] + IN[c,y,x])
"""

_KERNEL = {"U": 3, "V": 3}
_ONE = {"G": 1, **_KERNEL}
_GROUPS = {"G": 32, **_KERNEL}
_IMAGE = "torchvision's ResNet-101 at 288 x 512 pixels, the image of RG-Attn on DAIR-V2X"
_PYRAMID = "LantaoLi/RG-Attn at 092628c, pyramid fusion on DAIR-V2X: level"

METHOD = Method(
    name="residual_bottleneck",
    title="Residual bottleneck block (ResNet, ResNeXt)",
    question="Do the narrow 1 x 1 convolutions of a bottleneck bind, or its 3 x 3 one?",
    source="He et al. 2015, arXiv 1512.03385; Xie et al. 2016, ResNeXt, arXiv 1611.05431",
    cascades={"plain": CASCADE},
    sizes={**_ONE, "C": 1024, "M": 256, "R": 256, "Y": 18, "X": 32},
    presets={
        "resnet101_layer1": {**_ONE, "C": 256, "M": 64, "R": 64, "Y": 72, "X": 128},
        "resnet101_layer2": {**_ONE, "C": 512, "M": 128, "R": 128, "Y": 36, "X": 64},
        "resnet101_layer3": {**_ONE, "C": 1024, "M": 256, "R": 256, "Y": 18, "X": 32},
        "pyramid_0": {**_GROUPS, "C": 64, "M": 4, "R": 4, "Y": 128, "X": 256},
        "pyramid_1": {**_GROUPS, "C": 128, "M": 8, "R": 8, "Y": 64, "X": 128},
        "pyramid_2": {**_GROUPS, "C": 256, "M": 16, "R": 16, "Y": 32, "X": 64},
        "tiny": {"G": 2, "C": 6, "M": 3, "R": 3, "Y": 4, "X": 5},
    },
    preset_sources={
        **{f"resnet101_layer{n}": _IMAGE for n in (1, 2, 3)},
        **{f"pyramid_{n}": f"{_PYRAMID} {n}" for n in (0, 1, 2)},
        "tiny": "our choice, for tests",
    },
)
