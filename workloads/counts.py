"""What a sized cascade needs at the very least: operations, elements of tensors, compulsory traffic.

Everything here follows from the lines and the sizes; no machine and no mapping. Counts are Python integers of
any length, or float64 arrays where a size is an array (a sweep).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import reduce

from lightbound.base.formula import minimum

from .cascade import Cascade
from .sizes import Size


def points(cascade: Cascade, ranks: Iterable[str]) -> Size:
    """How many points an iteration space over these ranks has."""
    return reduce(operator.mul, (cascade.size(rank) for rank in ranks), 1)


def operations(cascade: Cascade) -> dict[str, dict[str, Size]]:
    """Operations of each Einsum by kind, such as ``{"S": {"mac": 4096, "mul": 64}}``.

    The rules are those of `work.work_of`. The whole iteration space counts, whether or not a condition
    (``where``) discards a point. Work for the first value of an iterative tensor counts for the Einsum that
    goes on from it.
    """
    found: dict[str, dict[str, Size]] = {einsum.name: {} for einsum in cascade.einsums}
    for line in cascade.structure.lines:
        kinds = found[line.name]
        for work in line.work:
            count = points(cascade, work.ranks)
            for op in work.ops:
                kinds[op] = kinds.get(op, 0) + count
    return found


def total_operations(cascade: Cascade) -> dict[str, Size]:
    """Operations of the whole cascade by kind."""
    total: dict[str, Size] = {}
    for kinds in operations(cascade).values():
        for op, count in kinds.items():
            total[op] = total.get(op, 0) + count
    return total


def footprint(cascade: Cascade, tensor: str) -> Size:
    """Elements of a tensor. Along an iterative rank only one iterate is alive, so it counts as 1 there."""
    writer = cascade.writer(tensor)
    stepped = cascade.iterative.get(tensor, frozenset())
    count: Size = 1
    for place, length in enumerate(cascade.shape(tensor)):
        if writer is None or not stepped.intersection(writer.output.indices[place].ranks):
            count = count * length
    return count


def compulsory_traffic(cascade: Cascade, word_bytes: float = 2) -> dict[str, Size]:
    """Bytes that any execution moves: each input read once, each output written once.

    Of an input that is read in fewer places than it has elements (an embedding table, a sparse gather), only
    as many elements are charged as it is read in.
    """
    traffic: dict[str, Size] = {}
    for tensor in cascade.inputs:
        places = sum(points(cascade, access.ranks) for access in cascade.accesses(tensor))
        traffic[tensor] = minimum(footprint(cascade, tensor), places) * word_bytes
    for tensor in cascade.outputs:
        traffic[tensor] = footprint(cascade, tensor) * word_bytes
    return traffic
