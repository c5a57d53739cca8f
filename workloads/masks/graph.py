"""Attention along the edges of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lightbound import _core
from lightbound.base.errors import LightboundError

from .layout import Integers
from .mask import Mask
from .shape import Shape, whole
from .table import native_rows, sparse_rows

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, init=False, eq=False)
class Graph(Mask):
    """Token q attends token k if there is an edge (q, k).

    `edges` has shape (edges, 2), in any order; repetitions count once. Undirected graphs list both directions, and a
    token attends itself only by an edge of its own.
    """

    grid: Shape
    edges: Integers = field(repr=False)
    key_grid: Shape

    def __init__(self, tokens: int, edges: Any, keys: int | None = None) -> None:
        queries = whole("tokens", tokens, 1)
        key_count = queries if keys is None else whole("keys", keys, 1)
        pairs = np.array(edges if len(edges) else np.empty((0, 2), np.int64))
        if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
            raise LightboundError(
                "edges",
                f"{pairs.dtype} of shape {pairs.shape}",
                "is not a list of token pairs",
                "Give whole numbers of shape (edges, 2).",
            )
        outside = (pairs < 0) | (pairs >= np.array([queries, key_count]))
        if outside.any():
            worst = tuple(int(token) for token in pairs[outside.any(axis=1)][0])
            raise LightboundError(
                "edges",
                worst,
                f"leaves the {queries} queries and {key_count} keys",
                "Number tokens from 0.",
            )
        self._settle(grid=(queries,), key_grid=(key_count,), extra_keys=0, edges=pairs)

    @classmethod
    def from_networkx(cls, graph: nx.Graph, self_loops: bool = True) -> Graph:
        """The mask of a networkx graph, directed or not, its nodes numbered in the order of ``graph.nodes``."""
        number: Mapping[Any, int] = {node: at for at, node in enumerate(graph.nodes)}
        edges = [(number[a], number[b]) for a, b in graph.edges()]
        if not graph.is_directed():
            edges += [(b, a) for a, b in edges]
        if self_loops:
            edges += [(at, at) for at in number.values()]
        return cls(len(number), edges)

    def _rows(self) -> _core.MaskRows:
        queries, keys = self.grid[0], self.key_grid[0]
        return native_rows(sparse_rows(self.edges[:, 0], self.edges[:, 1], queries, keys), keys)
