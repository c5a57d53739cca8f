"""What makes an answer again: the command as it was typed, when it ran, and the versions that it ran on."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from lightbound import __version__

PACKAGES = ("numpy", "pydantic", "plotly")
GIVEN: ContextVar[Sequence[str] | None] = ContextVar("arguments of the command that runs", default=None)
_FILES = ("--report", "--plot", "--trace")  # they change nothing in the answer


def command() -> str:
    """The command, without the files that it was asked to write."""
    given = list(sys.argv[1:] if GIVEN.get() is None else GIVEN.get() or ())
    kept: list[str] = []
    while given:
        word = given.pop(0)
        if word in _FILES:
            given = given[1:]
        elif not word.startswith(tuple(f"{name}=" for name in _FILES)):
            kept.append(word)
    return shlex.join(["lightbound", *kept])


def versions() -> list[tuple[str, str]]:
    """What it ran on, by name."""
    found = [("lightbound", __version__), ("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return [*found, ("system", platform.platform())]


def moment() -> str:
    """Now, to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
