"""The methods that ship with lightbound: one file each, named after the method, holding one ``METHOD``.

A new file here is a new method: nothing else lists them. A file is imported when its method is asked for.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ..method import Method


def method_names() -> list[str]:
    """Names of all methods in this folder, sorted."""
    return sorted(module.name for module in iter_modules(__path__))


def load_method(name: str) -> Method:
    """The method of one of `method_names`."""
    method: Method = import_module(f"{__name__}.{name}").METHOD
    return method
