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
from .traffic import READ, WRITE, relative_widths

Purpose = Literal["fill", "drain", "post", "operand"]


@dataclass(frozen=True)
class Transfer:
    """Bytes that a level's port moves for a tensor in one context of a task, in all.

    fill: into a hold before it is used, every `period` epochs. drain: out of a hold when its tile is done. post:
    results that leave from the unit. operand: between the level and the units, with their work. `copies` tiles have
    room in the hold. `users` are the Einsums that take from it or write to it. `rank` orders the fills of a tensor from
    the outermost hold inwards. `action`: what the level does, a read or a write. Of what all instances fetch from the
    outermost level into one they share: `tile_bytes` of one fetch if nobody else has fetched it, the places of the
    dealt loops that tell tiles `apart`, and after how many tiles the first comes again. `beside`: the rest of what
    contexts await, for which nobody waits.
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
    action: str = READ
    tile_bytes: float = 0.0
    apart: frozenset[int] = frozenset()
    round: int = 0
    beside: bool = False


def transfers(
    machine: Machine, group: GroupPlan, result: GroupResult, nests: Nests, epochs: Epochs, word_bytes: int
) -> tuple[Transfer, ...]:
    """Everything that levels with a bandwidth move for a group."""
    flows = {flow.tensor: flow for flow in group.flows}
    shares = _shares(machine, result, word_bytes)
    widths = {tensor: float(width) for tensor, width in relative_widths(group, nests).items()}
    streamed = set(_held_in_branches(group, machine))
    made = []
    for (number, action, tensor), words in result.words.items():
        level = machine.levels[number]
        if (level.name, action) not in shares or not words:
            continue
        tasks = epochs.tasks if level.scope is None else epochs.busiest
        count = float(words) * word_bytes * shares[level.name, action] / tasks / epochs.split
        purpose, held = _purpose(group, flows[tensor], number, action)
        users = frozenset(name for name, site in group.sites.items() if _touches(site.einsum, tensor))
        way = f"{action} {tensor}: {level.name}"
        if held is None or (tensor, held.level) in streamed or len(held.loops) > len(group.shared):
            leaving = flows[tensor].leaves and number == 0 and action == WRITE
            purpose = "post" if leaving else "operand"
            made.append(Transfer(way, tensor, level.name, count, purpose, users=users, action=action))
            continue
        ranks = _ranks(group, tensor)
        period = epochs.period(ranks, len(held.loops))
        copies = max(1, int(evaluate(held.copies, nests.environment)))
        own: dict[str, Any] = {}
        shares_it = machine.levels[held.level].scope is None and machine.levels[held.level].capacity_bytes is not None
        again = epochs.round(ranks, len(held.loops))
        dealt = [loop for loop in epochs.dealt if loop.position < len(held.loops)]
        if purpose == "fill" and number == 0 and action == READ and shares_it and dealt and again is not None:
            tile_bytes = _tile_words(flows[tensor], held, nests) * widths.get(tensor, 1.0) * word_bytes / epochs.split
            apart = frozenset(loop.position for loop in dealt if loop.rank in ranks)
            own = {"tile_bytes": tile_bytes, "apart": apart, "round": again}
        made.append(
            Transfer(
                way, tensor, level.name, count, purpose, period, copies, held.users & users, held.level, action, **own
            )
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


def _shares(machine: Machine, result: GroupResult, word_bytes: int) -> dict[tuple[str, str], float]:
    """By level with a bandwidth, and action: the part of its words that its busiest copy moves; where contexts contend
    for levels, by the time that each action takes.
    """
    shares: dict[tuple[str, str], float] = {}
    for number, level in enumerate(machine.levels):
        if level.rate_bytes_per_s is None:
            continue
        slower = float(result.clock_hz / machine.clock_hz) if level.clocked else 1.0
        timed = (((READ, WRITE), result.memory_s), ((READ,), result.read_s), ((WRITE,), result.stored_s))
        for actions, seconds in timed:
            words = sum(
                float(count) for (at, what, _), count in result.words.items() if at == number and what in actions
            )
            if words and level.name in seconds:
                share = float(seconds[level.name] * level.rate_bytes_per_s) * slower / (words * word_bytes)
                shares |= {(level.name, action): share for action in actions}
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
