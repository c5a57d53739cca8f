"""The mappings worth trying for a run of consecutive Einsums: which loops they can share, in which order, what is held
where, and which unit does what. Tile sizes stay open: they are parameters that the search fills in, all at once.

What may be tried follows from structure alone (ranks, passes, recurrences, levels, units), never from sizes or
capacities, so that a larger machine or a shorter rank never takes a candidate away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from math import prod
from typing import Any

from lightbound.archs.machine import Machine, Unit
from lightbound.base.errors import LightboundError, choose_from
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.einsum import Einsum
from lightbound.workloads.expression import Access, Affine, family_of
from lightbound.workloads.passes import passes

MOST_PERMUTED = 3  # ranks whose orders are all tried; beyond, each one is tried innermost


@dataclass(frozen=True)
class Candidate:
    """One group as plain data, with parameters ``T_<rank>`` for tiles, and the binds of its Einsums."""

    group: dict[str, Any]
    bind: tuple[dict[str, Any], ...]
    tiled: tuple[str, ...]  # ranks whose tile is a parameter
    coarse: frozenset[str]  # those of them that one Einsum alone walks: few sizes are enough to try
    order: tuple[str, ...]  # of the shared loops
    outer: int | None  # below how many loops operands are kept between the outermost level and the near one
    spilled: frozenset[str]


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
        levels = machine.levels
        on_chip = list(range(1, len(levels)))
        scoped = [number for number in on_chip if levels[number].scope is not None]
        self.inner = on_chip[-1] if on_chip else None  # where intermediates and sums live
        self.near = scoped[-2] if len(scoped) > 1 else self.inner  # where operands are brought
        self.outer = [number for number in on_chip if levels[number].scope is None and number != self.near]
        self.scope = next((unit.scope for unit in machine.units.values() if unit.scope is not None), None)
        # Candidates that differ in binds alone share their group, and binds of an Einsum that are alike are one.
        self._groups: dict[Any, tuple[dict[str, Any], tuple[str, ...], frozenset[str]]] = {}
        self._bound: dict[tuple[str, str | None], list[dict[str, Any]]] = {}

    @property
    def is_possible(self) -> bool:
        """Whether there is a candidate. There is none where one Einsum reads what another makes through a window
        (``X[t+k]``) and nothing ties them together: no tile of one is enough for a tile of the other, so they run one
        after the other.
        """
        return not self.has_windows or bool(self.carried)

    def candidates(self, bind: tuple[dict[str, Any], ...]) -> Iterator[Candidate]:
        """Every candidate with these binds, one of `binds`."""
        for order in self.orders():
            for depth in self.outer_depths(order):
                for spilled in self.spills():
                    yield self.candidate(order, depth, bind, spilled)

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

    def outer_depths(self, order: tuple[str, ...]) -> Iterator[int | None]:
        """Below how many loops operands are kept in the levels between the outermost and the near one."""
        yield None
        if self.outer:
            yield from dict.fromkeys((0, len(self.batch), min(len(self.batch) + 1, len(self.batch) + len(order))))

    def gains_by_whole(self, outer: int | None) -> bool:
        """Whether a candidate with its operands at that depth is no better than the one that keeps them whole (depth 0)
        where this fits. A hold further in brings them as often or more, and all else is the same. None at all spares
        the level in between, which does not count where that is faster than the outermost one for all that passes it.
        """
        if outer is not None or not self.outer:
            return outer not in (None, 0)
        first, between = self.machine.levels[0], self.machine.levels[self.outer[-1]]
        if first.rate_bytes_per_s is None or between.rate_bytes_per_s is None:
            return False
        passes = 1 if between.cache else 2  # what comes in passes the port too, unless it is a cache
        slowest = min(between.rate_bytes_per_s, between.write_rate_bytes_per_s) / passes
        return bool(slowest >= max(first.rate_bytes_per_s, first.shared_rate_bytes_per_s))

    def spills(self) -> Iterator[frozenset[str]]:
        """What may live in the outermost level between its writer and its readers. A recurrence cannot be cut apart, so
        that a state which is larger than the chip has no other place.
        """
        yield frozenset()
        if self.carried and self.kept:
            yield frozenset(self.kept)

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

    # ---- one candidate ----------------------------------------------------------------------------------------

    def candidate(
        self, order: tuple[str, ...], outer: int | None, bind: tuple[dict[str, Any], ...], spilled: frozenset[str]
    ) -> Candidate:
        key = order, outer, spilled
        if key not in self._groups:
            self._groups[key] = self._group(*key)
        group, tiled, coarse = self._groups[key]
        return Candidate(group, bind, tiled, coarse, order, outer, spilled)

    def _group(
        self, order: tuple[str, ...], outer: int | None, spilled: frozenset[str]
    ) -> tuple[dict[str, Any], tuple[str, ...], frozenset[str]]:
        loops: list[dict[str, Any]] = [self._loop(rank, 1) for rank in self.batch]
        loops += [self._loop(rank, 1 if rank in self.carried else tile_name(rank)) for rank in order]
        holds: dict[int, list[dict[str, Any]]] = {}
        if outer is not None and self.external:
            level = self.machine.levels[self.outer[-1]].name
            holds.setdefault(outer, []).append({"hold": list(self.external), "in": level})
        for tensor in self.kept:
            if self.inner is not None and tensor not in spilled:
                depth = self._home_depth(tensor, loops)
                holds.setdefault(depth, []).append({"hold": [tensor], "in": self.machine.levels[self.inner].name})
        branches = [self._branch(einsum, order, spilled) for einsum in self.einsums]
        nest: list[dict[str, Any]] = []
        for depth in range(len(loops) + 1):
            nest += holds.get(depth, [])
            nest += loops[depth : depth + 1]
        tiled = [rank for rank in order if rank not in self.carried]
        private = [rank for rank in self._ranks() if any(rank in private for _, private in branches)]
        group = {"einsums": list(self.segment), "nest": nest + [branch for branch, _ in branches]}
        if spilled:
            group["spill"] = [tensor for tensor in self.kept if tensor in spilled]
        return group, tuple(dict.fromkeys((*tiled, *private))), frozenset(private) - set(tiled)

    def _loop(self, rank: str, tile: int | str) -> dict[str, Any]:
        dealt = {"over": self.scope} if rank in self.dealt else {}
        return {"for": rank, "tile": tile, "if_split": True, **dealt}

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

    def _branch(
        self, einsum: Einsum, order: tuple[str, ...], spilled: frozenset[str]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """An Einsum's own loops below the shared ones, with its operands and its result at the bottom."""
        private = tuple(
            rank
            for rank in sorted(einsum.ranks, key=lambda rank: rank in einsum.reduced)
            if rank not in self.batch
            and rank not in order
            and rank not in self.carried
            and rank not in einsum.scanned
            and rank not in einsum.placed
            and not any(other in self.carried for other in self._family(rank))
        )
        nest: list[dict[str, Any]] = [{"for": rank, "tile": tile_name(rank), "if_split": True} for rank in private]
        operands = list(
            dict.fromkeys(a.tensor for a in einsum.reads if a.tensor in self.external or a.tensor in spilled)
        )
        if operands and self.near is not None:
            near = self.machine.levels[self.near].name
            split = (*self.batch, *order, *private)
            nest += [{"hold": t, "in": near, "copies": self._copies(einsum, t, split)} for t in operands]
        inner = [] if self.inner == self.near or self.inner is None else list(operands)
        made_here = einsum.name not in self.kept or (einsum.name in spilled and einsum.name not in inner)
        if made_here and not einsum.placed:  # what is scattered goes where it belongs at once
            inner.append(einsum.name)
        if inner and self.inner is not None:
            nest.append({"hold": inner, "in": self.machine.levels[self.inner].name})
        return {"do": [einsum.name], "nest": nest}, private

    def _copies(self, einsum: Einsum, tensor: str, loops: tuple[str, ...]) -> int | str:
        """Two, so that one fills while the other is used; one where the tensor comes whole and stays."""
        own = {rank for access in einsum.reads if access.tensor == tensor for rank in access.ranks}
        if own & self.carried:
            return 2
        splits = [f"{rank.upper()} > {1 if rank in self.batch else tile_name(rank)}" for rank in loops if rank in own]
        return f"where({' or '.join(splits)}, 2, 1)" if splits else 1

    # ---- binding ----------------------------------------------------------------------------------------------

    def binds(self) -> Iterator[tuple[dict[str, Any], ...]]:
        """Every operation on its fastest unit; then, where that is the unit of the products, some Einsums off it: those
        over the same ranks, alone and with all that have fewer ranks, and in the end all. Somewhere on the way the
        units are balanced.
        """
        fastest = self._bind(None, frozenset())
        yield fastest
        products = {bind["unit"] for bind in fastest if any("mac" in w.ops for w in self._work(bind["einsums"][0]))}
        if len(products) != 1 or len(self.segment) == 1:
            return
        alike: dict[frozenset[str], frozenset[str]] = {}
        for einsum in self.einsums:
            ranks = frozenset(einsum.ranks)
            alike[ranks] = alike.get(ranks, frozenset()) | {einsum.name}
        moves: list[frozenset[str]] = []
        for ranks, names in sorted(alike.items(), key=lambda item: len(item[0])):
            fewer = frozenset(e.name for e in self.einsums if len(e.ranks) < len(ranks))
            no_more = frozenset(e.name for e in self.einsums if len(e.ranks) <= len(ranks))
            moves += [names, fewer | names, no_more]
        seen = [fastest]
        for moved in dict.fromkeys(moves):
            bind = self._bind(next(iter(products)), moved)
            if bind not in seen:
                seen.append(bind)
                yield bind

    def _work(self, name: str) -> tuple[Any, ...]:
        return self.cascade.einsum(name).work

    def _bind(self, avoid: str | None, moved: frozenset[str]) -> tuple[dict[str, Any], ...]:
        made: list[dict[str, Any]] = []
        for einsum in self.einsums:
            key = einsum.name, avoid if einsum.name in moved else None
            if key not in self._bound:
                self._bound[key] = self._bind_one(einsum, key[1])
            made += self._bound[key]
        return tuple(made)

    def _bind_one(self, einsum: Einsum, avoid: str | None) -> list[dict[str, Any]]:
        units: dict[str, list[str]] = {}
        for work in einsum.work:
            for unit, ops in self._split(work.ops, avoid):
                units.setdefault(unit.name, []).extend(ops)
        if not units:
            unit = next(iter(self.machine.units.values()))
            return [{"einsums": [einsum.name], "unit": unit.name, "space": self._space(einsum, unit)}]
        made = []
        ordered = sorted(units, key=lambda name: "mac" in units[name])
        for position, name in enumerate(ordered):
            unit = self.machine.units[name]
            entry: dict[str, Any] = {"einsums": [einsum.name], "unit": name, "space": self._space(einsum, unit)}
            if position < len(ordered) - 1:
                entry["ops"] = list(dict.fromkeys(units[name]))
            made.append(entry)
        return made

    def _split(self, ops: tuple[str, ...], avoid: str | None) -> Iterator[tuple[Unit, tuple[str, ...]]]:
        """The longest run of operations that one unit can do, on the unit that is fastest at it, and so on."""
        while ops:
            for length in range(len(ops), 0, -1):
                able = [unit for unit in self.machine.units.values() if unit.cycles(ops[:length]) is not None]
                if avoid is not None and "mac" not in ops[:length]:
                    able = [unit for unit in able if unit.name != avoid] or able
                if able:
                    yield min(able, key=lambda unit: self._time(unit, ops[:length])), ops[:length]
                    ops = ops[length:]
                    break
            else:
                known = {op for unit in self.machine.units.values() for op in unit.cost}
                raise LightboundError(
                    f"machine {self.machine.name}: units",
                    ops[0],
                    "is an operation that no unit does",
                    f"Give a unit a cost for it. {choose_from(known, ops[0])}",
                )

    def _time(self, unit: Unit, ops: tuple[str, ...]) -> float:
        cost = unit.cycles(ops)
        return float(cost / (unit.lanes * self.machine.copies(unit.scope))) if cost is not None else float("inf")

    def _space(self, einsum: Einsum, unit: Unit) -> dict[str, list[str]]:
        """Ranks along the lanes, sums over lanes included: all that can lie side by side on one axis, else one each.

        A rank that any Einsum here carries on is walked step by step by all of them: lanes along it would idle.
        """
        stepped = {*einsum.scanned, *einsum.placed, *self.carried}
        free = [rank for rank in einsum.output.ranks if rank in einsum.ranks and rank not in stepped]
        axes = list(unit.shape)
        reduced = [rank for rank in einsum.reduced if rank not in stepped]
        if len(axes) == 1:
            return {axes[0]: [*free, *reduced]} if free or reduced else {}
        wanted = [rank for rank in (*free, *reduced) if rank not in self.batch]
        if len(wanted) < len(axes):
            options = [dict(zip(chosen, wanted, strict=True)) for chosen in permutations(axes, len(wanted))]
        else:
            options = [dict(zip(axes, chosen, strict=True)) for chosen in permutations(wanted, len(axes))]
        best = min(options, key=lambda space: self._steps(space, wanted, unit))
        return {axis: [rank] for axis, rank in best.items()}

    def _steps(self, space: dict[str, str], ranks: list[str], unit: Unit) -> int:
        """How often the lanes are filled for whole ranks: those that lie along no axis go one by one."""
        lanes = {rank: int(unit.shape[axis]) for axis, rank in space.items()}
        return prod(-(-int(self.cascade.size(rank)) // lanes.get(rank, 1)) for rank in ranks)


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
