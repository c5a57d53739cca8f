"""Many matrix products of one shape. Ranks: b the products, m rows and n columns of a result, k what is summed."""

from __future__ import annotations

from ..mappings.products import BATCHED
from ..method import Method

METHOD = Method(
    name="batched_matmul",
    title="Matrix products of one shape",
    question="What share of the peak do many small products reach, and when does memory bound them?",
    source="textbook",
    cascades={"plain": "Z[b,m,n] = sum(A[b,m,k] * B[b,k,n], k)\n"},
    sizes={"B": 16, "M": 1024, "N": 1024, "K": 1024},
    presets={"scores_2k": {"B": 32, "M": 2048, "N": 2048, "K": 128}},
    preset_sources={"scores_2k": "our choice: the scores of 32 heads of 128 at 2048 tokens, one product a head"},
    mappings=BATCHED,
)
