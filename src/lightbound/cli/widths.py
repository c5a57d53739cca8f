"""How narrow a table can be: numbers stay whole, text folds, and headings of numbers break where their words end."""

from __future__ import annotations

import re

from .answer import Table

GUTTER = 3
"""Columns of the screen between two of a table."""
WORD = 12
"""A text column may be as narrow as its longest word, or as this where a word (a path, say) is longer."""


def narrowed(table: Table, width: int) -> tuple[int, ...] | None:
    """Widths of columns with which a table can be drawn at `width`; None where there are none.

    Headings of numbers are broken only where the table does not fit with whole ones and folded text.
    """
    gutters = GUTTER * (len(table.columns) - 1)
    whole = tuple(_least(table, place, broken=False) for place in range(len(table.columns)))
    if sum(whole) + gutters <= width:
        return whole
    least = tuple(_least(table, place, broken=True) for place in range(len(table.columns)))
    return least if sum(least) + gutters <= width else None


def broken(heading: str, width: int) -> str:
    """A heading over lines of at most a width, broken between words and behind underscores, where that is enough."""
    lines = [""]
    for part in _parts(heading):
        joined = lines[-1] + part
        if lines[-1] and _length(joined.rstrip()) > width:
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(line.rstrip() for line in lines)


def _least(table: Table, place: int, broken: bool) -> int:
    heading = table.columns[place]
    cells = [row[place] for row in table.rows]
    if heading not in table.right:
        return min(WORD, max(_longest(part) for part in (heading, *cells)))
    words = _parts(heading) if broken else [heading]
    return max(_length(one) for one in (*words, *cells))


def _longest(text: str) -> int:
    return max((_length(word) for word in text.split()), default=0)


def _parts(heading: str) -> list[str]:
    return re.findall(r"[^_ ]*(?:[_ ]+|$)", heading)[:-1] or [heading]


def _length(text: str) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, text.splitlines()), default=0)
