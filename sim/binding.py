"""Which unit does which operations of which Einsum, along which lanes: the binds of a mapping, checked and resolved."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass

from lightbound.archs.machine import Machine, Unit
from lightbound.base.errors import LightboundError, choose_from
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.einsum import Einsum

from .mapping import Bind


@dataclass(frozen=True, eq=False)
class Piece:
    """Operations of an Einsum that one unit does in a row at every point of some ranks, so many `times`."""

    ops: tuple[str, ...]
    ranks: tuple[str, ...]
    unit: Unit
    space: Dictionary[str, tuple[str, ...]]
    times: int | float | str = 1


def bindings(
    where: str, cascade: Cascade, binds: Iterable[Bind], machine: Machine, wanted: Iterable[str]
) -> dict[str, tuple[Bind, ...]]:
    """The binds of every Einsum that is wanted, those of single operations first."""
    names = [einsum.name for einsum in cascade.einsums]
    found: dict[str, list[Bind]] = {name: [] for name in names}
    for number, bind in enumerate(binds):
        here = f"{where}: bind.{number}"
        check_known(f"{here}.unit", bind.unit, machine.units)
        for axis, ranks in bind.space.items():
            check_known(f"{here}.space", axis, machine.units[bind.unit].shape)
            for rank in ranks:
                check_known(f"{here}.space.{axis}", rank, cascade.ranks)
        ranks = [rank for along in bind.space.values() for rank in along]
        if twice := next((rank for rank in ranks if ranks.count(rank) > 1), None):
            raise LightboundError(f"{here}.space", twice, "lies along lanes twice", "Name each rank once.")
        for name in bind.einsums:
            check_known(f"{here}.einsums", name, names)
            _check_carried(here, cascade, bind, name)
            found[name].append(bind)
    missing = [name for name in wanted if all(bind.ops or bind.implied for bind in found[name])]
    if missing:
        raise LightboundError(f"{where}: bind", ", ".join(missing), "is bound to no unit", "Bind it to a unit.")
    return {
        name: tuple(sorted(binds, key=lambda bind: not (bind.ops or bind.implied))) for name, binds in found.items()
    }


def _check_carried(here: str, cascade: Cascade, bind: Bind, name: str) -> None:
    carried = cascade.iterative.get(name, frozenset())
    for axis, ranks in bind.space.items():
        clash = carried.intersection(ranks)
        if clash:
            raise LightboundError(
                f"{here}.space.{axis}",
                ", ".join(clash),
                f"carries {name} from one step to the next",
                "A recurrence cannot be laid along lanes; leave the rank in time.",
            )


def pieces_of(einsum: Einsum, binds: tuple[Bind, ...], machine: Machine) -> tuple[Piece, ...]:
    """The operations of an Einsum in order, cut where another unit takes over, then those that it implies."""
    made: list[Piece] = []
    for work in einsum.work:
        chosen = [next(bind for bind in binds if _takes(bind, op)) for op in work.ops]
        start = 0
        for end in range(1, len(chosen) + 1):
            if end == len(chosen) or chosen[end] is not chosen[start]:
                unit, space = _lanes(einsum, chosen[start], machine)
                made.append(Piece(work.ops[start:end], work.ranks, unit, space))
                start = end
    for bind in binds:
        unit, space = _lanes(einsum, bind, machine)
        made += [Piece((op,), einsum.ranks, unit, space, times) for op, times in bind.implied.items()]
    return tuple(made)


def _takes(bind: Bind, op: str) -> bool:
    return op in bind.ops or not (bind.ops or bind.implied)


def _lanes(einsum: Einsum, bind: Bind, machine: Machine) -> tuple[Unit, dict[str, tuple[str, ...]]]:
    space = {axis: tuple(rank for rank in ranks if rank in einsum.ranks) for axis, ranks in bind.space.items()}
    return machine.units[bind.unit], {axis: ranks for axis, ranks in space.items() if ranks}


def operand_lanes(
    einsum: Einsum, binds: tuple[Bind, ...], machine: Machine, pieces: tuple[Piece, ...]
) -> tuple[Unit, Dictionary[str, tuple[str, ...]]]:
    """Where an Einsum's operands go: to its first operations; one that computes nothing only moves words."""
    return (pieces[0].unit, pieces[0].space) if pieces else _lanes(einsum, binds[-1], machine)


def check_known(where: str, name: str, names: Iterable[str]) -> None:
    """Raise the error of an unknown name, with those there are."""
    names = tuple(names)
    if name not in names:
        raise LightboundError(where, name, "does not exist", choose_from(names, name))
