"""The command line, ``lightbound``: the library's questions asked from a shell.

It reads what users write, calls the library and prints; it computes nothing that a model decides. `main` is the way
in. Importing it costs little: the library behind a command loads when that command runs.
"""

from __future__ import annotations

from .entry import main

__all__ = ["main"]
