"""Machines that were probed on this computer: files in the user's cache, found by name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROBED = {"host": "lightbound probe host", "cuda": "lightbound probe cuda"}
"""Names of machines that a probe writes, and the command that does."""


def cache_folder() -> Path:
    """Where lightbound keeps what it measured: ``LIGHTBOUND_CACHE``, else the user's cache folder of the system."""
    if given := os.environ.get("LIGHTBOUND_CACHE"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lightbound"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightbound"


def probed_file(name: str) -> Path:
    """The file of a probed machine, whether it is there or not."""
    return cache_folder() / f"{name}.yaml"
