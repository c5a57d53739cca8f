"""Where an error stands in the text of a cascade: the line, and a caret under the column."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from lightbound.base.errors import LightboundError


@dataclass(frozen=True)
class Source:
    """A text being read: what errors call it, its lines, and which capital words are scalar tensors."""

    name: str
    lines: tuple[str, ...]
    scalars: frozenset[str] = frozenset()

    def error(self, node: ast.AST, value: object, problem: str, remedy: str) -> LightboundError:
        """The error for a node of the syntax tree, with a caret under its first character."""
        line, offset = getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
        row = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        column = len(row.encode()[:offset].decode(errors="ignore"))  # ast counts bytes, a caret counts characters
        return error_at(self.name, line, row, column, value, problem, remedy)


def error_at(
    name: str, line: int, text: str, column: int | None, value: object, problem: str, remedy: str
) -> LightboundError:
    """The error for one place of a cascade. `line` counts from 1, `column` from 0 or is None."""
    where = f"{name}, line {line}" if line else name
    excerpt = ""
    if text.strip():
        margin = " " * len(str(line))
        excerpt = f"\n  {line} | {text}"
        if column is not None:
            excerpt += f"\n  {margin} | {' ' * column}^"
    return LightboundError(where, value, problem, remedy + excerpt)


def error_in(name: str, line: int, text: str, token: str, problem: str, remedy: str) -> LightboundError:
    """The error for a word of an Einsum, whose text may span lines; the caret goes under the word."""
    pattern = re.compile(rf"(?<!\w){re.escape(token)}(?!\w)")
    for number, row in enumerate(text.splitlines()):
        if found := pattern.search(row):
            return error_at(name, line + number if line else 0, row, found.start(), token, problem, remedy)
    first = text.splitlines()[0] if text else ""
    return error_at(name, line, first, None, token, problem, remedy)
