"""A method as data: its cascades, the sizes it is used at, where these come from, and how papers map it.

A method's file holds one ``METHOD`` and nothing that computes. Reading files, filling in sizes and choosing a
variant is the registry's work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .masks.mask import Mask


@dataclass(frozen=True)
class EndToEnd:
    """What a whole run of a model does with a method: `share` of its time without it, and in how many of its steps.

    The first `dense_steps` of `steps` may stay dense, which changes a result less; 0 where no step does.
    """

    share: float
    steps: int = 1
    dense_steps: int = 0
    source: str = ""


@dataclass(frozen=True)
class Method:
    """One method, in one or more variants that compute the same thing.

    `cascades` maps a variant's name to its text; the first is the default. `sizes` are the defaults of rank
    sizes, `presets` named sets of sizes that are laid over them, with a source for each in `preset_sources`.
    `mappings` are the named mappings of papers: plain data, or a function of sizes and machine quantities
    that returns it. Where variants are several functions rather than ways to compute one, they are not
    `interchangeable`. `backward` names the method that computes the gradients.

    A method with a `mask` has the sizes of the mask's queries and keys for the ranks `mask_ranks`. `options` are what
    the mask is made of, in lower case, with their defaults; presets may set them beside sizes. `end_to_end` says, for
    a preset, what share of a run the method is.
    """

    name: str
    title: str
    question: str
    """What one asks of this method: the question that a simulation of it answers."""
    source: str
    cascades: Mapping[str, str]
    sizes: Mapping[str, int] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    preset_sources: Mapping[str, str] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    mask: Callable[..., Mask] | None = None
    mask_ranks: tuple[str, str] = ("p", "m")
    options: Mapping[str, Any] = field(default_factory=dict)
    end_to_end: Mapping[str, EndToEnd] = field(default_factory=dict)
    interchangeable: bool = True
    backward: str | None = None

    @property
    def default_variant(self) -> str:
        return next(iter(self.cascades))
