"""The programs of a kernel that skips tiles of keys: one worker for every tile of queries, with the visits of its own.

Work and bytes of one visit, and of a block beside its visits, are those of the lowering of a block; the mask says how
many visits every block makes, and in how many of them the kernel tests scores. These come first, as in kernels that
walk the keys from the diagonal back; where they lie in a block's loop changes nothing but the order.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import replace

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.workloads.masks.tile_count import TileCount
from lightbound.workloads.registry import Workload

from .lowering import Fill
from .mapping import Mapping
from .masked import as_problem, masked_mapping
from .prediction import Prediction
from .program import System, Task, Worker
from .simulate import predict


def masked_system(work: Workload, machine: Machine, mapping: Mapping, count: TileCount, fill: Fill) -> System:
    """The system of a masked workload under a mapping of one group, whose tiles are counted.

    Raises LightboundError where the mapping does not walk the keys of one tile of queries in each of its blocks.
    """
    assert work.mask is not None
    from .event_prediction import systems

    tested = work.mask.tested_visits(count)
    plain = _block(work, machine, mapping, count, {})
    masked = _block(work, machine, mapping, count, work.mask.score_test) if tested.any() else None
    lowered = systems(plain, fill, reuse=False, tested=masked)
    if len(lowered) != 1:
        remedy = "Put all Einsums of a masked kernel in one group."
        raise LightboundError(f"mapping {mapping.name!r}: groups", len(lowered), "are several", remedy)
    (system,) = lowered
    (program,), (worker,) = system.programs, set(system.workers)
    body = program.body
    rounds = worker.trips[0] // _walked(count)
    visits = np.concatenate([count.visits, np.zeros(count.launched_q_tiles - count.q_tiles, dtype=np.int64)])
    marked = np.concatenate([tested, np.zeros(len(visits) - len(tested), dtype=np.int64)])
    copies = as_problem(work, None, None, None).copies
    if len(system.workers) != count.launched_q_tiles * copies:
        raise LightboundError(
            f"mapping {mapping.name!r}: groups",
            f"{len(system.workers):,} blocks",
            f"are not one for each of {count.launched_q_tiles * copies:,} tiles of queries",
            "Deal the loop over tiles of queries, and all loops outside it, over instances.",
        )
    order = np.arange(len(visits))
    if mapping.masked is not None and mapping.masked.order == "longest":
        weight = visits * _weight(body, False) + marked * (_weight(body, True) - _weight(body, False))
        order = np.repeat(np.argsort(-weight, kind="stable"), copies)
        copies = 1
    contexts = len(worker.trips)
    kinds = {
        (many, few): Worker(program.name, (many * rounds,) * contexts, None, (few * rounds,) * contexts)
        for many, few in set(zip(visits.tolist(), marked.tolist(), strict=True))
    }
    row = [kinds[many, few] for many, few in zip(visits[order].tolist(), marked[order].tolist(), strict=True)]
    return replace(system, workers=tuple(row) * copies)


def _walked(count: TileCount) -> int:
    """Visits of the block that is lowered: as many as blocks make on average, and enough to have a first and a last."""
    return max(2, round(count.visits_mean))


def _block(
    work: Workload, machine: Machine, mapping: Mapping, count: TileCount, tests: Dictionary[str, int]
) -> Prediction:
    """Blocks that all make the same visits, in which scores are tested everywhere or nowhere."""
    query, key = (rank.upper() for rank in work.method.mask_ranks)
    q_tile, kv_tile = count.tiling.q_tile_size, count.tiling.kv_tile_size
    sizes = {query: q_tile * count.launched_q_tiles, key: kv_tile * _walked(count)}
    bare = replace(work, mask=None, cascade=work.cascade.with_sizes(**sizes))
    return predict(bare, machine, masked_mapping(mapping, q_tile, kv_tile, tests))


def _weight(body: tuple[Task, ...], marked: bool) -> float:
    return sum(task.demand + task.more * marked for task in body if not task.when and not task.ahead)
