"""What follows from the lines of a cascade alone, before any size is known.

One Structure is shared by all sizings of a cascade, so that a sweep over sizes analyses the lines once.
Whether the lines fit together is `check`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from lightbound.base.formula import formula

from .einsum import Einsum
from .expression import (
    Access,
    Affine,
    Coefficient,
    RankValue,
    Symbol,
    family_of,
    size_symbol,
    unique,
    walk,
)
from .schedule import Step, components, schedule

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class Partition:
    """A rank family counted through by several ranks: ``m1*M0 + m0`` makes M the product of M1 and M0."""

    total: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Dependency:
    """The consumer reads what the producer writes; `back` says whether it reads an earlier iterate of it."""

    producer: Einsum
    consumer: Einsum
    access: Access
    back: bool


@dataclass(frozen=True)
class Structure:
    """The lines of a cascade and everything they imply. Properties are computed once, on first use."""

    einsums: tuple[Einsum, ...]
    initial: tuple[Einsum, ...]
    declared: dict[str, tuple[Coefficient, ...]]
    parameters: tuple[str, ...]

    @cached_property
    def lines(self) -> tuple[Einsum, ...]:
        """All lines in order, first values just before the line that goes on from them."""
        return tuple(
            line
            for einsum in self.einsums
            for line in (*(first for first in self.initial if first.name == einsum.name), einsum)
        )

    def __hash__(self) -> int:
        return self.digest

    @cached_property
    def digest(self) -> int:
        """A hash of what the lines say."""
        return hash((self.einsums, self.initial, frozenset(self.declared.items()), self.parameters))

    @cached_property
    def first(self) -> Structure:
        """Of structures whose lines say the same the one that came first: what is known of them is kept by it, so that
        their lines are compared once.
        """
        return _first(self)

    def __reduce__(self) -> tuple[type[Structure], tuple[object, ...]]:
        """The lines alone: what follows from them is found again, and a hash differs from process to process."""
        return type(self), (self.einsums, self.initial, self.declared, self.parameters)

    @cached_property
    def writers(self) -> dict[str, Einsum]:
        return {einsum.name: einsum for einsum in self.einsums}

    @cached_property
    def readers(self) -> dict[str, tuple[Einsum, ...]]:
        found: dict[str, list[Einsum]] = {}
        for einsum in self.einsums:
            for tensor in unique(access.tensor for access in einsum.reads):
                found.setdefault(tensor, []).append(einsum)
        return {tensor: tuple(einsums) for tensor, einsums in found.items()}

    @cached_property
    def accesses(self) -> dict[str, tuple[Access, ...]]:
        """Every distinct access of every tensor, reads and writes, in order of first use."""
        found: dict[str, dict[Access, None]] = {}
        for line in self.lines:
            for access in (*line.reads, line.output):
                found.setdefault(access.tensor, {})[access] = None
        return {tensor: tuple(distinct) for tensor, distinct in found.items()}

    @cached_property
    def iterative(self) -> dict[str, frozenset[str]]:
        """Tensors written at the next iterate (``RM[m1+1,p] = ...``), with the ranks they step along."""
        found = {einsum.name: frozenset(stepped_ranks(einsum.output)) for einsum in self.einsums}
        return {tensor: ranks for tensor, ranks in found.items() if ranks}

    @cached_property
    def dependencies(self) -> tuple[Dependency, ...]:
        """Who reads whom, in order of the lines; a first value is part of the line that goes on from it."""
        return tuple(
            Dependency(producer, self.writers[line.name], access, self.reads_back(access))
            for line in self.lines
            for access in line.reads
            if (producer := self.writers.get(access.tensor)) is not None
        )

    def reads_back(self, access: Access) -> bool:
        """Whether an access reads an iterate older than the one its tensor's line writes in the same step."""
        ranks = self.iterative.get(access.tensor)
        if not ranks:
            return False
        return any(
            isinstance(index, Affine) and index.shift is not None and index.shift[0] in ranks and index.shift[1] < 1
            for index, written in zip(access.indices, self.writers[access.tensor].output.indices, strict=True)
            if index.ranks == written.ranks
        )

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        return tuple(tensor for tensor in self.accesses if tensor not in self.writers)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Tensors nobody reads; an iterative one that only its own recurrence reads is one too."""
        position = {name: number for number, name in enumerate(self.writers)}
        edges = [(position[edge.producer.name], position[edge.consumer.name]) for edge in self.dependencies]
        recurrence = {node: group[0] for group in components(position.values(), edges) for node in group}
        used = {
            producer
            for (producer, consumer), edge in zip(edges, self.dependencies, strict=True)
            if edge.producer.name not in self.iterative or recurrence[producer] != recurrence[consumer]
        }
        return tuple(name for name, number in position.items() if number not in used)

    @cached_property
    def intermediates(self) -> tuple[str, ...]:
        outputs = set(self.outputs)
        return tuple(name for name in self.writers if name not in outputs)

    @cached_property
    def ranks(self) -> tuple[str, ...]:
        """Every rank, in order of first use."""
        return unique(rank for line in self.lines for rank in line.ranks)

    @cached_property
    def families(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for rank in self.ranks:
            found.setdefault(family_of(rank), []).append(rank)
        return {family: tuple(ranks) for family, ranks in found.items()}

    @cached_property
    def partitions(self) -> tuple[Partition, ...]:
        """Families that an index counts through by several ranks."""
        found: dict[Partition, None] = {}
        for tensor_accesses in self.accesses.values():
            for index in (index for access in tensor_accesses for index in access.indices):
                ranks = index.radix if isinstance(index, Affine) else None
                if ranks and len(ranks) > 1 and len({family_of(rank) for rank in ranks}) == 1:
                    total = size_symbol(family_of(ranks[0]))
                    found[Partition(total, tuple(size_symbol(rank) for rank in ranks))] = None
        return tuple(found)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The sizes a cascade has: of its ranks, of its partitioned families, and its declared parameters."""
        totals = {partition.parts[0]: partition.total for partition in self.partitions}
        sizes: list[str] = []
        for rank in self.ranks:
            symbol = size_symbol(rank)
            sizes.extend([totals[symbol], symbol] if symbol in totals else [symbol])
        named = (str(size) for dimensions in self.declared.values() for size in dimensions)
        return unique((*sizes, *self.parameters, *(name for name in named if name.isidentifier())))

    @cached_property
    def renamed(self) -> tuple[tuple[Access, int, str, str], ...]:
        """Reads of a tensor over another rank than it is written over: access, dimension, both ranks.

        Not those inside a `where`, which may reach beyond the tensor where the condition discards them.
        """
        found: list[tuple[Access, int, str, str]] = []
        for edge in self.dependencies:
            if edge.access in edge.consumer.guarded:
                continue
            written = edge.producer.output.indices
            for place, (target, index) in enumerate(zip(written, edge.access.indices, strict=True)):
                read = index.rank if isinstance(index, Affine) else None
                if read is not None and len(target.ranks) == 1 and target.ranks[0] != read:
                    found.append((edge.access, place, target.ranks[0], read))
        return tuple(found)

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The DAG of one step: Einsum names, an edge for each tensor read, none for an older iterate."""
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_nodes_from(self.writers)
        for edge in self.dependencies:
            if not edge.back and edge.producer is not edge.consumer:
                graph.add_edge(edge.producer.name, edge.consumer.name, tensor=edge.producer.name)
        return graph

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The order of computation, with a loop for each recurrence."""
        return schedule(self.lines) if self.iterative else self.einsums


@lru_cache(maxsize=1024)
def _first(structure: Structure) -> Structure:
    return structure


def stepped_ranks(output: Access) -> Iterator[str]:
    """The ranks at whose next iterate an output is written."""
    for index in output.indices:
        if isinstance(index, Affine) and index.shift is not None and index.shift[1] == 1:
            yield index.shift[0]


def symbols_used(line: Einsum) -> Iterator[str]:
    """The size symbols that an Einsum names in its indices and constants."""
    for node in (*walk(line.expr), line.output):
        match node:
            case Symbol(text=text):
                yield from formula(text).names
            case RankValue(index=index):
                yield from coefficients_used((index,))
            case Access(indices=indices):
                yield from coefficients_used(index for index in indices if isinstance(index, Affine))
            case _:
                pass


def coefficients_used(indices: Iterable[Affine]) -> Iterator[str]:
    for index in indices:
        for coefficient in (*(coefficient for coefficient, _ in index.terms), index.offset):
            if isinstance(coefficient, str):
                yield from formula(coefficient).names
