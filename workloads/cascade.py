"""A cascade: what is computed, as a directed acyclic graph of Einsums over named ranks.

It is immutable. `parse` reads the text, `structure` analyses the lines, `sizes` completes the sizes; this is
the value that carries the three around. It says nothing about how, where or how fast anything is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import formula, maximum

from .check import check
from .einsum import Einsum
from .expression import CONSTANTS, Access, Affine, Coefficient, size_symbol
from .parse import parse
from .sizes import Size, complete, missing
from .structure import Dependency, Partition, Structure

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False)
class Cascade:
    """Einsums in an order in which they can be computed, and the sizes of their ranks, where known.

    `initial` holds the first values of iterative tensors (``RM[0,p] = -inf``); `declared` the stored
    dimensions that a line ``X: [T, D]`` states; `parameters` the free sizes that a line ``W: size`` names.
    Two cascades are equal when their lines say the same and their sizes agree, whatever they are called.
    """

    name: str
    einsums: tuple[Einsum, ...]
    initial: tuple[Einsum, ...] = ()
    sizes: Mapping[str, Size] = field(default_factory=dict)
    declared: Mapping[str, tuple[Coefficient, ...]] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    derived: frozenset[str] = field(default=frozenset(), repr=False)
    structure: Structure = field(default=None, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.structure is None or self.structure.einsums is not self.einsums:
            place = {einsum.name: number for number, einsum in enumerate(self.einsums)}
            initial = tuple(sorted(self.initial, key=lambda first: place.get(first.name, -1)))
            structure = Structure(self.einsums, initial, dict(self.declared), self.parameters)
            check(structure, self.name)
            object.__setattr__(self, "initial", initial)
            object.__setattr__(self, "structure", structure)
            sizes, derived = complete(structure, {}, frozenset(), self.sizes)
            object.__setattr__(self, "sizes", sizes)
            object.__setattr__(self, "derived", derived)
        self._check_renamed()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cascade):
            return NotImplemented
        if self is other:
            return True
        same_lines = self.structure.first is other.structure.first or self.structure == other.structure
        return same_lines and self.sizes.keys() == other.sizes.keys() and all(
            np.array_equal(value, other.sizes[symbol]) for symbol, value in self.sizes.items()
        )  # fmt: skip

    def __hash__(self) -> int:
        sizes = frozenset(item for item in self.sizes.items() if isinstance(item[1], int))
        return hash((self.structure.digest, sizes))

    def __repr__(self) -> str:
        return f"Cascade({self.name!r}, {len(self.einsums)} Einsums, sizes={dict(self.sizes)})"

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str, sizes: Mapping[str, Size] | None = None, name: str = "cascade") -> Cascade:
        """The cascade a text describes; see docs/cascades.md for the language.

        Raises LightboundError with the line, a caret and a remedy.
        """
        program = parse(text, name)
        stated = {**program.sizes, **(sizes or {})}
        return cls(name, program.einsums, program.initial, stated, program.declared, program.parameters)

    # ---- tensors and Einsums

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tensors that are read and never written, in order of first use."""
        return self.structure.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """Tensors that are written and that nobody reads (a recurrence's own reads do not count)."""
        return self.structure.outputs

    @property
    def intermediates(self) -> tuple[str, ...]:
        """Tensors that one Einsum writes and another reads."""
        return self.structure.intermediates

    @property
    def tensors(self) -> tuple[str, ...]:
        """Every tensor, in order of first use."""
        return tuple(self.structure.accesses)

    @property
    def ranks(self) -> tuple[str, ...]:
        """Every rank, in order of first use."""
        return self.structure.ranks

    @property
    def families(self) -> dict[str, tuple[str, ...]]:
        """Ranks that partition one another, by the name they share: ``{"m": ("m1", "m0")}``."""
        return self.structure.families

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names of all sizes: of ranks, of what they partition, and of declared parameters."""
        return self.structure.symbols

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Sizes that are the product of others, such as M of M1 and M0."""
        return self.structure.partitions

    @property
    def iterative(self) -> dict[str, frozenset[str]]:
        """Tensors written at the next iterate (``RM[m1+1, p] = ...``), with the ranks they step along."""
        return self.structure.iterative

    @property
    def dependencies(self) -> tuple[Dependency, ...]:
        """Who reads whom, reads of earlier iterates included and marked."""
        return self.structure.dependencies

    def einsum(self, name: str) -> Einsum:
        """The Einsum that writes a tensor; LightboundError where there is none."""
        found = self.structure.writers.get(name)
        if found is None:
            raise LightboundError("einsum", name, f"is not an Einsum of {self.name}", choose_from(self._names, name))
        return found

    def writer(self, tensor: str) -> Einsum | None:
        """The Einsum that writes a tensor; None for an input."""
        return self.structure.writers.get(tensor)

    def readers(self, tensor: str) -> tuple[Einsum, ...]:
        """The Einsums that read a tensor, in order; lines that set a first value are not among them."""
        return self.structure.readers.get(tensor, ())

    def accesses(self, tensor: str) -> tuple[Access, ...]:
        """Every distinct access of a tensor, reads and writes."""
        return self.structure.accesses.get(tensor, ())

    @property
    def graph(self) -> nx.DiGraph:
        """The Einsums as a networkx DAG of one step: names as nodes, edges with a `tensor` each.

        Reading an iterative tensor at ``m1`` where it is written at ``m1+1`` reaches back to the step before,
        and makes no edge. Reading it at ``m1+1``, or at its last iterate ``M1``, does.
        """
        return self.structure.graph

    # ---- sizes

    def with_sizes(self, **sizes: Size) -> Cascade:
        """The same cascade with these sizes put over its own.

        A size is a positive integer, or in a sweep a float64 array of such numbers. Sizes that follow are
        derived: with M and M0 also M1, which must be whole; with M1 and M0 also M. Changing M0 keeps M and
        derives M1 again. LightboundError for an unknown name, or what is not a positive integer.
        """
        known, derived = complete(self.structure, self.sizes, self.derived, sizes)
        return replace(self, sizes=known, derived=derived)

    @property
    def missing_sizes(self) -> tuple[str, ...]:
        """The sizes that must still be chosen. What will follow from them is not listed."""
        return missing(self.structure, self.sizes)

    def size(self, rank: str) -> Size:
        """How many coordinates a rank has; LightboundError where that is not known yet."""
        return self.value(size_symbol(rank))

    def value(self, coefficient: Coefficient) -> Size:
        """A whole number as it is; a formula of sizes evaluated. LightboundError where a size is missing."""
        if isinstance(coefficient, int):
            return coefficient
        found = self.sizes.get(coefficient)
        if found is not None:
            return found
        parsed = formula(coefficient)
        for symbol in sorted(parsed.names):
            if symbol not in self.sizes and symbol not in CONSTANTS:
                remedy = f"Choose it: with_sizes({symbol}=...). Missing: {', '.join(self.missing_sizes)}."
                raise LightboundError(f"sizes.{symbol}", None, f"has no value in {self.name}", remedy)
        return parsed({**CONSTANTS, **self.sizes})

    def shape(self, tensor: str) -> tuple[Size, ...]:
        """The dimensions of a tensor as it is stored, in elements.

        An iterative dimension stores its first value and every iterate (M1 + 1). A dimension of an input that
        only affine indices reach is as long as they reach (``t*2+k-1``), unless a line declares it.
        """
        if tensor not in self._shapes:
            self._shapes[tensor] = tuple(self._length(tensor, place) for place in range(self._arity(tensor)))
        return self._shapes[tensor]

    def _check_renamed(self) -> None:
        """A tensor written over one rank and read over another must be long enough for the reader."""
        for access, place, written, read in self.structure.renamed:
            length, reads = self.sizes.get(size_symbol(written)), self.sizes.get(size_symbol(read))
            if isinstance(length, int) and isinstance(reads, int):
                stored = length + (written in self.iterative.get(access.tensor, ()))
                if reads > stored:
                    raise LightboundError(
                        f"sizes.{size_symbol(read)}", reads,
                        f"is more than the {stored} elements of {access.tensor} along dimension {place}",
                        f"Choose {size_symbol(read)} of at most {stored}, or more {size_symbol(written)}.",
                    )  # fmt: skip

    def _arity(self, tensor: str) -> int:
        seen = self.accesses(tensor)
        if not seen:
            raise LightboundError("tensor", tensor, f"is not in {self.name}", choose_from(self.tensors, tensor))
        return len(seen[0].indices)

    def _length(self, tensor: str, place: int) -> Size:
        if (writer := self.writer(tensor)) is not None:
            indices = [writer.output.indices[place]]
        elif tensor in self.declared:
            return self.value(self.declared[tensor][place])
        else:
            indices = [access.indices[place] for access in self.accesses(tensor)]
        affine = [index for index in indices if isinstance(index, Affine)]
        plain = [index for index in affine if index.rank is not None]
        return maximum(1, *(self._reach(index) for index in plain or affine))

    def _reach(self, index: Affine) -> Size:
        """One more than the largest position an index takes."""
        reach = self.value(index.offset) + 1
        for coefficient, rank in index.terms:
            reach = reach + maximum(self.value(coefficient), 0) * (self.size(rank) - 1)
        return reach

    # ---- text and numbers

    @cached_property
    def _shapes(self) -> dict[str, tuple[Size, ...]]:
        return {}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(einsum.name for einsum in self.einsums)

    @property
    def text(self) -> str:
        """The lines in their own language, one spelling for equal lines, without sizes."""
        from .printing import format_cascade

        return format_cascade(self.structure)

    @property
    def sized_text(self) -> str:
        """The cascade as a file: its sizes (``M: 4096``), then its lines. Parsing it gives an equal one."""
        stated = {symbol: size for symbol, size in self.sizes.items() if symbol not in self.derived}
        return "".join(f"{symbol}: {size}\n" for symbol, size in stated.items()) + self.text

    def evaluate(
        self, inputs: Mapping[str, Any], *, keep: Literal["outputs", "all"] = "outputs", **sizes: Size
    ) -> dict[str, np.ndarray]:
        """The numbers: every output (with ``keep="all"`` every tensor) as a float64 array, at tiny sizes.

        `inputs` are arrays in the dimensions of `shape`; sizes that no one gave are read off them. An
        iterative tensor comes with its first value and every iterate. See `evaluate.evaluate`.
        """
        from .evaluate import evaluate

        return evaluate(self, inputs, keep=keep, **sizes)
