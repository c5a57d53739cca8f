"""What the levels move for a task, and when: fills of what is held, results that leave, and what the units read.

The words are those that the analytical engine counted for each level and tensor; this module finds out with which tile
they move.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from lightbound.archs.machine import Machine
from lightbound.base.formula import evaluate

from .analytical import GroupResult
from .epochs import Epochs
from .flow import Flow, Held
from .mapping import Do, Hold
from .nests import Nests
from .plan import GroupPlan
from .traffic import READ, WRITE

Purpose = Literal["fill", "drain", "post", "operand"]


@dataclass(frozen=True)
class Transfer:
    """Bytes that a level's port moves for a tensor in one context of a task, in all.

    fill: into a hold before it is used, every `period` epochs. drain: out of a hold when its tile is done. post:
    results that leave from the unit. operand: between the level and the units, with their work. `copies` tiles have
    room in the hold. `users` are the Einsums that take from it or write to it. `rank` orders the fills of a tensor from
    the outermost hold inwards. Of what all instances fetch from the outermost level into one they share: `tile_bytes`
    of one fetch if nobody else has fetched it, the places of the dealt loops that tell tiles `apart`, and after how
    many tiles the first comes again.
    """

    name: str
    tensor: str
    level: str
    bytes: float
    purpose: Purpose
    period: int = 1
    copies: int = 1
    users: frozenset[str] = frozenset()
    rank: int = 0
    tile_bytes: float = 0.0
    apart: frozenset[int] = frozenset()
    round: int = 0


def transfers(
    machine: Machine, group: GroupPlan, result: GroupResult, nests: Nests, epochs: Epochs, word_bytes: int
) -> tuple[Transfer, ...]:
    """Everything that levels with a bandwidth move for a group."""
    flows = {flow.tensor: flow for flow in group.flows}
    shares = _shares(machine, result, word_bytes)
    streamed = set(_held_in_branches(group, machine))
    made = []
    for (number, action, tensor), words in result.words.items():
        level = machine.levels[number]
        if level.name not in shares or not words:
            continue
        tasks = epochs.tasks if level.scope is None else epochs.busiest
        count = float(words) * word_bytes * shares[level.name] / tasks / epochs.split
        purpose, held = _purpose(group, flows[tensor], number, action)
        users = frozenset(name for name, site in group.sites.items() if _touches(site.einsum, tensor))
        way = f"{action} {tensor}: {level.name}"
        if held is None or (tensor, held.level) in streamed or len(held.loops) > len(group.shared):
            leaving = flows[tensor].leaves and number == 0 and action == WRITE
            made.append(Transfer(way, tensor, level.name, count, "post" if leaving else "operand", users=users))
            continue
        ranks = _ranks(group, tensor)
        period = epochs.period(ranks, len(held.loops))
        copies = max(1, int(evaluate(held.copies, nests.environment)))
        own: dict[str, Any] = {}
        shares_it = machine.levels[held.level].scope is None and machine.levels[held.level].capacity_bytes is not None
        again = epochs.round(ranks, len(held.loops))
        dealt = [loop for loop in epochs.dealt if loop.position < len(held.loops)]
        if purpose == "fill" and number == 0 and action == READ and shares_it and dealt and again is not None:
            tile_bytes = _tile_words(flows[tensor], held, nests) * word_bytes / epochs.split
            apart = frozenset(loop.position for loop in dealt if loop.rank in ranks)
            own = {"tile_bytes": tile_bytes, "apart": apart, "round": again}
        made.append(
            Transfer(way, tensor, level.name, count, purpose, period, copies, held.users & users, held.level, **own)
        )
    return tuple(made)


def _held_in_branches(group: GroupPlan, machine: Machine) -> Iterator[tuple[str, int]]:
    """Tensors that some Einsums hold for themselves, by level: they stream through it with the work."""
    numbers = {level.name: number for number, level in enumerate(machine.levels)}
    for branch in group.group.nest:
        for node in branch.nest if isinstance(branch, Do) else ():
            for hold in node.nest if isinstance(node, Do) else (node,):
                if isinstance(hold, Hold):
                    yield from ((tensor, numbers[hold.level]) for tensor in hold.tensors)


def _shares(machine: Machine, result: GroupResult, word_bytes: int) -> dict[str, float]:
    """By level with a bandwidth: the part of its words that its busiest copy moves."""
    shares = {}
    for number, level in enumerate(machine.levels):
        total = float(sum(words for (at, _, _), words in result.words.items() if at == number)) * word_bytes
        if level.rate_bytes_per_s is not None and total:
            slower = result.clock_hz / machine.clock_hz if level.clocked else 1.0
            shares[level.name] = float(result.memory_s[level.name] * level.rate_bytes_per_s * slower) / total
    return shares


def _purpose(group: GroupPlan, flow: Flow, level: int, action: str) -> tuple[Purpose, Held | None]:
    """Why a level moves words of a tensor, and the hold whose tiles set the pace; none for what units take."""
    holds = sorted((held for held in group.holds if held.tensor == flow.tensor), key=lambda held: held.level)
    inner = next((held for held in holds if held.level > level), None)
    own = next((held for held in holds if held.level == level), None)
    if flow.writer is None or (flow.arrives and action == READ):
        return "fill", inner if action == READ else own
    if flow.home not in (None, 0):
        leaves = flow.leaves and level == 0
        return "drain", inner if leaves else None
    return "drain", inner if inner is not None else (own if action == READ and not flow.readers else None)


def _tile_words(flow: Flow, held: Held, nests: Nests) -> float:
    """Words of a tile of a hold, on average over ragged ones."""
    nest, depth = nests.below(held.loops), len(held.loops)
    (_, access), *_ = flow.readers
    tiles = prod(float(nest.count(rank, depth)) for rank in access.ranks)
    return float(nest.footprint(access, 0)) / tiles


def _touches(einsum: object, tensor: str) -> bool:
    return einsum.name == tensor or any(access.tensor == tensor for access in einsum.reads)  # type: ignore[attr-defined]


def _ranks(group: GroupPlan, tensor: str) -> frozenset[str]:
    """The ranks that a tensor's tile depends on, in this group."""
    found: set[str] = set()
    for site in group.sites.values():
        for access in (*site.einsum.reads, site.einsum.output):
            if access.tensor == tensor:
                found.update(access.ranks)
    return frozenset(found)
