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
    _, first = np.unique(costs[rows], axis=0, return_index=True)
    rows = rows[first]  # sorted by the first cost, then the second, ...
    if costs.shape[1] == 2:
        second = costs[rows, 1]
        best = np.minimum.accumulate(np.concatenate(([np.inf], second[:-1])))
        return np.sort(rows[second < best])
    kept: list[int] = []
    while rows.size:
        leader = rows[0]  # nothing before it is left, and nothing behind it is better in the first cost
        kept.append(int(leader))
        better = (costs[rows] < costs[leader]).any(axis=1)
        rows = rows[better]
    return np.sort(np.array(kept, dtype=np.int64))
