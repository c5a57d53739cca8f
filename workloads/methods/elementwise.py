"""Functions of every element of a matrix, each alone or two in a chain. Ranks: r rows, n columns."""

from __future__ import annotations

from ..mappings.row_blocks import ELEMENTWISE as BLOCKS
from ..mappings.rows import ELEMENTWISE
from ..method import Method

METHOD = Method(
    name="elementwise",
    title="Elementwise functions: GELU, SiLU, ReLU, sums of two matrices, and gated SiLU",
    question="Does memory bound this function here, or its arithmetic?",
    source="GELU: Hendrycks and Gimpel 2016, arXiv 1606.08415; gated SiLU: Shazeer 2020, arXiv 2002.05202",
    cascades={
        "gelu": "Y[r,n] = gelu(X[r,n])\n",
        "silu": "Y[r,n] = silu(X[r,n])\n",
        "relu": "Y[r,n] = relu(X[r,n])\n",
        "add": "Y[r,n] = X[r,n] + Z[r,n]\n",
        "silu_mul": "Y[r,n] = silu(X[r,n]) * Z[r,n]\n",
    },
    sizes={"R": 4096, "N": 4096},
    presets={"llama2_7b": {"R": 4096, "N": 11008}},
    preset_sources={"llama2_7b": "Touvron et al. 2023, arXiv 2307.09288: hidden layers of 11008, context of 4096"},
    mappings={**ELEMENTWISE, **BLOCKS},
    interchangeable=False,
)
