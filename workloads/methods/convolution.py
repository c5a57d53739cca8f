"""One 3 x 3 convolution. Ranks: k channels in, c out, y and x cells, u and v the kernel."""

from __future__ import annotations

from ..method import Method

CASCADE = """
IN: [K, Y, X]
OUT[c,y,x] = max(0, sum(IN[k,y+u-1,x+v-1] * W[c,k,u,v], k, u, v) + B[c])
"""

_COMPRESS = {"K": 64, "C": 16, "U": 3, "V": 3}

METHOD = Method(
    name="convolution",
    title="A 3 x 3 convolution with rectifier",
    question="Does this convolution come close to the peak of the multipliers?",
    source="textbook, with padding of one cell",
    cascades={"plain": CASCADE},
    sizes={**_COMPRESS, "Y": 128, "X": 256},
    presets={
        "compress": {**_COMPRESS, "Y": 128, "X": 256},
        "tiny": {"K": 4, "C": 2, "U": 3, "V": 3, "Y": 4, "X": 5},
    },
    preset_sources={
        "compress": "LantaoLi/RG-Attn at 092628c: its optional compressor's sender, 64 channels sent as 16",
        "tiny": "our choice, for tests",
    },
)
