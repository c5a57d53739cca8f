"""The kernels of the host as plain data, by name: what validate/host predicts them from."""

from __future__ import annotations

from .declared import Declared
from .declared_attention import ATTENTION, PLANES, VOLUMES
from .declared_products import EXP, GEMM, SOFTMAX, THREE_PASS
from .declared_recurrent import LINEAR, PREFIX, PREFIX_PARALLEL

_ATTENTION = (ATTENTION, PLANES, VOLUMES, THREE_PASS)
_OTHERS = (LINEAR, PREFIX, PREFIX_PARALLEL, GEMM, SOFTMAX, EXP)
DECLARED: dict[str, Declared] = {one.name: one for one in (*_ATTENTION, *_OTHERS)}
"""Every kernel of the host, by name."""
