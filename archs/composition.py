"""Functions that a unit has no hardware for, computed step by step from the operations it has.

Which steps, and why so many, is data: data/parts/compositions.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lightbound.base.document import read_yaml
from lightbound.base.formula import Number

from .machine import Source

FILE = Path(__file__).parent / "data" / "parts" / "compositions.yaml"


@dataclass(frozen=True)
class Composition:
    """One function as counts of other operations, and on whose word."""

    steps: Mapping[str, int]
    source: Source


@cache
def compositions() -> Mapping[str, Composition]:
    """Every composed function by name; the steps of a later one may be earlier ones."""
    entries = read_yaml(FILE, "compositions")
    return {name: Composition(one["steps"], Source(one["source"], one["kind"])) for name, one in entries.items()}


def composed(stated: Mapping[str, Number]) -> Iterator[tuple[str, Number, Source]]:
    """What a table of costs (or of energies) that has the steps of a function, but not the function, gives for it."""
    known = dict(stated)
    for name, one in compositions().items():
        if name not in known and all(step in known for step in one.steps):
            known[name] = sum(count * known[step] for step, count in one.steps.items())
            yield name, known[name], one.source
