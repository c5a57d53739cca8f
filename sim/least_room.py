"""What the holds of a candidate take at least in each level, known before it is planned: one tile of a single step.

Most candidates that no tile size makes fit (operands that are kept whole, say) are ruled out by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lightbound.workloads.cascade import Cascade

from .footprints import words_held
from .reuse import Nest, Step, sizes_of


class LeastRoom:
    """The least that nests hold for Einsums of a cascade. Nests share their branches, each found once."""

    def __init__(self, cascade: Cascade) -> None:
        self._words = _least_words(cascade)
        self._branches: dict[tuple[int, frozenset[str]], tuple[Any, dict[str, float]]] = {}  # and what their key names

    def words(self, nest: Sequence[Mapping[str, Any]], einsums: frozenset[str]) -> dict[str, float]:
        """By level, what a nest in plain data holds at least for these Einsums, whatever its tiles."""
        return self._held(nest, einsums, frozenset())

    def _held(
        self, nest: Sequence[Mapping[str, Any]], einsums: frozenset[str], ranks: frozenset[str]
    ) -> dict[str, float]:
        found: dict[str, float] = {}
        waiting = einsums
        for node in nest:
            if "for" in node:
                ranks = ranks | {node["for"]}
            elif "do" in node:
                waiting = waiting.difference(node["do"])
                for level, words in self._branch(node, ranks).items():
                    found[level] = found.get(level, 0.0) + words
            else:
                for tensor in node["hold"]:
                    found[node["in"]] = found.get(node["in"], 0.0) + self._words.of(tensor, waiting, ranks)
        return found

    def _branch(self, node: Mapping[str, Any], ranks: frozenset[str]) -> dict[str, float]:
        """What a branch holds below loops over these ranks."""
        key = id(node), ranks
        if key not in self._branches:
            self._branches[key] = node, self._held(node["nest"], frozenset(node["do"]), ranks)
        return self._branches[key][1]


class _LeastWords:
    """The least words of tensors of a cascade, held for some of its Einsums below loops, each found once: the same on
    every machine.
    """

    def __init__(self, cascade: Cascade) -> None:
        self.cascade = cascade
        self._sizes = sizes_of(cascade)
        self._nests: dict[frozenset[str], Nest] = {}
        self._found: dict[tuple[str, frozenset[str], frozenset[str]], float] = {}

    def of(self, tensor: str, einsums: frozenset[str], ranks: frozenset[str]) -> float:
        """Those of a tensor for these Einsums, below loops over these ranks."""
        key = tensor, einsums, ranks
        if key not in self._found:
            if ranks not in self._nests:
                self._nests[ranks] = Nest(tuple(Step(rank, 1) for rank in ranks), self._sizes)
            readers = (reader for reader in self.cascade.readers(tensor) if reader.name in einsums)
            reads = tuple(dict.fromkeys(a for reader in readers for a in reader.reads if a.tensor == tensor))
            written = (self.cascade.einsum(tensor).output,) if tensor in einsums else ()
            live = self.cascade.iterative.get(tensor, frozenset())
            self._found[key] = float(words_held(written, reads, self._nests[ranks], len(ranks), live))
        return self._found[key]


_least_words = lru_cache(maxsize=16)(_LeastWords)
