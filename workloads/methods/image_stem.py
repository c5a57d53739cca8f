"""The head of a residual network on images: a 7 x 7 convolution and a 3 x 3 maximum, both of stride two.

Ranks: k colours, c channels, p and q pixels after the convolution, y and x after the maximum, u and v the first
kernel, s and t the second. The image has two by two times as many pixels as P x Q. Padding with zero is right for the
maximum too, since no activation is below it.
"""

from __future__ import annotations

from ..method import Method

CASCADE = """
IMAGE: [K, 2*P, 2*Q]
CONV[c,p,q] = max(0, sum(IMAGE[k,2*p+u-3,2*q+v-3] * W[c,k,u,v], k, u, v) + B[c])
OUT[c,y,x]  = max(CONV[c,2*y+s-1,2*x+t-1], s, t)
"""

_KERNELS = {"K": 3, "C": 64, "U": 7, "V": 7, "S": 3, "T": 3}

METHOD = Method(
    name="image_stem",
    title="First layers of a residual network on images",
    question="What does the first convolution of a camera's image cost?",
    source="He et al. 2015, Deep Residual Learning, arXiv 1512.03385",
    cascades={"plain": CASCADE},
    sizes={**_KERNELS, "P": 144, "Q": 256, "Y": 72, "X": 128},
    presets={
        "dair_v2x": {**_KERNELS, "P": 144, "Q": 256, "Y": 72, "X": 128},
        "opv2v": {**_KERNELS, "P": 192, "Q": 256, "Y": 96, "X": 128},
        "tiny": {**_KERNELS, "C": 4, "P": 8, "Q": 12, "Y": 4, "X": 6},
    },
    preset_sources={
        "dair_v2x": "LantaoLi/RG-Attn at 092628c: images of 288 x 512 pixels",
        "opv2v": "yifanlu0227/HEAL: images of 384 x 512 pixels",
        "tiny": "our choice, for tests",
    },
)
