"""In-place operators: a new version of a buffer, whole or in part. Every view of the buffer sees it."""

from __future__ import annotations

from lightbound.base.errors import LightboundError

from ..expression import Access, Affine, Apply, Expr, Number, RankValue, free_ranks
from .builder import Builder
from .evaluation import folded
from .values import Value, is_free, plain, substitute


def assign(build: Builder, target: Value, new: Value, is_copy: bool = False) -> None:
    """Write `new` (broadcast to the shape of `target`) into the storage that `target` is a view of.

    What an operator has just computed is not moved again; a copy is a line of its own.
    """
    ranks = build.ranks
    buffer = target.buffer
    if buffer.is_relayout:
        raise LightboundError(
            f"trace: {build.place or 'module'}",
            build.operator,
            "writes through a view that joins and splits dimensions",
            "Write into the tensor itself, or clone the view first.",
        )
    offset = len(target.dims) - len(new.dims)
    labels = [[str(place) for place in range(len(target.dims))], [str(offset + at) for at in range(len(new.dims))]]
    space = build.space([target, new], labels)
    target = space.values[0]
    content = space.exprs[1]
    moves = {ranks.find(rank): index for rank, index in space.moves[0].items()}
    where = _positions(build, target, moves)
    whole = _whole(build, where)
    if whole is not None:
        if is_free(content) and not free_ranks(content):
            buffer.expr = content
            return
        back = substitute(ranks, content, {})
        if all(index.rank is not None for index in whole.values()):
            renamed: dict[str, Affine] = {index.ranks[0]: plain(rank) for rank, index in whole.items() if index.ranks}
            expr = substitute(ranks, back, renamed)
            if is_copy:
                expr = build.read(build.emit([(rank,) for rank in buffer.atoms], expr, "Updated", moves=True))
            buffer.expr = expr
            return
        name = build.name("Updated")
        free = set(free_ranks(back))
        if free.issuperset(rank for index in whole.values() for rank in index.ranks):
            around = [rank for rank in free_ranks(back) if all(rank not in index.ranks for index in whole.values())]
            output = (*map(plain, around), *(whole[ranks.find(atom)] for atom in buffer.atoms))
            build.line(Access(name, output), back, moves=True)
            buffer.expr = Access(name, (*map(plain, around), *(plain(ranks.find(atom)) for atom in buffer.atoms)))
            return
    _partly(build, target, where, content)


def _positions(build: Builder, target: Value, moves: dict[str, Affine]) -> dict[str, Affine]:
    """For each atom of the buffer, where the target's element stands, over the ranks of the space."""
    from .values import substitute_index

    ranks = build.ranks
    index = {ranks.find(rank): found for rank, found in target.index.items()}
    where: dict[str, Affine] = {}
    for atom in (ranks.find(rank) for rank in target.buffer.atoms):
        found = substitute_index(ranks, index.get(atom, plain(atom)), moves)
        where[atom] = plain(atom) if ranks.size(atom) == 1 else found
    return where


def _whole(build: Builder, where: dict[str, Affine]) -> dict[str, Affine] | None:
    """The positions, where they cover every element of the buffer exactly once."""
    used: set[str] = set()
    for atom, index in where.items():
        if index.terms and index.radix is None:
            return None
        if used & set(index.ranks) or build.size(index.ranks) != build.ranks.size(atom):
            return None
        used |= set(index.ranks)
    return where


def _partly(build: Builder, target: Value, where: dict[str, Affine], content: Expr) -> None:
    """``where(inside, new, old)`` over the whole buffer."""
    ranks = build.ranks
    buffer = target.buffer
    condition: Expr | None = None
    back: dict[str, Affine] = {}
    for atom, index in where.items():
        found: list[Expr] = []
        if index.is_constant:
            found.append(Apply("eq", (RankValue(plain(atom)), _constant(index))))
        elif index.shift is not None:
            rank, offset = index.shift
            back[rank] = Affine(((1, atom),), -offset)
            if offset > 0:
                found.append(Apply("ge", (RankValue(plain(atom)), Number(offset))))
            if offset + ranks.size(rank) < ranks.size(atom):
                found.append(Apply("lt", (RankValue(plain(atom)), Number(offset + ranks.size(rank)))))
        else:
            _unknown(build, target, content)
            return
        for one in found:
            condition = one if condition is None else Apply("and", (condition, one))
    ranks.keep_apart((*buffer.atoms,))
    new = substitute(ranks, content, back)
    old = substitute(ranks, buffer.expr, {})
    expr = new if condition is None else folded("where", condition, new, old)
    made = build.emit([(atom,) for atom in buffer.atoms], expr, "Updated", moves=True)
    buffer.expr = build.read(made)


def _unknown(build: Builder, target: Value, content: Expr) -> None:
    """A write that the language cannot place: opaque, reading the old and the new elements."""
    from .values import stored

    ranks = build.ranks
    operands = [stored(target.buffer.expr, tuple((rank,) for rank in target.buffer.atoms))]
    new = build.emit([(rank,) for rank in free_ranks(content)], content, "Written")
    shape = [ranks.size(rank) for rank in target.buffer.atoms]
    made = build.opaque([*operands, new], shape, "Updated")
    atoms = tuple(ranks.find(rank) for dim in made.dims for rank in dim)
    old = tuple(ranks.find(rank) for rank in target.buffer.atoms if ranks.size(rank) != 1)
    moves = {new: plain(rank) for new, rank in zip(atoms, old, strict=True)}
    target.buffer.expr = substitute(ranks, build.read(made), moves)


def _constant(index: Affine) -> Expr:
    from ..expression import Symbol

    return Number(index.offset) if isinstance(index.offset, int) else Symbol(index.offset)
