"""The suites that ship with lightbound: one file each, named after the suite, holding one ``SUITE``.

A new file here is a new suite: nothing else lists them. A file is imported when its suite is asked for.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ..suite import Suite


def suite_names() -> list[str]:
    """Names of all suites in this folder, sorted."""
    return sorted(module.name for module in iter_modules(__path__))


def load_suite(name: str) -> Suite:
    """The suite of one of `suite_names`."""
    suite: Suite = import_module(f"{__name__}.{name}").SUITE
    return suite
