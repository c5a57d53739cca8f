"""The candidates of a run of Einsums at all tile sizes of a grid, each evaluated in one vectorised call when asked for.

No evaluation is made that cannot matter: a floor under time and traffic, which follows from the binds and from what
goes in and out, tells which candidates a search need not look at.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import inf
from typing import Any, Literal

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.formula import Number, maximum
from lightbound.base.schema import check
from lightbound.workloads.cascade import Cascade

from .analytical import run_group
from .binding import bindings
from .candidates import Candidate, Shape
from .energy import energy
from .floors import compute_floor_s, transfer_floor_s, words_floor
from .grid import Grid
from .least_room import LeastRoom
from .mapping import Bind, Do, For, Group, Hold, Mapping, Node
from .nests import Nests
from .plan import Frame, Loops, Plan
from .reuse import sizes_of
from .segment import Segment, segment_of
from .sketch import Sketch

Bound = tuple[tuple[Bind, ...], Dictionary[str, tuple[Bind, ...]]]  # binds, and those of each Einsum
Objective = Literal["latency", "traffic", "energy"]


@dataclass(frozen=True, eq=False)
class Tried:
    """One candidate at all its tile sizes: arrays over the grid."""

    candidate: Candidate
    tiles: dict[str, np.ndarray]
    latency_s: np.ndarray
    traffic_bytes: np.ndarray
    energy_j: np.ndarray | None  # where it was asked for
    need_bytes: dict[str, np.ndarray]  # by level

    def objective(self, name: Objective) -> np.ndarray:
        """What the objective asks to be small, at every point of the grid."""
        if name == "energy":
            assert self.energy_j is not None
            return self.energy_j
        return self.latency_s if name == "latency" else self.traffic_bytes


@lru_cache(maxsize=256)
def tries(segment: Segment, machine: Machine, word_bytes: int, fine: bool = False, priced: bool = False) -> Tries:
    """The candidates of a segment, in the names of the first one that was the same; with `fine`, at more tile sizes;
    `priced`: with what they take in energy.
    """
    return Tries(segment, machine, word_bytes, fine, priced)


class Tries:
    """The candidates of a segment, those with the lowest floor first. Each is evaluated once."""

    def __init__(self, segment: Segment, machine: Machine, word_bytes: int, fine: bool, priced: bool) -> None:
        self.segment, self.machine = segment, machine
        self.word_bytes, self.fine, self.priced = word_bytes, fine, priced
        cascade, names = segment.cascade, segment.names
        shape = self._shape = Shape(cascade, machine, names)
        plain = list(shape.binds()) if shape.is_possible else []
        each = {id(one): one for bind in plain for one in bind}
        checked = {key: check(Bind, one, "bind") for key, one in each.items()}
        self._binds: list[tuple[tuple[dict[str, Any], ...], Bound]] = []
        for bind in plain:
            made = tuple(checked[id(one)] for one in bind)
            self._binds.append((bind, (made, bindings("search", cascade, made, machine, names))))
        self._compute_s = [compute_floor_s(cascade, machine, names, of, shape.dealt) for _, (_, of) in self._binds]
        self._floors = {spilled: self._floor(spilled) for spilled in shape.spills()}
        self._room = LeastRoom(cascade)
        self._least: dict[int, dict[str, float]] = {}
        self._tried: dict[int, Tried] = {}
        self._trials: dict[int, Trial] = {}
        self.sought: dict[tuple[Machine, Objective], Any] = {}  # searches for the best of them, each begun once

    def _floor(self, spilled: frozenset[str]) -> tuple[float, float]:
        """Seconds and bytes that what passes the outermost level takes at least, with these tensors there."""
        read, written = words_floor(self.segment.cascade, self.segment.names, spilled)
        seconds = transfer_floor_s(self.machine, read, written, self.word_bytes, self._shape.dealt)
        return seconds, (sum(read.values()) + written) * self.word_bytes

    @cached_property
    def floor(self) -> tuple[float, float]:
        """Seconds and bytes below which no candidate gets; infinite where there is none."""
        if not self._binds:
            return inf, inf
        seconds = max(min(self._compute_s), min(transfer for transfer, _ in self._floors.values()))
        return self.machine.launch_latency_s + seconds, min(moved for _, moved in self._floors.values())

    @cached_property
    def _here(self) -> _Shared:
        return _Shared(self)

    @cached_property
    def _all(self) -> list[tuple[Candidate, Bound, tuple[float, float]]]:
        found = []
        for (plain, bind), compute_s in zip(self._binds, self._compute_s, strict=True):
            for candidate in self._shape.candidates(plain):
                transfer_s, moved = self._floors[candidate.spilled]
                floor = self.machine.launch_latency_s + max(compute_s, transfer_s), moved
                found.append((candidate, bind, floor))
        return sorted(found, key=lambda one: one[2])

    @cached_property
    def _kin(self) -> dict[tuple[Any, ...], list[tuple[int, int]]]:
        """The depths at which candidates keep operands, and their numbers, by what else they are."""
        kin: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
        for number, (one, _, _) in enumerate(self._all):
            if one.outer is not None:
                kin.setdefault(_beside(one), []).append((one.outer, number))
        return kin

    def outdoing(self, number: int) -> list[int]:
        """The candidates that are no worse than this one at any tiles that fit."""
        one = self._all[number][0]
        if one.outer is None and self.priced:
            return []  # what comes by way of one more level takes more energy
        return [other for outer, other in self._kin.get(_beside(one), ())
                if self._shape.outdoes(outer, one.outer, one.places)]  # fmt: skip

    def floors(self) -> Iterator[tuple[int, tuple[float, float]]]:
        """The number of every candidate, with seconds and bytes below which it cannot get."""
        return enumerate(floor for _, _, floor in self._all)

    def may_gain(self, number: int, room: Machine) -> bool:
        """Whether there may be tiles of a candidate for which a machine has room, and none for a candidate that is no
        worse: not if its operands could stay between whole, since what is held further in is the same.
        """
        one, least = self._all[number][0], self.least_bytes(number)
        if not fitting(least, room):
            return False
        whole = next((other for outer, other in self._kin.get(_beside(one), ()) if outer == 0), number)
        if whole == number or whole not in self.outdoing(number) or one.places.inner in one.places.between:
            return True
        level = self.machine.levels[one.places.between[-1]].name
        return not fitting({level: self.least_bytes(whole).get(level, 0.0)}, room)

    def least_bytes(self, number: int) -> dict[str, float]:
        """By level, what a candidate holds at least, whatever its tiles."""
        if number not in self._least:
            words = self._room.words(self._all[number][0].group["nest"], frozenset(self.segment.names))
            self._least[number] = {level: least * self.word_bytes for level, least in words.items()}
        return self._least[number]

    def trial(self, number: int) -> Trial:
        """A candidate before it is evaluated."""
        if number not in self._trials:
            self._trials[number] = self._here.trial(*self._all[number])
        return self._trials[number]

    def is_known(self, number: int) -> bool:
        """Whether a candidate has been evaluated."""
        return number in self._tried

    def __getitem__(self, number: int) -> Tried:
        if number not in self._tried:
            self._tried[number] = self.trial(number).evaluated(self.priced)
        return self._tried[number]

    def __len__(self) -> int:
        return len(self._all)

    def release(self) -> None:
        """Forget what evaluations share, which is large; results are kept."""
        self._trials.clear()
        self.__dict__.pop("_here", None)


def explore(
    cascade: Cascade, machine: Machine, segment: tuple[str, ...], word_bytes: int, fine: bool = False
) -> tuple[Tried, ...]:
    """Every candidate of a segment at all tile sizes of the grid, whether it fits the machine or not."""
    every = tries(segment_of(cascade, segment), machine, word_bytes, fine)
    found = tuple(every[number] for number in range(len(every)))
    every.release()
    return found


def fitting(need_bytes: Dictionary[str, Number], machine: Machine) -> np.ndarray:
    """Where what is held in each level fits it; one answer where no level is limited."""
    fits: np.ndarray = np.ones((), dtype=bool)
    for name, need in need_bytes.items():
        capacity = machine.level(name).capacity_bytes
        if capacity is not None:
            fits = fits & (np.asarray(need) <= capacity)
    return fits


def _beside(candidate: Candidate) -> tuple[Any, ...]:
    """What candidates have in common that differ in where operands are kept alone."""
    return tuple(map(id, candidate.bind)), candidate.order, candidate.spilled, candidate.places, candidate.blocked


class _Shared:
    """What the evaluations of a segment's candidates share."""

    def __init__(self, of: Tries) -> None:
        self.of = of
        cascade = of.segment.cascade
        self.sizes = sizes_of(cascade)
        self.group_of = {einsum.name: 0 if einsum.name in of.segment.names else 1 for einsum in cascade.einsums}
        self.loops = Loops()
        self.frames: dict[int, Frame] = {}  # by group, which candidates that differ in binds alone share
        self.nests: dict[
            tuple[tuple[str, ...], bool], tuple[Grid, Nests]
        ] = {}  # by the order of loops, where it counts
        self.checked: dict[int, Node] = {}
        self.mapping = Mapping(name="search", bind=(), groups=())

    def trial(self, candidate: Candidate, bind: Bound, floor: tuple[float, float]) -> Trial:
        cascade, machine, word_bytes = self.of.segment.cascade, self.of.machine, self.of.word_bytes
        order, group = candidate.order, candidate.group
        # coarse tiles are as far apart in whatever order loops are
        key = order if self.of.fine else (), candidate.blocked
        if key not in self.nests:
            grid = Grid(cascade, candidate.shape, order, self.of.fine and not candidate.blocked, candidate.blocked)
            names = {**machine.quantities, **self.sizes, "word_bytes": word_bytes, **grid.tiles}
            self.nests[key] = grid, Nests(self.sizes, names)
        grid, nests = self.nests[key]
        if id(group) not in self.frames:
            made = check(Group, {**group, "nest": [self._node(node) for node in group["nest"]]}, "group")
            self.frames[id(group)] = Frame("group", cascade, machine, made, 0, self.group_of, self.loops)
        bound = self.frames[id(group)].bound(bind[1], {})
        plan = Plan(cascade, self.mapping, machine, (bound,), self.group_of)
        return Trial(candidate, floor, grid, Sketch(plan, bound, nests, word_bytes))

    def _node(self, node: dict[str, Any]) -> Node:
        """A node of a nest, checked once for all groups that have it."""
        if id(node) not in self.checked:
            self.checked[id(node)] = check(For if "for" in node else Do if "do" in node else Hold, node, "nest")
        return self.checked[id(node)]


@dataclass(frozen=True, eq=False)
class Trial:
    """One candidate at all its tile sizes, and what is known of it without evaluating it: arrays over the grid."""

    candidate: Candidate
    floor: tuple[float, float]  # seconds and bytes
    grid: Grid
    sketch: Sketch
    _fits: dict[Machine, np.ndarray] = field(default_factory=dict)

    def fits(self, room: Machine) -> np.ndarray:
        """Where what it holds fits a machine."""
        if room not in self._fits:
            self._fits[room] = self._spread(fitting(self.sketch.need_bytes, room))
        return self._fits[room]

    def at_least(self, look: int) -> tuple[np.ndarray, np.ndarray]:
        """Seconds and bytes, the closer the later the look: of units alone, beside what is known of all candidates;
        with the outermost level; with all that instances share.
        """
        if look == 0:
            seconds, moved = self.floor
            seconds = maximum(seconds, self.sketch.plan.machine.launch_latency_s + self.sketch.busy_s)
        else:
            seconds, moved = self.sketch.at_least if look == 1 else self.sketch.closer
        return self._spread(seconds), self._spread(moved)

    def evaluated(self, priced: bool) -> Tried:
        """The candidate, evaluated."""
        sketch = self.sketch
        plan, nests, word_bytes = sketch.plan, sketch.nests, sketch.word_bytes
        result = run_group(plan, sketch.group, nests, word_bytes, strict=False, whole=sketch.traffic)
        names = nests.environment
        words = sum((words for (level, _, _), words in result.words.items() if level == 0), 0)
        return Tried(
            self.candidate,
            {name: self._spread(values) for name, values in self.grid.tiles.items()},
            self._spread(result.latency_s),
            self._spread(words * word_bytes),
            self._spread(sum(energy(plan, names, names, (result,), word_bytes)[0].values())) if priced else None,
            {name: self._spread(taken) for name, taken in result.occupancy_bytes.items()},
        )

    def _spread(self, value: Number) -> np.ndarray:
        return self.grid.points(value, self.candidate.order)
