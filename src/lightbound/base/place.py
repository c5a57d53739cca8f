"""Places of output: refused before any work where nothing can be written, and one error where a write fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from .errors import LightboundError


def check_place(field: str, path: Path) -> None:
    """Refuse a file that cannot be written, before any work is done for it. `field` says in errors whose it is."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise LightboundError(field, str(path), "lies in a folder that does not exist", f"Make {path.parent} first.")
    if path.is_dir():
        raise LightboundError(field, str(path), "is a folder", "Name a file.")
    with writing(field, path), TemporaryFile(dir=folder):  # rights alone do not tell
        pass


@contextmanager
def writing(field: str, path: Path) -> Iterator[None]:
    """Whatever keeps the system from writing a file inside is an error that names the file."""
    try:
        yield
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})"
        raise LightboundError(field, str(path), problem, "Name a file in a folder that can be written.") from error
