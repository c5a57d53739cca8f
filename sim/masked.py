"""Attention under a mask as a problem to bound: the workload, its mask, how often the mask occurs, what a pair costs.

It also turns a mapping into that of a kernel that skips tiles of keys (`masked_mapping`). Bounds and estimates are
made of these elsewhere (bound.py, estimate.py).
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, replace
from math import prod

from lightbound.base.errors import LightboundError
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.masks.dense import Dense
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.registry import Workload
from lightbound.workloads.registry import workload as find_workload

from .mapping import Bind, Mapping
from .overrides import with_values

ATTENTION = "attention"  # the workload of a mask that comes alone


@dataclass(frozen=True, eq=False)
class Problem:
    """`copies` times the same mask: one for each head of each sequence.

    pair_operations: what is done for every pair of a query and a key, by kind (``{"mac": 256, "exp": 1}``).
    io_bytes: every input read once and every output written once, over all copies.
    """

    work: Workload
    mask: Mask
    copies: int
    pair_operations: Dictionary[str, int]
    io_bytes: int
    head_dim: int

    @property
    def name(self) -> str:
        """The workload and its preset."""
        return self.work.name + (f", {self.work.preset}" if self.work.preset else "")

    def dense(self) -> Problem:
        """The same queries and keys, all attending all."""
        return replace(self, mask=Dense((self.mask.queries,), (self.mask.keys,)))


def as_problem(what: Workload | Mask | str, heads: int | None, head_dim: int | None, batch: int | None) -> Problem:
    """The problem of a workload, which brings its own sizes, or of a mask with `heads` of `head_dim` in a `batch`."""
    if isinstance(what, Mask):
        dim = 128 if head_dim is None else head_dim
        alone = find_workload(ATTENTION, B=batch or 1, H=heads or 1, E=dim, F=dim, P=what.queries, M=what.keys)
        return _problem(alone, what)
    for field, value in (("heads", heads), ("head_dim", head_dim), ("batch", batch)):
        if value is not None:
            raise LightboundError(field, value, "goes with a mask; a workload has sizes of its own", "Set its sizes.")
    work = find_workload(what) if isinstance(what, str) else what
    return _problem(work, work.mask)


def _problem(work: Workload, mask: Mask | None) -> Problem:
    query, key = work.method.mask_ranks
    cascade = as_one_tile(work.cascade)
    keys = set(cascade.families.get(key, ()))
    if query not in cascade.ranks or not keys:
        raise LightboundError(
            "workload", work.name, f"has no queries {query} and keys {key}", "Bound attention, or give a mask alone."
        )
    if mask is None:
        mask = Dense((work.sizes[query.upper()],), (work.sizes[key.upper()],))
    from .simulate import compulsory

    tensors = (*cascade.inputs, *cascade.outputs)
    shared = set(cascade.ranks)
    for tensor in tensors:
        shared &= {rank for access in cascade.accesses(tensor) for rank in access.ranks}
    pairs = {query, *keys}
    operations: dict[str, int] = {}
    for einsum in cascade.einsums:
        for done in einsum.work:
            if pairs <= set(done.ranks):
                times = prod(cascade.size(rank) for rank in done.ranks if rank not in pairs | shared)
                for op in done.ops:
                    operations[op] = operations.get(op, 0) + times
    return Problem(
        work=work,
        mask=mask,
        copies=prod(cascade.size(rank) for rank in shared),
        pair_operations=operations,
        io_bytes=int(compulsory(cascade, work.word_bytes)),
        head_dim=max(operations.get("mac", 2) // 2, 1),
    )


def as_one_tile(cascade: Cascade) -> Cascade:
    """The cascade with one tile wherever a mapping would choose how many."""
    free = {
        part: cascade.sizes[partition.total]
        for partition in cascade.partitions
        if partition.total in cascade.sizes
        for part in partition.parts[1:]
        if part in cascade.missing_sizes
    }
    return cascade.with_sizes(**free)


def masked_mapping(mapping: Mapping, q_tile: int, kv_tile: int, test: Dictionary[str, int]) -> Mapping:
    """The mapping of a kernel with these tiles, which does the operations of `test` at every score, beside what the
    mapping says that a test costs it, which goes before; none without.
    """
    how = mapping.masked
    if how is None:
        raise LightboundError(
            "mapping", mapping.name, "does not say how its kernel skips tiles", "Give it `masked` (docs/mapping.md)."
        )
    tests: tuple[Bind, ...] = ()
    if test:
        tests = (how.tests.model_copy(update={"implied": {**test, **how.tests.implied}}),)
        tests += () if how.early is None else (how.early,)
    tiled = with_values(mapping, {how.q_tile: q_tile, how.kv_tile: kv_tile})
    return tiled.model_copy(update={"bind": (*mapping.bind, *tests)})
