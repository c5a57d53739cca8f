"""Where a trace goes: to a file for the Perfetto UI, or, where a picture is asked for, drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lightbound.drawing import SUFFIXES


@contextmanager
def traced(path: Path | None) -> Iterator[Path | None]:
    """The file to which a trace is written: the one asked for, or one for the moment from which a picture is drawn."""
    if path is None or path.suffix.lower() not in SUFFIXES:
        yield path
        return
    from lightbound.drawing import check_drawable
    from lightbound.drawing_timeline import draw_timeline

    check_drawable(path)
    with TemporaryDirectory() as folder:
        written = Path(folder) / "trace.json"
        yield written
        draw_timeline(written, path)
