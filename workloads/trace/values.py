"""What a tensor of a traced module is: a stored tensor, or an expression, read through an index map.

Views cost nothing: a permuted, sliced, split, joined or broadcast tensor is another map onto the same buffer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .. import affine
from ..expression import (
    Access,
    Affine,
    Apply,
    Expr,
    Gather,
    Index,
    Opaque,
    RankValue,
    Reduce,
    Scan,
    Scatter,
    TopK,
    is_constant,
    is_index_arithmetic,
)
from .ranks import Ranks

Dims = tuple[tuple[str, ...], ...]
"""For each dimension of a tensor the ranks that count through it, outer to inner; none for a length of 1."""


@dataclass(eq=False)
class Buffer:
    """Storage: what its elements are, as an expression over `atoms`. An in-place operator changes `expr`."""

    atoms: tuple[str, ...]
    expr: Expr
    is_relayout: bool = False  # a copy that stands for a view of another buffer, and does not see writes to it


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor as an operator sees it: `dims` over a buffer whose atom `a` stands at `index[a]`."""

    buffer: Buffer
    dims: Dims
    index: Mapping[str, Affine]

    @property
    def atoms(self) -> tuple[str, ...]:
        return tuple(rank for dim in self.dims for rank in dim)


def stored(expr: Expr, dims: Dims) -> Value:
    """A new buffer seen as it is."""
    return Value(Buffer(tuple(rank for dim in dims for rank in dim), expr), dims, {})


def read(ranks: Ranks, value: Value) -> Expr:
    """The elements of a value as an expression over its atoms."""
    return substitute(ranks, value.buffer.expr, value.index)


def is_free(expr: Expr) -> bool:
    """Whether a value follows from sizes and indices alone, so that nobody stores it: a constant, a causal mask."""
    return is_constant(expr) or is_index_arithmetic(expr)


def through(ranks: Ranks, value: Value, dims: Dims, moves: Mapping[str, Affine]) -> Value:
    """A view of a view: `moves` says where the old atoms stand in terms of the new ones."""
    moves = {ranks.find(rank): index for rank, index in moves.items()}
    index = {rank: substitute_index(ranks, old, moves) for rank, old in value.index.items()}
    known = {ranks.find(rank) for rank in index}
    for rank, moved in moves.items():
        if rank not in known:
            index[rank] = moved
    return Value(value.buffer, tuple(tuple(ranks.find(rank) for rank in dim) for dim in dims), index)


def substitute(ranks: Ranks, expr: Expr, moves: Mapping[str, Affine]) -> Expr:
    """The expression with ranks replaced, all at once; other ranks by those that stand for them."""
    found = {ranks.find(rank): index for rank, index in moves.items()}
    return _substitute(ranks, expr, found)


def _substitute(ranks: Ranks, expr: Expr, moves: Mapping[str, Affine]) -> Expr:
    match expr:
        case Access():
            return _access(ranks, expr, moves)
        case RankValue(index=index):
            moved = substitute_index(ranks, index, moves)
            return RankValue(moved) if moved.terms else _number(moved)
        case Apply(op=op, args=args):
            return Apply(op, tuple(_substitute(ranks, arg, moves) for arg in args))
        case Reduce(op=op, body=body, ranks=reduced):
            return Reduce(op, _substitute(ranks, body, moves), tuple(ranks.find(rank) for rank in reduced))
        case Scan(op=op, body=body, rank=rank):
            return Scan(op, _substitute(ranks, body, moves), ranks.find(rank))
        case TopK(body=body, rank=rank, new=new):
            return TopK(_substitute(ranks, body, moves), ranks.find(rank), ranks.find(new))
        case Scatter():
            return Scatter(
                expr.op,
                _substitute(ranks, expr.body, moves),
                tuple(_access(ranks, place, moves) for place in expr.places),
                tuple(ranks.find(rank) for rank in expr.consumed),
                tuple(ranks.find(rank) for rank in expr.new),
            )
        case Opaque():
            return Opaque(
                expr.name,
                tuple(_access(ranks, arg, moves) for arg in expr.args),
                tuple(ranks.find(rank) for rank in expr.consumed),
                tuple(ranks.find(rank) for rank in expr.new),
            )
        case _:
            return expr


def _access(ranks: Ranks, access: Access, moves: Mapping[str, Affine]) -> Access:
    return Access(access.tensor, tuple(_index(ranks, index, moves) for index in access.indices))


def _index(ranks: Ranks, index: Index, moves: Mapping[str, Affine]) -> Index:
    if isinstance(index, Gather):
        return Gather(_access(ranks, index.access, moves))
    return substitute_index(ranks, index, moves)


def substitute_index(ranks: Ranks, index: Affine, moves: Mapping[str, Affine]) -> Affine:
    """An index with ranks replaced by indices. The keys of `moves` stand for themselves."""
    found = affine.constant(index.offset)
    for coefficient, rank in index.terms:
        root = ranks.find(rank)
        moved = moves.get(root)
        if moved is None:
            moved = Affine(((1, root),))
        else:
            moved = Affine(tuple((factor, ranks.find(one)) for factor, one in moved.terms), moved.offset)
        if coefficient != 1:
            product = affine.multiply(moved, affine.constant(coefficient))
            assert product is not None  # one side is a constant
            moved = product
        found = affine.add(found, moved) if found.terms or found.offset != 0 else moved
    return found


def _number(index: Affine) -> Expr:
    from ..expression import Number, Symbol

    return Number(index.offset) if isinstance(index.offset, int) else Symbol(index.offset)


def plain(rank: str) -> Affine:
    """The index that is a rank."""
    return Affine(((1, rank),))


def joint_sizes(sequences: Sequence[Sequence[int]]) -> list[int] | None:
    """The coarsest counts that refine all of them: (6,4) and (24,) give (6,4); (6,4) and (4,6) nothing."""
    edges: set[int] = set()
    for sequence in sequences:
        product = 1
        for size in reversed(sequence):
            product *= size
            edges.add(product)
    found: list[int] = []
    below = 1
    for edge in sorted(edges - {1}):
        if edge % below:
            return None
        found.append(edge // below)
        below = edge
    return list(reversed(found))


def extent(ranks: Ranks, dim: Sequence[str]) -> int:
    """How long a dimension is."""
    return math.prod(ranks.size(rank) for rank in dim)
