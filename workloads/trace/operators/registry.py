"""Where lowerings register: a function for each ATen operator, by its name without overload (``aten.mm``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ...expression import Expr

F = TypeVar("F", bound=Callable[..., Any])

LOWERINGS: dict[str, Callable[..., Any]] = {}
"""A lowering takes the Call and the operator's arguments, tensors as Values, and gives a Value for each result."""
POINTWISE: dict[str, Callable[..., Expr]] = {}
"""A pointwise lowering takes and gives expressions; broadcasting is done for it."""


def lowers(*names: str) -> Callable[[F], F]:
    """Registers a lowering under names of ATen operators."""

    def register(function: F) -> F:
        LOWERINGS.update(dict.fromkeys((f"aten.{name}" for name in names), function))
        return function

    return register


def elementwise(*names: str) -> Callable[[F], F]:
    """Registers a pointwise lowering under names of ATen operators."""

    def register(function: F) -> F:
        POINTWISE.update(dict.fromkeys((f"aten.{name}" for name in names), function))
        return function

    return register
