"""Small things that kernels share: dtypes, random inputs, types of arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

WORD_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
PRECISION = "ieee"  # of products of fp32; of fp16 and bf16 it says nothing
DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}


def random_tensor(shape: tuple[int, ...], dtype: str, device: str, generator: torch.Generator) -> torch.Tensor:
    """Standard normal numbers, rounded to the dtype."""
    import torch

    return torch.randn(shape, generator=generator, device=device).to(getattr(torch, DTYPES[dtype]))


def with_options(constants: Mapping[str, Any], warps: int, stages: int) -> dict[str, Any]:
    """Constants of a kernel and how it is compiled, as a launch takes them."""
    return {**constants, "num_warps": warps, "num_stages": stages}


def pointers(names: str, dtype: str) -> dict[str, str]:
    """Types of arguments that point to tensors of a dtype, for a compiler; `names` apart by spaces."""
    return dict.fromkeys(names.split(), f"*{dtype}")
