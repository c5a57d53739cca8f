"""How large a buffer must be: the frontier from capacity to traffic to latency, over mappings.

Every point is the best that some mapping reaches with that capacity of one level, the rest of the machine as it is.
Two capacities matter most: the smallest with which anything runs, and the smallest with which the traffic of the
outermost level falls to what is compulsory (every input once, every output once). How the latter grows with each rank
says whether a buffer that is enough today stays enough.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError, choose_from
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.registry import Workload, as_workload

from .mapping import Mapping
from .search import FREE_TILES, best_mapping, segments, sized, steps_of
from .simulate import MappingLike, as_machine, compulsory, predict, resolve_mapping
from .tries import Objective, Tried, explore

CAPACITIES = 256  # of a frontier, before those that gain nothing are dropped
ROUNDING = 1e-9
GROWN = (2, 4, 8)  # times a size
SAME_POWER = 0.25  # between two doublings: tiles are whole words


@dataclass(frozen=True)
class BufferPoint:
    """With `capacity_bytes` of the level, the least traffic of the outermost level and the least latency.

    The two may take different mappings.
    """

    capacity_bytes: float
    traffic_bytes: float
    latency_s: float


@dataclass(frozen=True)
class BufferSizing:
    """The frontier of one level, smallest capacity first.

    `smallest_bytes` is the least capacity with which anything runs; `smallest_compulsory_bytes` the least one that
    reaches compulsory traffic, none where no mapping tried does. `grows_with` says by which power of each rank's size
    the latter grows where that rank alone goes from twice to eight times its size: 0 is independent, 1 linear. A rank
    is left out where two doublings say different powers: another level holds all of something before, say.
    """

    workload: Workload
    machine: Machine
    level: str
    mapping: str | None
    points: tuple[BufferPoint, ...]
    compulsory_bytes: float
    smallest_bytes: float
    smallest_compulsory_bytes: float | None
    grows_with: Dictionary[str, float]
    given: MappingLike = field(default=None, repr=False)

    def best_mapping(self, capacity_bytes: float, objective: Objective = "traffic") -> Mapping:
        """The mapping behind the frontier at a capacity: of least traffic, or of least latency."""
        room = with_capacity(self.machine, self.level, capacity_bytes)
        if self.given is not None:
            return resolve_mapping(self.workload, room, self.given)[1]
        return best_mapping(self.workload, self.machine, room, objective, fine=True)

    def explain(self) -> str:
        """The frontier in sentences."""
        from .explain import explain_sizing

        return explain_sizing(self)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "workload": self.workload.name,
            "machine": self.machine.name,
            "level": self.level,
            "mapping": self.mapping,
            "sizes": {symbol: int(size) for symbol, size in self.workload.sizes.items()},
            "compulsory_bytes": self.compulsory_bytes,
            "smallest_bytes": self.smallest_bytes,
            "smallest_compulsory_bytes": self.smallest_compulsory_bytes,
            "grows_with": dict(self.grows_with),
            "points": [vars(point) for point in self.points],
        }


def size_buffers(
    workload: Workload | Cascade | str,
    machine: Machine | str,
    level: str | None = None,
    mapping: MappingLike = None,
    growth: bool = True,
) -> BufferSizing:
    """Size one level of a machine for a workload: over all mappings tried, or along one named mapping's own fit.

    level: a level with a capacity; the first one inside the outermost unless given. With `growth`, every rank is
    doubled in turn to see how the smallest capacity that reaches compulsory traffic grows.
    Raises LightboundError for a level that does not exist and where no mapping runs at any capacity.
    """
    work, hardware = as_workload(workload), as_machine(machine)
    names = [one.name for one in hardware.levels[1:]]
    level = level or (names[0] if names else "")
    if level not in names:
        raise LightboundError("level", level, f"is not a level of {hardware.name} to size", choose_from(names, level))
    if mapping is not None:
        return _along(work, hardware, level, mapping)
    frontier = _frontier(work, hardware, level, fine=True)
    grows: dict[str, float] = {}
    for symbol in _whole_ranks(work) if growth else ():
        larger = (work.with_sizes(**{symbol: factor * work.sizes[symbol]}) for factor in GROWN)
        power = growing_by([_reaches(one, hardware, level) for one in larger])
        if power is not None:
            grows[symbol] = power
    return _sizing(work, hardware, level, None, frontier, grows)


def growing_by(needs: list[float | None]) -> float | None:
    """The power by which needs grow where sizes double, if each doubling says the same."""
    known = [need for need in needs if need is not None]
    if len(known) < len(needs) or (any(known) and not all(known)):
        return None
    powers = [float(np.log2(more / less)) if less else 0.0 for less, more in pairwise(known)]
    return round(fmean(powers), 3) + 0.0 if max(powers) - min(powers) <= SAME_POWER else None


def with_capacity(machine: Machine, level: str, capacity_bytes: Any) -> Machine:
    """The same machine with another capacity of one level (a float64 array for a sweep)."""
    levels = tuple(replace(one, capacity_bytes=capacity_bytes) if one.name == level else one for one in machine.levels)
    return replace(machine, levels=levels)


def _sizing(
    work: Workload, machine: Machine, level: str, mapping: str | None, points: list[BufferPoint],
    grows: dict[str, float], given: MappingLike = None,
) -> BufferSizing:  # fmt: skip
    least = _compulsory(work)
    reached = next((p.capacity_bytes for p in points if p.traffic_bytes <= least * (1 + ROUNDING)), None)
    smallest = points[0].capacity_bytes
    return BufferSizing(work, machine, level, mapping, tuple(points), least, smallest, reached, grows, given)


def _compulsory(work: Workload) -> float:
    cascade = next(cascade for cascade, _ in sized(work.cascade))
    whole = {symbol: size for symbol, size in work.cascade.sizes.items() if symbol in cascade.structure.symbols}
    return float(
        compulsory(cascade.with_sizes(**whole) if not work.cascade.missing_sizes else cascade, work.word_bytes)
    )


def _whole_ranks(work: Workload) -> list[str]:
    """Sizes that a user chooses: not those of tiles, nor those that follow from others."""
    return [symbol for symbol in work.cascade.sizes if not symbol[-1].isdigit()]


# ---- over all mappings ---------------------------------------------------------------------------------------------


def _frontier(
    work: Workload, machine: Machine, level: str, fine: bool, free_tiles: tuple[int, ...] = FREE_TILES
) -> list[BufferPoint]:
    found: list[BufferPoint] = []
    for cascade, _ in sized(work.cascade, free_tiles):
        found += _frontier_of(cascade, machine, level, work.word_bytes, fine)
    if not found:
        raise LightboundError(
            f"machine {machine.name}",
            level,
            f"lets no mapping of {work.name} run, however large it is",
            "Enlarge the machine's other levels.",
        )
    return _pareto(found)


def _frontier_of(cascade: Cascade, machine: Machine, level: str, word_bytes: int, fine: bool) -> list[BufferPoint]:
    steps = steps_of(cascade)
    pieces: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for start, end in segments(cascade, steps):
        names = tuple(name for step in steps[start:end] for name in step)
        tried = explore(cascade, machine, names, word_bytes, fine=fine)
        pieces[start, end] = _staircases(tried, machine, level)
    every = np.unique(np.concatenate([needs for needs, _, _ in pieces.values()]))
    if not every.size:
        return []
    if every.size > CAPACITIES:
        spaced = np.ceil(np.geomspace(max(every[0], 1.0), every[-1], CAPACITIES))
        corners = [_corners(needs, traffic) for needs, traffic, _ in pieces.values()]
        every = np.unique(np.concatenate([spaced, *corners]))
    capacities = np.maximum(every, every[0])
    traffic = _cheapest_cut(len(steps), capacities, {run: (p[0], p[1]) for run, p in pieces.items()})
    latency = _cheapest_cut(len(steps), capacities, {run: (p[0], p[2]) for run, p in pieces.items()})
    return [
        BufferPoint(float(c), float(t), float(s))
        for c, t, s in zip(capacities, traffic, latency, strict=True)
        if np.isfinite(t)
    ]


def _staircases(tried: tuple[Tried, ...], machine: Machine, level: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Needs in rising order with the least traffic and the least latency that fit into each; others must fit."""
    needs, traffic, latency = [np.zeros(0)], [np.zeros(0)], [np.zeros(0)]  # of some segments nothing is tried
    for one in tried:
        fits = np.ones(one.latency_s.shape, dtype=bool)
        for name, need in one.need_bytes.items():
            capacity = machine.level(name).capacity_bytes
            if name != level and capacity is not None:
                fits &= need <= capacity
        need = one.need_bytes.get(level, np.zeros(one.latency_s.shape))
        needs.append(need[fits])
        traffic.append(one.traffic_bytes[fits])
        latency.append(one.latency_s[fits])
    need, moved, time = np.concatenate(needs), np.concatenate(traffic), np.concatenate(latency)
    order = np.argsort(need, kind="stable")
    return need[order], np.minimum.accumulate(moved[order]), np.minimum.accumulate(time[order])


def _corners(needs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where a staircase steps down for good: the last steps matter most, for they reach the compulsory traffic."""
    steps = np.flatnonzero(np.diff(values, prepend=np.inf) < 0)
    return needs[steps][-CAPACITIES:]


def _cheapest_cut(
    count: int, capacities: np.ndarray, pieces: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    best = [np.zeros(capacities.shape)]
    for end in range(1, count + 1):
        options = [np.full(capacities.shape, np.inf)]
        for (start, stop), (needs, values) in pieces.items():
            if stop == end and needs.size:
                place = np.searchsorted(needs, capacities, side="right") - 1
                options.append(best[start] + np.where(place >= 0, values[place], np.inf))
        best.append(np.minimum.reduce(options))
    return best[-1]


def _pareto(points: list[BufferPoint]) -> list[BufferPoint]:
    """Points in order of capacity that move fewer bytes, or take less time, than every smaller one."""
    kept: list[BufferPoint] = []
    for point in sorted(points, key=lambda p: (p.capacity_bytes, p.traffic_bytes, p.latency_s)):
        if kept:
            last = kept[-1]
            traffic = min(point.traffic_bytes, last.traffic_bytes)
            latency = min(point.latency_s, last.latency_s)
            gains = traffic < last.traffic_bytes * (1 - ROUNDING) or latency < last.latency_s * (1 - ROUNDING)
            if not gains:
                continue
            point = BufferPoint(point.capacity_bytes, traffic, latency)
        kept.append(point)
    return kept


def _reaches(work: Workload, machine: Machine, level: str) -> float | None:
    """The smallest capacity that reaches compulsory traffic, on the coarse grid and with the smallest free tile.

    Two sizes compare alike on it, and growth from twice to four times a size leaves out what a single tile of a rank
    saves (no second copy to fill, say).
    """
    least = _compulsory(work)
    points = _frontier(work, machine, level, fine=False, free_tiles=FREE_TILES[:1])
    return next((p.capacity_bytes for p in points if p.traffic_bytes <= least * (1 + ROUNDING)), None)


# ---- along one mapping ---------------------------------------------------------------------------------------------


def _along(work: Workload, machine: Machine, level: str, mapping: MappingLike) -> BufferSizing:
    """The frontier of a mapping whose tiles follow the capacity; one that holds a fixed amount gives one point."""

    def at(capacity: float) -> tuple[BufferPoint, str] | None:
        sized_machine = with_capacity(machine, level, capacity)
        try:
            chosen_work, chosen = resolve_mapping(work, sized_machine, mapping)
            found = predict(chosen_work, sized_machine, chosen)
        except LightboundError as error:
            if "is too small" in error.problem:
                return None
            raise
        need = float(found.occupancy_bytes.get(level, 0))
        return BufferPoint(
            need, float(found.traffic_bytes[machine.levels[0].name]), float(found.latency_s)
        ), chosen.name

    high = 1.0
    while at(high) is None:
        high *= 2
        if high > 2.0**60:
            raise LightboundError("mapping", str(mapping), f"needs more than 2^60 bytes of {level}", "Choose another.")
    low = high / 2
    while high - low > max(1.0, 1e-6 * high):
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle) else (middle, high)
    capacities = np.geomspace(high, 2.0**12 * high, CAPACITIES)
    found = [point for point in (at(float(np.ceil(capacity))) for capacity in capacities) if point]
    name = found[0][1]
    return _sizing(work, machine, level, name, _pareto([point for point, _ in found]), {}, mapping)
