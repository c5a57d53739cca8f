"""Who takes part in a group, resolved: where Einsums run, what is held on the way to them, and which tensors flow."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from functools import cached_property

from lightbound.archs.machine import Unit
from lightbound.base.formula import Number
from lightbound.workloads.einsum import Einsum
from lightbound.workloads.expression import Access

from .binding import Piece
from .mapping import For
from .reuse import windows

PassVector = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Held:
    """A tensor's place in a level: below `loops`, for the Einsums in `users`, which read and write it as said."""

    tensor: str
    level: int
    loops: tuple[For, ...]
    copies: int | float | str
    buffer: int  # holds with one number share a buffer (alias)
    users: frozenset[str]
    reads: tuple[Access, ...]
    written: tuple[Access, ...]
    wait: int | float | str | None = None  # cycles of a refill by the unit's own threads
    scope: str | None = None  # the axis of whose instances each has a copy; None: all share one

    @property
    def apart(self) -> bool:
        """Whether there are several copies."""
        return self.scope is not None


@dataclass(frozen=True, eq=False)
class Site:
    """Where an Einsum runs: its loops from outermost to innermost, its unit, and what is held on the way to it.

    The first `shared` of its loops are those of the group. `axes` are those of the machine's instances, outer to inner.
    `unit` and `space` are those of its first operations, whose operands are what the unit reads; `pieces` are all.
    """

    einsum: Einsum
    unit: Unit
    space: Dictionary[str, tuple[str, ...]]
    pieces: tuple[Piece, ...]
    shared: int
    loops: tuple[For, ...]
    holds: Dictionary[str, tuple[Held, ...]]
    passes: PassVector
    slot: int
    axes: Dictionary[str, Number] = field(default_factory=dict)
    binds: tuple[object, ...] = ()  # what tells it from other sites of one search besides its loops and what is held

    @cached_property
    def key(self) -> tuple[object, ...]:
        """Two sites of one search with one key are alike but for what is held."""
        return (*self.binds, id(self.loops), self.shared) if self.binds else ()

    @cached_property
    def again(self) -> tuple[int, ...]:
        """Depths of the loops in whose every iteration its work is done again, although it lacks their ranks."""
        own = self.einsum.ranks
        return tuple(depth for depth, loop in enumerate(self.loops) if loop.again and loop.rank not in own)

    @cached_property
    def over(self) -> frozenset[str]:
        """The axes that its loops are dealt over."""
        return frozenset(loop.over for loop in self.loops if loop.over is not None)

    @cached_property
    def ranks(self) -> frozenset[str]:
        """Ranks over which loops run for it."""
        return frozenset((*self.einsum.ranks, *(self.loops[depth].rank for depth in self.again)))

    @cached_property
    def spatial(self) -> frozenset[str]:
        return frozenset(rank for ranks in self.space.values() for rank in ranks)

    @cached_property
    def temporal(self) -> tuple[str, ...]:
        """Ranks that no lanes take, the reduced ones innermost so that sums stay in the unit."""
        ranks = [rank for rank in self.einsum.ranks if rank not in self.spatial and rank not in self.einsum.placed]
        reduced = set(self.einsum.reduced)
        return tuple(sorted(ranks, key=lambda rank: rank in reduced))

    @cached_property
    def loads(self) -> bool:
        """Whether its unit's own threads bring operands."""
        return any(held.wait is not None for chain in self.holds.values() for held in chain)

    def lanes_of(self, access: Access) -> dict[str, tuple[int, ...]]:
        """Which of a tensor's own indices lie along which lanes."""
        place = {rank: number for number, index in enumerate(access.indices) for rank in index.ranks}
        along = {axis: tuple(place[rank] for rank in ranks if rank in place) for axis, ranks in self.space.items()}
        return {axis: places for axis, places in along.items() if places}

    def together_with(self, other: Site) -> bool:
        """Whether the two are done in one walk on one unit, so that a value passes between them for free."""
        return self.unit.name == other.unit.name and self.passes == other.passes


@dataclass(frozen=True, eq=False)
class Flow:
    """One tensor in one group: who writes it, who reads it, and where its home is."""

    tensor: str
    writer: Site | None
    readers: tuple[tuple[Site, Access], ...]
    home: int | None  # level of an intermediate's home; None: it never leaves the units
    leaves: bool  # written to the outermost level for a later group or as an output
    running: frozenset[str]  # ranks over which it is a running value (only one iterate lives)

    @property
    def arrives(self) -> bool:
        """Whether it is read from the outermost level."""
        return bool(self.readers) and (self.writer is None or self.home == 0)

    @cached_property
    def walks(self) -> tuple[Walk, ...]:
        """One read of the tensor for each (branch, unit, pass) that needs it."""
        return _walks(self.tensor, self.readers)

    @cached_property
    def walks_apart(self) -> tuple[Walk, ...]:
        """Those of readers that do not get it from its writer for free: on another unit, in another pass, along other
        lanes.
        """
        writer = self.writer
        return _walks(
            self.tensor,
            (
                (site, access)
                for site, access in self.readers
                if writer is None
                or not site.together_with(writer)
                or site.lanes_of(access) != writer.lanes_of(writer.einsum.output)
            ),
        )

    @cached_property
    def below(self) -> Dictionary[int, tuple[tuple[Site, Access], ...]]:
        """The readers below a hold, by its identity."""
        holds = {id(held): held for site, _ in self.readers for held in site.holds.get(self.tensor, ())}
        return {
            key: tuple((site, access) for site, access in self.readers if site.einsum.name in held.users)
            for key, held in holds.items()
        }


Walk = tuple[tuple["Site", ...], tuple[tuple[tuple[Access, ...], tuple["Site", ...]], ...]]
"""Sites that read a tensor together, and the windows of it that they read, each with those of them that take it."""


def _walks(tensor: str, readers: Iterable[tuple[Site, Access]]) -> tuple[Walk, ...]:
    walks: dict[tuple[object, ...], list[tuple[Site, Access]]] = {}
    for site, access in readers:
        key = (id(site.loops), site.holds.get(tensor), site.unit.name, site.passes)  # equal loops are one
        walks.setdefault(key, []).append((site, access))
    made = []
    for reads in walks.values():
        if len(reads) == 1:
            site, access = reads[0]
            made.append(((site,), (((access,), (site,)),)))
            continue
        several = windows(tuple(dict.fromkeys(access for _, access in reads)))
        taking = [{id(site): site for site, access in reads if access in window}.values() for window in several]
        parts = tuple((tuple(window), tuple(sites)) for window, sites in zip(several, taking, strict=True))
        made.append((tuple(site for site, _ in reads), parts))
    return tuple(made)
