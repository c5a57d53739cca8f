"""The architectures of cooperative perception that ship with lightbound: one file each, holding one ``build``.

A new file here is a new architecture: nothing else lists them. Files whose names begin with an underscore are what
several have alike.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

from ..architecture import Architecture


def architecture_names() -> list[str]:
    """Names of all architectures in this folder, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def load_architecture(name: str) -> Callable[..., Architecture]:
    """What builds one of `architecture_names` from a preset and options."""
    build: Callable[..., Architecture] = import_module(f"{__name__}.{name}").build
    return build
