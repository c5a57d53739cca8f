"""A sound mapping for any cascade on any machine: `default_mapping`.

The cascade is cut into groups in several ways that follow from its structure (all apart, all together, at passes,
around matrix products), and for a piece each candidate of candidates.py is evaluated by the engine at a grid of tile
sizes in one vectorised call. The best cut of the order of Einsums into such pieces is a shortest path, since times,
bytes and joules of groups add. Every piece has a floor under its value, and none is evaluated before the best cut needs
it: what is skipped cannot be better.

The choice is the best of what is tried, not of all mappings there are. What is tried does not depend on capacities or
bandwidths, so that more of either never makes the answer worse; and tiles may be ragged, so that a longer rank is never
faster. Ties go to less traffic, and of equal traffic to less time.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Dictionary
from functools import lru_cache
from itertools import pairwise
from math import inf
from typing import Any, get_args

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import ceil_div, evaluate, is_array
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.passes import pass_of
from lightbound.workloads.registry import Workload, as_workload

from .kernel_choice import fastest_kernel
from .mapping import Mapping
from .seek import TIE, Choice, least, seek
from .segment import Segment, renamed, segment_of
from .tries import Objective, explore, tries

LONGEST = 16  # Einsums in one group at most
FREE_TILES = (64, 128, 256)  # for a tile that the cascade itself leaves open
Run = tuple[int, int]  # of steps, from one to before another
Piece = tuple[dict[str, Any], list[dict[str, Any]], dict[str, int]]  # a group, its binds, and the tiles in it


def default_mapping(
    workload: Workload | Cascade | str, machine: Machine | str, objective: Objective = "latency"
) -> Mapping:
    """The best mapping found for the objective. Raises LightboundError where no tile of any candidate fits.

    workload: a Workload, a sized Cascade, or a name. machine: a Machine or a name. On a GPU the fastest is a kernel
    that somebody wrote, where there is one (`kernel_choice`).
    """
    from .simulate import as_machine

    work, machine = as_workload(workload), as_machine(machine)
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
        below = min((one[0] for one in found), default=inf)
        cut = _best_cut(cascade, machine, room, work.word_bytes, objective, fine, longest, below)
        if cut is not None:
            found.append((*cut[:2], cascade, cut[2], free))
    best = least(found)
    if best is None:
        raise _too_small(work, room)
    return _assemble(*best[2:])


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
        together: dict[str, int] = {}  # tiles of one rank lie in each other
        padded: dict[str, int] = {}
        for symbol in free:
            whole = symbol.rstrip("0123456789")
            size, inside = int(cascade.sizes[whole]), together.get(whole, 1)
            chosen[symbol] = min(tile, ceil_div(size, inside))
            together[whole] = inside * chosen[symbol]
            padded[whole] = ceil_div(size, together[whole]) * together[whole]
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


@lru_cache(maxsize=64)
def _runs(cascade: Cascade, longest: int) -> tuple[int, dict[Run, Segment]]:
    """How many steps a cascade has, and the runs of them worth being a group, in order: the same on every machine."""
    steps = steps_of(cascade)
    found = sorted(segments(cascade, steps, longest))
    return len(steps), {run: segment_of(cascade, tuple(name for step in steps[slice(*run)] for name in step))
                        for run in found}  # fmt: skip


def _best_cut(
    cascade: Cascade,
    machine: Machine,
    room: Machine,
    word_bytes: int,
    objective: Objective,
    fine: bool,
    longest: int = LONGEST,
    below: float = inf,
) -> tuple[float, float, list[Piece]] | None:
    """The best cut with its value and its tie, found like a shortest path: a run of steps counts with its floor until
    the best cut has it, and is evaluated then. None where no cut gets `below` a value that is known.
    """
    count, here = _runs(cascade, longest)
    offered = {run: tries(one, machine, word_bytes, fine, objective == "energy") for run, one in here.items()}
    sought = {run: seek(every, room, objective) for run, every in offered.items()}
    while True:
        values = {run: one.floor for run, one in sought.items()}  # some may share one search
        cut = _cheapest(count, values)
        if cut is None or cut[0] > below * (1 + TIE):
            found = None
            break
        value, tie, path = cut
        unknown = [run for run in path if not sought[run].is_done]
        if not unknown:
            found = value, tie, [_named(sought[run].found, offered[run].segment, here[run]) for run in path]
            break
        run = max(unknown, key=lambda run: values[run][0])  # the one that may change the cut most
        one = sought[run]
        while not one.is_done and one.floor == values[run]:
            one.go_on()
    for every in offered.values():
        every.release()
    return found


def _named(choice: Choice | None, found: Segment, here: Segment) -> Piece:
    """A choice in the names of a segment, found for one that is the same."""
    assert choice is not None
    _, _, tried, point = choice
    candidate, tensors = tried.candidate, found.renaming(here)
    tiles = {name: int(values[point]) for name, values in tried.tiles.items()}
    return renamed(candidate.group, tensors), [renamed(bind, tensors) for bind in candidate.bind], tiles


def _cheapest(count: int, values: dict[Run, tuple[float, float]]) -> tuple[float, float, tuple[Run, ...]] | None:
    """The cut of so many steps into runs whose values add to the least; None where all are infinite."""
    best: list[tuple[float, float, tuple[Run, ...]] | None] = [(0.0, 0.0, ())]
    ending: dict[int, list[Run]] = {}
    for run in values:
        ending.setdefault(run[1], []).append(run)
    for end in range(1, count + 1):
        options = []
        for run in ending.get(end, ()):
            before, (value, tie) = best[run[0]], values[run]
            if before is not None and value < inf:
                options.append((before[0] + value, before[1] + tie, (*before[2], run)))
        best.append(least(options))
    return best[-1]


# ---- assembling ---------------------------------------------------------------------------------------------------


def _assemble(cascade: Cascade, chosen: list[Piece], free: dict[str, int]) -> Mapping:
    """The chosen pieces as one mapping: every tile a number, and no loop that makes a single trip."""
    left = {rank: int(cascade.size(rank)) for rank in cascade.ranks}
    groups = [
        {**group, "nest": _with_tiles(group["nest"], {**cascade.sizes, **tiles}, left)} for group, _, tiles in chosen
    ]
    bind = [one for _, binds, _ in chosen for one in binds]
    return Mapping.from_data({"name": "default", "sizes": dict(free), "bind": bind, "groups": groups})


def _with_tiles(nest: list[dict[str, Any]], names: dict[str, Any], left: Dictionary[str, int]) -> list[dict[str, Any]]:
    """A nest with numbers for tiles, below loops that leave so much of each rank."""
    made: list[dict[str, Any]] = []
    left = dict(left)
    for node in nest:
        if "do" in node:
            made.append({**node, "nest": _with_tiles(node["nest"], names, left)})
        elif "hold" in node:
            made.append({**node, "copies": int(evaluate(node.get("copies", 1), names))})
        else:
            tile = int(evaluate(node["tile"], names))
            if tile < left[node["for"]]:
                made.append({**{key: value for key, value in node.items() if key != "if_split"}, "tile": tile})
                left[node["for"]] = tile
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
