"""One line of a cascade: the tensor it writes, the expression it computes, and what follows from both."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from .expression import Access, Apply, Expr, Scan, Scatter, accesses, reduced_ranks, unique, walk
from .work import Work, work_of


@dataclass(frozen=True)
class Einsum:
    """``output = expr`` at every point of the output's ranks. It is named after the tensor it writes.

    `text` and `line` say where it was written; two Einsums that say the same are equal wherever they stand.
    """

    name: str
    output: Access
    expr: Expr
    text: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @cached_property
    def ranks(self) -> tuple[str, ...]:
        """The iteration space: the ranks of the output, then those that are reduced."""
        return unique((*self.output.ranks, *self.reduced))

    @cached_property
    def reduced(self) -> tuple[str, ...]:
        """Ranks that are reduced away, in order of appearance."""
        return reduced_ranks(self.expr)

    @cached_property
    def scanned(self) -> tuple[str, ...]:
        """Ranks along which a prefix is taken."""
        return unique(node.rank for node in walk(self.expr) if isinstance(node, Scan))

    @cached_property
    def placed(self) -> frozenset[str]:
        """Ranks of the output along which index tensors say where a value goes: a scatter does not walk them."""
        return frozenset(rank for node in walk(self.expr) if isinstance(node, Scatter) for rank in node.new)

    @cached_property
    def reads(self) -> tuple[Access, ...]:
        """Every distinct access of the right-hand side, index tensors included."""
        return accesses(self.expr)

    @cached_property
    def guarded(self) -> frozenset[Access]:
        """The accesses that stand in a branch of a `where`, so that a condition may discard them."""
        branches = (
            arg for node in walk(self.expr) if isinstance(node, Apply) and node.op == "where" for arg in node.args[1:]
        )
        return frozenset(access for branch in branches for access in accesses(branch))

    @cached_property
    def work(self) -> tuple[Work, ...]:
        """The operations, each with the ranks it is repeated over; see `work.work_of` for the rules."""
        return work_of(self.expr, self.ranks)
