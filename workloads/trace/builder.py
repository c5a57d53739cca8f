"""The cascade under construction: lines, inputs, and the iteration space of each operator.

It knows nothing of torch: operators are lowered in `operators`, and recorded in `record`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..expression import (
    Access,
    Affine,
    Apply,
    Coefficient,
    Expr,
    Number,
    Opaque,
    Reduce,
    Symbol,
    accesses,
    free_ranks,
    is_constant,
    reduced_ranks,
    size_symbol,
    unique,
)
from .ranks import Ranks
from .values import Dims, Value, extent, is_free, joint_sizes, plain, read, stored, substitute


@dataclass(frozen=True)
class Origin:
    """Where a line comes from: the ATen operator, the module it ran in, and what it is.

    It `moves` elements without computing; it is one of the operator's matrix `products` (or convolutions).
    """

    operator: str
    module: str
    moves: bool = False
    backward: bool = False
    product: bool = False


@dataclass
class Line:
    """One Einsum before its ranks have names."""

    name: str
    output: Access
    expr: Expr
    origin: Origin
    first: bool = False  # the first value of an iterative tensor


@dataclass
class Builder:
    """What has been traced so far. `place`, `operator` and `backward` say which operator is being lowered."""

    ranks: Ranks = field(default_factory=Ranks)
    lines: list[Line] = field(default_factory=list)
    declared: dict[str, tuple[Coefficient, ...]] = field(default_factory=dict)
    place: str = ""
    operator: str = ""
    backward: bool = False
    loops: list[str] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)

    # ---- names and ranks

    def name(self, hint: str) -> str:
        """A tensor's name that no other has."""
        word = re.sub(r"[^A-Za-z0-9]+", "_", hint).strip("_") or "T"
        word = word[0].upper() + word[1:] if word[0].isalpha() else f"T{word}"
        number = self._names[word] = self._names.get(word, 0) + 1
        return word if number == 1 else self.name(f"{word}_{number}")

    def fresh(self, size: int, hint: str, forbidden: Iterable[str] = ()) -> str:
        """A new rank of the module that is running."""
        return self.ranks.fresh(size, hint, self.place or "model", forbidden)

    def size(self, dim: Sequence[str]) -> int:
        """How long a dimension is."""
        return extent(self.ranks, dim)

    def shape(self, value: Value) -> tuple[int, ...]:
        """The lengths of all dimensions."""
        return tuple(self.size(dim) for dim in value.dims)

    def extent(self, dims: Iterable[str]) -> Expr:
        """The number of elements along ranks, as a constant of the language."""
        symbols = [size_symbol(self.ranks.find(rank)) for rank in dims]
        return Symbol(" * ".join(symbols)) if symbols else Number(1)

    def read(self, value: Value) -> Expr:
        """A value's elements over its atoms."""
        return read(self.ranks, value)

    # ---- inputs and lines

    def input(
        self, name: str, shape: Sequence[int], hints: Sequence[str], keep_ones: bool = False, place: str = ""
    ) -> Value:
        """A tensor that is given. Dimensions of length 1 have a rank only where `keep_ones`.

        `place` is the path of a parameter: those of layers that repeat share their ranks.
        """
        name = self.name(name)
        dims: list[tuple[str, ...]] = []
        for size, hint in zip(shape, hints, strict=True):
            taken = [rank for dim in dims for rank in dim]
            dims.append((self.ranks.fresh(size, hint, place, taken),) if size != 1 or keep_ones else ())
        self.ranks.keep_apart(rank for dim in dims for rank in dim)
        self.declared[name] = tuple(size_symbol(dim[0]) if dim else 1 for dim in dims)
        return stored(Access(name, tuple(plain(dim[0]) if dim else Affine() for dim in dims)), tuple(dims))

    def input_like(self, name: str, value: Value) -> Value:
        """A tensor that is given, with the dimensions of another."""
        atoms = tuple(self.ranks.find(rank) for rank in value.atoms)
        self.declared[name] = tuple(size_symbol(rank) for rank in atoms)
        return stored(Access(name, tuple(plain(rank) for rank in atoms)), value.dims)

    def emit(
        self, dims: Sequence[Sequence[str]], expr: Expr, hint: str, moves: bool = False, product: bool = False
    ) -> Value:
        """A line that writes a tensor with these dimensions; ranks of a loop around it come first.

        What follows from indices and sizes alone is not written but kept as an expression. A dimension that the
        expression does not depend on is not written either: it stays a broadcast.
        """
        shape: Dims = tuple(tuple(self.ranks.find(rank) for rank in dim) for dim in dims)
        atoms = tuple(rank for dim in shape for rank in dim)
        expr = substitute(self.ranks, expr, {})
        free = free_ranks(expr)
        self.ranks.keep_apart({*atoms, *free, *reduced_ranks(expr)})
        if is_free(expr):
            return stored(expr, shape)
        around = [rank for rank in free if rank not in atoms]
        written = (*around, *(rank for rank in atoms if rank in free))
        output = Access(self.name(hint), tuple(plain(rank) for rank in written))
        self.lines.append(Line(output.tensor, output, expr, self.origin(moves, product)))
        return stored(output, shape)

    def origin(self, moves: bool = False, product: bool = False) -> Origin:
        """Where a line written now comes from."""
        return Origin(self.operator, self.place, moves, self.backward, product)

    def line(self, output: Access, expr: Expr, moves: bool = False, first: bool = False) -> None:
        """A line as it is given: one of a recurrence, or one that writes through a split rank."""
        self.lines.append(Line(output.tensor, output, expr, self.origin(moves), first))

    def material(self, value: Value, hint: str) -> Value:
        """The value with every atom in its expression: constants and broadcasts are written out."""
        expr = self.read(value)
        lacking = [rank for rank in value.atoms if self.ranks.find(rank) not in free_ranks(expr)]
        if not lacking and not is_free(expr):
            return value
        if is_constant(expr):
            output = Access(self.name(hint), tuple(plain(self.ranks.find(rank)) for rank in value.atoms))
            self.ranks.keep_apart(value.atoms)
            self.lines.append(Line(output.tensor, output, expr, self.origin(True)))
            return stored(output, value.dims)
        if lacking:
            ones = self.material(stored(Number(1), tuple((rank,) for rank in lacking)), "Ones")
            expr = Apply("mul", (expr, self.read(ones)))
        output = Access(self.name(hint), tuple(plain(self.ranks.find(rank)) for rank in value.atoms))
        self.ranks.keep_apart(value.atoms)
        self.lines.append(Line(output.tensor, output, expr, self.origin(True)))
        return stored(output, value.dims)

    def opaque(self, operands: Sequence[Value], shape: Sequence[int], hint: str) -> Value:
        """The result of an operator nobody lowered: a line that reads its operands whole."""
        args: list[Access] = []
        for operand in operands:
            expr = self.read(operand)
            if not isinstance(expr, Access):
                kept = self.material(operand, f"{hint}_operand") if not is_free(expr) else operand
                expr = self.read(kept)
            if isinstance(expr, Access):
                args.append(expr)
        consumed = unique(rank for arg in args for rank in arg.ranks)
        around = unique(
            rank
            for operand in operands
            for rank in free_ranks(self.read(operand))
            if rank not in {self.ranks.find(atom) for atom in operand.atoms}
        )
        new: list[tuple[str, ...]] = []
        for size in shape:
            taken = [*consumed, *around, *(rank for dim in new for rank in dim)]
            new.append((self.fresh(size, "n", taken),) if size != 1 else ())
        flat = tuple(rank for dim in new for rank in dim)
        word = re.sub(r"\W", "_", self.operator.removeprefix("aten.").partition(".")[0]) or "unknown"
        expr = Opaque(word, tuple(args), tuple(rank for rank in consumed if rank not in around), flat)
        return self.emit(new, expr, hint)

    # ---- iteration spaces

    def space(self, values: Sequence[Value], labels: Sequence[Sequence[str]], hints: str = "") -> Space:
        """One iteration space for several operands: dimensions with the same label run together.

        Dimensions are refined where operands split them differently, tied where that is possible, and read over
        another rank where it is not. A length of 1 beside a longer one is broadcast.
        """
        return Space(self, list(values), labels, hints)

    def flat(self, value: Value, place: int) -> Value:
        """The value with one dimension counted by one rank, written out: for splits that do not nest."""
        dim = [self.ranks.find(rank) for rank in value.dims[place]]
        value = self.material(value, "Relayout")
        joined = self.fresh(self.size(dim), "n", value.atoms)
        name = self.name("Relayout")
        kept = [rank for other, ranks in enumerate(value.dims) for rank in ranks if other != place]
        output = Access(name, (*(plain(self.ranks.find(rank)) for rank in kept), self.ranks.count(dim)))
        self.line(output, self.read(value), moves=True)
        dims = tuple((joined,) if other == place else ranks for other, ranks in enumerate(value.dims))
        expr = Access(name, (*(plain(self.ranks.find(rank)) for rank in kept), plain(joined)))
        self.ranks.keep_apart((*kept, joined))
        made = stored(expr, dims)
        made.buffer.is_relayout = True
        return made


class Space:
    """Solved: `ranks[label]` are the ranks of each label, `exprs` the operands over them."""

    def __init__(self, build: Builder, values: list[Value], labels: Sequence[Sequence[str]], hints: str) -> None:
        self.build = build
        self.values = values
        self.labels = [list(one) for one in labels]
        self.ranks: dict[str, tuple[str, ...]] = {}
        self.moves: list[dict[str, Affine]] = [{} for _ in values]
        self.parts: list[dict[str, str]] = [{} for _ in values]  # parts of refined ranks -> the rank
        find = build.ranks.find
        self.used = {
            rank
            for value in values
            for rank in free_ranks(build.read(value))
            if rank not in {find(atom) for atom in value.atoms}
        }
        for label in unique(label for one in self.labels for label in one):
            self._solve(label, hints)
        build.ranks.keep_apart(self.used)

    @property
    def exprs(self) -> list[Expr]:
        """Every operand over the ranks of the space."""
        build = self.build
        return [
            substitute(build.ranks, build.read(value), moves)
            for value, moves in zip(self.values, self.moves, strict=True)
        ]

    def dims(self, labels: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The dimensions of a result that keeps these labels."""
        return tuple(self.ranks[label] for label in labels)

    def flat(self, labels: Iterable[str]) -> tuple[str, ...]:
        """All ranks of some labels."""
        return tuple(rank for label in labels for rank in self.ranks[label])

    def _entries(self, label: str) -> list[tuple[int, int]]:
        return [(number, one.index(label)) for number, one in enumerate(self.labels) if label in one]

    def _solve(self, label: str, hints: str) -> None:
        build, ranks = self.build, self.build.ranks
        entries = self._entries(label)
        length = max(build.size(self.values[number].dims[place]) for number, place in entries)
        sequences: list[tuple[int, tuple[str, ...]]] = []
        for number, place in entries:
            dim = tuple(ranks.find(rank) for rank in self.values[number].dims[place])
            if build.size(dim) == length:
                sequences.append((number, dim))
            else:
                self.moves[number].update(dict.fromkeys(dim, Affine()))
        kept = [(number, dim) for number, dim in sequences if dim]
        if not kept:
            self.ranks[label] = ()
            return
        shapes = {tuple(ranks.size(rank) for rank in dim) for _, dim in kept}
        if len(shapes) > 1:
            joint = joint_sizes([list(shape) for shape in shapes])
            if joint is None:
                number, place = next(
                    (number, place)
                    for number, place in entries
                    if len(self.values[number].dims[place]) > 1 and build.size(self.values[number].dims[place]) > 1
                )
                self.values[number] = build.flat(self.values[number], place)
                self._solve(label, hints)
                return
            kept = [(number, self._refine(number, dim, joint)) for number, dim in kept]
        self.ranks[label] = tuple(
            self._tie([(number, dim[at]) for number, dim in kept]) for at in range(len(kept[0][1]))
        )

    def _refine(self, number: int, dim: Sequence[str], sizes: Sequence[int]) -> tuple[str, ...]:
        """The ranks of one operand's dimension, split into these sizes."""
        ranks = self.build.ranks
        found: list[str] = []
        at = 0
        for rank in dim:
            if ranks.size(rank) == 1:
                self.moves[number][rank] = Affine()
                continue
            parts: list[int] = []
            covered = 1
            while covered < ranks.size(rank):
                covered *= sizes[at]
                parts.append(sizes[at])
                at += 1
            if len(parts) == 1:
                found.append(rank)
            else:
                split = ranks.split(rank, tuple(parts), ("n",) * len(parts), (*self.used, *found, *dim))
                self.moves[number][rank] = ranks.count(split)
                self.parts[number].update(dict.fromkeys(split, rank))
                found += split
        return tuple(found)

    def _tie(self, candidates: list[tuple[int, str]]) -> str:
        """One rank for dimensions that run together: the first that is still free, tied to the others."""
        ranks = self.build.ranks
        roots = [(number, ranks.find(rank)) for number, rank in candidates]
        chosen = next((rank for _, rank in roots if rank not in self.used), None)
        if chosen is None:
            rank = roots[0][1]
            chosen = self.build.fresh(ranks.size(rank), "m", self.used)
        for number, rank in roots:
            rank, chosen = ranks.find(rank), ranks.find(chosen)
            if rank == chosen:
                continue
            if rank in self.used or not self._may_tie(chosen, rank):
                self._move(number, rank, plain(chosen))
            else:
                chosen = ranks.find(chosen)
        chosen = ranks.find(chosen)
        self.used = {ranks.find(rank) for rank in self.used} | {chosen}
        return chosen

    def _may_tie(self, chosen: str, rank: str) -> bool:
        ranks = self.build.ranks
        ranks.keep_apart({*self.used, chosen})
        return ranks.tie(chosen, rank)

    def _move(self, number: int, rank: str, index: Affine) -> None:
        """Read one operand over another rank; parts of a refined rank move inside the count of it."""
        ranks = self.build.ranks
        moves = self.moves[number]
        whole = next((key for part, key in self.parts[number].items() if ranks.find(part) == rank), None)
        if whole is None:
            moves[rank] = index
            return
        old = moves[whole]
        terms = tuple((factor, index.ranks[0] if ranks.find(term) == rank else term) for factor, term in old.terms)
        moves[whole] = Affine(terms, old.offset)


def summed(body: Expr, reduced: Sequence[str], build: Builder, op: str = "sum") -> Expr:
    """A reduction. Ranks that the body does not depend on multiply a sum, and change nothing else."""
    free = free_ranks(body)
    inside = tuple(rank for rank in reduced if rank in free)
    outside = [rank for rank in reduced if rank not in free]
    found: Expr = Reduce(op, body, inside) if inside else body
    if outside and op == "sum":
        found = Apply("mul", (found, build.extent(outside)))
    if outside and op == "prod":
        found = Apply("pow", (found, build.extent(outside)))
    return found


def reads(line: Line) -> tuple[str, ...]:
    """The tensors a line reads."""
    return unique(access.tensor for access in accesses(line.expr))
