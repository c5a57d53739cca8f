"""How long the units of a machine work for one Einsum: points, lanes and their fillings, and the busiest instance."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial

from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, ceil_div, evaluate, minimum

from .binding import Piece
from .flow import Site
from .loading import loaded_from, with_loading
from .nests import Nests
from .plan import GroupPlan, Plan
from .reuse import Nest, tiles
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
        share = _busiest_share(plan, site, piece.ranks, nests, piece)
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
        name, share = site.unit.name, _busiest_share(plan, site, site.einsum.ranks, nests)
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
    inside = _in_turn(site)
    points: Number = 1
    steps: Number = 1
    for rank in piece.ranks:
        points = points * nests.sizes[rank]
        steps = steps * _fillings(piece, rank, nests.sizes[rank], _tiles_of(outer, rank, 0, inside))
    for axis in piece.space:
        here = _along(piece, axis)
        if len(here) > 1:
            extent: Number = 1
            for rank in here:
                extent = extent * outer.extent(rank, inside)
            steps = steps * ceil_div(extent, piece.unit.shape[axis])
    return points, steps * _repeats(site, nests)


def _repeats(site: Site, nests: Nests, dealt: bool = False) -> Number:
    """How often an Einsum does its work over, in loops of others that say so; of these only those that are `dealt`."""
    outer = nests.below(site.loops)
    times: Number = 1
    for depth in site.again:
        loop = site.loops[depth]
        if loop.over is not None or not dealt:
            times = times * ceil_div(outer.extent(loop.rank, depth), outer.extent(loop.rank, depth + 1))
    return times


def _fillings(piece: Piece, rank: str, size: Number, nested: list[Number]) -> Number:
    """How often lanes are filled along a rank of this size under nested tiles, ragged tiles counted exactly.

    In time every coordinate is a step. Of ranks that lie side by side on one axis, every tile is.
    """
    axis = next((axis for axis, ranks in piece.space.items() if rank in ranks), None)
    if axis is None:
        return size
    if len(_along(piece, axis)) == 1:
        return tiles(size, [*nested, piece.unit.shape[axis]])
    return tiles(size, nested) if nested else 1


def _along(piece: Piece, axis: str) -> list[str]:
    return [rank for rank in piece.space[axis] if rank in piece.ranks]


def _in_turn(site: Site) -> int:
    """Depth of the loops whose iterations fill lanes one after the other. Where a unit's own threads load, those of its
    branch over ranks in lanes are its warps, side by side.
    """
    return site.shared if site.loads else len(site.loops)


def _tiles_of(nest: Nest, rank: str, depth: int, until: int) -> list[Number]:
    return [step.tile for step in nest.steps[depth:until] if step.rank == rank]


def _busiest_share(plan: Plan, site: Site, ranks: tuple[str, ...], nests: Nests, piece: Piece | None = None) -> Number:
    """The part of the work that the busiest instance does, when iterations are dealt over instances of the unit.

    Its tasks have full length: a ragged one is shorter, but then others are not. Work is measured in points, that of a
    `piece` in fillings of its lanes.
    """
    if site.unit.scope is None:
        return 1
    outer = nests.below(site.loops)
    tasks: Number = 1
    whole: Number = 1  # the work in tasks of full length
    for rank in ranks:
        dealt = [depth for depth, loop in enumerate(site.loops) if loop.over is not None and loop.rank == rank]
        if not dealt:
            continue
        for depth in dealt:
            tasks = tasks * ceil_div(outer.extent(rank, depth), outer.extent(rank, depth + 1))
        inside = dealt[-1] + 1
        size, length = nests.sizes[rank], outer.extent(rank, inside)
        if piece is not None:
            size = _fillings(piece, rank, size, _tiles_of(outer, rank, 0, _in_turn(site)))
            length = _fillings(piece, rank, length, _tiles_of(outer, rank, inside, _in_turn(site)))
        whole = whole * (size / length)
    dealt_again = _repeats(site, nests, dealt=True)
    tasks, whole = tasks * dealt_again, whole * dealt_again
    return minimum(1, ceil_div(tasks, plan.machine.copies(site.unit.scope)) / whole)
