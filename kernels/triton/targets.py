"""What kernels are compiled for."""

from __future__ import annotations

from lightbound.base.errors import LightboundError, choose_from

TARGETS: dict[str, tuple[str, int | str, int]] = {
    "sm_80": ("cuda", 80, 32),
    "sm_90": ("cuda", 90, 32),
    "sm_100": ("cuda", 100, 32),
    "gfx942": ("hip", "gfx942", 64),
}
"""By name: Triton's backend, its architecture, threads of a warp."""


def capability(target: str) -> int:
    """The number that kernels choose tiles by: 90 for sm_90, 942 for gfx942."""
    if target not in TARGETS:
        raise LightboundError("target", target, "is not compiled for", choose_from(TARGETS, target))
    return int(target.lstrip("smgfx_"))
