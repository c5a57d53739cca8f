"""The order in which a cascade can be computed: Einsums, and loops that step a recurrence along its rank.

An Einsum outside every recurrence is computed whole. The Einsums of one recurrence (those that reach each
other) are stepped together: first iterate of all of them, then the second. A recurrence inside a recurrence
is a loop in a loop.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .einsum import Einsum
from .expression import Access, Affine, unique


@dataclass(frozen=True)
class Loop:
    """Steps its body along a rank, from coordinate 0 upwards."""

    rank: str
    body: tuple[Step, ...]


Step = Einsum | Loop
Distance = Mapping[str, int | None]
"""For each rank of a written tensor, how many steps earlier a reader looks; None where anywhere."""


class CyclicError(Exception):
    """No order exists: these Einsums need each other's values at once."""

    def __init__(self, einsums: tuple[Einsum, ...]) -> None:
        super().__init__(" and ".join(unique(einsum.name for einsum in einsums)))
        self.einsums = einsums


def distance(written: Access, read: Access) -> Distance:
    """How far behind the write a read looks, rank by rank: 0 the same step, 1 the step before."""
    found: dict[str, int | None] = {}
    for target, index in zip(written.indices, read.indices, strict=True):
        shift = target.shift if isinstance(target, Affine) else None
        seen = index.shift if isinstance(index, Affine) else None
        if shift is not None and seen is not None and seen[0] == shift[0]:
            found[shift[0]] = shift[1] - seen[1]
        else:
            found.update(dict.fromkeys(target.ranks, None))
    return found


def schedule(lines: Sequence[Einsum]) -> tuple[Step, ...]:
    """An order of computation.

    `lines` holds first values (``RM[0,p] = -inf``) before the lines that go on from them. Raises CyclicError where
    Einsums need each other and no rank can be stepped.
    """
    edges: dict[tuple[int, int], list[Distance]] = {}
    latest: dict[str, list[int]] = {}
    for position, line in enumerate(lines):
        latest.setdefault(line.name, []).append(position)
    for position, line in enumerate(lines):
        for access in line.reads:
            for producer in latest.get(access.tensor, ())[-1:]:
                edges.setdefault((producer, position), []).append(distance(lines[producer].output, access))
    for *firsts, writer in latest.values():
        for first in firsts:
            edges.setdefault((first, writer), []).append(distance(lines[first].output, lines[writer].output))
    return _ordered(lines, range(len(lines)), edges)


def _ordered(
    lines: Sequence[Einsum], nodes: Iterable[int], edges: Mapping[tuple[int, int], list[Distance]]
) -> tuple[Step, ...]:
    steps: list[Step] = []
    for group in components(nodes, edges):
        if len(group) == 1 and (group[0], group[0]) not in edges:
            steps.append(lines[group[0]])
        else:
            steps.append(_stepped(lines, group, edges))
    return tuple(steps)


def _stepped(lines: Sequence[Einsum], group: list[int], edges: Mapping[tuple[int, int], list[Distance]]) -> Loop:
    inside = {edge: found for edge, found in edges.items() if edge[0] in group and edge[1] in group}
    for rank in unique(rank for node in group for rank in lines[node].output.ranks):
        if not all(rank in lines[node].output.ranks and rank not in lines[node].scanned for node in group):
            continue
        gaps = {edge: [reads.get(rank) for reads in found] for edge, found in inside.items()}
        if any(gap is None or gap < 0 for found in gaps.values() for gap in found):
            continue
        if all(gap == 0 for found in gaps.values() for gap in found):
            continue
        same_step = {
            edge: [reads for reads in found if reads.get(rank) == 0]
            for edge, found in inside.items()
            if 0 in gaps[edge]
        }
        return Loop(rank, _ordered(lines, group, same_step))
    raise CyclicError(tuple(lines[node] for node in group))


def components(nodes: Iterable[int], edges: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Strongly connected components, producers first and otherwise in the order of their first node."""
    order = sorted(nodes)
    after: dict[int, list[int]] = {node: [] for node in order}
    for producer, consumer in edges:
        if producer in after and consumer in after:
            after[producer].append(consumer)
    groups = _strongly_connected(order, after)
    home = {node: number for number, group in enumerate(groups) for node in group}
    follows: dict[int, set[int]] = {number: set() for number in range(len(groups))}
    waiting = [0] * len(groups)
    for node in order:
        for consumer in after[node]:
            if home[consumer] != home[node] and home[consumer] not in follows[home[node]]:
                follows[home[node]].add(home[consumer])
                waiting[home[consumer]] += 1
    ready = [(min(group), number) for number, group in enumerate(groups) if waiting[number] == 0]
    heapq.heapify(ready)
    ordered: list[list[int]] = []
    while ready:
        _, number = heapq.heappop(ready)
        ordered.append(sorted(groups[number]))
        for consumer in follows[number]:
            waiting[consumer] -= 1
            if waiting[consumer] == 0:
                heapq.heappush(ready, (min(groups[consumer]), consumer))
    return ordered


def _strongly_connected(order: list[int], after: Mapping[int, list[int]]) -> list[list[int]]:
    """Tarjan's algorithm, with a stack of its own: a traced model has more Einsums than Python has frames."""
    number: dict[int, int] = {}
    lowest: dict[int, int] = {}
    open_nodes: list[int] = []
    is_open: set[int] = set()
    groups: list[list[int]] = []
    for root in order:
        if root in number:
            continue
        trail = [(root, iter(after[root]))]
        number[root] = lowest[root] = len(number)
        open_nodes.append(root)
        is_open.add(root)
        while trail:
            node, successors = trail[-1]
            for successor in successors:
                if successor not in number:
                    number[successor] = lowest[successor] = len(number)
                    open_nodes.append(successor)
                    is_open.add(successor)
                    trail.append((successor, iter(after[successor])))
                    break
                if successor in is_open:
                    lowest[node] = min(lowest[node], number[successor])
            else:
                trail.pop()
                if trail:
                    lowest[trail[-1][0]] = min(lowest[trail[-1][0]], lowest[node])
                if lowest[node] == number[node]:
                    cut = open_nodes.index(node)
                    groups.append(open_nodes[cut:])
                    is_open.difference_update(open_nodes[cut:])
                    del open_nodes[cut:]
    return groups
