"""A method as data: its cascades, the sizes it is used at, where these come from, and how papers map it.

A method's file holds one ``METHOD`` and nothing that computes. Reading files, filling in sizes and choosing a
variant is the registry's work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .claim import Claim, Run

if TYPE_CHECKING:
    import numpy as np
    import torch

    from .masks.mask import Mask

Inputs = Callable[["np.random.Generator", Mapping[str, tuple[int, ...]], Mapping[str, int]], Mapping[str, Any]]
"""Draws what a cascade needs beside normal numbers (indices, masks, positive values): from a generator, the shapes of
all inputs and the sizes, to arrays by input."""
Reference = Callable[[str, Mapping[str, "torch.Tensor"], Mapping[str, int]], Mapping[str, "torch.Tensor"]]
"""A variant's name, its inputs by name and the sizes, to outputs by name: the mechanism as its authors would write it
in PyTorch, independent of the cascade's text."""


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
    that returns it. All variants are `interchangeable` where they are ways to compute one function, only those named
    where some are, none (False) where each computes another. `backward` names the method that computes the gradients.

    A method with a `mask` has the sizes of the mask's queries and keys for the ranks `mask_ranks`; the mask belongs to
    the variants that have both. `options` are what the mask is made of, in lower case, with their defaults; presets may
    set them beside sizes. `end_to_end` says, for a preset, what share of a run the method is.

    `weights` are the inputs that are learned, of all variants; `state` those that one step of inference hands to the
    next (a cache of keys, a running sum, a memory), beside what a cascade itself carries along a rank. `reference`
    proves what the cascades compute, at the preset ``tiny``, on inputs that are normal numbers but for those that
    `inputs` draws. `claims` are what the papers say of hardware; `assumed` is what no source states, by what it is
    about. `dense` is what the method replaces: another variant at the same sizes, or another method whose sizes are
    formulas of this one's (``{"M": "L", "P": "L"}``).

    `counted_apart` is where the default variant at ``tiny`` and a trace of `reference` (`trace.compare_counts`) count
    differently: a kind of operation to the reason, which names the Einsum or the call and says what each side counts;
    or ``trace`` to why the reference cannot be traced. What is not named there agrees.
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
    weights: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    reference: Reference | None = None
    inputs: Inputs | None = None
    claims: tuple[Claim, ...] = ()
    dense: Run | None = None
    counted_apart: Mapping[str, str] = field(default_factory=dict)
    assumed: Mapping[str, str] = field(default_factory=dict)
    interchangeable: bool | tuple[str, ...] = True
    backward: str | None = None

    @property
    def default_variant(self) -> str:
        return next(iter(self.cascades))

    def stands_for(self, variant: str, other: str) -> bool:
        """Whether two variants compute the same thing, so that a mapping of the one serves the other."""
        named = self.interchangeable
        return variant == other or (named if isinstance(named, bool) else {variant, other} <= set(named))
