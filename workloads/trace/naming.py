"""The last step of a trace: ranks and their sizes get the names that people read."""

from __future__ import annotations

import ast
import re

from ..einsum import Einsum
from ..expression import (
    Access,
    Affine,
    Apply,
    Coefficient,
    Expr,
    Gather,
    Index,
    Opaque,
    RankValue,
    Reduce,
    Scan,
    Scatter,
    Symbol,
    TopK,
)
from .ranks import Ranks

_SIZE = re.compile(r"R\d+_")


class Naming:
    """Identifiers to names, for expressions and formulas."""

    def __init__(self, ranks: Ranks, names: dict[str, str]) -> None:
        self._ranks = ranks
        self._names = names

    def einsum(self, name: str, output: Access, expr: Expr) -> Einsum:
        """A line of the finished cascade."""
        return Einsum(name, self.access(output), self.expr(expr))

    @property
    def known(self) -> tuple[str, ...]:
        """Every rank that has a name."""
        return tuple(self._names)

    def rank(self, rank: str) -> str:
        return self._names[self._ranks.find(rank)]

    def dims(self, dims: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        """The dimensions of a value."""
        return tuple(tuple(self.rank(rank) for rank in dim) for dim in dims)

    def formula(self, text: Coefficient) -> Coefficient:
        if isinstance(text, int):
            return text
        named = _SIZE.sub(lambda found: self.rank(found[0].lower()).upper(), text)
        return ast.unparse(ast.parse(named, mode="eval")) if " " in named else named

    def index(self, index: Affine) -> Affine:
        terms = tuple((self.formula(coefficient), self.rank(rank)) for coefficient, rank in index.terms)
        return Affine(terms, self.formula(index.offset))

    def access(self, access: Access) -> Access:
        return Access(access.tensor, tuple(self._any(index) for index in access.indices))

    def _any(self, index: Index) -> Index:
        return Gather(self.access(index.access)) if isinstance(index, Gather) else self.index(index)

    def expr(self, expr: Expr) -> Expr:
        match expr:
            case Access():
                return self.access(expr)
            case RankValue(index=index):
                return RankValue(self.index(index))
            case Symbol(text=text):
                return Symbol(str(self.formula(text)))
            case Apply(op=op, args=args):
                return Apply(op, tuple(self.expr(arg) for arg in args))
            case Reduce(op=op, body=body, ranks=ranks):
                return Reduce(op, self.expr(body), tuple(self.rank(rank) for rank in ranks))
            case Scan(op=op, body=body, rank=rank):
                return Scan(op, self.expr(body), self.rank(rank))
            case TopK(body=body, rank=rank, new=new):
                return TopK(self.expr(body), self.rank(rank), self.rank(new))
            case Scatter(op=op, body=body, places=places, consumed=consumed, new=new):
                return Scatter(
                    op,
                    self.expr(body),
                    tuple(self.access(place) for place in places),
                    tuple(self.rank(rank) for rank in consumed),
                    tuple(self.rank(rank) for rank in new),
                )
            case Opaque(name=name, args=args, consumed=consumed, new=new):
                return Opaque(
                    name,
                    tuple(self.access(arg) for arg in args),
                    tuple(self.rank(rank) for rank in consumed),
                    tuple(self.rank(rank) for rank in new),
                )
            case _:
                return expr
