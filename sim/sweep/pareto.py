"""Which points of many no other point beats in everything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def front(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The rows (points) of a table of costs (a column each, all to be small) that no other row dominates, in order.

    A row is dominated by one that is nowhere worse and somewhere better. Of equal rows the first stands for all; rows
    with a cost that is not a number are left out.
    """
    rows = np.flatnonzero(~np.isnan(costs).any(axis=1))
    for chosen in range(costs.shape[1]):  # in a grid many points differ in one cost alone
        rows = np.sort(_least(costs, rows, chosen))
    rows = rows[np.lexsort(costs[rows].T[::-1])]  # by the first cost, then the second, ...
    if costs.shape[1] == 2:
        second = costs[rows, 1]
        best = np.minimum.accumulate(np.concatenate(([np.inf], second[:-1])))
        return np.sort(rows[second < best])
    columns = costs[rows].T.copy()
    kept: list[int] = []
    while rows.size:
        leader = columns[:, 0]  # nothing before it is left, and nothing behind it is better in the first cost
        kept.append(int(rows[0]))
        better = (columns < leader[:, None]).any(axis=0)
        rows, columns = rows[better], columns[:, better]
    return np.sort(np.array(kept, dtype=np.int64))


def _least(costs: NDArray[np.float64], rows: NDArray[np.int64], chosen: int) -> NDArray[np.int64]:
    """Of rows that differ in one cost alone, the one where it is least; the first of those."""
    others = [costs[rows, number] for number in range(costs.shape[1]) if number != chosen]
    order = np.lexsort((costs[rows, chosen], *others))
    fresh = np.arange(len(rows)) == 0
    for other in others:
        ordered = other[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    return rows[order[fresh]]
