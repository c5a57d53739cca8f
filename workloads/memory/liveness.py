"""What is alive at each step of a schedule, in bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from .schedule import Task


@dataclass(frozen=True)
class Live:
    """The bytes at each task, and at the largest of them what they are."""

    bytes_at: tuple[int, ...]
    peak: int
    tensors: dict[str, int]


def live(
    tasks: Sequence[Task], sizes: Mapping[str, int], always: Collection[str], until_end: Collection[str],
    in_place: bool,
) -> Live:  # fmt: skip
    """The liveness of a schedule. `sizes` are bytes; a tensor that is not in it (a parameter) counts elsewhere.

    A tensor is alive from the task that first writes it to the last that reads or writes it; those in `always` at
    every task, those in `until_end` to the last. While a task runs, its operands and results are both there, but
    for an operand that dies there and that the result may be written over.
    """
    last: dict[str, int] = {}
    for number, task in enumerate(tasks):
        for name in (*task.reads, *task.writes):
            last[name] = number
    for name in until_end:
        if name in last:
            last[name] = len(tasks)
    held = {name: sizes[name] for name in always if name in sizes}
    total = sum(held.values())
    found: list[int] = []
    largest, most = -1, dict[str, int]()
    for number, task in enumerate(tasks):
        reused = _reused(task, sizes, always, last, number, held) if in_place else None
        for name in task.writes:
            if name in sizes and name not in held:
                held[name] = sizes[name]
                total += sizes[name]
        if reused is not None:
            total -= held.pop(reused)
        found.append(total)
        if total > largest:
            largest, most = total, dict(held)
        for name in {*task.reads, *task.writes}:
            if name in held and last[name] == number and name not in always:
                total -= held.pop(name)
    peak = found.index(max(found)) if found else 0
    return Live(tuple(found), peak, most)


def _reused(
    task: Task, sizes: Mapping[str, int], always: Collection[str], last: Mapping[str, int], number: int,
    held: Mapping[str, int],
) -> str | None:  # fmt: skip
    """An operand that dies here and has the size of the result."""
    if len(task.writes) != 1:
        return None
    size = sizes.get(task.writes[0])
    return next(
        (
            name
            for name in task.over
            if name in held and name not in always and last[name] == number and sizes[name] == size
        ),
        None,
    )
