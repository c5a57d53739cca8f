"""Fewer tasks for the same work: what follows on one unit or port anyway is one task.

A context goes through its Einsums one by one, so that two that follow each other on one unit are one visit there; and
a step of less than a hundredth of an epoch joins the largest one on its unit, where it has its work but no turn of its
own. Of transfers, those join whose order nothing depends on. Every resource is asked for as much as before.
"""

from __future__ import annotations

from dataclasses import replace

from .program import Task
from .transfers import Transfer

SMALL = 0.01  # of an epoch

Chain = list[Task]  # tasks one after the other
Stage = list[Chain]  # chains side by side


def coalesced(stages: list[Stage]) -> list[Stage]:
    """The stages of a context with neighbours on one unit joined."""
    made: list[Stage] = []
    for stage in _without_small(stages):
        chains = [_joined(chain) for chain in stage]
        if made and len(made[-1]) == len(chains) == 1:
            made[-1] = [_joined([*made[-1][0], *chains[0]])]
        else:
            made.append(chains)
    return made


def _joined(chain: Chain) -> Chain:
    made: Chain = []
    for task in chain:
        if made and made[-1].resource == task.resource and made[-1].when == task.when:
            made[-1] = _together(made[-1], task)
        else:
            made.append(task)
    return made


def _together(one: Task, other: Task) -> Task:
    return replace(one, name=f"{one.name}+{other.name}", demand=one.demand + other.demand, more=one.more + other.more)


def _without_small(stages: list[Stage]) -> list[Stage]:
    every = [chain[place] for stage in stages for chain in stage[:1] for place in range(len(chain))]
    least = SMALL * sum(task.demand for task in every if not task.when)
    small = [task for task in every if task.demand < least and not task.when]
    hosts: dict[str, Task] = {}
    for task in every:
        known = hosts.get(task.resource)
        if not task.when and (known is None or task.demand > known.demand):
            hosts[task.resource] = task
    gone = [task for task in small if hosts[task.resource] is not task]
    grown = dict(hosts)
    for task in gone:
        grown[task.resource] = _together(grown[task.resource], task)
    swapped = {id(host): grown[resource] for resource, host in hosts.items()}
    dropped = {id(task) for task in gone}
    made = [
        [[swapped.get(id(task), task) for task in chain if id(task) not in dropped] for chain in stage]
        for stage in stages
    ]
    return [kept for stage in made if (kept := [chain for chain in stage if chain])]


def einsums_of(task: Task) -> list[str]:
    """The Einsums of a task on a unit."""
    return [part.split(" ")[0].rstrip("'") for part in task.name.split("+")]


def gathered(moves: tuple[Transfer, ...]) -> tuple[Transfer, ...]:
    """Transfers with those joined that take the same port in the same epochs: words that come into a level with those
    of their tensor that leave it for the next, and what is brought for other transfers to take with its like.
    """
    left = list(moves)
    for move in moves:
        for place, other in enumerate(left):
            alike = (other.tensor, other.level, other.period, other.purpose) == (
                move.tensor, move.level, move.period, move.purpose
            )  # fmt: skip
            if alike and move.purpose == "fill" and inside(other, move):
                left[place] = replace(other, bytes=other.bytes + move.bytes)
                left.remove(move)
                break
    return _brought_together(left)


def _brought_together(moves: list[Transfer]) -> tuple[Transfer, ...]:
    made: list[Transfer] = []
    for move in moves:
        feeds = move.purpose == "fill" and any(inside(other, move) for other in moves)
        like = next(
            (
                place
                for place, other in enumerate(made)
                if feeds and other.purpose == "fill" and other.level == move.level
                if (other.period, other.copies, other.rank, other.apart, other.round)
                == (move.period, move.copies, move.rank, move.apart, move.round)
                if any(inside(inner, other) for inner in moves)
            ),
            None,
        )
        if like is None:
            made.append(move)
        else:
            one = made[like]
            made[like] = replace(
                one,
                name=f"{one.name}+{move.name}",
                tensor=f"{one.tensor}+{move.tensor}",
                bytes=one.bytes + move.bytes,
                tile_bytes=one.tile_bytes + move.tile_bytes,
                users=one.users | move.users,
            )
    return tuple(made)


def inside(move: Transfer, other: Transfer) -> bool:
    """Whether a fill takes from the hold that another one fills."""
    tensors = set(move.tensor.split("+")) & set(other.tensor.split("+"))
    return move.purpose == other.purpose == "fill" and bool(tensors) and move.rank > other.rank
