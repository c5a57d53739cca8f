"""Lowerings of ATen operators to lines of a cascade, a file for each kind of operator."""

from . import (  # noqa: F401 (each registers what it lowers)
    attention,
    convolution,
    indexing,
    movement,
    norms,
    pointwise,
    pooling,
    products,
    reductions,
    views,
)
from .registry import LOWERINGS, POINTWISE

__all__ = ["LOWERINGS", "POINTWISE"]
