"""The loop nests of a group at one environment, tile sizes as numbers, and what follows from them, made once each.

A search evaluates many plans that differ in few things: what their sites and holds share is looked up, not made again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, TypeVar

import numpy as np

from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, evaluate, maximum, minimum

from .dealing import Dealt, Loops, side_by_side, spread
from .flow import Site
from .mapping import For, Quantity
from .reuse import Nest, Sizes, Step

Result = TypeVar("Result")
_UNKNOWN: Any = object()


class Nests:
    """The nests of a group at one environment, made once each: tile sizes as numbers."""

    def __init__(self, sizes: Sizes, environment: Mapping[str, Number]) -> None:
        self.sizes = sizes
        self.environment = environment
        self._shared: dict[int, tuple[tuple[For, ...], Nest]] = {}  # by the identity of the loops, kept alive here
        self._places: dict[int, Hashable] = {}
        self._tiles: dict[Quantity, Number] = {}
        self._found: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """What `make` returns, made once for a key: plans that share sites and holds share what follows from them."""
        found = self._found.get(key, _UNKNOWN)
        if found is _UNKNOWN:
            found = self._found[key] = make()
        return found

    def below(self, loops: tuple[For, ...]) -> Nest:
        known = self._shared.get(id(loops))
        if known is None:
            steps = tuple(Step(loop.rank, self._tile(loop), loop.if_split) for loop in loops)
            known = self._shared[id(loops)] = loops, Nest(steps, self.sizes)
        return known[1]

    def place(self, loops: tuple[For, ...]) -> Hashable:
        """What tells apart the places below loops, as far as extents of tiles go: not in which order the loops are, if
        each walks a rank of its own.
        """
        if id(loops) not in self._places:
            ranks = {loop.rank for loop in loops}
            self._places[id(loops)] = frozenset(map(id, loops)) if len(ranks) == len(loops) else id(loops)
        return self._places[id(loops)]

    def _tile(self, loop: For) -> Number:
        if loop.tile not in self._tiles:
            self._tiles[loop.tile] = self._evaluated(loop)
        return self._tiles[loop.tile]

    def _evaluated(self, loop: For) -> Number:
        tile = evaluate(loop.tile, self.environment)
        if np.any(tile < 1):
            where = f"tile of {loop.rank}"
            raise LightboundError(where, loop.tile, "is below 1", "Choose a larger tile or a larger rank.")
        return tile

    def inside(self, site: Site) -> Nest:
        """The nest down to single words at the unit: written loops, then lanes, then what is left in time."""
        return self.once(("inside", site.key or site), lambda: self._inside(site))

    def _inside(self, site: Site) -> Nest:
        outer = self.below(site.loops)
        depth = len(outer.steps)
        inner: list[Step] = []
        for axis, ranks in site.space.items():
            free: Number = site.unit.shape[axis]
            for rank in ranks:
                inner.append(Step(rank, maximum(1, free), if_split=True))
                free = maximum(1, free // minimum(free, outer.extent(rank, depth)))
        inner += [Step(rank, 1, if_split=True) for rank in site.temporal]
        reduced = set(site.einsum.reduced)
        inner.sort(key=lambda step: step.rank in reduced)  # innermost, so that sums stay in the unit
        return Nest(tuple(inner), outer.sizes, outer)

    def side_by_side(self, site: Site, scope: str | None, ranks: frozenset[str]) -> dict[int, Dealt]:
        """For loops over these ranks that are dealt over instances, by position, what runs at once, and at how many
        instances of a scope.
        """
        if not site.over:
            return {}
        return self.once(
            ("dealt", id(site.loops), scope, ranks),
            lambda: side_by_side(self.dealt(site.loops, ranks), spread(site.axes, site.over, scope)),
        )

    def dealt(self, loops: tuple[For, ...], ranks: Collection[str] | None = None) -> Loops:
        """The loops that are dealt over instances, of these ranks or all: position, axis, trips."""
        nest = self.below(loops)
        return [
            (at, loop.over, nest.trips(at))
            for at, loop in enumerate(loops)
            if loop.over is not None and (ranks is None or loop.rank in ranks)
        ]
