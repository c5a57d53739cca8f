"""What an Einsum line says, as immutable values: indices, accesses, and the operations that join them.

This is the whole intermediate representation. It knows no sizes and computes nothing: `parse` builds it from
text, `printing` writes it back, and `work`, `counts` and `evaluate` read it.

    Index = Affine | Gather
    Expr  = Number | Symbol | RankValue | Access | Apply | Reduce | Scan | TopK | Scatter | Opaque
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

Coefficient = int | str
"""A whole number, or the text of a formula over size symbols such as ``"M0"`` or ``"2 * M0"``."""

FUNCTIONS = (
    "exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "relu", "gelu", "silu", "abs", "sin", "cos",
    "softplus", "erf",
)  # fmt: skip
CONSTANTS = {"inf": math.inf, "pi": math.pi}
REDUCTIONS = ("sum", "max", "min", "prod")
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
LOGIC = ("and", "or", "not")
ARITHMETIC = ("add", "sub", "mul", "div", "floordiv", "mod", "pow", "neg")


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """The names in order of first appearance."""
    return tuple(dict.fromkeys(names))


def size_symbol(rank: str) -> str:
    """The size of a rank is named by the same word in upper case: ``m0`` has ``M0`` coordinates."""
    return rank.upper()


def family_of(rank: str) -> str:
    """Ranks that differ by trailing digits partition one another: ``m0`` and ``m1`` are family ``m``."""
    return rank.rstrip("0123456789")


@dataclass(frozen=True)
class Affine:
    """``sum(coefficient * rank) + offset``: the position an index reads or writes along one dimension."""

    terms: tuple[tuple[Coefficient, str], ...] = ()
    offset: Coefficient = 0

    @cached_property
    def ranks(self) -> tuple[str, ...]:
        return tuple(rank for _, rank in self.terms)

    @cached_property
    def rank(self) -> str | None:
        """The rank, where the index is that rank and nothing else."""
        shift = self.shift
        return shift[0] if shift is not None and shift[1] == 0 else None

    @cached_property
    def shift(self) -> tuple[str, int] | None:
        """``("m1", 1)`` for ``m1+1``: the rank and the distance, where one rank is moved by a number."""
        if len(self.terms) == 1 and self.terms[0][0] == 1 and isinstance(self.offset, int):
            return self.terms[0][1], self.offset
        return None

    @property
    def is_constant(self) -> bool:
        return not self.terms

    @cached_property
    def radix(self) -> tuple[str, ...] | None:
        """The ranks, outer to inner, where the index counts through them without a gap: ``m1*M0+m0``."""
        if self.offset != 0 or not self.terms:
            return None
        strides = [
            ([] if coefficient == 1 else str(coefficient).replace(" ", "").split("*"), rank)
            for coefficient, rank in self.terms
        ]
        inner: list[str] = []
        for factors, rank in sorted(strides, key=lambda stride: len(stride[0])):
            if sorted(factors) != sorted(map(size_symbol, inner)):
                return None
            inner.append(rank)
        return tuple(reversed(inner))


@dataclass(frozen=True)
class Gather:
    """A position that is read from an index tensor: the ``I[p,k]`` of ``X[I[p,k], e]``."""

    access: Access

    @property
    def ranks(self) -> tuple[str, ...]:
        return self.access.ranks


Index = Affine | Gather


@dataclass(frozen=True)
class Access:
    """One element of a tensor, as a function of the ranks in its indices. A scalar tensor has no indices."""

    tensor: str
    indices: tuple[Index, ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.tensor, self.indices))

    def __reduce__(self) -> tuple[type[Access], tuple[str, tuple[Index, ...]]]:
        """Without the hash, which differs from process to process."""
        return type(self), (self.tensor, self.indices)

    @cached_property
    def is_plain(self) -> bool:
        """Whether the tiles of any loop nest cover the tensor exactly once: every index is constant, one rank, perhaps
        shifted, or counts through several without a gap, and each rank stands once.
        """
        ranks = [rank for index in self.indices for rank in index.ranks]
        return len(set(ranks)) == len(ranks) and all(
            isinstance(index, Affine) and (index.shift is not None or index.radix is not None or not index.terms)
            for index in self.indices
        )

    @cached_property
    def ranks(self) -> tuple[str, ...]:
        """Ranks of the indices, through gathers too, in order and without repeats."""
        return unique(rank for index in self.indices for rank in index.ranks)


@dataclass(frozen=True)
class Number:
    """A literal constant; infinities included."""

    value: int | float


@dataclass(frozen=True)
class Symbol:
    """A constant that depends on sizes, as the text of a formula: ``E``, ``sqrt(E)``, ``1 / (2 * E)``."""

    text: str


@dataclass(frozen=True)
class RankValue:
    """The value of an index itself, as conditions and positional terms use it: the ``p - m`` of a decay."""

    index: Affine


@dataclass(frozen=True)
class Apply:
    """A pointwise operation: of ARITHMETIC, COMPARISONS, LOGIC, FUNCTIONS, or ``max min where``."""

    op: str
    args: tuple[Expr, ...]


@dataclass(frozen=True)
class Reduce:
    """``sum(body, ranks)`` and its kin: the ranks disappear."""

    op: str
    body: Expr
    ranks: tuple[str, ...]


@dataclass(frozen=True)
class Scan:
    """``scan(sum, body, rank)``: the inclusive prefix along a rank, which stays."""

    op: str
    body: Expr
    rank: str


@dataclass(frozen=True)
class TopK:
    """``topk(body, rank)``: positions of the largest along `rank`, largest first, counted by `new`."""

    body: Expr
    rank: str
    new: str


@dataclass(frozen=True)
class Scatter:
    """``scatter(sum, X[n,d], I[n], n)``: each element is added where the index tensors say.

    The ranks in `consumed` disappear; `new` has a rank, on the left only, for each index tensor in `places`.
    """

    op: str
    body: Expr
    places: tuple[Access, ...]
    consumed: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class Opaque:
    """``opaque(name, X[i,k], Z[j], k)``: an operator that the language cannot say, by name.

    It reads every element of its operands; the ranks in `consumed` disappear, those in `new` are on the left only.
    """

    name: str
    args: tuple[Access, ...]
    consumed: tuple[str, ...]
    new: tuple[str, ...]


Expr = Number | Symbol | RankValue | Access | Apply | Reduce | Scan | TopK | Scatter | Opaque


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside one; an index tensor inside an access counts as inside it."""
    match expr:
        case Apply(args=args) | Opaque(args=args):
            return args
        case Scatter(body=body, places=places):
            return (body, *places)
        case Reduce(body=body) | Scan(body=body) | TopK(body=body):
            return (body,)
        case Access(indices=indices):
            return tuple(index.access for index in indices if isinstance(index, Gather))
        case _:
            return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and everything inside it, from the outside in."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def accesses(expr: Expr) -> tuple[Access, ...]:
    """Every distinct access in an expression, index tensors included, in order of appearance."""
    return tuple(dict.fromkeys(node for node in walk(expr) if isinstance(node, Access)))


def free_ranks(expr: Expr) -> tuple[str, ...]:
    """The ranks an expression's value depends on: those inside it that no reduction inside it removes."""
    match expr:
        case RankValue(index=index):
            return index.ranks
        case Access():
            return expr.ranks
        case Apply(args=args):
            return unique(rank for arg in args for rank in free_ranks(arg))
        case Reduce(body=body, ranks=ranks):
            return tuple(rank for rank in free_ranks(body) if rank not in ranks)
        case Scan(body=body):
            return free_ranks(body)
        case TopK(body=body, rank=rank, new=new):
            return (*(other for other in free_ranks(body) if other != rank), new)
        case Scatter(body=body, places=places, consumed=consumed, new=new):
            kept = (rank for part in (body, *places) for rank in free_ranks(part) if rank not in consumed)
            return unique((*kept, *new))
        case Opaque(args=args, consumed=consumed, new=new):
            kept = (rank for arg in args for rank in arg.ranks if rank not in consumed)
            return unique((*kept, *new))
        case _:
            return ()


def reduced_ranks(expr: Expr) -> tuple[str, ...]:
    """The ranks that reductions inside an expression remove, in order of appearance."""
    found: list[str] = []
    for node in walk(expr):
        match node:
            case Reduce(ranks=ranks):
                found.extend(ranks)
            case TopK(rank=rank):
                found.append(rank)
            case Opaque(consumed=consumed) | Scatter(consumed=consumed):
                found.extend(consumed)
            case _:
                pass
    return unique(found)


def is_constant(expr: Expr) -> bool:
    """Whether a value depends on sizes at most: on no tensor and on no rank."""
    return not any(isinstance(node, Access | RankValue | Opaque) for node in walk(expr))


def is_index_arithmetic(expr: Expr) -> bool:
    """Whether a value follows from ranks and sizes by whole-number arithmetic and comparison, as masks do."""
    free = {"add", "sub", "mul", "floordiv", "mod", "neg", *COMPARISONS, *LOGIC}
    return all(
        isinstance(node, Number | Symbol | RankValue) or (isinstance(node, Apply) and node.op in free)
        for node in walk(expr)
    )
