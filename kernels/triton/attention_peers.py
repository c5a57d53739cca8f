"""PyTorch's scaled dot product attention by one of its backends, on the inputs that the kernels have.

Its causal mask stands at the first key and it knows no windows: cases that differ there raise LightboundError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightbound.base.errors import LightboundError

from .attention_shapes import shape_of
from .kernel import Case

BACKENDS = {"flash": "FLASH_ATTENTION", "cudnn": "CUDNN_ATTENTION", "efficient": "EFFICIENT_ATTENTION"}


def peer(name: str, case: Case, device: str, seed: int) -> Callable[[], Any]:
    """The forward pass by a backend."""
    from .attention import tensors

    q, k, v = tensors(shape_of(case), device, seed)
    return _forward(name, case, q, k, v)


def backward_peer(name: str, case: Case, device: str, seed: int) -> Callable[[], Any]:
    """The backward pass alone by a backend, of a forward pass that has run before."""
    import torch

    from .attention import tensors

    shape = shape_of(case)
    inputs = [one.requires_grad_() for one in tensors(shape, device, seed)]
    out = _forward(name, case, *inputs)()
    upper = torch.randn(out.shape, device=device, dtype=out.dtype)
    return lambda: torch.autograd.grad(out, inputs, upper, retain_graph=True)


def _forward(name: str, case: Case, q: Any, k: Any, v: Any) -> Callable[[], Any]:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    shape = shape_of(case)
    if shape.window or (shape.causal and shape.queries != shape.keys):
        remedy = "Time the kernel without this peer."
        raise LightboundError("peer", name, f"has no mask such as that of {case.name}", remedy)
    backend = getattr(SDPBackend, BACKENDS[name])
    if name == "efficient":  # it knows no shared heads of keys
        k, v = (one.repeat_interleave(shape.group, 1) for one in (k, v))
    shared = name != "efficient" and shape.group > 1

    def run() -> Any:
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(q, k, v, is_causal=bool(shape.causal), enable_gqa=shared)

    return run
