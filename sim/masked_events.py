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

from .blocks import Blocks, blocks_of, masked_group
from .lowering import Fill
from .makespan import in_sections
from .mapping import Mapping
from .masked import as_problem, masked_mapping
from .prediction import Prediction
from .program import System, Task, Worker
from .simulate import predict


def masked_systems(
    work: Workload, machine: Machine, mapping: Mapping, count: TileCount, fill: Fill
) -> tuple[System, ...]:
    """The systems of a masked workload under a mapping, whose tiles are counted: one for each group.

    Raises LightboundError where the kernel that skips tiles does not walk them for one tile in each of its blocks.
    """
    assert work.mask is not None
    from .event_prediction import systems

    blocks = blocks_of(work.mask, count, mapping, work.method.mask_ranks)
    plain = _even(work, machine, mapping, blocks, {})
    tested = _even(work, machine, mapping, blocks, work.mask.score_test) if blocks.tested.any() else None
    made = list(systems(plain, fill, reuse=False, tested=tested))
    number = masked_group(mapping)
    copies = as_problem(work, None, None, None).copies
    made[number] = _with_visits(made[number], mapping, blocks, copies)
    return tuple(made)


def _with_visits(system: System, mapping: Mapping, blocks: Blocks, copies: int) -> System:
    """The system in which every block makes its own visits, in the order of the kernel."""
    if len(system.workers) != blocks.launched * copies:
        raise LightboundError(
            f"mapping {mapping.name!r}: groups",
            f"{len(system.workers):,} blocks",
            f"are not one for each of {blocks.launched * copies:,} tiles",
            "Deal the loop over the tiles that blocks keep, and all loops outside it, over instances.",
        )
    (program,), (worker,) = system.programs, set(system.workers)
    rounds = worker.trips[0] // _walked(blocks)
    none = np.zeros(blocks.empty)
    visits, marked = (np.concatenate([each, none]).astype(int) for each in (blocks.visits, blocks.tested))
    order = np.arange(len(visits))
    if mapping.masked is not None and mapping.masked.order == "longest":
        weight = visits * _weight(program.body, False)
        weight = weight + marked * (_weight(program.body, True) - _weight(program.body, False))
        order = in_sections(np.argsort(-weight, kind="stable"), copies, mapping.masked.section)
        copies = 1
    contexts = len(worker.trips)
    kinds = {
        (many, few): Worker(program.name, (many * rounds,) * contexts, None, (few * rounds,) * contexts)
        for many, few in set(zip(visits.tolist(), marked.tolist(), strict=True))
    }
    row = [kinds[many, few] for many, few in zip(visits[order].tolist(), marked[order].tolist(), strict=True)]
    return replace(system, workers=tuple(row) * copies)


def _walked(blocks: Blocks) -> int:
    """Visits of the block that is lowered: as many as blocks make on average, and enough to have a first and a last."""
    return max(2, blocks.each)


def _even(
    work: Workload, machine: Machine, mapping: Mapping, blocks: Blocks, tests: Dictionary[str, int]
) -> Prediction:
    """Blocks that all make the same visits, in which scores are tested everywhere or nowhere."""
    assert mapping.masked is not None
    q_tile, kv_tile = blocks.tile
    query, key = (rank.upper() for rank in work.method.mask_ranks)
    walked = {query: q_tile} if mapping.masked.blocks == "keys" else {key: kv_tile}
    sizes = {**blocks.sizes, **{symbol: tile * _walked(blocks) for symbol, tile in walked.items()}}
    bare = replace(work, mask=None, cascade=work.cascade.with_sizes(**sizes))
    return predict(bare, machine, masked_mapping(mapping, q_tile, kv_tile, tests))


def _weight(body: tuple[Task, ...], marked: bool) -> float:
    return sum(task.demand + task.more * marked for task in body if not task.when and not task.ahead)
