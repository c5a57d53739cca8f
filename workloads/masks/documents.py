"""Packed documents of different lengths: a token attends its own document alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lightbound.base.errors import LightboundError

from .axis import IntervalAxis
from .layout import Integers, Layout, consecutive, plain
from .separable import Separable
from .shape import Shape, shape


@dataclass(frozen=True, init=False)
class Documents(Separable):
    """Documents one behind the other, `lengths` queries and `key_lengths` keys each (by default the same).

    A `causal` document keeps keys up to the query's own; where it has more keys than queries, or fewer, its last query
    stands at its last key. With `restart`, tiles begin anew at every document, as in kernels for variable lengths;
    without, they run across documents, as under a document mask over a packed sequence.
    """

    lengths: Shape
    key_lengths: Shape
    causal: bool
    restart: bool

    def __init__(
        self,
        lengths: Sequence[int],
        causal: bool = False,
        restart: bool = False,
        key_lengths: Sequence[int] | None = None,
    ) -> None:
        queries = shape("lengths", lengths)
        keys = queries if key_lengths is None else shape("key_lengths", key_lengths)
        if len(keys) != len(queries):
            raise LightboundError(
                "key_lengths",
                key_lengths,
                f"names {len(keys)} documents where lengths names {len(queries)}",
                "Give one length a document in both.",
            )
        self._settle(
            grid=(sum(queries),),
            key_grid=(sum(keys),),
            extra_keys=0,
            lengths=queries,
            key_lengths=keys,
            causal=bool(causal),
            restart=bool(restart),
        )

    @cached_property
    def axes(self) -> tuple[DocumentAxis | PackedAxis]:  # type: ignore[override]
        kind = DocumentAxis if self.restart else PackedAxis
        return (kind(self.lengths, self.key_lengths, self.causal),)


@dataclass(frozen=True)
class DocumentAxis(IntervalAxis):
    """Each document is a group of its own."""

    lengths: Shape
    key_lengths: Shape
    causal: bool

    @property
    def query_layout(self) -> Layout:
        return consecutive(self.lengths)

    @property
    def key_layout(self) -> Layout:
        return consecutive(self.key_lengths)

    def bounds(self, group: Integers, local: Integers) -> tuple[Integers, Integers]:
        keys = np.asarray(self.key_lengths, np.int64)[group]
        if not self.causal:
            return np.zeros_like(local), keys
        queries = np.asarray(self.lengths, np.int64)[group]
        return np.zeros_like(local), np.clip(local + 1 + keys - queries, 0, keys)


@dataclass(frozen=True)
class PackedAxis(IntervalAxis):
    """All documents are one group; a query's interval is (part of) its document."""

    lengths: Shape
    key_lengths: Shape
    causal: bool

    @property
    def query_layout(self) -> Layout:
        return plain(sum(self.lengths))

    @property
    def key_layout(self) -> Layout:
        return plain(sum(self.key_lengths))

    def bounds(self, group: Integers, local: Integers) -> tuple[Integers, Integers]:
        query_ends, key_ends = np.cumsum(self.lengths), np.cumsum(self.key_lengths)
        document = np.searchsorted(query_ends, local, side="right")
        end = key_ends[document]
        start = end - np.asarray(self.key_lengths, np.int64)[document]
        if self.causal:
            end = np.clip(end - (query_ends[document] - 1 - local), start, end)
        return start, end
