"""What comes before timing: kernels are compiled, run once and compared with float64. Those that fail are not timed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

from ..catalogue import find_kernel
from ..check import capability, largest_error
from ..kernel import Case, MissingPackage, Tile, TritonKernel
from .plan import Task
from .pool import in_processes
from .records import OURS

CHECKED = 4  # cases of a kernel that are compared with float64


@dataclass(frozen=True)
class Trial:
    """One run of a task, as plain data for other processes; `check` asks for the largest error against float64."""

    case: Case
    tile: Tile
    implementation: str
    device: str
    check: bool = False


@dataclass(frozen=True)
class Tried:
    """How a trial went: its error against float64 (0 where nothing was checked), or why it did not run."""

    trial: Trial
    error: float = 0.0
    failure: str = ""
    missing: bool = False

    @property
    def undecided(self) -> bool:
        """Whether it failed for want of memory or time, which says nothing of the kernel's outputs."""
        return "out of memory" in self.failure.lower() or "took longer" in self.failure


def trials(tasks: Iterable[Task], device: str) -> list[Trial]:
    """A run of each task, the checks of their kernels first; of a peer one run tells whether it is there."""
    tasks = list(tasks)
    kernels = {task.case.kernel: task.kernel for task in tasks}
    checks = [
        Trial(case, kernel.tile(case, capability(device)), OURS, device, check=True)
        for kernel in kernels.values()
        for case in _checked(kernel, device)
    ]
    once: dict[object, Task] = {}
    for task in tasks:
        once.setdefault(trial_key(task), task)
    return [*checks, *(Trial(task.case, task.tile, task.implementation, device) for task in once.values())]


def trial_key(task: Task) -> object:
    """What tasks have in common that one trial stands for: a peer is tried once a kernel."""
    return task.key if task.implementation == OURS else (task.case.kernel, task.implementation)


def attempt(trial: Trial) -> tuple[float, bool]:
    """Run a trial: its largest error, and whether a package that it needs is missing (its error is then 0)."""
    kernel = find_kernel(trial.case.kernel)
    if trial.check:
        return largest_error(kernel.prepare(trial.case, trial.tile, trial.device, 0)), False
    try:
        run = (
            kernel.prepare(trial.case, trial.tile, trial.device, 0).run
            if trial.implementation == OURS
            else kernel.peers[trial.implementation](trial.case, trial.device, 0)
        )
        run()
    except MissingPackage:
        return 0.0, True
    if trial.device != "cpu":
        import torch

        torch.cuda.synchronize()
        del run
        torch.cuda.empty_cache()
    return 0.0, False


def try_all(asked: Sequence[Trial], processes: int) -> Generator[Tried, None, None]:
    """Every trial, in as many processes, or in this one where there are none; a trial that ran out of memory among
    others passes, since it will have the device to itself.
    """
    if processes < 1:
        for trial in asked:
            try:
                error, missing = attempt(trial)
                yield Tried(trial, error, missing=missing)
            except Exception as error:  # whatever a kernel or its compiler raises becomes its record
                yield Tried(trial, failure=f"{type(error).__name__}: {error}".splitlines()[0])
        return
    for number, result, failure in in_processes(attempt, asked, processes):
        trial = asked[number]
        if failure:
            tried = Tried(trial, failure=failure)
            yield Tried(trial) if tried.undecided and "memory" in failure and not trial.check else tried
        else:
            yield Tried(trial, result[0], missing=result[1])


def _checked(kernel: TritonKernel, device: str) -> list[Case]:
    """Tiny cases evenly spread, and on a GPU the smallest of the campaign."""
    every = [case for case in kernel.tiny if device != "cpu" or case.dtype != "bf16"]
    step = max(1, -(-len(every) // (CHECKED - 1)))

    def size(case: Case) -> float:
        work = kernel.work(case)
        return work.macs + work.bytes

    smallest = min(kernel.cases, key=size, default=None)
    return [*every[::step], *([smallest] if smallest is not None and device != "cpu" else [])]
