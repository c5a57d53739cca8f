"""The kernels of the host as plain data, by name: what validate/host predicts them from."""

from __future__ import annotations

from .declared import Declared
from .declared_attention import ATTENTION, PLANES, VOLUMES
from .declared_products import EXP, GEMM, SOFTMAX, THREE_PASS
from .declared_recurrent import LINEAR, PREFIX, PREFIX_PARALLEL

DECLARED: dict[str, Declared] = {
    one.name: one for one in (ATTENTION, PLANES, VOLUMES, THREE_PASS, LINEAR, PREFIX, PREFIX_PARALLEL, GEMM, SOFTMAX, EXP)
}
"""Every kernel of the host, by name."""
