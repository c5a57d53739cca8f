"""Which unit does which operations of the Einsums of a group, and along which of its lanes: the binds worth trying."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import permutations
from math import prod
from typing import Any

from lightbound.archs.machine import Machine, Unit
from lightbound.base.errors import LightboundError, choose_from
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.einsum import Einsum

Binds = tuple[dict[str, Any], ...]


class UnitChoice:
    """The choice for Einsums of a cascade. Ranks that are `carried` go step by step; those of the `batch` are walked
    outside of everything.
    """

    def __init__(
        self,
        cascade: Cascade,
        machine: Machine,
        einsums: tuple[Einsum, ...],
        batch: Collection[str],
        carried: Collection[str],
    ) -> None:
        self.cascade = cascade
        self.machine = machine
        self.einsums = einsums
        self.batch = batch
        self.carried = carried
        self._bound: dict[tuple[str, str | None], list[dict[str, Any]]] = {}  # binds that are alike are one

    def binds(self) -> Iterator[Binds]:
        """Every operation on its fastest unit; then, where that is the unit of the products, some Einsums off it: those
        over the same ranks, alone and with all that have fewer ranks, and in the end all. Somewhere on the way the
        units are balanced.
        """
        fastest = self._bind(None, frozenset())
        yield fastest
        products = {bind["unit"] for bind in fastest if any("mac" in w.ops for w in self._work(bind["einsums"][0]))}
        if len(products) != 1 or len(self.einsums) == 1:
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

    def _bind(self, avoid: str | None, moved: frozenset[str]) -> Binds:
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
        best = min(options, key=lambda space: (self._steps(space, wanted, unit), self._words(space, einsum, unit)))
        return {axis: [rank] for axis, rank in best.items()}

    def _steps(self, space: dict[str, str], ranks: list[str], unit: Unit) -> int:
        """How often the lanes are filled for whole ranks: those that lie along no axis go one by one."""
        lanes = {rank: int(unit.shape[axis]) for axis, rank in space.items()}
        return prod(-(-int(self.cascade.size(rank)) // lanes.get(rank, 1)) for rank in ranks)

    def _words(self, space: dict[str, str], einsum: Einsum, unit: Unit) -> int:
        """Words of its operands that lanes work on at once: of layouts as fast, the one with the fewest reads least."""
        lanes = {rank: min(int(unit.shape[axis]), int(self.cascade.size(rank))) for axis, rank in space.items()}
        return sum(prod(lanes.get(rank, 1) for rank in access.ranks) for access in einsum.reads)
