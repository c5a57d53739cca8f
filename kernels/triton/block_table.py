"""Which blocks of keys each block of queries computes: tables chosen by a rule that needs no tokens.

A real table depends on what trained queries and keys hold; how many blocks a row has does not depend on it, given the
share of blocks that was measured. Here the share is an option, and the blocks are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int32]
SEED = 2510  # of the blocks that are drawn: the same table for every run of a case


@dataclass(frozen=True, eq=False)
class Table:
    """Compressed rows: the blocks of row r are columns[offsets[r]:offsets[r + 1]].

    The first untested[r] of them need no test. Rows are the blocks of queries, head by head where heads differ.
    """

    offsets: Integers
    untested: Integers
    columns: Integers

    def row(self, number: int) -> Integers:
        """The blocks of a row, in the order in which they are taken."""
        return self.columns[self.offsets[number] : self.offsets[number + 1]]


def chosen(tokens: int, options: Mapping[str, Any], heads: int) -> Table:
    """The table of a case: `block`, `density`, and `causal`, `segment`, `per_head` where they are not 0.

    A causal row has the blocks of its own segment (of itself, without segments), the first block, and of the earlier
    ones as many as bring the share of all causal blocks to `density`; another row has that share of all. With
    `empty`, every row of that remainder by 3 has none.
    """
    options = {"causal": 0, "segment": 0, "per_head": 0, "empty": -1, **options}
    return _chosen(
        tokens, options["block"], options["density"], options["causal"], options["segment"],
        heads if options["per_head"] else 1, options["empty"],
    )  # fmt: skip


@lru_cache(maxsize=16)
def _chosen(
    tokens: int, block: int, density: float, causal: int, segment: int, heads: int, empty: int
) -> Table:  # fmt: skip
    generator = np.random.default_rng(SEED)
    count = -(-tokens // block)
    own = max(segment // block, 1)
    share = _share_of_others(count, own, density) if causal and density < 1 else density
    rows: list[NDArray[np.int64]] = []
    untested: list[int] = []
    for _ in range(heads):
        for row in range(count):
            begin = row // own * own
            near = np.arange(begin, min(begin + own, count)) if causal else np.empty(0, np.int64)
            first = [0] if causal and begin else []
            low, high = (1, max(begin, 1)) if causal else (0, count)
            wanted = 0 if empty == row % 3 else round(share * (high - low))
            others = low + generator.permutation(high - low)[:wanted]
            taken = np.sort(np.concatenate([first, others])).astype(np.int64)
            tested = taken[(taken + 1) * block > tokens]
            whole = taken[(taken + 1) * block <= tokens]
            if empty == row % 3:
                near, whole, tested = (np.empty(0, np.int64) for _ in range(3))
            rows.append(np.concatenate([whole, tested, near]))
            untested.append(len(whole))
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return Table(offsets.astype(np.int32), np.array(untested, np.int32), np.concatenate(rows).astype(np.int32))


def _share_of_others(count: int, own: int, density: float) -> float:
    """The share of blocks that lie neither in a row's segment nor first, at which `density` of causal ones is taken."""
    begin = np.arange(count) // own * own
    fixed = np.minimum(begin + own, count) - begin + (begin > 0)
    free = np.maximum(begin - 1, 0)
    wanted = density * count * (count + 1) / 2 - fixed.sum()
    return float(np.clip(wanted / max(free.sum(), 1), 0, 1))
