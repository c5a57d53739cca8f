"""The loop nests of a group at one environment, tile sizes as numbers, and what follows from them, made once each.

A search evaluates many plans that differ in few things: what their sites and holds share is looked up, not made again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import numpy as np

from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, ceil_div, evaluate, is_array, maximum, minimum

from .flow import Site
from .mapping import For, Quantity
from .reuse import Nest, Sizes, Step

Result = TypeVar("Result")
_UNKNOWN: Any = object()


class Nests:
    """The nests of a group at one environment, made once each: tile sizes as numbers."""

    def __init__(self, sizes: Sizes, environment: Mapping[str, Number], whole: Nests | None = None) -> None:
        self.sizes = sizes
        self.environment = environment
        self._whole = whole
        self._shared: dict[int, tuple[tuple[For, ...], Nest]] = {}  # by the identity of the loops, kept alive here
        self._places: dict[int, Hashable] = {}
        self._tiles: dict[Quantity, Number] = {}
        self._task: Nests | None = None
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
            steps = tuple(Step(loop.rank, self._tile(loop), loop.if_split or self._is_done(loop)) for loop in loops)
            known = self._shared[id(loops)] = loops, Nest(steps, self._sizes(loops))
        return known[1]

    def place(self, loops: tuple[For, ...]) -> Hashable:
        """What tells apart the places below loops, as far as extents of tiles go: not in which order the loops are, if
        each walks a rank of its own.
        """
        if id(loops) not in self._places:
            ranks = {loop.rank for loop in loops}
            self._places[id(loops)] = frozenset(map(id, loops)) if len(ranks) == len(loops) else id(loops)
        return self._places[id(loops)]

    def one_task(self) -> Nests:
        """The nests of one iteration of the loops that are dealt over instances, at their full length."""
        if self._task is None:
            self._task = Nests(self.sizes, self.environment, self)
        return self._task

    def _is_done(self, loop: For) -> bool:
        return self._whole is not None and loop.over is not None

    def _sizes(self, loops: tuple[For, ...]) -> Sizes:
        if self._whole is None:
            return self.sizes
        nest = self._whole.below(loops)
        tasks = {loop.rank: nest.extent(loop.rank, at + 1) for at, loop in enumerate(loops) if self._is_done(loop)}
        return {**self.sizes, **tasks}

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

    def side_by_side(self, instances: Number, site: Site, ranks: frozenset[str]) -> dict[int, tuple[Number, Number]]:
        """For loops over these ranks that are dealt over instances, by position: their trips, and how many run at once.

        Iterations are dealt in loop order, so that the innermost loops fill the instances first.
        """
        if isinstance(instances, int) and instances == 1:
            return {}
        if is_array(instances):
            return self._dealt(instances, site, ranks)
        return self.once(("dealt", id(site.loops), instances, ranks), lambda: self._dealt(instances, site, ranks))

    def _dealt(self, instances: Number, site: Site, ranks: frozenset[str]) -> dict[int, tuple[Number, Number]]:
        found: dict[int, tuple[Number, Number]] = {}
        nest = self.below(site.loops)
        free = instances
        for position in reversed(range(len(site.loops))):
            loop = site.loops[position]
            if loop.over is not None and loop.rank in ranks:
                trips = ceil_div(nest.extent(loop.rank, position), nest.extent(loop.rank, position + 1))
                at_once = minimum(trips, free)
                found[position] = trips, at_once
                free = ceil_div(free, at_once)
        return found
