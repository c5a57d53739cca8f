"""From a torch module to a cascade, through the ATen operators that it calls.

``trace(module, *inputs)`` runs the module once on fake tensors, which have shapes and no memory, and writes a line
for each operator. `replay` evaluates the lines with the module's parameters; `compare_counts` sets their
operations beside those of another cascade. Torch is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .traced import TracedCascade


def trace(
    module: Callable[..., Any],
    *inputs: Any,
    train: bool = False,
    name: str | None = None,
    ranks: Mapping[str, Sequence[str]] | None = None,
    **keywords: Any,
) -> TracedCascade:
    """The cascade of a torch module (or a function of tensors) at the shapes of its inputs.

    inputs, keywords: what the module is called with. Their values do not matter, only shapes and types; tensors
    and modules may be on the ``meta`` device or made under a ``FakeTensorMode``, which takes no memory.
    train: run forward in training mode and backward from given gradients of every output; the gradients of
    parameters are then outputs too. Otherwise the module runs in evaluation mode.
    ranks: names for the dimensions of inputs, such as ``{"x": "b s d"}``; by default they are letters by
    convention. Dimensions that an operator pairs become one rank; equal sizes alone do not.
    Raises LightboundError where the module's control flow depends on values, or a gradient is asked of nothing.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        from lightbound.base.errors import LightboundError

        raise LightboundError("trace", "torch", "is not installed", "pip install 'lightbound[torch]'.") from error
    from .session import run

    title = name or getattr(module, "__name__", type(module).__name__)
    return run(module, inputs, keywords, train, title, ranks or {})


def __getattr__(name: str) -> Any:
    from importlib import import_module

    homes = {
        "TracedCascade": "traced", "replay": "replaying", "scan": "scanning", "compare_counts": "comparison",
        "Origin": "builder", "weightless": "factory", "trace_factory": "factory",
        "load": "factory",
    }  # fmt: skip
    if name not in homes:
        raise AttributeError(name)
    return getattr(import_module(f".{homes[name]}", __name__), name)


__all__ = ["trace"]
