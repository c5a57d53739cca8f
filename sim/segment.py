"""Runs of consecutive Einsums as a search sees them: two that differ in what tensors are called alone are the same.

A cascade repeats itself (layers, both directions of a recurrence, keys and values), and so do a method and what it is
compared with. What was found for one run holds for all that are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from lightbound.workloads.cascade import Cascade
from lightbound.workloads.einsum import Einsum

from .plan import pass_vectors

TENSOR = re.compile(r"tensor='(\w+)'")
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Segment:
    """Consecutive Einsums, `names`, of a cascade. Equal by `key`: by all that a mapping of them alone depends on."""

    key: tuple[Any, ...]
    cascade: Cascade = field(compare=False)
    names: tuple[str, ...] = field(compare=False)
    tensors: tuple[str, ...] = field(compare=False)

    def renaming(self, other: Segment) -> dict[str, str]:
        """By tensor of this segment the one in its place of an equal one."""
        return dict(zip(self.tensors, other.tensors, strict=True))


def segment_of(cascade: Cascade, names: tuple[str, ...]) -> Segment:
    """The segment of these Einsums."""
    inside = set(names)
    einsums = [cascade.einsum(name) for name in names]
    lines = [_pattern(einsum) for einsum in einsums]
    tensors = tuple(dict.fromkeys(tensor for _, found in lines for tensor in found))
    number = {tensor: place for place, tensor in enumerate(tensors)}
    ranks = {rank: int(cascade.size(rank)) for einsum in einsums for rank in einsum.ranks}
    words = {word for text, _ in lines for word in WORD.findall(text)}
    vectors = pass_vectors(cascade)
    walks = [vectors[name] for name in names]
    return Segment(
        (
            tuple((text, tuple(map(number.__getitem__, found))) for text, found in lines),
            tuple(_facts(cascade, tensor, inside, ranks) for tensor in tensors),
            tuple(sorted(ranks.items())),
            tuple(sorted((word, int(cascade.sizes[word])) for word in words if word in cascade.sizes)),
            _labels(walks),
            tuple(
                (family, _labels([walk[place] for walk in walks]))
                for place, family in enumerate(cascade.families)
                if any(rank in ranks for rank in cascade.families[family])
            ),
        ),
        cascade,
        names,
        tensors,
    )


def renamed(value: Any, tensors: Mapping[str, str]) -> Any:
    """Plain data in which Einsums and tensors stand, under other names."""
    if isinstance(value, str):
        return tensors.get(value, value)
    if isinstance(value, Mapping):
        return {key: renamed(item, tensors) if key in NAMED else item for key, item in value.items()}
    return [renamed(item, tensors) for item in value] if isinstance(value, list | tuple) else value


NAMED = ("einsums", "nest", "do", "hold", "spill")  # the fields of a group and of a bind in which tensors are named


@lru_cache(maxsize=4096)
def _pattern(einsum: Einsum) -> tuple[str, tuple[str, ...]]:
    """What an Einsum says without the names of its tensors, and those, in order."""
    text = f"{einsum.output!r} = {einsum.expr!r}"
    return TENSOR.sub("tensor", text), tuple(TENSOR.findall(text))


def _facts(cascade: Cascade, tensor: str, inside: set[str], ranks: Iterable[str]) -> tuple[Any, ...]:
    """What counts of a tensor besides how it is written and read here."""
    readers = cascade.readers(tensor)
    outside = [reader for reader in readers if reader.name not in inside]
    return (
        tensor in inside,
        tensor in cascade.outputs,
        bool(outside),
        frozenset(rank for reader in outside for rank in reader.ranks if rank in ranks) if tensor in inside else (),
        cascade.iterative.get(tensor, frozenset()),
        tuple(map(int, cascade.shape(tensor))),
    )


def _labels(values: list[Any]) -> tuple[int, ...]:
    """Which of the values are the same."""
    known: dict[Any, int] = {}
    return tuple(known.setdefault(value, len(known)) for value in values)
