"""The rule that numbers passes: what is known of a value when its rank family is walked, operation by
operation.

A fiber of a tensor over a rank family ``m`` is all its elements along m with the other ranks fixed. A value
is *full* when it is known only after a whole fiber was walked: a maximum over m, or a running sum read after
its last step. An operation that needs a full value at every point of m, beside an operand whose fiber was
already walked to obtain that value, walks this fiber once more: a pass begins. The number of a pass is the
length of the longest chain of such events, which no mapping can shorten.

Three things make this more than a count of reductions. A reduction over a tile (m0 of m = m1*M0 + m0) ends
nothing: its result still has the tiles' rank. A running value (written at m1+1, read at m1; or a scan) is
known at every prefix. And an Einsum of several operations is taken apart as `work` takes it apart, so that
the division in ``sum(N[m] * V[m], m) / D`` happens once, after the walk.

The rule is that of FuseMax (MICRO 2024, section 3); this module applies it, `passes` says what follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

from lightbound.base.errors import LightboundError, choose_from

from .cascade import Cascade
from .einsum import Einsum
from .expression import (
    Access,
    Affine,
    Expr,
    Gather,
    Number,
    RankValue,
    Scan,
    Symbol,
    TopK,
    children,
    family_of,
    free_ranks,
    size_symbol,
    walk,
)


@dataclass(frozen=True)
class Force:
    """One reason for a pass: `einsum` needs `through`, known only after a walk over what it uses.

    `again` are the tensors that are walked once more for it, `origins` the inputs these can be recomputed
    from, and `per` the ranks of `through`: the pass begins once for each of their coordinates.
    """

    pass_number: int
    einsum: str
    through: str
    again: tuple[str, ...]
    origins: tuple[str, ...]
    per: tuple[str, ...]


@dataclass(frozen=True)
class State:
    """What is known of a value: a tensor, an access to one, or an operation inside an Einsum."""

    chain: tuple[Force, ...] = ()  # the passes that had to end before it; one shorter than its pass number
    full: bool = False  # known only after a whole fiber was walked
    depends: bool = False  # on the family, in whatever way
    ranks: frozenset[str] = frozenset()
    carries: bool = False  # it has all ranks of the family
    roots: frozenset[str] = frozenset()  # the carrying tensors it follows from element by element, itself included
    walked: frozenset[str] = frozenset()  # the carrying tensors that were walked on the way to it
    tensor: str = ""  # where it is read from, if it is an access
    pending: frozenset[str] = frozenset()  # tensors it reads, in whatever pass its elements are used

    @property
    def pass_number(self) -> int:
        return len(self.chain) + 1


_CONSTANT = State()


class Walk:
    """The rule applied to one cascade and one rank family. `states` and `touched` are the result.

    `touched[tensor]` are the passes in which a tensor is written or read.
    """

    def __init__(self, cascade: Cascade, family: str) -> None:
        self.cascade = cascade
        self.family = family
        self.members = frozenset(cascade.families[family])
        self.states: dict[str, State] = {}
        self.touched: dict[str, set[int]] = {}
        self.forces: dict[Force, None] = {}
        # What follows from the cascade alone is asked for in every round, and found once.
        self.spans = cache(self._spans)
        self.fiber_ranks = cache(self._fiber_ranks)
        self._running = cache(self._running_along)
        self._end = cache(self._end_of)
        self._settle()

    def _settle(self) -> None:
        """Repeats the rule until nothing changes: a running tensor is read before the line that writes it.

        It ends, since chains only grow, and a step of a recurrence begins a pass at most once (`_begins`).
        """
        while True:
            before = dict(self.states)
            self.touched, self.forces = {}, {}
            for einsum in self.cascade.einsums:
                self.states[einsum.name] = self._einsum(einsum)
            if self.states == before or not self._reads_ahead:
                return

    @cached_property
    def _reads_ahead(self) -> bool:
        """Whether a line reads what it or a later one writes: only then is a round news to the next one."""
        written: set[str] = set()
        for einsum in self.cascade.einsums:
            starts = [access for line in self.cascade.initial if line.name == einsum.name for access in line.reads]
            if any(a.tensor not in written and self.cascade.writer(a.tensor) for a in (*einsum.reads, *starts)):
                return True
            written.add(einsum.name)
        return False

    def _einsum(self, einsum: Einsum) -> State:
        starts = [line.expr for line in self.cascade.initial if line.name == einsum.name and line.reads]
        if isinstance(einsum.expr, Access) or starts:
            value = self._operation(einsum, (einsum.expr, *starts))
        else:
            value = self._value(einsum, einsum.expr)
        carries = self.spans(self.fiber_ranks(einsum.output))
        before = self.states.get(einsum.name, _CONSTANT).chain
        if len(before) >= len(value.chain):  # another chain of the same length is no news
            value = replace(value, chain=before)
        self._touch(value.pending | {einsum.name}, value.pass_number)
        kept = frozenset(einsum.output.ranks)
        return replace(
            value,
            ranks=kept,
            full=value.full or (value.depends and not kept & self.members),
            carries=carries,
            roots=value.roots | {einsum.name} if carries else frozenset(),
            pending=frozenset(),
        )

    def _value(self, einsum: Einsum, expr: Expr) -> State:
        match expr:
            case Number() | Symbol():
                return _CONSTANT
            case RankValue():
                return State(ranks=frozenset(expr.index.ranks))
            case Access():
                return self._read(expr)
            case _:
                pass
        whole = self._operation(einsum, children(expr))
        ranks = frozenset(free_ranks(expr))
        carries = self.spans(ranks)
        if not carries:  # a walk ends here; until then, what is read is read where the result is used
            self._touch(whole.pending, whole.pass_number)
        return State(
            chain=whole.chain,
            full=whole.full or (whole.depends and not ranks & self.members),
            depends=whole.depends,
            ranks=ranks,
            carries=carries,
            roots=whole.roots if carries else frozenset(),
            walked=whole.walked,
            pending=whole.pending if carries else frozenset(),
        )

    def _operation(self, einsum: Einsum, parts: tuple[Expr, ...]) -> State:
        """The state of one operation over all its operands; index tensors are operands too."""
        operands = [self._value(einsum, part) for part in parts]
        operands += [self._read(index) for part in parts if isinstance(part, Access) for index in _index_reads(part)]
        ranks = frozenset[str]().union(*(operand.ranks for operand in operands))
        iterates = self.spans(ranks) or any(operand.carries for operand in operands)
        roots = frozenset[str]().union(*(operand.roots for operand in operands if operand.carries))
        chain: tuple[Force, ...] = ()
        for operand in operands:
            candidate = operand.chain
            if iterates and operand.walked & roots and self._begins(einsum, operand):
                candidate = (*candidate, self._force(einsum, operand, roots))
            if len(candidate) > len(chain):
                chain = candidate
        walked = frozenset[str]().union(*(operand.walked for operand in operands))
        depends = any(operand.depends for operand in operands) or bool(ranks & self.members)
        return State(
            chain=chain,
            full=(not iterates and any(operand.full for operand in operands)) or (depends and not ranks & self.members),
            depends=depends,
            ranks=ranks,
            carries=self.spans(ranks),
            roots=roots if self.spans(ranks) else frozenset(),
            walked=walked | roots if iterates else walked,
            pending=frozenset[str]().union(*(operand.pending for operand in operands)),
        )

    def _begins(self, einsum: Einsum, needed: State) -> bool:
        """Whether waiting for an operand begins a pass: it is full, and no earlier step of this line waited for it."""
        waited = any(force.einsum == einsum.name and force.through == needed.tensor for force in needed.chain)
        return needed.full and not (needed.tensor and waited)

    def _force(self, einsum: Einsum, needed: State, roots: frozenset[str]) -> Force:
        """The record that `einsum` begins a pass because of the operand `needed`."""
        shared = needed.walked & roots
        derived = {root for name in shared if name in self.states for root in self.states[name].roots - {name}}
        again = sorted(shared - derived) or sorted(shared)  # nothing else follows from these
        force = Force(
            pass_number=len(needed.chain) + 2,
            einsum=einsum.name,
            through=needed.tensor or einsum.name,
            again=tuple(again),
            origins=tuple(sorted(name for name in shared if name in self.cascade.inputs and name not in again)),
            per=tuple(rank for rank in einsum.ranks if rank in needed.ranks),
        )
        self.forces[force] = None
        return force

    def _read(self, access: Access) -> State:
        """The state of a tensor as one access sees it."""
        name = access.tensor
        ranks = frozenset(access.ranks)
        fiber = self.fiber_ranks(access)
        carries = self.spans(fiber)
        fresh = State(
            depends=bool(fiber),
            ranks=ranks,
            carries=carries,
            roots=frozenset({name} if carries else ()),
            tensor=name,
            pending=frozenset({name}),
        )
        known = self.states.get(name)
        if known is None or self._previous_step(access):
            return fresh
        end = self._end(access)
        return State(
            chain=known.chain,
            full=known.full or (end == "last" and not fiber) or end == "reversed",
            depends=known.depends and end != "element",
            ranks=ranks,
            carries=carries,
            roots=known.roots | fresh.roots if carries else frozenset(),
            walked=known.walked,
            tensor=name,
            pending=fresh.pending,
        )

    def _touch(self, tensors: frozenset[str], pass_number: int) -> None:
        for tensor in tensors:
            self.touched.setdefault(tensor, set()).add(pass_number)

    def _spans(self, ranks: frozenset[str]) -> bool:
        """Whether these ranks walk whole fibers of the family: the rank itself, or all its partitions."""
        return any(group <= ranks for group in self.spanning)

    @cached_property
    def spanning(self) -> tuple[frozenset[str], ...]:
        """The sets of ranks that make up the family: {m}, and {m1, m0} where an index reads m1*M0 + m0."""
        groups = {frozenset({self.family})} if self.family in self.members else set()
        joint = {
            frozenset(index.ranks) & self.members
            for access in self._all_accesses()
            for index in access.indices
            if isinstance(index, Affine) and len(frozenset(index.ranks) & self.members) > 1
        }
        parts = self.members - {self.family}
        if not joint and parts:
            joint = {parts}
        return tuple(groups | {group for group in joint if not any(group < other for other in joint)})

    def _fiber_ranks(self, access: Access) -> frozenset[str]:
        """The family's ranks among a tensor's own dimensions; a gather over the family stands for all."""
        found: set[str] = set()
        for place, index in enumerate(access.indices):
            if isinstance(index, Affine):
                found.update(index.ranks)
            elif self._addresses_family(access.tensor, place, index):
                found.update(*self.spanning)
        return frozenset(found) & self.members

    def _addresses_family(self, tensor: str, place: int, index: Gather) -> bool:
        """Whether a position read from an index tensor lies along the family.

        It does where the index tensor is a selection over the family, where the dimension is declared with
        the family's size, or where another access walks it by the family's rank.
        """
        declared = self.cascade.declared.get(tensor, ())
        if declared and declared[place] in {size_symbol(rank) for rank in (*self.members, self.family)}:
            return True
        writer = self.cascade.writer(index.access.tensor)
        if writer is not None:
            selected = [node.rank for node in walk(writer.expr) if isinstance(node, TopK)]
            if any(rank in self.members for rank in selected):
                return True
        others = (access.indices[place] for access in self.cascade.accesses(tensor))
        return any(isinstance(other, Affine) and self.members & set(other.ranks) for other in others)

    def _running_along(self, tensor: str) -> dict[int, tuple[str, int]]:
        """Where a tensor is a running value: dimension -> (rank, distance at which it is written)."""
        writer = self.cascade.writer(tensor)
        if writer is None:
            return {}
        ranks = set(self.cascade.iterative.get(tensor, ())) | {
            node.rank for node in walk(writer.expr) if isinstance(node, Scan)
        }
        shifts = {place: index.shift for place, index in enumerate(writer.output.indices) if isinstance(index, Affine)}
        return {place: shift for place, shift in shifts.items() if shift is not None and shift[0] in ranks}

    def _previous_step(self, access: Access) -> bool:
        """Whether this reads what an earlier step of a loop outside the family left: there, like an input."""
        for place, (rank, distance) in self._running(access.tensor).items():
            index = access.indices[place]
            if rank not in self.members and isinstance(index, Affine) and index.shift is not None:
                read_rank, read_distance = index.shift
                if read_rank == rank and read_distance < distance:
                    return True
        return False

    def _end_of(self, access: Access) -> str:
        """How an access meets the family's dimensions of a computed tensor.

        ``walk``: in order, or not at all. ``last``: a running value after its last step. ``reversed``: a
        running value from its end. ``element``: one fixed position of a tensor, which needs no walk.
        """
        writer = self.cascade.writer(access.tensor)
        assert writer is not None
        running = self._running(access.tensor)
        fixed = False
        for place, (written, index) in enumerate(zip(writer.output.indices, access.indices, strict=True)):
            if not (isinstance(written, Affine) and isinstance(index, Affine) and self.members & set(written.ranks)):
                continue
            if index.is_constant and place in running and index.offset != 0:
                return "last"
            if place in running and any(str(coefficient).startswith("-") for coefficient, _ in index.terms):
                return "reversed"
            fixed = fixed or index.is_constant
        return "element" if fixed and not self.fiber_ranks(access) else "walk"

    def _all_accesses(self) -> Iterator[Access]:
        for einsum in (*self.cascade.einsums, *self.cascade.initial):
            yield einsum.output
            yield from einsum.reads


def _index_reads(access: Access) -> Iterator[Access]:
    for index in access.indices:
        if isinstance(index, Gather):
            yield index.access
            yield from _index_reads(index.access)


def check_family(cascade: Cascade, family: str) -> str:
    """The family that is meant: by its name, one of its ranks (``m1``) or its size symbol (``M``)."""
    name = family_of(family.lower())
    if name not in cascade.families:
        raise LightboundError(
            "rank family",
            family,
            f"does not occur in the cascade {cascade.name!r}",
            choose_from(cascade.families, name),
        )
    return name
