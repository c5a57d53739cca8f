"""Two 3 x 3 convolutions in a row. Ranks: k channels in, m between, c out, y and x cells, u and v the kernel."""

from __future__ import annotations

from ..method import Method

CASCADE = """
IN: [K, Y, X]
MID[m,y,x] = max(0, sum(IN[k,y+u-1,x+v-1] * W1[m,k,u,v], k, u, v) + B1[m])
OUT[c,y,x] = max(0, sum(MID[m,y+u-1,x+v-1] * W2[c,m,u,v], m, u, v) + B2[c])
"""

_SHRINK = {"K": 384, "M": 256, "C": 256, "U": 3, "V": 3}

METHOD = Method(
    name="double_convolution",
    title="Two 3 x 3 convolutions",
    question="What does it cost to shrink a fused map to the channels that detection heads read?",
    source="LantaoLi/RG-Attn at 092628c, shrink header",
    cascades={"plain": CASCADE},
    sizes={**_SHRINK, "Y": 128, "X": 256},
    presets={
        "dair_v2x": {**_SHRINK, "Y": 128, "X": 256},
        "opv2v": {**_SHRINK, "Y": 256, "X": 256},
        "decompress": {**_SHRINK, "K": 16, "M": 64, "C": 64, "Y": 128, "X": 256},
        "tiny": {"K": 4, "M": 3, "C": 2, "U": 3, "V": 3, "Y": 4, "X": 5},
    },
    preset_sources={
        "dair_v2x": "LantaoLi/RG-Attn at 092628c: shrink header, 384 channels to 256",
        "opv2v": "yifanlu0227/HEAL: the same on OPV2V's grid",
        "decompress": "LantaoLi/RG-Attn at 092628c: its optional compressor's receiver, 64 channels sent as 16",
        "tiny": "our choice, for tests",
    },
)
