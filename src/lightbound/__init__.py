"""lightbound: how fast a method can run on a machine, what stops it, and how large its buffers must be.

Names are loaded on first use, so that importing lightbound costs almost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightbound.base.errors import LightboundError as LightboundError

_HOME = {
    "LightboundError": "lightbound.base.errors",
}
__all__ = ["LightboundError"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'lightbound' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
