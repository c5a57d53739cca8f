"""What the holds of a candidate take at least in each level, known before it is planned: one tile of a single step.

Most candidates that no tile size makes fit (operands that are kept whole, say) are ruled out by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightbound.workloads.cascade import Cascade
from lightbound.workloads.expression import Access

from .footprints import words_held
from .reuse import Nest, Step


class LeastRoom:
    """The least words of tensors of a cascade, held for some of its Einsums below loops, each found once."""

    def __init__(self, cascade: Cascade, sizes: Mapping[str, int]) -> None:
        self.cascade = cascade
        self.sizes = sizes
        self._nests: dict[tuple[str, ...], Nest] = {}
        self._words: dict[tuple[Any, ...], float] = {}

    def words(self, group: Mapping[str, Any]) -> dict[str, float]:
        """By level, what a group in plain data holds at least, whatever its tiles."""
        found: dict[str, float] = {}
        self._walk(group["nest"], frozenset(group["einsums"]), (), found)
        return found

    def _walk(
        self,
        nodes: Sequence[Mapping[str, Any]],
        einsums: frozenset[str],
        ranks: tuple[str, ...],
        found: dict[str, float],
    ) -> None:
        waiting = einsums
        for node in nodes:
            if "for" in node:
                ranks = (*ranks, node["for"])
            elif "do" in node:
                branch = frozenset(node["do"])
                self._walk(node["nest"], branch, ranks, found)
                waiting -= branch
            else:
                for tensor in node["hold"]:
                    found[node["in"]] = found.get(node["in"], 0.0) + self._held(tensor, waiting, ranks)

    def _held(self, tensor: str, einsums: frozenset[str], ranks: tuple[str, ...]) -> float:
        key = tensor, einsums, ranks
        if key not in self._words:
            if ranks not in self._nests:
                self._nests[ranks] = Nest(tuple(Step(rank, 1) for rank in ranks), self.sizes)
            reads: dict[Access, None] = {}
            for reader in self.cascade.readers(tensor):
                if reader.name in einsums:
                    reads.update(dict.fromkeys(access for access in reader.reads if access.tensor == tensor))
            written = (self.cascade.einsum(tensor).output,) if tensor in einsums else ()
            live = self.cascade.iterative.get(tensor, frozenset())
            self._words[key] = float(words_held(written, tuple(reads), self._nests[ranks], len(ranks), live))
        return self._words[key]
