"""Ranks of a traced module: which dimensions an operator ties, which it keeps apart, and what they are called.

A rank is an identifier (``r12_``, its size ``R12_``) until the end of a trace. Two ranks become one where an
operator pairs them, unless some line already runs over both: attention reads one sequence as queries and as
keys, and these stay two ranks of one length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..expression import CONSTANTS, FUNCTIONS, REDUCTIONS, Affine, size_symbol

_RESERVED = {
    *FUNCTIONS,
    *REDUCTIONS,
    *CONSTANTS,
    "scan",
    "scatter",
    "topk",
    "where",
    "opaque",
    "and",
    "or",
    "not",
    "if",
    "in",
}
_RESERVED |= {"is", "as", "for", "del", "def", "try", "from", "with", "else", "pass", "size", "lambda", "import"}


@dataclass
class _Rank:
    size: int
    hint: str
    parent: str | None = None
    apart: set[str] = field(default_factory=set)
    parts: dict[tuple[int, ...], tuple[str, ...]] = field(default_factory=dict)


class Ranks:
    """All ranks of one trace. Ranks are named by their identifiers; `find` gives the one that stands for them."""

    def __init__(self) -> None:
        self._all: dict[str, _Rank] = {}
        self._shared: dict[tuple[str, str, int, int], str] = {}
        self._turn: dict[tuple[str, str], int] = {}

    def fresh(self, size: int, hint: str, place: str = "", forbidden: Iterable[str] = ()) -> str:
        """A new rank. Ranks that are made in the same order at the same `place` (a module's path without its
        numbers) are one: layers that repeat share the names of their ranks."""
        taken = {self.find(rank) for rank in forbidden}
        if place:
            turn = self._turn[place, hint] = self._turn.get((place, hint), -1) + 1
            kind = re.sub(r"(?<![^.])\d+(?![^.])", "*", place)  # a number between dots
            known = self._shared.get((kind, hint, turn, size))
            if known is not None and self.find(known) not in taken:
                return self.find(known)
            made = self._make(size, hint)
            self._shared.setdefault((kind, hint, turn, size), made)
            return made
        return self._make(size, hint)

    def restart(self, place: str) -> None:
        """A module begins (again): its ranks are counted from the first."""
        for key in [key for key in self._turn if key[0] == place]:
            del self._turn[key]

    def _make(self, size: int, hint: str) -> str:
        name = f"r{len(self._all)}_"
        self._all[name] = _Rank(size, hint)
        return name

    def find(self, rank: str) -> str:
        """The rank that stands for this one and all that are tied to it."""
        root = rank
        while (parent := self._all[root].parent) is not None:
            root = parent
        while (parent := self._all[rank].parent) is not None:
            self._all[rank].parent = root
            rank = parent
        return root

    def size(self, rank: str) -> int:
        """How many coordinates it has."""
        return self._all[rank].size

    def hint(self, rank: str) -> str:
        """What it would like to be called."""
        return self._all[self.find(rank)].hint

    def keep_apart(self, ranks: Iterable[str]) -> None:
        """These index one line or tensor together, so that no two of them may ever become one."""
        roots = [self.find(rank) for rank in ranks]
        for root in roots:
            self._all[root].apart.update(other for other in roots if other != root)

    def tie(self, kept: str, other: str) -> bool:
        """Make two ranks one where that is possible; whether they are one now."""
        kept, other = self.find(kept), self.find(other)
        if kept == other:
            return True
        into, from_ = self._all[kept], self._all[other]
        if into.size != from_.size or any(self.find(rank) == kept for rank in from_.apart):
            return False
        from_.parent = kept
        into.apart |= from_.apart
        for rank in from_.apart:
            self._all[self.find(rank)].apart.add(kept)
        if _rank_of_hint(from_.hint) < _rank_of_hint(into.hint):
            into.hint = from_.hint
        for sizes, parts in from_.parts.items():
            for mine, theirs in zip(into.parts.setdefault(sizes, parts), parts, strict=True):
                self.tie(mine, theirs)
        return True

    def split(self, rank: str, sizes: tuple[int, ...], hints: tuple[str, ...], forbidden: Iterable[str]) -> list[str]:
        """The ranks that count through this one; the same for every tensor that splits it alike."""
        taken = {self.find(one) for one in forbidden}
        root = self.find(rank)
        known = self._all[root].parts.get(sizes)
        if known is not None:
            parts = [self.find(part) for part in known]
            if not taken.intersection(parts) and len(set(parts)) == len(parts):
                return parts
        parts = [self._make(size, hint) for size, hint in zip(sizes, hints, strict=True)]
        self._all[root].parts.setdefault(sizes, tuple(parts))
        self.keep_apart(parts)
        return parts

    def count(self, parts: Iterable[str]) -> Affine:
        """The index that counts through ranks, outer to inner: ``h*E + e``."""
        terms: list[tuple[int | str, str]] = []
        stride: list[str] = []
        for rank in reversed([self.find(part) for part in parts]):
            terms.append((" * ".join(stride) if stride else 1, rank))
            stride.insert(0, size_symbol(rank))
        return Affine(tuple(reversed(terms)))

    def names(self, used: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
        """A readable name for each rank in use, none of whose sizes is called as something in `taken`."""
        taken = {*taken}
        given: dict[str, str] = {}
        for rank in dict.fromkeys(self.find(rank) for rank in used):
            word = re.sub(r"[^a-z_]", "", self._all[rank].hint.lower()).strip("_") or "n"
            name, number = word, 0
            while name in _RESERVED or size_symbol(name) in taken:
                name = f"{word}{_letters(number)}" if len(word) == 1 else f"{word}_{_letters(number)}"
                number += 1
            taken.add(size_symbol(name))
            given[rank] = name
        return given


def _rank_of_hint(hint: str) -> int:
    """Single letters are the words people use for ranks; a role's name comes after; `n` says nothing."""
    return 2 if hint == "n" else 0 if len(hint) == 1 else 1


def _letters(number: int) -> str:
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
