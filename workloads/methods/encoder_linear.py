"""The six matrix products of one transformer encoder layer: projections, output projection, feed-forward.

Ranks: r rows (batch times tokens), d model dimension, n heads times head dimension, s hidden width of the
feed-forward network. What lies between the products (attention, normalisation, activation, residual sums) is
left out: each product takes an input of its own, so that the six may run in any order.
"""

from __future__ import annotations

from ..mappings.fusemax import linear
from ..method import Method

CASCADE = """
YQ[r,n] = sum(XQ[r,d] * WQ[d,n], d)      # queries
YK[r,n] = sum(XK[r,d] * WK[d,n], d)      # keys
YV[r,n] = sum(XV[r,d] * WV[d,n], d)      # values
YZ[r,d] = sum(XZ[r,n] * WZ[n,d], n)      # output projection
YH[r,s] = sum(XH[r,d] * WH[d,s], d)      # into the hidden layer of the feed-forward network
YO[r,d] = sum(XO[r,s] * WO[s,d], s)      # and out of it
"""

_ROWS = {"R": 64 * 4096}  # the FuseMax batch of 64, at our default length of 4096 tokens
_PAPER = "widths and batch of the FuseMax artifact; a length of 4096 tokens is our default"

METHOD = Method(
    name="encoder_linear",
    title="The six matrix products of a transformer encoder layer",
    question="What do the linear layers around attention cost, and when do they outweigh it?",
    source="Vaswani et al. 2017, arXiv 1706.03762; as counted by FuseMax, MICRO 2024, arXiv 2406.10491",
    cascades={"plain": CASCADE},
    sizes={**_ROWS, "D": 768, "N": 768, "S": 3072},
    presets={
        "bert": {**_ROWS, "D": 768, "N": 768, "S": 3072},
        "trxl": {**_ROWS, "D": 1024, "N": 1024, "S": 4096},
        "t5": {**_ROWS, "D": 512, "N": 512, "S": 2048},
        "xlm": {**_ROWS, "D": 2048, "N": 2048, "S": 8192},
    },
    preset_sources={
        "bert": f"BERT-Base; {_PAPER}",
        "trxl": f"Transformer-XL, wt103; {_PAPER}",
        "t5": f"T5-small encoder; {_PAPER}",
        "xlm": f"XLM; {_PAPER}",
    },
    mappings={"linear": linear},
)
