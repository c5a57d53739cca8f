"""Printing an Answer: tables for people, JSON and csv for programs, these alone on standard output.

All tables of the command line are drawn here. Colour and width follow the terminal (NO_COLOR, COLUMNS); where
nothing tells the width, it is 110.
"""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from lightbound.base.errors import LightboundError, choose_from

from .answer import Answer, Table
from .widths import broken, narrowed

if TYPE_CHECKING:
    from rich.console import Console

FORMATS = ("table", "json", "csv")
WIDTH = 110


def check_format(form: str) -> None:
    """Refuse a format that does not exist, before any work is done for it."""
    if form not in FORMATS:
        raise LightboundError("--format", form, "is not a format", choose_from(FORMATS, form))


def publish(answer: Answer, form: str) -> None:
    """Print an answer on standard output as a ``table``, ``json`` or ``csv``."""
    if form == "json":
        print(json.dumps(_plain(answer.data), indent=2, ensure_ascii=False, allow_nan=False))
    elif form == "csv":
        write_records(answer.rows(), sys.stdout)
    else:
        _draw(answer)


def note(text: str) -> None:
    """A remark beside the answer, on standard error."""
    console(sys.stderr).print(text)


def console(stream: TextIO | None = None) -> Console:
    """A console that takes text as it is: brackets are ranks here, not markup."""
    from rich.console import Console

    file: Any = sys.stdout if stream is None else stream
    told = file.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(
        file=file, width=None if told else WIDTH, markup=False, highlight=False, emoji=False, soft_wrap=False
    )


def _draw(answer: Answer) -> None:
    screen = console()
    for number, block in enumerate(answer.blocks):
        if number:
            screen.print()
        if block.title:
            screen.print(block.title, style="bold")
        if isinstance(block, Table):
            _draw_table(screen, block)
        else:
            screen.print(block.text, soft_wrap=block.verbatim)


def _draw_table(screen: Console, table: Table) -> None:
    """Columns that hold nothing are left out. Nothing is cropped: a table that cannot be as narrow as the screen is
    told record by record.
    """
    from rich import box
    from rich.table import Table as Drawn

    filled = table.filled()
    widths = narrowed(filled, screen.width)
    if widths is None:
        _draw_records(screen, filled)
        return
    drawn = Drawn(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name, width in zip(filled.columns, widths, strict=True):
        number = name in filled.right  # a number is never broken over lines
        heading = broken(name, width) if number else name
        drawn.add_column(heading, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in filled.rows:
        drawn.add_row(*row)
    screen.print(drawn)


def _draw_records(screen: Console, table: Table) -> None:
    """Each row as lines of a name and a value."""
    from rich.table import Table as Drawn

    for number, row in enumerate(table.rows):
        if number:
            screen.print()
        drawn = Drawn.grid(padding=(0, 3), pad_edge=False)
        drawn.add_column(overflow="fold", style="bold")
        drawn.add_column(overflow="fold")
        for name, cell in zip(table.columns, row, strict=True):
            if cell:
                drawn.add_row(name, cell)
        screen.print(drawn)


def write_records(records: Sequence[Mapping[str, Any]], stream: TextIO) -> None:
    """Records as csv, with a column for each name that any of them has."""
    columns = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _cell(value) for name, value in record.items()})


def _cell(value: Any) -> Any:
    plain = _plain(value)
    return json.dumps(plain) if isinstance(plain, dict | list) else plain


def _plain(value: Any) -> Any:
    """JSON's own types. JSON has no infinity and no NaN: both become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # a numpy number or array
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
