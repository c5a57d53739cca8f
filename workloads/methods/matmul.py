"""The matrix product: the smallest workload, and the one with a known optimum of traffic."""

from __future__ import annotations

from ..mappings.products import MAPPINGS
from ..mappings.tiled import TILED
from ..method import Method

METHOD = Method(
    name="matmul",
    title="Matrix product",
    question="What share of the peak does a product of this shape reach, and how much buffer does it need?",
    source="textbook; with a buffer of S words it moves at least about 2*M*N*K/sqrt(S) (Hong and Kung, 1981)",
    cascades={"plain": "Z[m,n] = sum(A[m,k] * B[k,n], k)\n"},
    sizes={"M": 4096, "N": 4096, "K": 4096},
    presets={
        "square_1k": {"M": 1024, "N": 1024, "K": 1024},
        "square_4k": {"M": 4096, "N": 4096, "K": 4096},
        "square_8k": {"M": 8192, "N": 8192, "K": 8192},
        "row_vector": {"M": 1, "N": 4096, "K": 4096},
    },
    preset_sources={
        "square_1k": "our choice",
        "square_4k": "our choice",
        "square_8k": "our choice: the shape at which GPUs are usually rated",
        "row_vector": "our choice: one token through a layer of width 4096",
    },
    mappings={**MAPPINGS, **TILED},
)
