"""Tables of reference figures in CSV, read strictly: every cell that cannot be used is named by line and column.

The same reader serves the figures that ship with lightbound and files that users hand in. It knows what a column may
hold, not what it means.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightbound.base.document import read_text
from lightbound.base.errors import LightboundError, choose_from

LIMIT_BYTES = 20_000_000
LARGEST = 1 << 40  # no size is larger: products of six of them are still numbers


@dataclass(frozen=True)
class Column:
    """One column: `text` from `choices` where there are any (case does not matter), a `whole` number of at least 1,
    or a finite `number` above 0. An optional column may be absent, and its cells and those of an `empty` one blank.
    """

    name: str
    kind: Literal["text", "whole", "number"]
    choices: tuple[str, ...] = ()
    empty: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Case:
    """One row: where it stands (file and line, for messages), and the cells that are not blank."""

    where: str
    cells: Mapping[str, Any]


def read_cases(path: str | Path, columns: Sequence[Column]) -> list[Case]:
    """The rows of a CSV file whose first line, comments (``#``) and blank lines apart, names its columns in any order.

    Raises LightboundError, with file, line and column, for a file that is missing, not UTF-8, or holds no row, for an
    unknown, missing or repeated column, and for a cell that is not what its column holds.
    """
    header: list[str] | None = None
    cases: list[Case] = []
    for number, line in enumerate(read_text(path, "cases", LIMIT_BYTES).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"cases {path}, line {number}"
        cells = _split(line, where)
        if header is None:
            header = _header(cells, columns, where)
        else:
            cases.append(Case(where, _row(cells, header, columns, where)))
    if not cases:
        problem = "is empty" if header is None else "has no row below its header"
        remedy = f"Write a header, {','.join(c.name for c in columns if not c.optional)}, and one line for each point."
        raise LightboundError("cases", str(path), problem, remedy)
    return cases


def _split(line: str, where: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True))]
    except csv.Error as error:
        problem = f"is not a line of comma-separated values ({error})"
        raise LightboundError(where, line[:60], problem, "Correct its quotes.") from error


def _header(cells: list[str], columns: Sequence[Column], where: str) -> list[str]:
    known = [column.name for column in columns]
    for name in cells:
        if name not in known:
            raise LightboundError(f"{where}: column", name, "is not known", choose_from(known, name))
        if cells.count(name) > 1:
            raise LightboundError(f"{where}: column", name, "is there twice", "Keep one.")
    for column in columns:
        if not column.optional and column.name not in cells:
            remedy = f"Add it; the columns are {', '.join(known)}."
            raise LightboundError(f"{where}: column", column.name, "is missing", remedy)
    return cells


def _row(cells: list[str], header: list[str], columns: Sequence[Column], where: str) -> dict[str, Any]:
    if len(cells) != len(header):
        remedy = f"Give every row the cells of the header: {','.join(header)}."
        raise LightboundError(where, f"{len(cells)} cells", f"does not match {len(header)} columns", remedy)
    by_name = {column.name: column for column in columns}
    row: dict[str, Any] = {}
    for name, text in zip(header, cells, strict=True):
        column = by_name[name]
        if text:
            row[name] = _cell(text, column, f"{where}: {name}")
        elif not (column.empty or column.optional):
            raise LightboundError(f"{where}: {name}", None, "is empty", "Fill the cell, or remove the row.")
    return row


def _cell(text: str, column: Column, where: str) -> Any:
    if column.kind == "text":
        if not column.choices:
            return text
        chosen = next((choice for choice in column.choices if choice.lower() == text.lower()), None)
        if chosen is None:
            raise LightboundError(where, text, "is not known", choose_from(column.choices, text))
        return chosen
    if column.kind == "whole":
        if not (text.isascii() and text.isdigit() and int(text[:20]) in range(1, LARGEST + 1)):
            problem = f"is not a whole number from 1 to {LARGEST}"
            raise LightboundError(where, text, problem, "Write one in digits, such as 1024.")
        return int(text)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        remedy = "Write one, such as 1.5e-3" + (", or leave the cell blank." if column.empty else ".")
        raise LightboundError(where, text, "is not a finite number above 0", remedy)
    return value
