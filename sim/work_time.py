"""How long the units of a machine work for one Einsum: points, lanes and their fillings, and the busiest instance."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial

from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, ceil_div, evaluate

from .binding import Piece
from .busiest import busiest_share, repeats
from .flow import Site
from .lanes import along, fillings, in_turn, tiles_of
from .loading import loaded_from, with_loading
from .nests import Nests
from .plan import GroupPlan, Plan
from .slots import EinsumTime


def work_times(plan: Plan, group: GroupPlan, nests: Nests, word_bytes: int) -> dict[str, EinsumTime]:
    """What every Einsum of a group takes of the units that it runs on."""
    shared = nests.below(group.shared)
    arrived: set[int] = set()

    def time(site: Site) -> EinsumTime:
        return _einsum_time(plan, site, nests, shared.visits(site.ranks, len(group.shared)), word_bytes, arrived)

    return {  # what a unit's threads load depends on what others of them loaded before
        name: time(site) if site.loads else nests.once(("time", *_alike(site, nests)), partial(time, site))
        for name, site in group.sites.items()
    }


def _alike(site: Site, nests: Nests) -> tuple[Hashable, ...]:
    """Equal for sites whose work takes as long, in whatever order their loops are."""
    return (site.binds, nests.place(site.loops), site.shared) if site.binds else (site,)


def _einsum_time(
    plan: Plan, site: Site, nests: Nests, epochs: Number, word_bytes: int, arrived: set[int]
) -> EinsumTime:
    cycles: dict[str, Number] = {}
    useful: dict[str, Number] = {}
    needs: dict[str, dict[str, Number]] = {}
    for piece in site.pieces:
        cost = _cost(plan, site, piece) * evaluate(piece.times, nests.environment)
        points, steps = _points_and_steps(site, piece, nests)
        share = busiest_share(site, piece.unit.scope, piece.ranks, nests, piece)
        name = piece.unit.name
        cycles[name] = cycles.get(name, 0) + steps * cost * share
        for port in piece.unit.needs:
            needed = piece.unit.needed(port, piece.ops) * evaluate(piece.times, nests.environment)
            _add(needs, port, name, steps * needed * share)
        useful[name] = useful.get(name, 0) + points * cost
        for other, extra in piece.unit.also.get("+".join(piece.ops), {}).items():
            lanes = plan.machine.units[other].lanes
            cycles[other] = cycles.get(other, 0) + ceil_div(points * share, lanes) * extra
            useful[other] = useful.get(other, 0) + points * extra
            for port in plan.machine.units[other].needs:  # one instruction a cycle
                _add(needs, port, other, ceil_div(points * share, lanes) * extra)
    loads: dict[str, dict[str, Number]] = {}
    if site.loads:
        name, share = site.unit.name, busiest_share(site, site.unit.scope, site.einsum.ranks, nests)
        work = cycles.get(name, 0)
        cycles[name] = with_loading(plan.machine, site, nests, epochs, work, share, word_bytes, arrived)
        loads[name] = {loaded_from(plan.machine, site): cycles[name] - work}
    return EinsumTime(cycles, useful, loads, needs)


def _add(table: dict[str, dict[str, Number]], first: str, second: str, more: Number) -> None:
    row = table.setdefault(first, {})
    row[second] = row.get(second, 0) + more


def _cost(plan: Plan, site: Site, piece: Piece) -> Number:
    cost = piece.unit.cycles(piece.ops)
    if cost is None:
        unable = next((op for op in piece.ops if piece.unit.cycles((op,)) is None), "+".join(piece.ops))
        able = [name for name, unit in plan.machine.units.items() if unit.cycles((unable,)) is not None]
        raise LightboundError(
            f"mapping {plan.mapping.name!r}: bind",
            site.einsum.name,
            f"needs {unable!r}, which unit {piece.unit.name!r} of {plan.machine.name} does not do",
            f"Bind {unable!r} to {' or '.join(able)} (ops: [{unable}])."
            if able
            else f"Give a unit of the machine a cost for {unable!r}.",
        )
    return cost


def _points_and_steps(site: Site, piece: Piece, nests: Nests) -> tuple[Number, Number]:
    """Points of the work, and cycles at one cycle a point: lanes share the ranks that lie along them."""
    outer = nests.below(site.loops)
    inside = in_turn(site)
    points: Number = 1
    steps: Number = 1
    for rank in piece.ranks:
        points = points * nests.sizes[rank]
        steps = steps * fillings(piece, rank, nests.sizes[rank], tiles_of(outer, rank, 0, inside))
    for axis in piece.space:
        here = along(piece, axis)
        if len(here) > 1:
            extent: Number = 1
            for rank in here:
                extent = extent * outer.extent(rank, inside)
            steps = steps * ceil_div(extent, piece.unit.shape[axis])
    return points, steps * repeats(site, nests)
