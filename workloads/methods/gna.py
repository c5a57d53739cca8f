"""Generalized neighbourhood attention: softmax attention in which a query attends the tokens near it.

The cascades are those of attention over all keys, which is the dense baseline too; the mask says which of their
(query, key) pairs exist. Ranks: b batch, h heads, p queries and m keys (tokens of the grid, row by row), e and f head
dimension. Sliding Tile Attention is the case of a stride of one tile and a window of an odd number of tiles.
"""

from __future__ import annotations

from ..masks.gna import GNA
from ..method import EndToEnd, Method
from .attention import METHOD as ATTENTION

PAPER = "Hassani et al. 2025, Generalized Neighborhood Attention, arXiv 2504.16922"
PREDICT2 = (
    "nvidia-cosmos/cosmos-predict2, config_natten.py and config_video2world.py: the 2B model, 16 heads of 128, a "
    "grid of 44 x 80 tokens a frame and a window over all frames; 16 frames"
)
STA = "Zhang et al. 2025, Fast Video Generation with Sliding Tile Attention, arXiv 2502.04507: tiles of 6 x 8 x 8"
_HUNYUAN = {"H": 24, "grid": (30, 48, 80)}
_COSMOS = {"H": 32, "grid": (16, 44, 80)}
_PREDICT2 = {"H": 16, "grid": (16, 44, 80)}

METHOD = Method(
    name="gna",
    title="Generalized neighbourhood attention: windows with stride and dilation on a grid of tokens",
    question="With this window and stride, how much faster than dense attention can a kernel be, and why not more?",
    source=PAPER,
    cascades=ATTENTION.cascades,
    sizes={"B": 1, "H": 24, "E": 128, "F": 128},
    presets={
        "tiny": {"B": 2, "H": 2, "E": 4, "F": 4, "M0": 4, "grid": (4, 4), "window": (2, 2), "stride": (2, 2)},
        "hunyuan_video": {**_HUNYUAN, "window": (18, 24, 24), "stride": (16, 8, 8)},
        "hunyuan_video_58": {**_HUNYUAN, "window": (30, 40, 40), "stride": (1, 32, 8)},
        "flux_4k": {"H": 24, "grid": (256, 256), "window": (80, 80), "stride": (16, 16)},
        "cosmos_7b": {**_COSMOS, "window": (16, 24, 16), "stride": (1, 8, 16)},
        "cosmos_7b_56": {**_COSMOS, "window": (16, 32, 48), "stride": (1, 8, 16)},
        "cosmos_predict2_98": {**_PREDICT2, "window": (16, 4, 16), "dilation": (1, 11, 5)},
        "cosmos_predict2_95": {**_PREDICT2, "window": (16, 12, 16), "stride": (1, 4, 1), "dilation": (1, 1, 5)},
        "cosmos_predict2_92": {**_PREDICT2, "window": (16, 12, 24), "stride": (1, 4, 8)},
        "cosmos_predict2_77": {**_PREDICT2, "window": (16, 20, 40), "stride": (1, 4, 8)},
        "cosmos_predict2_55": {**_PREDICT2, "window": (16, 28, 56), "stride": (1, 4, 8)},
        "demo_1d": {"H": 1, "grid": (32768,), "window": (2048,), "stride": (256,)},
        "sta_91": {**_HUNYUAN, "window": (18, 24, 24), "stride": (6, 8, 8)},
        "sta_58": {**_HUNYUAN, "window": (30, 40, 40), "stride": (6, 8, 8)},
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "hunyuan_video": f"{PAPER}: HunyuanVideo, 5 s at 720p, 24 heads of 128, 91 % sparse, the block-sparse stride",
        "hunyuan_video_58": f"{PAPER}: HunyuanVideo, 58 % sparse, the block-sparse stride for Q tiles of 2 x 16 x 8",
        "flux_4k": f"{PAPER}: FLUX.1-dev at 4K, 24 heads of 128, 90 % sparse, the block-sparse stride",
        "cosmos_7b": f"{PAPER}: Cosmos-7B, 5 s at 720p, 89 % sparse; 32 heads of 128 are inferred from its traffic",
        "cosmos_7b_56": f"{PAPER}: Cosmos-7B, 56 % sparse; 32 heads of 128 are inferred from its traffic",
        "cosmos_predict2_98": f"{PREDICT2}; layers 0 and 1",
        "cosmos_predict2_95": f"{PREDICT2}; layers 2, 5 and 10",
        "cosmos_predict2_92": f"{PREDICT2}; layers 3, 4, 6 to 9 and 27",
        "cosmos_predict2_77": f"{PREDICT2}; layers 11 to 22 and 24 to 26",
        "cosmos_predict2_55": f"{PREDICT2}; layer 23",
        "demo_1d": "NATTEN documentation, profiler: 32768 tokens, one head of 128, a window of 2048",
        "sta_91": f"{STA}; HunyuanVideo, a window of 3 x 3 x 3 tiles",
        "sta_58": f"{STA}; HunyuanVideo, a window of 5 x 5 x 5 tiles",
    },
    mappings=ATTENTION.mappings,
    reference=ATTENTION.reference,  # as the cascades: over all keys, the mask beside
    mask=GNA,
    options={
        "grid": (30, 48, 80),
        "window": (18, 24, 24),
        "stride": 1,
        "dilation": 1,
        "causal": False,
        "extra_keys": 0,
    },
    end_to_end={
        **dict.fromkeys(
            ("hunyuan_video", "hunyuan_video_58"),
            EndToEnd(0.607, 50, 15, f"{PAPER}: on B200, 65.4 % of the transformer, which is 92.8 % of the run"),
        ),
        "flux_4k": EndToEnd(0.518, 28, 9, f"{PAPER}: on B200, 56.8 % of the transformer, which is 91.2 % of the run"),
        **dict.fromkeys(
            ("cosmos_7b", "cosmos_7b_56"),
            EndToEnd(0.587, 35, 12, f"{PAPER}: on B200, 58.7 % of the transformer, which is over 99 % of the run"),
        ),
    },
)
