"""The mappings worth trying for a run of consecutive Einsums: which loops they can share, in which order, and what is
held where (unit_choice.py: which unit does what). Tile sizes stay open: they are parameters that the search fills in,
all at once.

What may be tried follows from structure alone (ranks, passes, recurrences, levels, units), never from sizes or
capacities, so that a larger machine or a shorter rank never takes a candidate away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any, NamedTuple

from lightbound.archs.machine import Machine
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.einsum import Einsum
from lightbound.workloads.expression import Access, Affine, family_of
from lightbound.workloads.passes import passes

from .unit_choice import Binds, UnitChoice

BLOCK = "BLOCK"  # the length of outer tiles along each rank of a result
MOST_PERMUTED = 3  # ranks whose orders are all tried; beyond, each one is tried innermost


class Places(NamedTuple):
    """The levels, by number, in which something is held: `inner`, where intermediates and sums live; `near`, where
    operands are brought; and `between`, those that instances share, the last of which may keep operands too.
    """

    inner: int | None
    near: int | None
    between: tuple[int, ...]


@dataclass(frozen=True)
class Candidate:
    """One way to run the Einsums of a `shape`, with their binds."""

    shape: Shape
    bind: Binds
    order: tuple[str, ...]  # of the shared loops
    outer: int | None  # below how many loops operands are kept between the outermost level and the near one
    spilled: frozenset[str]
    places: Places
    blocked: bool = False  # in tiles of tiles, of which the outer ones are kept in a level between

    @property
    def group(self) -> dict[str, Any]:
        """The group as plain data, with parameters ``T_<rank>`` for tiles and `BLOCK` for those around them: one for
        all that differ in binds alone.
        """
        return self.shape.group(self.order, self.outer, self.spilled, self.places, self.blocked)


def tile_name(rank: str) -> str:
    return f"T_{rank}"


class Shape:
    """What the structure of a segment allows: Einsums that are next to each other in the order of the cascade."""

    def __init__(self, cascade: Cascade, machine: Machine, segment: tuple[str, ...]) -> None:
        self.cascade = cascade
        self.machine = machine
        self.segment = segment
        self.einsums = tuple(cascade.einsum(name) for name in segment)
        self.carried = frozenset(rank for einsum in self.einsums for rank in _carried(cascade, einsum))
        inside = set(segment)
        self.external = tuple(dict.fromkeys(a.tensor for e in self.einsums for a in e.reads if a.tensor not in inside))
        self.kept = tuple(name for name in segment if any(r.name in inside for r in cascade.readers(name)))
        self.has_windows = any(self._is_window(a) for e in self.einsums for a in e.reads)
        self.batch = tuple(rank for rank in self.einsums[0].ranks if self._is_batch(rank))
        self.shared = tuple(rank for rank in self._ranks() if rank not in self.batch and self._is_shared(rank))
        self.scope = next((unit.scope for unit in machine.units.values() if unit.scope is not None), None)
        self._choice = UnitChoice(cascade, machine, self.einsums, self.batch, self.carried)
        private = (rank for einsum in self.einsums for rank in self._private(einsum))
        self.private = tuple(dict.fromkeys(private))  # ranks that one Einsum alone walks
        self._groups: dict[Any, dict[str, Any]] = {}
        self._nodes: dict[Any, dict[str, Any]] = {}  # of nests, each made once

    @property
    def is_possible(self) -> bool:
        """Whether there is a candidate. There is none where one Einsum reads what another makes through a window
        (``X[t+k]``) and nothing ties them together: no tile of one is enough for a tile of the other, so they run one
        after the other.
        """
        return not self.has_windows or bool(self.carried)

    def binds(self) -> Iterator[Binds]:
        """What units may do."""
        return self._choice.binds()

    def candidates(self, bind: Binds) -> Iterator[Candidate]:
        """Every candidate with these binds, one of `binds`."""
        for places in self.places():
            for order in self.orders():
                for depth in self.outer_depths(order, places):
                    for spilled in self.spills():
                        yield Candidate(self, bind, order, depth, spilled, places)
            if places.between and self.sums:
                for order in permutations(self.sums[0]):
                    yield Candidate(self, bind, (*self.sums[1], *order), None, frozenset(), places, True)

    def _ranks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(rank for einsum in self.einsums for rank in einsum.ranks))

    def _is_batch(self, rank: str) -> bool:
        """In every tensor that is written: such a rank is walked outside of everything, one tile after the other."""
        if rank in self.carried or (len(self.segment) == 1 and not self._other_ranks(rank)):
            return False
        accesses = [a for e in self.einsums for a in (e.output, *e.reads)]
        rows = {access: _rows(rank, access) for access in accesses}
        by_tensor = {access.tensor: rows[access] for access in accesses}  # X[i,j] beside X[j,i] has no rows apart
        return all(rows[access] and rows[access] == by_tensor[access.tensor] for access in accesses) and all(
            rank not in e.scanned for e in self.einsums
        )

    def _other_ranks(self, rank: str) -> bool:
        return any(other != rank for other in self.einsums[0].ranks)

    def _is_shared(self, rank: str) -> bool:
        """Whether the segment can walk this rank once, all its Einsums together."""
        users = [einsum for einsum in self.einsums if rank in einsum.ranks]
        if any(rank in einsum.scanned or rank in einsum.placed for einsum in users):
            return False
        if any(other in self.carried and other != rank for other in self._family(rank)):
            return False  # the inside of a tile that a recurrence steps over
        if rank not in self.carried and any(rank in a.ranks and self._is_window(a) for e in users for a in e.reads):
            return False
        if len(self.segment) == 1:
            return True
        analysis = passes(self.cascade, family_of(rank))
        walked = {analysis.einsum[einsum.name] for einsum in users}
        return len(users) > 1 and len(walked) == 1

    def _is_window(self, access: Access) -> bool:
        """Whether a tensor that is made here is read beside where a step wrote it (``X[t+k]``, ``X[2*t+k]``): a tile of
        the reader needs its neighbours' words too, which a tile of the writer would make twice.
        """
        if access.tensor not in self.segment:
            return False
        written = self.cascade.einsum(access.tensor).output
        return any(
            isinstance(index, Affine) and index.terms and index.radix is None and index != target
            for index, target in zip(access.indices, written.indices, strict=True)
        )

    def _family(self, rank: str) -> tuple[str, ...]:
        return self.cascade.families.get(family_of(rank), (rank,))

    def orders(self) -> Iterator[tuple[str, ...]]:
        if len(self.shared) <= MOST_PERMUTED:
            yield from permutations(self.shared)
            return
        for innermost in self.shared:
            yield (*(rank for rank in self.shared if rank != innermost), innermost)

    def places(self) -> Iterator[Places]:
        """The levels to hold things in: all of them. What goes step by step has tiles that nothing makes smaller, for
        which the innermost levels may be too small: then also without these.
        """
        levels = self.machine.levels
        deepest = len(levels) - 1
        is_stepped = bool(self.carried) or any(einsum.scanned or einsum.placed for einsum in self.einsums)
        for innermost in range(deepest, (min(1, deepest) if is_stepped else deepest) - 1, -1):
            on_chip = range(1, innermost + 1)
            scoped = [number for number in on_chip if levels[number].scope is not None]
            inner = on_chip[-1] if on_chip else None
            near = scoped[-2] if len(scoped) > 1 else inner
            yield Places(inner, near, tuple(n for n in on_chip if levels[n].scope is None and n != near))

    def outer_depths(self, order: tuple[str, ...], places: Places) -> Iterator[int | None]:
        """Below how many loops operands are kept in the levels between the outermost and the near one: whole, then ever
        further in, then not at all. Each is no better than those before it, where these fit (`outdoes`).
        """
        if places.between:
            yield from dict.fromkeys((0, len(self.batch), min(len(self.batch) + 1, len(self.batch) + len(order))))
        yield None

    def outdoes(self, outer: int, other: int | None, places: Places) -> bool:
        """Whether operands kept between below so many loops take no longer than below `other`, where they fit. A hold
        further in brings them as often or more, and all else is the same. None at all spares the level in between,
        which does not count where that is faster than the outermost one for all that passes it.
        """
        if other is not None or not places.between:
            return other is not None and outer < other
        first, level = self.machine.levels[0], self.machine.levels[places.between[-1]]
        if first.rate_bytes_per_s is None or level.rate_bytes_per_s is None:
            return False
        passes = 1 if level.cache else 2  # what comes in passes the port too, unless it is a cache
        slowest = min(level.rate_bytes_per_s, level.write_rate_bytes_per_s) / passes
        return bool(slowest >= max(first.rate_bytes_per_s, first.shared_rate_bytes_per_s))

    def spills(self) -> Iterator[frozenset[str]]:
        """What may live in the outermost level between its writer and its readers. A recurrence cannot be cut apart, so
        that a state which is larger than the chip has no other place.
        """
        yield frozenset()
        if self.carried and self.kept:
            yield frozenset(self.kept)

    @cached_property
    def sums(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Of a single sum the ranks of its result that are walked one after the other, and those that it sums over;
        None where the segment is something else, or the result has too many ranks.
        """
        einsum = self.einsums[0]
        if len(self.einsums) > 1 or self.carried or einsum.scanned or einsum.placed or not einsum.reduced:
            return None
        own = tuple(rank for rank in self.shared if rank in einsum.output.ranks)
        return (own, tuple(rank for rank in self.shared if rank not in own)) if 0 < len(own) <= MOST_PERMUTED else None

    @cached_property
    def dealt(self) -> frozenset[str]:
        """The ranks that loops deal over instances."""
        return frozenset(rank for rank in (*self.batch, *self.shared) if self.scope is not None and self.parallel(rank))

    def parallel(self, rank: str) -> bool:
        return (
            rank not in self.carried
            and all(
                rank in einsum.output.ranks and rank not in einsum.scanned
                for einsum in self.einsums
                if rank in einsum.ranks
            )
            and all(rank in einsum.ranks for einsum in self.einsums)
        )

    def tiled(self, order: tuple[str, ...]) -> tuple[str, ...]:
        """Ranks whose tile is a parameter, the shared ones in this order."""
        return (*(rank for rank in order if rank not in self.carried), *self.private)

    # ---- one group --------------------------------------------------------------------------------------------

    def group(
        self, order: tuple[str, ...], outer: int | None, spilled: frozenset[str], places: Places, blocked: bool = False
    ) -> dict[str, Any]:
        """A group as plain data; those of one shape share the nodes that are alike in their nests."""
        key = order, outer, spilled, places, blocked
        if key not in self._groups:
            self._groups[key] = self._in_blocks(order, places) if blocked else self._group(*key[:-1])
        return self._groups[key]

    def _in_blocks(self, order: tuple[str, ...], places: Places) -> dict[str, Any]:
        """A single sum in blocks of its result, each of them kept between while steps of the sum go by."""
        assert self.sums is not None
        (einsum,), (own, summed) = self.einsums, self.sums
        between = self.machine.levels[places.between[-1]].name
        steps = (*self.batch, *summed)
        nest = [self._loop(rank) for rank in self.batch]
        nest += [{"for": rank, "tile": BLOCK, "if_split": True} for rank in order if rank in own]
        nest.append(self._hold((einsum.name,), places.between[-1]))
        nest += [self._loop(rank) for rank in summed]
        for tensor in self.external:
            copies = self._copies(einsum, tensor, steps)
            nest.append({"hold": [tensor], "in": between, "copies": copies})
        nest += [self._loop(rank) for rank in order if rank in own]
        nest.append(self._branch(einsum, frozenset(), places))
        return {"einsums": list(self.segment), "nest": nest}

    def _group(
        self, order: tuple[str, ...], outer: int | None, spilled: frozenset[str], places: Places
    ) -> dict[str, Any]:
        loops = [self._loop(rank) for rank in (*self.batch, *order)]
        holds: dict[int, list[dict[str, Any]]] = {}
        if outer is not None and self.external:
            holds.setdefault(outer, []).append(self._hold(self.external, places.between[-1]))
        for tensor in self.kept:
            if places.inner is not None and tensor not in spilled:
                holds.setdefault(self._home_depth(tensor, loops), []).append(self._hold((tensor,), places.inner))
        nest: list[dict[str, Any]] = []
        for depth in range(len(loops) + 1):
            nest += holds.get(depth, [])
            nest += loops[depth : depth + 1]
        nest += [self._branch(einsum, spilled, places) for einsum in self.einsums]
        group = {"einsums": list(self.segment), "nest": nest}
        if spilled:
            group["spill"] = [tensor for tensor in self.kept if tensor in spilled]
        return group

    def _loop(self, rank: str) -> dict[str, Any]:
        if rank not in self._nodes:
            dealt = {"over": self.scope} if rank in self.dealt else {}
            tile = 1 if rank in self.batch or rank in self.carried else tile_name(rank)
            self._nodes[rank] = {"for": rank, "tile": tile, "if_split": True, **dealt}
        return self._nodes[rank]

    def _hold(self, tensors: tuple[str, ...], level: int) -> dict[str, Any]:
        key = tensors, level
        if key not in self._nodes:
            self._nodes[key] = {"hold": list(tensors), "in": self.machine.levels[level].name}
        return self._nodes[key]

    def _home_depth(self, tensor: str, loops: list[dict[str, Any]]) -> int:
        """Above the first loop that would ask for the tensor again, or for its next iterate."""
        access = self.cascade.einsum(tensor).output
        running = self.cascade.iterative.get(tensor, frozenset())
        users = {r for e in (self.cascade.einsum(tensor), *self.cascade.readers(tensor)) for r in e.ranks}
        for depth, loop in enumerate(loops):
            rank = loop["for"]
            if rank in running or (rank not in access.ranks and rank in users):
                return depth
        return len(loops)

    def _private(self, einsum: Einsum) -> tuple[str, ...]:
        """The ranks that it walks alone, those that it sums over innermost."""
        return tuple(
            rank
            for rank in sorted(einsum.ranks, key=lambda rank: rank in einsum.reduced)
            if rank not in self.batch
            and rank not in self.shared
            and rank not in self.carried
            and rank not in einsum.scanned
            and rank not in einsum.placed
            and not any(other in self.carried for other in self._family(rank))
        )

    def _branch(self, einsum: Einsum, spilled: frozenset[str], places: Places) -> dict[str, Any]:
        """An Einsum's own loops below the shared ones, with its operands and its result at the bottom."""
        key = einsum.name, spilled, places
        if key not in self._nodes:
            self._nodes[key] = {"do": [einsum.name], "nest": self._inside(einsum, spilled, places)}
        return self._nodes[key]

    def _inside(self, einsum: Einsum, spilled: frozenset[str], places: Places) -> list[dict[str, Any]]:
        private = self._private(einsum)
        nest: list[dict[str, Any]] = [{"for": rank, "tile": tile_name(rank), "if_split": True} for rank in private]
        operands = list(
            dict.fromkeys(a.tensor for a in einsum.reads if a.tensor in self.external or a.tensor in spilled)
        )
        if operands and places.near is not None:
            near = self.machine.levels[places.near].name
            split = (*self.batch, *self.shared, *private)
            nest += [{"hold": [t], "in": near, "copies": self._copies(einsum, t, split)} for t in operands]
        inner = [] if places.inner == places.near or places.inner is None else list(operands)
        made_here = einsum.name not in self.kept or (einsum.name in spilled and einsum.name not in inner)
        if made_here and not einsum.placed:  # what is scattered goes where it belongs at once
            inner.append(einsum.name)
        if inner and places.inner is not None:
            nest.append({"hold": inner, "in": self.machine.levels[places.inner].name})
        return nest

    def _copies(self, einsum: Einsum, tensor: str, loops: tuple[str, ...]) -> int | str:
        """Two, so that one fills while the other is used; one where the tensor comes whole and stays."""
        own = {rank for access in einsum.reads if access.tensor == tensor for rank in access.ranks}
        if own & self.carried:
            return 2
        splits = [f"{rank.upper()} > {1 if rank in self.batch else tile_name(rank)}" for rank in loops if rank in own]
        return f"where({' or '.join(splits)}, 2, 1)" if splits else 1


def _rows(rank: str, access: Access) -> tuple[int, ...]:
    """The dimensions along which steps of the rank touch different words. None where neighbouring windows share some
    (``X[t+1]`` beside ``X[t]``).
    """
    places = [place for place, index in enumerate(access.indices) if rank in index.ranks]
    indices = [access.indices[place] for place in places]
    return tuple(places) if all(not isinstance(i, Affine) or i.rank == rank for i in indices) else ()


def _carried(cascade: Cascade, einsum: Einsum) -> frozenset[str]:
    """Ranks along which an Einsum takes part in a recurrence, and so goes step by step."""
    tensors = (einsum.name, *(access.tensor for access in einsum.reads))
    ranks = frozenset(rank for tensor in tensors for rank in cascade.iterative.get(tensor, frozenset()))
    return ranks & frozenset(einsum.ranks)
