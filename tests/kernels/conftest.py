"""Fixtures for the host's kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture(scope="session")
def normal() -> Callable[..., np.ndarray]:
    """Arrays of standard normal fp32 numbers: shape, and a seed."""

    def made(*shape: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)

    return made
