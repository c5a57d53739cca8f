"""Schedules as lists of steps: what each reads, what it writes. Inference, training, and training with
recomputation differ in these lists alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lightbound.base.errors import LightboundError, choose_from

from ..cascade import Cascade
from ..einsum import Einsum
from ..expression import Access, Apply, unique
from ..schedule import Loop, Step
from .saved import saved


@dataclass(frozen=True)
class Task:
    """One step of a schedule: a name to show, the tensors it reads and writes, and those it may write over."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    over: tuple[str, ...] = ()
    phase: str = "forward"


GRADIENT = "grad "
AGAIN = "again "


def forward(cascade: Cascade, order: Sequence[int] | None = None) -> list[Task]:
    """The Einsums in an order (by number of unit), each a task; a recurrence is one."""
    parts = units(cascade)
    chosen = range(len(parts)) if order is None else order
    return [task_of(cascade, parts[number]) for number in chosen]


def units(cascade: Cascade) -> list[tuple[Einsum, ...]]:
    """What runs as one: an Einsum, or the Einsums that are stepped together along a rank."""
    return [tuple(unique_einsums(step)) for step in cascade.structure.steps]


def unique_einsums(step: Step) -> Iterable[Einsum]:
    """The Einsums of a step, first values left out."""
    found = [step] if isinstance(step, Einsum) else [one for inner in step.body for one in unique_einsums(inner)]
    return {one.name: one for one in found}.values()


def loops(cascade: Cascade) -> list[tuple[str, frozenset[str]]]:
    """Every rank that a recurrence is stepped along, with the tensors written inside: they live for a step."""
    found: list[tuple[str, frozenset[str]]] = []
    waiting = [step for step in cascade.structure.steps if isinstance(step, Loop)]
    while waiting:
        loop = waiting.pop()
        found.append((loop.rank, frozenset(one.name for one in unique_einsums(loop))))
        waiting += [step for step in loop.body if isinstance(step, Loop)]
    return found


def task_of(cascade: Cascade, unit: tuple[Einsum, ...]) -> Task:
    """The task of a unit: tensors of its own do not count as read."""
    names = unique(einsum.name for einsum in unit)
    firsts = [line for line in cascade.initial if line.name in names]
    reads = unique(access.tensor for line in (*firsts, *unit) for access in line.reads)
    over = _overwritable(unit[0]) if len(unit) == 1 else ()
    shown = names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}"
    return Task(shown, tuple(name for name in reads if name not in names), names, over)


def _overwritable(einsum: Einsum) -> tuple[str, ...]:
    """Operands of a pointwise Einsum that are read exactly where it writes."""
    if einsum.reduced or einsum.scanned or not isinstance(einsum.expr, Apply | Access):
        return ()
    places: dict[str, set[tuple[object, ...]]] = {}
    for access in einsum.reads:
        places.setdefault(access.tensor, set()).add(access.indices)
    return tuple(tensor for tensor, found in places.items() if found == {einsum.output.indices})


def training(cascade: Cascade, graded: frozenset[str], keep: int | Sequence[str] | None) -> list[Task]:
    """Forward, then backward in reverse. With `keep`, what is between kept tensors is computed once more.

    `graded` are the tensors with a gradient; `keep` is the number of segments of equal length, or the names of the
    tensors that are kept.
    """
    parts = units(cascade)
    first = forward(cascade)
    backward = [_backward(task, unit, graded) for task, unit in zip(first, parts, strict=True)]
    if keep is None:
        return [*first, *(task for task in reversed(backward) if task is not None)]
    segments = _segments(cascade, first, keep)
    tasks = list(first)
    kept = {name for segment in segments for name in (_boundary(first, segment, segments))}
    for place, segment in reversed(list(enumerate(segments))):
        own = {name for number in segment for name in first[number].writes} - kept
        last = place == len(segments) - 1
        if not last:  # what the last segment computed is still there
            wanted = _wanted(first, segment, backward, own)
            tasks += [_again(first[number], own) for number in segment if set(first[number].writes) & wanted]
        for number in reversed(segment):
            task = backward[number]
            if task is not None:
                tasks.append(task if last else _renamed(task, own))
    return tasks


def _backward(task: Task, unit: tuple[Einsum, ...], graded: frozenset[str]) -> Task | None:
    needed = unique(name for einsum in unit for name in saved(einsum, graded))
    outputs = tuple(f"{GRADIENT}{name}" for name in task.writes if name in graded)
    if not outputs:
        return None
    inputs = tuple(f"{GRADIENT}{name}" for name in task.reads if name in graded)
    return Task(f"backward of {task.name}", (*outputs, *needed), inputs, phase="backward")


def _segments(cascade: Cascade, tasks: Sequence[Task], keep: int | Sequence[str]) -> list[list[int]]:
    """The numbers of the tasks of each segment."""
    count = len(tasks)
    if isinstance(keep, int):
        if not 1 <= keep <= count:
            raise LightboundError("checkpoint", keep, f"is not between 1 and {count}", "Choose a number of segments.")
        ends = [round(count * (number + 1) / keep) for number in range(keep)]
    else:
        where = {name: number for number, task in enumerate(tasks) for name in task.writes}
        for name in keep:
            if name not in where:
                raise LightboundError("checkpoint", name, "is not an Einsum", choose_from(where, name))
        ends = sorted({where[name] + 1 for name in keep} | {count})
    starts = [0, *ends[:-1]]
    return [list(range(start, end)) for start, end in zip(starts, ends, strict=True) if start < end]


def _boundary(tasks: Sequence[Task], segment: Sequence[int], segments: Sequence[Sequence[int]]) -> set[str]:
    """What a segment computes and a later one reads: it is kept."""
    written = {name for number in segment for name in tasks[number].writes}
    later = {name for number in range(segment[-1] + 1, len(tasks)) for name in tasks[number].reads}
    return written & later


def _wanted(tasks: Sequence[Task], segment: Sequence[int], backward: Sequence[Task | None], own: set[str]) -> set[str]:
    """What the backward tasks of a segment read of its own tensors, and what that is computed from."""
    found = {name for number in segment if (task := backward[number]) is not None for name in task.reads} & own
    for number in reversed(segment):
        if set(tasks[number].writes) & found:
            found |= set(tasks[number].reads) & own
    return found


def _again(task: Task, own: set[str]) -> Task:
    renamed = _renamed(task, own)
    return Task(f"again {task.name}", renamed.reads, renamed.writes, (), "recomputation")


def _renamed(task: Task, own: set[str]) -> Task:
    def name(tensor: str) -> str:
        return f"{AGAIN}{tensor}" if tensor in own else tensor

    return Task(task.name, tuple(map(name, task.reads)), tuple(map(name, task.writes)), (), task.phase)
