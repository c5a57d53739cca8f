"""How much room what a group holds takes in each level."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, evaluate, maximum, minimum, times
from lightbound.base.points import refuse
from lightbound.workloads.expression import Access

from .flow import Held, Site
from .nests import Nests
from .plan import GroupPlan
from .reuse import Nest, together, windows
from .traffic import relative_widths


def footprints(plan: GroupPlan, nests: Nests) -> dict[int, dict[int, tuple[Number, tuple[str, ...]]]]:
    """Words that each buffer of each level takes in one copy of it: level -> buffer -> (words, tensors)."""
    return nests.once(("footprints", plan.holds), lambda: _footprints(plan, nests))


def _footprints(plan: GroupPlan, nests: Nests) -> dict[int, dict[int, tuple[Number, tuple[str, ...]]]]:
    found: dict[int, dict[int, tuple[Number, tuple[str, ...]]]] = {}
    running = {flow.tensor: flow.running for flow in plan.flows}
    widths = relative_widths(plan, nests)
    for held in plan.holds:
        site = plan.sites[min(held.users)]
        words = _held_words(held, site, running.get(held.tensor, frozenset()), nests)
        words = times(words, widths.get(held.tensor, 1))
        buffers = found.setdefault(held.level, {})
        known, tensors = buffers.get(held.buffer, (0, ()))
        buffers[held.buffer] = (maximum(known, words), (*tensors, held.tensor))
    return found


def _held_words(held: Held, site: Site, live: frozenset[str], nests: Nests) -> Number:
    """Words of all copies of what is held, and of all tiles of it that are held at once; `site` is one of its users."""

    def words() -> Number:
        room = words_held(held.written, held.reads, nests.below(held.loops), len(held.loops), live)
        return times(times(room, _copies(held, nests)), _tiles_at_once(site, held, nests))

    alone = held.apart and site.over <= {held.scope}  # a copy serves one instance
    place: tuple[Hashable, ...] = (nests.place(held.loops),) if alone else (id(held.loops), id(site.loops))
    return nests.once(("held", held.tensor, held.users, held.copies, live, held.level, place), words)


def _copies(held: Held, nests: Nests) -> Number:
    copies = evaluate(held.copies, nests.environment)
    wrong = (np.asarray(copies) < 1) | (np.asarray(copies) % 1 != 0)
    remedy = "Write 1 for a tile that is used as it lies there, 2 to fill the next one meanwhile."
    refuse(wrong, lambda at: LightboundError(f"copies of {held.tensor}", at(copies), "is no number of tiles", remedy))
    return copies


def words_held(
    written: tuple[Access, ...], reads: tuple[Access, ...], nest: Nest, depth: int, live: frozenset[str]
) -> Number:
    """Words of a tensor that is held at a depth: of the tile that is written, or of those that are read together; the
    whole at most. Along a `live` rank only one iterate exists.
    """
    tiles = [nest.footprint(access, depth, live) for access in written]
    if live:
        return maximum(*tiles, *(nest.footprint(access, depth, live) for access in reads))
    several = windows(reads)
    words = [nest.footprint(window[0], depth, (), window[1:]) for window in several]
    room = together(nest, depth, several, words) if words else 0
    if len(several) > 1:
        room = minimum(room, maximum(*(nest.footprint(window[0], 0, (), window[1:]) for window in several)))
    return maximum(*tiles, room)


def _tiles_at_once(site: Site, held: Held, nests: Nests) -> Number:
    """How many tiles of a tensor a copy of a level holds at once, for instances that work on different iterations."""
    accesses = (*site.einsum.reads, site.einsum.output)
    own = {rank for access in accesses if access.tensor == held.tensor for rank in access.ranks}
    result: Number = 1
    for position, dealt in nests.side_by_side(site, held.scope, site.ranks).items():
        if position < len(held.loops) and held.loops[position].rank in own:
            result = times(result, dealt.together)
    return result
