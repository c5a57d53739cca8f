"""The Prediction of a workload with a mask, under the mapping of a kernel that skips tiles.

Its time is that of estimate.py: visits counted by the mask, blocks dealt in the kernel's order. The rest (busy times,
traffic, utilization, energy) is that of a block with the mean number of visits, times as many visits as there are.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import replace
from pathlib import Path

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number
from lightbound.workloads.counts import compulsory_traffic
from lightbound.workloads.masks.tile_count import TileCount
from lightbound.workloads.registry import Workload

from .accounts import IMBALANCE, LAUNCH, settled
from .blocks import blocks_of
from .estimate import Estimate, estimate
from .kernel_choice import fastest_kernel
from .mapping import Mapping
from .masked import as_one_tile, as_problem, masked_mapping
from .overrides import tiles
from .prediction import Prediction
from .simulate import MappingLike, predict, resolve_mapping
from .tile_choice import choose_tiles


def predict_masked(work: Workload, machine: Machine, mapping: Mapping, count: TileCount | None = None) -> Prediction:
    """The prediction, with the tiles of a `count` where one is given; LightboundError where the mapping does not say
    how its kernel skips tiles (`masked`).
    """
    assert work.mask is not None
    problem = as_problem(work, None, None, None)
    count = counted(work, machine, mapping) if count is None else count
    q_tile, kv_tile = count.tiling.q_tile_size, count.tiling.kv_tile_size
    blocks = blocks_of(work.mask, count, mapping, work.method.mask_ranks)
    bare = replace(work, mask=None, cascade=work.cascade.with_sizes(**blocks.sizes))
    mean = predict(bare, machine, masked_mapping(mapping, *blocks.tile, {}))
    found = estimate(problem, machine, count, mapping, mean)
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
        counted_s=_account(mean, machine, found),
        decomposition_s=_decomposition(mean, machine, found),
        estimate=found,
        assumptions=(*(note for note in mean.assumptions if "padded" not in note), *notes),
    )


def _account(mean: Prediction, machine: Machine, found: Estimate) -> dict[str, Number]:
    """What the time is spent on: as in a mean block, but for instances that have nothing left."""
    launch = {LAUNCH: found.launches * machine.launch_latency_s}
    total = found.kernel_s + found.beside_s
    if found.limit != "schedule":
        return settled({found.limit: total, **launch})
    parts = {name: value for name, value in mean.account_s.items() if name not in (LAUNCH, IMBALANCE)}
    working = min(found.mean_cycles / found.clock_hz, found.kernel_s) + found.beside_s
    scale = working / sum(parts.values(), 0.0)
    return settled({**_times(parts, scale), IMBALANCE: total - working, **launch})


def counted(work: Workload, machine: Machine, mapping: Mapping) -> TileCount:
    """The visits of a workload's mask in the tiles of a mapping; over tokens in a grid of several axes, in the tiles
    that kernels offer there (tile_choice.py).
    """
    assert work.mask is not None
    if len(work.mask.grid) == 1:
        return work.mask.count(*tiles(mapping, work, machine))
    return choose_tiles(as_problem(work, None, None, None), machine, None, None, None, None).count


def masked_by_events(
    work: Workload,
    machine: Machine,
    mapping: Mapping,
    seed: int,
    fill: str,
    trace: str | Path | None,
    follow: str | int,
) -> Prediction:
    """As `predict_masked`, by the event engine: every block with its own visits."""
    from .event_prediction import by_events
    from .masked_events import masked_systems

    closed = predict_masked(work, machine, mapping)
    count = counted(work, machine, mapping)
    found = by_events(
        closed, seed, fill, trace, lambda kind: masked_systems(work, machine, mapping, count, kind), follow
    )
    return replace(found, assumptions=(*(note for note in found.assumptions if not note.startswith("busy times, ")),))


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


def kernel(work: Workload, machine: Machine, mapping: MappingLike, strict: bool) -> tuple[Workload, Mapping] | None:
    """The workload and the mapping of a kernel that skips the tiles its mask leaves out; None where there is no mask,
    or, unless `strict`, where no mapping meant says how it skips them.
    """
    if work.mask is None:
        return None
    if mapping is None:
        mapping = some_masked(work, machine)
        if mapping is None and not strict:
            return None
        if mapping is None:
            remedy = "Name a mapping with `masked` (docs/mapping.md)."
            raise LightboundError(f"mappings of {work.name}", None, "say of no kernel how it masks", remedy)
    work, chosen = resolve_mapping(work, machine, mapping)
    if chosen.masked is None and strict:
        tiles(chosen, work, machine)  # says what is missing
    return (work, chosen) if chosen.masked is not None else None


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
