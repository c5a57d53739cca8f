"""A sound mapping for any cascade on any machine: `default_mapping`.

The cascade is cut into groups in several ways that follow from its structure (all apart, all together, at passes,
around matrix products), and for every piece each candidate of candidates.py is evaluated by the engine at a grid of
tile sizes in one vectorised call. The best cut of the order of Einsums into such pieces is found by dynamic
programming: times, bytes and joules of groups add.

The choice is the best of what is tried, not of all mappings there are. What is tried does not depend on capacities or
bandwidths, so that more of either never makes the answer worse; and tiles may be ragged, so that a longer rank is never
faster. Ties go to less traffic, and of equal traffic to less time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import Number, evaluate, is_array
from lightbound.base.schema import check
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.passes import pass_of
from lightbound.workloads.registry import Workload

from .analytical import GroupResult, run_group
from .binding import bindings
from .candidates import Candidate, candidates, tile_name
from .energy import energy
from .kernel_choice import fastest_kernel
from .mapping import Bind, Group, Mapping
from .nests import Nests
from .plan import Frame, Loops, Plan

Objective = Literal["latency", "traffic", "energy"]
LONGEST = 16  # Einsums in one group at most
# Octaves between the tile sizes that are tried, for each rank from the outermost loop, where 1, 2, 3... are tiled.
COARSE = ((1 / 4,), (1 / 2, 1 / 2), (1, 1, 1), (2, 2, 2, 2), (3,), (4,), (6,), (12,))
FINE = ((1 / 16,), (1 / 12, 1 / 12), (1 / 12, 1 / 12, 2), (1, 1, 1, 2), (2,))  # for sizing buffers, one Einsum
FINE_FUSED = ((1 / 8,), (1 / 4, 1 / 4), (1 / 2, 1 / 2, 2), (1, 1, 2, 2), (2,))  # and several in one group
ALONE = 3.0  # for ranks that one of several Einsums walks alone
MOST_ALONE = 3  # of those, whose tiles are tried in every combination; more of them are as long as each other
FREE_TILES = (64, 128, 256)  # for a tile that the cascade itself leaves open
TIE = 1e-12  # two times that agree this far are one
Option = TypeVar("Option", bound=tuple[Any, ...])


@dataclass(frozen=True, eq=False)
class Tried:
    """One candidate at all its tile sizes: arrays over the grid."""

    candidate: Candidate
    tiles: dict[str, np.ndarray]
    latency_s: np.ndarray
    traffic_bytes: np.ndarray
    energy_j: np.ndarray
    need_bytes: dict[str, np.ndarray]  # by level

    def objective(self, name: Objective) -> np.ndarray:
        """What the objective asks to be small, at every point of the grid."""
        return {"latency": self.latency_s, "traffic": self.traffic_bytes, "energy": self.energy_j}[name]


def default_mapping(work: Workload, machine: Machine, objective: Objective = "latency") -> Mapping:
    """The best mapping found for the objective. Raises LightboundError where no tile of any candidate fits.

    On a GPU the fastest is a kernel that somebody wrote, where there is one (`kernel_choice`).
    """
    kernel = fastest_kernel(work, machine) if objective == "latency" else None
    return kernel if kernel is not None else best_mapping(work, machine, machine, objective)


def best_mapping(
    work: Workload,
    machine: Machine,
    room: Machine,
    objective: Objective = "latency",
    fine: bool = False,
    longest: int = LONGEST,
) -> Mapping:
    """The best mapping found, where `room` has the capacities that count and `machine` all the rest; with `fine`, among
    more tile sizes; with at most `longest` Einsums in a group: few are quick to search, one keeps all apart.
    """
    if objective not in get_args(Objective):
        raise LightboundError("objective", objective, "does not exist", choose_from(get_args(Objective), objective))
    if any(is_array(size) for size in work.sizes.values()):
        raise LightboundError(
            "sizes", "arrays", "need a mapping each", "Name a mapping, or simulate point by point for the default."
        )
    found = []
    for cascade, free in sized(work.cascade):
        cut = _best_cut(cascade, machine, room, work.word_bytes, objective, fine, longest)
        if cut is not None:
            found.append((*cut[:2], cascade, cut[2], free))
    best = _least(found)
    if best is None:
        raise _too_small(work, room)
    return _assemble(*best[2:])


def _least(options: list[Option]) -> Option | None:
    """The option whose value, its first part, is least; of several that agree, the one whose second part is least."""
    if not options:
        return None
    close = min(option[0] for option in options) * (1 + TIE)
    return min((option for option in options if option[0] <= close), key=lambda option: option[1])


def sized(cascade: Cascade, free_tiles: tuple[int, ...] = FREE_TILES) -> Iterator[tuple[Cascade, dict[str, int]]]:
    """The cascade with every choice of the tile sizes that it leaves open; sizes are padded to whole tiles."""
    free = [symbol for symbol in cascade.missing_sizes if symbol.rstrip("0123456789") in cascade.sizes]
    if len(free) < len(cascade.missing_sizes):
        missing = next(symbol for symbol in cascade.missing_sizes if symbol not in free)
        raise LightboundError(f"sizes.{missing}", None, f"has no value in {cascade.name}", f"Give {missing} a size.")
    if not free:
        yield cascade, {}
        return
    for tile in free_tiles:
        chosen: dict[str, int] = {}
        padded: dict[str, int] = {}
        for symbol in free:
            whole = symbol.rstrip("0123456789")
            size = int(cascade.sizes[whole])
            chosen[symbol] = min(tile, size)
            padded[whole] = -(-size // chosen[symbol]) * chosen[symbol]
        yield cascade.with_sizes(**padded, **chosen), chosen


# ---- cutting ------------------------------------------------------------------------------------------------------


def steps_of(cascade: Cascade) -> tuple[tuple[str, ...], ...]:
    """Einsums in order, those of one recurrence together: they cannot be cut apart."""
    import networkx as nx

    graph = nx.DiGraph()
    order = {einsum.name: number for number, einsum in enumerate(cascade.einsums)}
    graph.add_nodes_from(order)
    graph.add_edges_from((edge.producer.name, edge.consumer.name) for edge in cascade.dependencies)
    merged = nx.condensation(graph)
    first = {node: min(order[name] for name in data["members"]) for node, data in merged.nodes(data=True)}
    return tuple(
        tuple(sorted(merged.nodes[node]["members"], key=order.__getitem__))
        for node in nx.lexicographical_topological_sort(merged, key=first.__getitem__)
    )


def segments(
    cascade: Cascade, steps: tuple[tuple[str, ...], ...], longest: int = LONGEST
) -> frozenset[tuple[int, int]]:
    """Runs of steps worth being a group: from every cut of the whole that its structure suggests."""
    vectors = [tuple(analysis.einsum[names[0]] for analysis in pass_of(cascade).values()) for names in steps]
    products = [any("mac" in work.ops for name in names for work in cascade.einsum(name).work) for names in steps]
    count = len(steps)
    cuts = [
        set(range(count)),  # all apart
        {0},  # all together
        {i for i in range(count) if i == 0 or vectors[i] != vectors[i - 1]},  # at passes
        {i for i in range(count) if i == 0 or products[i]},  # a product and what follows it
        {i for i in range(count) if i == 0 or products[i - 1]},  # what leads to a product, and it
        {i for i in range(count) if i == 0 or products[i] or products[i - 1]},  # products alone, the rest between
    ]
    found: set[tuple[int, int]] = set()
    for cut in cuts:
        starts = [*sorted(cut), count]
        for start, end in pairwise(starts):
            for begin in range(start, end, longest):
                found.add((begin, min(begin + longest, end)))
    return frozenset(found)


def _best_cut(
    cascade: Cascade,
    machine: Machine,
    room: Machine,
    word_bytes: int,
    objective: Objective,
    fine: bool,
    longest: int = LONGEST,
) -> tuple[float, float, list[tuple[Tried, int]]] | None:
    steps = steps_of(cascade)
    runs = segments(cascade, steps, longest)
    best: list[tuple[float, float, list[tuple[Tried, int]]] | None] = [(0.0, 0.0, [])]
    for end in range(1, len(steps) + 1):
        options = []
        for start in range(end):
            before = best[start]
            if before is None or (start, end) not in runs:
                continue
            names = tuple(name for step in steps[start:end] for name in step)
            choice = _best_point(explore(cascade, machine, names, word_bytes, fine), room, objective)
            if choice is not None:
                value, tie, tried, point = choice
                options.append((before[0] + value, before[1] + tie, [*before[2], (tried, point)]))
        best.append(_least(options))
    return best[-1]


def _best_point(
    tried: tuple[Tried, ...], machine: Machine, objective: Objective
) -> tuple[float, float, Tried, int] | None:
    found: list[tuple[float, float, Tried, int]] = []
    for one in tried:
        fits = np.ones(one.latency_s.shape, dtype=bool)
        for name, need in one.need_bytes.items():
            capacity = machine.level(name).capacity_bytes
            if capacity is not None:
                fits &= need <= capacity
        if not fits.any():
            continue
        value = np.where(fits, one.objective(objective), np.inf)
        close = np.flatnonzero(value <= value.min() * (1 + TIE))
        tie = one.objective("latency" if objective == "traffic" else "traffic")
        point = int(close[np.argmin(tie[close])])
        found.append((float(value[point]), float(tie[point]), one, point))
    return _least(found)


# ---- evaluating ---------------------------------------------------------------------------------------------------


def explore(
    cascade: Cascade, machine: Machine, segment: tuple[str, ...], word_bytes: int, fine: bool = False
) -> tuple[Tried, ...]:
    """Every candidate of a segment at all tile sizes of the grid, whether it fits the machine or not."""
    return _explore(cascade, machine, segment, word_bytes, fine)


@lru_cache(maxsize=128)
def _explore(
    cascade: Cascade, machine: Machine, segment: tuple[str, ...], word_bytes: int, fine: bool
) -> tuple[Tried, ...]:
    sizes = {**cascade.sizes, **{rank: cascade.size(rank) for rank in cascade.ranks}}
    group_of = {einsum.name: 0 if einsum.name in segment else 1 for einsum in cascade.einsums}
    loops = Loops()
    frames: dict[int, Frame] = {}  # by group, which candidates that differ in binds alone share
    known: dict[tuple[str, ...], Nests] = {}  # by what is tiled
    binds: dict[int, Bind] = {}
    made = []
    for candidate in candidates(cascade, machine, segment):
        tiled = (*candidate.tiled, *sorted(candidate.coarse))
        if tiled not in known:
            names = {**machine.quantities, **sizes, "word_bytes": word_bytes, **_grid(cascade, candidate, fine)}
            known[tiled] = Nests(sizes, names)
        nests = known[tiled]
        if id(candidate.group) not in frames:
            group = check(Group, candidate.group, "group")
            frames[id(candidate.group)] = Frame("group", cascade, machine, group, 0, group_of, loops)
        frame = frames[id(candidate.group)]
        for one in candidate.bind:
            if id(one) not in binds:
                binds[id(one)] = check(Bind, one, "bind")
        bind = tuple(binds[id(one)] for one in candidate.bind)
        bound = frame.bound(bindings("search", cascade, bind, machine, segment), {})
        plan = Plan(cascade, Mapping(bind=bind, groups=(frame.group,)), machine, (bound,), group_of)
        result = run_group(plan, bound, nests, word_bytes, strict=False)
        made.append(_tried(plan, candidate, nests, result, word_bytes))
    return tuple(made)


def _tried(plan: Plan, candidate: Candidate, nests: Nests, result: GroupResult, word_bytes: int) -> Tried:
    names = dict(nests.environment)
    tiles = {name: np.asarray(names[name]) for name in map(tile_name, candidate.tiled)}
    points = np.broadcast_shapes(*(values.shape for values in tiles.values())) or (1,)
    words = sum((words for (level, _, _), words in result.words.items() if level == 0), 0)
    parts, _ = energy(plan, names, names, (result,), word_bytes)

    def spread(value: Number) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype=float), points).reshape(-1)

    return Tried(
        candidate,
        {name: spread(values) for name, values in tiles.items()},
        spread(result.latency_s),
        spread(words * word_bytes),
        spread(sum(parts.values())),
        {name: spread(taken) for name, taken in result.occupancy_bytes.items()},
    )


def _grid(cascade: Cascade, candidate: Candidate, fine: bool) -> dict[str, np.ndarray]:
    """Tile sizes in every combination, as float arrays along an axis each: what depends on one rank alone is then
    computed once for each of its tiles, not for each combination. How dense they are depends on how many ranks are
    tiled.
    """
    ranks = candidate.tiled
    if not ranks:
        return {}
    main = [rank for rank in ranks if rank not in candidate.coarse]
    dense = FINE_FUSED if len(candidate.group["einsums"]) > 1 else FINE
    table = dense if fine else COARSE
    spacing = table[min(len(main), len(table)) - 1]
    octaves = dict.fromkeys(candidate.coarse, ALONE) | dict(
        zip(main, (*spacing, *[spacing[-1]] * len(main)), strict=False)
    )
    alone = [rank for rank in ranks if rank in candidate.coarse]
    together = alone if len(alone) > MOST_ALONE else []
    axes = []
    for rank in ranks:
        if rank not in together:
            axes.append(({rank: int(cascade.size(rank))}, octaves[rank]))
    if together:
        axes.append(({rank: int(cascade.size(rank)) for rank in together}, ALONE))
    grid: dict[str, np.ndarray] = {}
    for number, (sizes, spacing) in enumerate(axes):
        tiles = _tiles(max(sizes.values()), spacing)
        shape = [-1 if number == other else 1 for other in range(len(axes))]
        for rank, size in sizes.items():
            own = np.minimum(tiles, size)
            if fine:  # the least tile of every trip count takes the least room
                own = np.ceil(size / np.ceil(size / own))
                own = np.unique(own) if len(sizes) == 1 else own
            grid[tile_name(rank)] = own.reshape(shape)
    return {tile_name(rank): grid[tile_name(rank)] for rank in ranks}


def _tiles(size: int, octaves: float) -> np.ndarray:
    """Whole numbers `octaves` apart from 1 to the size, the size among them. A longer rank only adds to them."""
    steps = np.arange(0, 64, octaves)
    tiles = np.unique(np.floor(2.0**steps))
    return np.append(tiles[tiles < size], size).astype(float)


# ---- assembling ---------------------------------------------------------------------------------------------------


def _assemble(cascade: Cascade, chosen: list[tuple[Tried, int]], free: dict[str, int]) -> Mapping:
    """The chosen pieces as one mapping: every tile a number, and no loop that makes a single trip."""
    groups = []
    bind: list[dict[str, Any]] = []
    for tried, point in chosen:
        tiles = {name: int(values[point]) for name, values in tried.tiles.items()}
        names = {**cascade.sizes, **tiles}
        groups.append({**tried.candidate.group, "nest": _with_tiles(cascade, tried.candidate.group["nest"], names)})
        bind += tried.candidate.bind
    return Mapping.from_data({"name": "default", "sizes": dict(free), "bind": bind, "groups": groups})


def _with_tiles(cascade: Cascade, nest: list[dict[str, Any]], names: dict[str, Any]) -> list[dict[str, Any]]:
    made = []
    for node in nest:
        if "do" in node:
            made.append({**node, "nest": _with_tiles(cascade, node["nest"], names)})
        elif "hold" in node:
            made.append({**node, "copies": int(evaluate(node.get("copies", 1), names))})
        else:
            tile = int(evaluate(node["tile"], names))
            if tile < cascade.size(node["for"]):
                made.append({**{key: value for key, value in node.items() if key != "if_split"}, "tile": tile})
    return made


def _too_small(work: Workload, machine: Machine) -> LightboundError:
    """The error of a machine on which nothing fits: which level, and how much it would take at least."""
    cascade, _ = next(sized(work.cascade))
    for step in steps_of(cascade):
        for name in (level.name for level in machine.levels):
            capacity = machine.level(name).capacity_bytes
            needs = [one.need_bytes[name].min() for one in explore(cascade, machine, step, work.word_bytes)
                     if name in one.need_bytes]  # fmt: skip
            if capacity is not None and needs and min(needs) > capacity:
                return LightboundError(
                    f"machine.levels.{name}.capacity",
                    f"{capacity:,} B",
                    f"is too small for any mapping of {'+'.join(step)}, which takes {min(needs):,.0f} B at least",
                    f"Enlarge {name} or choose smaller ranks.",
                )
    return LightboundError(
        "machine", machine.name, f"has no room for any mapping of {work.name}", "Enlarge its levels."
    )
