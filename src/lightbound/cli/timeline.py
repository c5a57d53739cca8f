"""Where a trace goes: to a file for the Perfetto UI, or, where a picture is asked for, drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.place import check_place
from lightbound.drawing import SUFFIXES

VIEWED = ".json"


def check_trace(path: Path | None) -> None:
    """Refuse a file of another kind, and one that cannot be written, before any work is done for it."""
    if path is None:
        return
    suffix = path.suffix.lower()
    if suffix not in (VIEWED, *SUFFIXES):
        remedy = choose_from((VIEWED, *SUFFIXES), suffix)
        raise LightboundError("--trace", str(path), "is of no kind that is written", remedy)
    check_place("--trace", path)
    if suffix in SUFFIXES:
        from lightbound.drawing import check_drawable

        check_drawable(path)


@contextmanager
def traced(path: Path | None) -> Iterator[Path | None]:
    """The file to which a trace is written: the one asked for, or one for the moment from which a picture is drawn."""
    if path is None or path.suffix.lower() not in SUFFIXES:
        yield path
        return
    from lightbound.drawing_timeline import draw_timeline

    with TemporaryDirectory() as folder:
        written = Path(folder) / "trace.json"
        yield written
        draw_timeline(written, path)
