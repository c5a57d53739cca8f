"""A cascade that came from a module, and where each of its lines came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..cascade import Cascade
from ..counts import operations, points
from ..expression import Expr, Opaque
from .builder import Origin


@dataclass(frozen=True)
class Result:
    """A tensor the module returns: what its elements are, over the ranks of each of its dimensions."""

    expr: Expr
    dims: tuple[tuple[str, ...], ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TracedCascade(Cascade):
    """A Cascade like any other, with the operator and module of each Einsum in `origins`.

    `sources` says what each input is: the path of a parameter or buffer of the module, ``input:NAME``,
    ``gradient:OUTPUT``, or ``constant``; `kinds` tells parameters from buffers. `results` are the tensors the module
    returns, by name, and the gradients of a training step (``grad.PATH``).
    """

    origins: Mapping[str, Origin] = field(default_factory=dict, repr=False)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    kinds: Mapping[str, str] = field(default_factory=dict, repr=False)
    results: Mapping[str, Result] = field(default_factory=dict, repr=False)
    constants: Mapping[str, Any] = field(default_factory=dict, repr=False)
    lengths: Mapping[str, int] = field(default_factory=dict, repr=False)
    input_order: tuple[str, ...] = field(default=(), repr=False)

    @property
    def opaque(self) -> tuple[str, ...]:
        """The Einsums of operators that nobody lowered."""
        return tuple(einsum.name for einsum in self.einsums if isinstance(einsum.expr, Opaque))

    @property
    def opaque_share(self) -> float:
        """Their share of all operations, between 0 and 1; an opaque operator counts what it reads and writes."""
        counts = {name: sum(kinds.values()) for name, kinds in operations(self).items()}
        total = sum(counts.values())
        return sum(counts[name] for name in self.opaque) / total if total else 0.0

    @property
    def opaque_bytes_share(self) -> float:
        """Their share of all elements that Einsums read and write, each operand once for each Einsum."""
        moved = elements_moved(self)
        total = sum(moved.values())
        return sum(moved[name] for name in self.opaque) / total if total else 0.0

    @property
    def product_flops(self) -> int:
        """Twice the multiply-accumulates of matrix products, convolutions and fused attention: what torch's
        FlopCounterMode counts."""
        counts = operations(self)
        return 2 * sum(
            int(counts[name].get("mac", points(self, self.einsum(name).output.ranks)))  # an inner length of 1 is a mul
            for name, origin in self.origins.items()
            if origin.product
        )

    def named(self, name: str) -> TracedCascade:
        """The same cascade under another name."""
        return replace(self, name=name)


def elements_moved(cascade: Cascade) -> dict[str, int]:
    """For each Einsum the elements of the tensors it reads and of the one it writes."""
    from ..counts import footprint

    sizes = {tensor: int(footprint(cascade, tensor)) for tensor in cascade.tensors}
    return {
        einsum.name: sizes[einsum.name] + sum(sizes[tensor] for tensor in {read.tensor for read in einsum.reads})
        for einsum in cascade.einsums
    }
