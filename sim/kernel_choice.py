"""Which kernel to run where nobody says: of a workload's mappings for a GPU, each in the tiles that it offers, the
one that is predicted fastest.

A search for mappings lets all units overlap perfectly, which no kernel does. On a GPU, whose blocks contend for an SM
as registers, shared memory and places for them allow, the mappings of real kernels are the better answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import is_array
from lightbound.workloads.registry import Workload

from .mapping import Mapping
from .overrides import with_values


def fastest_kernel(work: Workload, machine: Machine) -> Mapping | None:
    """The mapping with its tiles settled; None where the machine is no GPU or no mapping of the workload fits it."""
    if machine.occupancy is None or any(is_array(size) for size in work.sizes.values()):
        return None
    best: tuple[float, Mapping] | None = None
    for candidate in kernels(work, machine):
        try:
            latency = _latency_s(work, machine, candidate)
        except LightboundError:
            continue
        if best is None or latency < best[0]:
            best = latency, candidate
    return best[1] if best is not None else None


def kernels(work: Workload, machine: Machine) -> Iterator[Mapping]:
    """Every mapping that is written for words and a result like the workload's, in every tile that it offers."""
    from .simulate import resolve_mapping

    for name in work.method.mappings:
        try:
            mapping = resolve_mapping(work, machine, name)[1]
        except LightboundError:
            continue
        same = work.method.stands_for(mapping.variant or work.variant, work.variant)
        if mapping.word_bytes not in (None, work.word_bytes) or not same:
            continue
        how = mapping.masked
        if how is None or not how.tiles:
            if work.mask is None:
                yield mapping
            continue
        for queries, keys in how.tiles:
            yield with_values(mapping, {how.q_tile: queries, how.kv_tile: keys})


def _latency_s(work: Workload, machine: Machine, mapping: Mapping) -> float:
    from .simulate import predict, resolve_mapping

    work, mapping = resolve_mapping(work, machine, mapping)
    if work.mask is not None and mapping.masked is not None and len(work.mask.grid) == 1:
        from .masked_prediction import predict_masked

        return float(predict_masked(work, machine, mapping).latency_s)
    return float(predict(replace(work, mask=None), machine, mapping).latency_s)
