"""One 1 x 1 convolution: a product at every cell. Ranks: k channels in, c out, y and x cells."""

from __future__ import annotations

from ..method import Method

METHOD = Method(
    name="pointwise_convolution",
    title="A 1 x 1 convolution",
    question="Does cutting channels cost more than reading them?",
    source="textbook",
    cascades={"plain": "OUT[c,y,x] = sum(IN[k,y,x] * W[c,k], k) + B[c]\n"},
    sizes={"K": 1024, "C": 8, "Y": 18, "X": 32},
    presets={
        "dair_v2x": {"K": 1024, "C": 8, "Y": 18, "X": 32},
        "opv2v": {"K": 1024, "C": 8, "Y": 24, "X": 32},
        "tiny": {"K": 6, "C": 3, "Y": 3, "X": 4},
    },
    preset_sources={
        "dair_v2x": "LantaoLi/RG-Attn at 092628c: 1024 channels of an image of 288 x 512 pixels at stride 16 cut to 8",
        "opv2v": "the same on images of 384 x 512 pixels; assumed",
        "tiny": "our choice, for tests",
    },
)
