"""A method as data: its cascades, the sizes it is used at, where these come from, and how papers map it.

A method's file holds one ``METHOD`` and nothing that computes. Reading files, filling in sizes and choosing a
variant is the registry's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Method:
    """One method, in one or more variants that compute the same thing.

    `cascades` maps a variant's name to its text; the first is the default. `sizes` are the defaults of rank
    sizes, `presets` named sets of sizes that are laid over them, with a source for each in `preset_sources`.
    `mappings` are the named mappings of papers: plain data, or a function of sizes and machine quantities
    that returns it.
    """

    name: str
    title: str
    question: str
    """What one asks of this method: the question that a simulation of it answers."""
    source: str
    cascades: Mapping[str, str]
    sizes: Mapping[str, int] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    preset_sources: Mapping[str, str] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def default_variant(self) -> str:
        return next(iter(self.cascades))
