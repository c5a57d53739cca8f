"""A residual bottleneck block that changes size or channels; its shortcut is a 1 x 1 convolution.

Ranks: k channels in, g groups of m channels before the middle convolution and r after it, c channels out, p and q cells
of the input, y and x those of the output at stride S, u and v the kernel. The 3 x 3 convolution has the stride.
"""

from __future__ import annotations

from ..method import Method

CASCADE = """
S: size
NARROW[g,m,p,q] = max(0, sum(IN[k,p,q] * W1[g,m,k], k) + B1[g,m])
WIDE[g,r,y,x]   = max(0, sum(NARROW[g,m,S*y+u-1,S*x+v-1] * W2[g,r,m,u,v], m, u, v) + B2[g,r])
CUT[c,y,x]      = sum(IN[k,S*y,S*x] * WS[c,k], k)                                # the shortcut
OUT[c,y,x]      = max(0, sum(WIDE[g,r,y,x] * W3[c,g,r], g, r) + B3[c] + CUT[c,y,x])
"""

_KERNEL = {"U": 3, "V": 3}
_ONE = {"G": 1, **_KERNEL}
_GROUPS = {"G": 32, "S": 2, **_KERNEL}
_IMAGE = "torchvision's ResNet-101 at 288 x 512 pixels, the image of RG-Attn on DAIR-V2X"
_PYRAMID = "LantaoLi/RG-Attn at 092628c, pyramid fusion on DAIR-V2X: level"
_LAYER1 = {"K": 64, "M": 64, "R": 64, "C": 256, "S": 1, "P": 72, "Q": 128, "Y": 72, "X": 128}
_LAYER2 = {"K": 256, "M": 128, "R": 128, "C": 512, "S": 2, "P": 72, "Q": 128, "Y": 36, "X": 64}
_LAYER3 = {"K": 512, "M": 256, "R": 256, "C": 1024, "S": 2, "P": 36, "Q": 64, "Y": 18, "X": 32}

METHOD = Method(
    name="residual_bottleneck_strided",
    title="Residual bottleneck block with a stride and a projected shortcut (ResNet, ResNeXt)",
    question="What does the block cost that halves a resolution?",
    source="He et al. 2015, arXiv 1512.03385; Xie et al. 2016, ResNeXt, arXiv 1611.05431",
    cascades={"plain": CASCADE},
    sizes={**_ONE, **_LAYER3},
    presets={
        "resnet101_layer1": {**_ONE, **_LAYER1},
        "resnet101_layer2": {**_ONE, **_LAYER2},
        "resnet101_layer3": {**_ONE, **_LAYER3},
        "pyramid_1": {**_GROUPS, "K": 64, "M": 8, "R": 8, "C": 128, "P": 128, "Q": 256, "Y": 64, "X": 128},
        "pyramid_2": {**_GROUPS, "K": 128, "M": 16, "R": 16, "C": 256, "P": 64, "Q": 128, "Y": 32, "X": 64},
        "tiny": {"G": 2, "K": 3, "M": 3, "R": 2, "C": 6, "S": 2, "P": 8, "Q": 10, "Y": 4, "X": 5},
    },
    preset_sources={
        **{f"resnet101_layer{n}": _IMAGE for n in (1, 2, 3)},
        **{f"pyramid_{n}": f"{_PYRAMID} {n}" for n in (1, 2)},
        "tiny": "our choice, for tests",
    },
)
