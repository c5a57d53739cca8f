"""The Prediction of a workload with a mask, under the mapping of a kernel that skips tiles.

Its time is that of estimate.py: visits counted by the mask, blocks dealt in the kernel's order. The rest (busy times,
traffic, utilization, energy) is that of a block with the mean number of visits, times as many visits as there are.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import replace

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number
from lightbound.workloads.counts import compulsory_traffic
from lightbound.workloads.registry import Workload

from .blocks import blocks_of
from .estimate import Estimate, estimate
from .kernel_choice import fastest_kernel
from .mapping import Mapping
from .masked import as_one_tile, as_problem, masked_mapping
from .overrides import tiles
from .prediction import Prediction
from .simulate import predict, resolve_mapping


def predict_masked(work: Workload, machine: Machine, mapping: Mapping) -> Prediction:
    """The prediction; LightboundError where the mapping does not say how its kernel skips tiles (`masked`)."""
    assert work.mask is not None
    q_tile, kv_tile = tiles(mapping, work, machine)
    count = work.mask.count(q_tile, kv_tile)
    problem = as_problem(work, None, None, None)
    found = estimate(problem, machine, count, mapping)
    blocks = blocks_of(work.mask, count, mapping, work.method.mask_ranks)
    bare = replace(work, mask=None, cascade=work.cascade.with_sizes(**blocks.sizes))
    mean = predict(bare, machine, masked_mapping(mapping, q_tile, kv_tile, {}))
    visits = count.visits_total / (blocks.launched * blocks.each)
    latency = found.latency_s(machine)
    traffic = {level: _times(tensors, visits) for level, tensors in mean.traffic_by_tensor.items()}
    outermost = traffic.setdefault(machine.levels[0].name, {})
    for tensor, once in compulsory_traffic(as_one_tile(work.cascade), work.word_bytes).items():
        outermost[tensor] = max(outermost.get(tensor, 0.0), once)
    notes = (
        f"of {count.dense_visits:,} pairs of a tile of {q_tile} queries and one of {kv_tile} keys "
        f"{count.visits_total:,} are visited, and scores are tested in {found.tested:.0%} of these",
        "busy times, traffic and utilization are those of a mean block",
    )
    return replace(
        mean,
        mapping=mapping.name,
        sizes={**work.sizes, **{symbol: mean.sizes[symbol] for symbol in mapping.sizes}},
        latency_s=latency,
        traffic_bytes={level: sum(tensors.values(), 0) for level, tensors in traffic.items()},
        traffic_by_tensor=traffic,
        compulsory_bytes=problem.io_bytes,
        utilization=_times(mean.utilization, visits * mean.latency_s / latency),
        busy_s=_times(mean.busy_s, visits),
        energy_j=mean.energy_j * visits if mean.energy_j is not None else None,
        energy_by_component=_times(mean.energy_by_component, visits),
        decomposition_s=_decomposition(mean, machine, found),
        assumptions=(*(note for note in mean.assumptions if "padded" not in note), *notes),
    )


def _decomposition(mean: Prediction, machine: Machine, found: Estimate) -> dict[str, Number]:
    """The time by what it waits for: the parts of a mean block in proportion, and instances that have nothing left."""
    launches = found.launches * machine.launch_latency_s
    rest: dict[str, Number] = {"launch": launches} if machine.launch_latency_s else {}
    total = found.kernel_s + found.beside_s
    if found.limit != "schedule":
        return {found.limit: total, **rest}
    parts = {name: value for name, value in mean.decomposition_s.items() if name not in ("launch", found.limit)}
    working = min(found.mean_cycles / found.clock_hz, found.kernel_s) + found.beside_s
    scale = working / sum(parts.values(), 0.0)
    idle: dict[str, Number] = {"imbalance": total - working} if total > working else {}
    return {**_times(parts, scale), **idle, **rest}


def _times(values: Dictionary[str, Number], factor: Number) -> dict[str, Number]:
    return {name: value * factor for name, value in values.items()}


def some_masked(work: Workload, machine: Machine) -> Mapping | None:
    """The fastest kernel of a workload that skips tiles; where none offers tiles, the first mapping that fits, if any
    does."""
    kernel = fastest_kernel(work, machine)
    if kernel is not None and kernel.masked is not None:
        return kernel
    for name, made in work.method.mappings.items():
        if callable(made) or "masked" not in made:
            continue
        try:
            variant, mapping = resolve_mapping(work, machine, name)
            if not work.method.stands_for(variant.variant, work.variant):
                continue
            predict(replace(variant, mask=None), machine, mapping)
            return mapping
        except LightboundError:
            continue
    return None
