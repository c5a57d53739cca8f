"""The loops of one task: which iterations (epochs) it has, and in which of them something happens.

A task is one iteration of the loops that are dealt over instances. The other shared loops are its epochs, numbered from
outer to inner. Contexts that contend for an instance share the epochs of a task where a loop lets them; otherwise each
has a task of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import prod

from lightbound.base.formula import evaluate

from .analytical import GroupResult
from .nests import Nests
from .plan import GroupPlan, Plan
from .program import When


@dataclass(frozen=True)
class Loop:
    """A loop of a task: its place among the shared loops, its rank, and its trips in one context."""

    position: int
    rank: str
    trips: int


@dataclass(frozen=True)
class Epochs:
    """Loops of a task in one context, from outer to inner; how many tasks there are, and of them on the busiest
    instance, as iterations of the `dealt` loops. `contexts` contend on an instance (0: none do): `split` of them share
    a task, the others have their own.
    """

    loops: tuple[Loop, ...]
    tasks: int
    busiest: int
    instances: int
    contexts: int
    split: int
    dealt: tuple[Loop, ...] = ()

    def keys(self, positions: Collection[int]) -> list[int]:
        """For every task, a number that it shares with those at the same iteration of dealt loops at these places."""
        strides: list[tuple[int, int]] = []  # of the loops from inner to outer: trips, and what an iteration counts
        stride = 1
        for loop in reversed(self.dealt):
            mine = loop.position in positions
            strides.append((loop.trips, stride if mine else 0))
            stride *= loop.trips if mine else 1
        numbers = [0]
        for trips, each in reversed(strides):
            numbers = [number + at * each for number in numbers for at in range(trips)]
        return numbers

    @property
    def trips(self) -> int:
        """Epochs of one context of a task."""
        return prod(loop.trips for loop in self.loops)

    def inside(self, number: int) -> int:
        """Epochs in one iteration of a loop."""
        return prod(loop.trips for loop in self.loops[number + 1 :])

    def visits(self, ranks: Collection[str]) -> int:
        """Epochs of a context in which something happens that has these ranks only."""
        return prod(loop.trips for loop in self.loops if loop.rank in ranks)

    def when(self, ranks: Collection[str], late: Collection[str]) -> tuple[When, ...]:
        """Those epochs: of a loop over another rank the first iteration, or the last for `late` ranks."""
        made = []
        for number, loop in enumerate(self.loops):
            if loop.rank not in ranks and loop.trips > 1:
                inside = self.inside(number)
                if loop.trips * inside == self.trips:  # of all epochs: said so that it holds for tasks of any length
                    made.append(When(0, -inside, 0) if loop.rank in late else When(0, 0, inside))
                    continue
                first = (loop.trips - 1) * inside if loop.rank in late else 0
                made.append(When(loop.trips * inside, first, first + inside))
        return tuple(made)

    def period(self, ranks: Collection[str], depth: int) -> int:
        """After how many epochs a tile of these ranks changes that lies below the first `depth` shared loops."""
        turning = [number for number, loop in enumerate(self.loops) if loop.position < depth and loop.rank in ranks]
        return self.inside(turning[-1]) if turning else self.trips

    def round(self, ranks: Collection[str], depth: int) -> int | None:
        """After how many such tiles the first one comes again, where loops over other ranks stand outside; 0: never.
        None where they stand between, so that tiles come again in another order.
        """
        turning = [number for number, loop in enumerate(self.loops) if loop.position < depth and loop.rank in ranks]
        if not turning:
            return 0
        first, last = turning[0], turning[-1]
        if any(loop.rank not in ranks and loop.trips > 1 for loop in self.loops[first:last]):
            return None
        outside = prod(loop.trips for loop in self.loops[:first])
        return prod(self.loops[number].trips for number in turning) if outside > 1 else 0


def epochs_of(plan: Plan, group: GroupPlan, result: GroupResult, nests: Nests) -> Epochs:
    """The epochs of a group's tasks. Ragged tiles count as whole ones."""
    shared = nests.below(group.shared)
    loops: list[Loop] = []
    dealt: list[Loop] = []
    for depth, loop in enumerate(group.shared):
        (loops if loop.over is None else dealt).append(Loop(depth, loop.rank, int(shared.trips(depth))))
    contexts = int(evaluate(group.group.contexts, nests.environment))
    tied = {rank for site in group.sites.values() for rank in site.einsum.reduced}
    tied |= {rank for flow in group.flows for rank in flow.running}
    split = 1
    for number in reversed(range(len(loops))):  # the innermost loop whose iterations need not follow each other
        loop = loops[number]
        if contexts > 1 and loop.rank not in tied and loop.trips % contexts == 0:
            loops[number] = Loop(loop.position, loop.rank, loop.trips // contexts)
            split = contexts
            break
    schedule = result.schedule
    return Epochs(
        tuple(loops), int(schedule.tasks), int(schedule.busiest), int(schedule.instances), contexts, split, tuple(dealt)
    )
