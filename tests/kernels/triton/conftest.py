"""Kernels for GPUs run on a GPU where there is one, and in Triton's interpreter where there is none.

The interpreter has to be asked for before any code for the device is loaded.
"""

from __future__ import annotations

import os

import pytest


def _has_gpu() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


GPU = _has_gpu()
if not GPU:
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture
def device() -> str:
    """Where kernels of these tests run."""
    pytest.importorskip("triton")
    return "cuda" if GPU else "cpu"
