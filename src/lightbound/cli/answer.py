"""What a command found, before anyone decides how to print it: tables and text, plain data, flat records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .charts.chart import Picture


@dataclass(frozen=True)
class Table:
    """Rows of text under headings. Columns named in `right` hold numbers and are aligned on the right."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    title: str = ""
    right: frozenset[str] = frozenset()

    def filled(self) -> Table:
        """The table without the columns that hold nothing."""
        places = [place for place in range(len(self.columns)) if any(row[place] for row in self.rows)]
        rows = [tuple(row[place] for place in places) for row in self.rows]
        return Table(tuple(self.columns[place] for place in places), rows, self.title, self.right)


@dataclass(frozen=True)
class Text:
    """Lines to read. A `verbatim` text (code, YAML) is printed as it is; any other is wrapped at the width.

    leads: a page tells it first; in a terminal, where the end is seen first, it comes last.
    """

    text: str
    title: str = ""
    verbatim: bool = False
    leads: bool = False


Block = Table | Text


@dataclass(frozen=True)
class Answer:
    """The blocks to read, the data for JSON, and records for csv; without records, the data's fields one by one.

    pictures: what a page draws beside the blocks. inputs: what the answer rests on, in full. Both are made when a page
    asks for them, since most answers are printed.
    """

    blocks: Sequence[Block]
    data: Any
    records: Sequence[Mapping[str, Any]] | None = field(default=None)
    pictures: Callable[[], Sequence[Picture]] = tuple
    inputs: Callable[[], Sequence[Block]] = tuple

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The records of the csv form."""
        if self.records is not None:
            return self.records
        return [{"field": path, "value": value} for path, value in flat(self.data)]


def flat(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested data with its path: ``levels.0.capacity_bytes``."""
    if isinstance(data, Mapping):
        items: Iterator[tuple[Any, Any]] = iter(data.items())
    elif isinstance(data, list | tuple):
        items = iter(enumerate(data))
    else:
        yield path, data
        return
    for key, value in items:
        yield from flat(value, f"{path}.{key}" if path else str(key))
