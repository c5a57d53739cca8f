"""The order of a cascade's Einsums that needs the least memory: exact for small graphs, greedy for others."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..cascade import Cascade
from .liveness import live
from .schedule import Task, forward

MOST_STATES = 50_000
"""Sets of finished Einsums that the exact search looks at before it gives up."""


def best_order(
    cascade: Cascade, sizes: Mapping[str, int], always: Collection[str], until_end: Collection[str], in_place: bool
) -> tuple[list[Task], str]:
    """The schedule, and how it was found: ``exact``, or ``greedy`` where there are too many orders.

    The exact search goes through sets of finished Einsums, the least peak of each first, so that the first complete
    set is optimal. The greedy one takes what leaves the least alive, and falls back to the given order where that
    is better.
    """
    tasks = forward(cascade)
    problem = _Problem(tasks, sizes, always, until_end, in_place)
    found = problem.exact()
    if found is not None:
        return [tasks[number] for number in found], "exact"
    chosen = [tasks[number] for number in problem.greedy()]
    peaks = [max(live(one, sizes, always, until_end, in_place).bytes_at) for one in (chosen, tasks)]
    return (chosen if peaks[0] < peaks[1] else tasks), "greedy"


class _Problem:
    def __init__(
        self, tasks: list[Task], sizes: Mapping[str, int], always: Collection[str], until_end: Collection[str],
        in_place: bool,
    ) -> None:  # fmt: skip
        self.tasks = tasks
        self.sizes = sizes
        self.always = always
        self.in_place = in_place
        self.writer = {name: number for number, task in enumerate(tasks) for name in task.writes}
        self.before = [
            sum(1 << one for one in {self.writer[name] for name in task.reads if name in self.writer}) for task in tasks
        ]
        self.users = {
            name: sum(1 << number for number, task in enumerate(tasks) if name in task.reads) for name in self.writer
        }
        self.fixed = frozenset(until_end)

    def step(self, done: int, held: int, number: int) -> tuple[int, int]:
        """Bytes while a task runs, and after it."""
        task = self.tasks[number]
        after = done | 1 << number
        made = sum(self.sizes.get(name, 0) for name in task.writes)
        dying = [
            name
            for name in {*task.reads, *task.writes}
            if name in self.writer
            and name not in self.always
            and name not in self.fixed
            and self.users[name] & ~after == 0
        ]
        over = [name for name in task.over if name in dying and self.sizes.get(name) == made]
        reused = made if self.in_place and over and len(task.writes) == 1 else 0
        return held + made - reused, held + made - sum(self.sizes.get(name, 0) for name in dying)

    def ready(self, done: int) -> list[int]:
        return [number for number, before in enumerate(self.before) if not done >> number & 1 and before & ~done == 0]

    def exact(self) -> list[int] | None:
        """The optimal order by a search from the empty set, the smallest peak first; None where it is too long."""
        import heapq

        everything = (1 << len(self.tasks)) - 1
        queue: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)]  # peak, -tasks done, done, held
        best: dict[int, int] = {0: 0}
        came: dict[int, tuple[int, int]] = {}
        while queue:
            peak, _, done, held = heapq.heappop(queue)
            if done == everything:
                order: list[int] = []
                while done:
                    done, number = came[done]
                    order.append(number)
                return order[::-1]
            if peak > best[done]:
                continue
            for number in self.ready(done):
                during, after = self.step(done, held, number)
                following, level = done | 1 << number, max(peak, during)
                if level < best.get(following, level + 1):
                    if len(best) > MOST_STATES:
                        return None
                    best[following] = level
                    came[following] = (done, number)
                    heapq.heappush(queue, (level, -following.bit_count(), following, after))
        return None

    def greedy(self) -> list[int]:
        """What leaves the least alive, then what needs the least meanwhile, then the given order."""
        done = held = 0
        order: list[int] = []
        waiting = [before.bit_count() for before in self.before]
        readers: dict[int, list[int]] = {}
        for number, before in enumerate(self.before):
            for one in range(before.bit_length()):
                if before >> one & 1:
                    readers.setdefault(one, []).append(number)
        ready = [number for number, count in enumerate(waiting) if not count]
        while ready:
            scored = [(self.step(done, held, number)[::-1], number) for number in ready]
            (after, _), chosen = min(scored)
            done, held = done | 1 << chosen, after
            order.append(chosen)
            ready.remove(chosen)
            for number in readers.get(chosen, ()):
                waiting[number] -= 1
                if not waiting[number]:
                    ready.append(number)
        return order
