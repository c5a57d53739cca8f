"""An Answer as a file to keep or hand on: one page that opens anywhere, Markdown, or rows.

The file is complete or it is not there: it is written beside its place and then moved.
"""

from __future__ import annotations

import io
import os
from importlib.resources import files
from pathlib import Path

from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.place import check_place, writing

from .answer import Answer, Table
from .output import write_records
from .paging import page

SUFFIXES = (".html", ".md", ".csv")
NO_PLOTLY = "The plots are left out, as plotly is not installed: pip install 'lightbound[report]'."


def check_file(option: str, path: Path) -> None:
    """Refuse a file that cannot be written, before any work is done for it."""
    if path.suffix not in SUFFIXES:
        raise LightboundError(option, str(path), "is of no kind that is written", choose_from(SUFFIXES, path.suffix))
    check_place(option, path)


def write(answer: Answer, title: str, path: Path) -> list[str]:
    """Write an answer to a file of one of SUFFIXES. Returns what a reader has to know about it, in sentences."""
    if path.suffix == ".html":
        script = plotly()
        text, remarks = page(answer, title, script), [] if script else [NO_PLOTLY]
    else:
        text, remarks = {".md": _markdown, ".csv": _rows}[path.suffix](answer, title), []
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with writing("--report", path):
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    return remarks


def plotly() -> str:
    """The script that draws the plots of a page; empty where it is not installed."""
    try:
        return files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        return ""


def _markdown(answer: Answer, title: str) -> str:
    parts = [f"# {_text(title)}"]
    for block in answer.blocks:
        parts += [f"## {_text(block.title)}"] if block.title else []
        parts.append(markdown_table(block.filled()) if isinstance(block, Table) else _text(block.text))
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """A table in Markdown, numbers aligned on the right."""
    rule = ["---:" if column in table.right else "---" for column in table.columns]
    rows = [table.columns, rule, *table.rows]
    lines = ((_text(cell).replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(text: str) -> str:
    """Text in which no HTML begins."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _rows(answer: Answer, title: str) -> str:
    stream = io.StringIO()
    write_records(answer.rows(), stream)
    return stream.getvalue()
