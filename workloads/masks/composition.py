"""Masks made of masks: keys that all members attend (``a & b``), or that any does (``a | b``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from lightbound import _core
from lightbound.base.errors import LightboundError

from .layout import Layout
from .mask import Mask

Layouts = tuple[tuple[Layout, ...], tuple[Layout, ...]]


class _Composition(Mask):
    """Members agree in queries and keys; those of one axis may number the flattened tokens of a larger grid.

    ``Causal(64) & GNA((8, 8), 3)`` is causal in the order of tokens, row by row, and not on each axis. Tiles regroup
    tokens (dilation, documents) as members do if those that regroup agree, and not at all otherwise.
    """

    members: tuple[Mask, ...]

    def __init__(self, *members: Mask) -> None:
        flat = tuple(part for each in members for part in (each.members if isinstance(each, type(self)) else (each,)))
        if len(flat) < 2:
            raise LightboundError("members", len(flat), "is too few masks to compose", "Give two masks or more.")
        leader = max(flat, key=lambda member: (len(member.grid), member.extra_keys))
        for member in flat:
            _check(leader, member)
        self._settle(grid=leader.grid, key_grid=leader.key_grid, extra_keys=leader.extra_keys, members=flat)

    @property
    def is_causal(self) -> bool:
        return any(member.is_causal for member in self.members)

    @property
    def query_layouts(self) -> tuple[Layout, ...]:
        return self._layouts()[0]

    @property
    def key_layouts(self) -> tuple[Layout, ...]:
        return self._layouts()[1]

    def _layouts(self) -> Layouts:
        regrouped = self._regroupings()
        return regrouped.pop() if len(regrouped) == 1 else (super().query_layouts, super().key_layouts)

    def _regroupings(self) -> set[Layouts]:
        """The layouts other than the plain one, over members of members too."""
        found: set[Layouts] = set()
        for member in self.members:
            if isinstance(member, _Composition):
                found |= member._regroupings()
            elif not all(layout.plain for layout in member.query_layouts + member.key_layouts):
                found.add((member.query_layouts, member.key_layouts))
        return {each for each in found if len(each[0]) == len(self.grid)}

    def _compose(self, pair: Callable[[_core.MaskRows, _core.MaskRows], _core.MaskRows]) -> _core.MaskRows:
        return reduce(pair, (member.rows for member in self.members))


@dataclass(frozen=True, init=False)
class Intersection(_Composition):
    """A query attends the keys that it attends in every member."""

    members: tuple[Mask, ...]

    def _rows(self) -> _core.MaskRows:
        return self._compose(_core.both_rows)


@dataclass(frozen=True, init=False)
class Union(_Composition):
    """A query attends the keys that it attends in any member."""

    members: tuple[Mask, ...]

    def _rows(self) -> _core.MaskRows:
        return self._compose(_core.either_rows)


def _check(leader: Mask, member: Mask) -> None:
    same_grid = (member.grid, member.key_grid) == (leader.grid, leader.key_grid)
    same_tokens = (member.queries, member.keys) == (leader.queries, leader.keys)
    if same_tokens and (same_grid or len(member.grid) == 1):
        return
    raise LightboundError(
        "members",
        f"{type(member).__name__} of {member.queries} queries on {member.grid} and {member.keys} keys",
        f"does not fit {type(leader).__name__} of {leader.queries} queries on {leader.grid} and {leader.keys} keys",
        "Compose masks of one grid; a mask of one axis may number the flattened tokens of the others.",
    )
