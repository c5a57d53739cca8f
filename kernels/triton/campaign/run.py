"""One run of a campaign: what the file does not have yet is tried, then timed, until all is done or the time is up."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lightbound.base.errors import LightboundError

from ..check import capability
from ..kernel import MissingPackage, TritonKernel
from .fingerprint import same_device
from .inputs import make_inputs
from .plan import Task, plan
from .ready import Tried, trial_key, trials, try_all
from .records import OURS, Record, RecordFile
from .statistics import interval, median
from .telemetry import Telemetry
from .timing import Goal, Timer, Timing

EVERY = 25  # tasks from one control to the next
LEAST_S = 0.1  # what a task is taken to need before any was timed
TRIALS = 0.5  # of the budget, at most: what was not tried by then waits for the next run


@dataclass(frozen=True)
class Asked:
    """What a run is asked for: part of the cases, with all peers or some beside them, or tiles of some cases. `fresh`
    is the seed of new shapes, which the kernels then have instead of their cases: all of them are held out.
    """

    split: str = "all"
    peers: bool | tuple[str, ...] = False
    tune: bool = False
    budget_s: float = 480.0
    processes: int = 12
    goal: Goal = field(default_factory=Goal)
    fresh: int | None = None


@dataclass(frozen=True)
class Bench:
    """The device and what measures it. `controls` time the control and a launch, where the device has them."""

    device: str
    timer: Timer
    telemetry: Telemetry
    controls: Mapping[str, Callable[[Goal], Timing]] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Outcome:
    """What a run did: tasks timed, tasks that have no time, and those left for the next run, by kernel."""

    timed: int
    failed: int
    left: Mapping[str, int]
    seconds: float


class DeviceLostError(LightboundError):
    """The device refuses further work in this process. What was measured is in the file."""


def run(
    file: RecordFile,
    kernels: Sequence[TritonKernel],
    bench: Bench,
    about: Mapping[str, Any],
    asked: Asked,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Time what the file lacks. `about` is the fingerprint; LightboundError where the file is of another device."""
    start = bench.clock()
    for record in file.of("run"):
        if not same_device(record["fingerprint"], dict(about)):
            remedy = "Give another file for this device."
            raise LightboundError(
                "--out", str(file.path), f"holds records of {record['fingerprint']['device']}", remedy
            )
    tasks = plan(kernels, capability(bench.device), asked.split, asked.peers, asked.tune)
    done = file.done()
    open_tasks = [task for task in tasks if task.key not in done]
    say(f"{len(tasks)} tasks, {len(tasks) - len(open_tasks)} of them in {file.path}.")
    if not open_tasks:
        return Outcome(0, 0, {}, bench.clock() - start)
    name = uuid.uuid4().hex[:8]
    file.append({"record": "run", "run": name, "fingerprint": dict(about), "asked": asdict(asked)})
    return _Run(file, bench, asked, say, name, start).all(open_tasks)


class _Run:
    def __init__(
        self, file: RecordFile, bench: Bench, asked: Asked, say: Callable[[str], None], name: str, start: float
    ) -> None:
        self.file, self.bench, self.asked, self.say, self.name, self.start = file, bench, asked, say, name, start
        self.timed = self.failed = 0
        self.wrong = {
            record["kernel"] for record in file.of("check") if record["passed"] is False
        }  # kernels that computed something else, in an earlier run too

    def all(self, tasks: Sequence[Task]) -> Outcome:
        """Try all, then time what is left while there is time."""
        self.kernels = {task.case.kernel: task.kernel for task in tasks}
        self._try(tasks)
        if "launch" in self.bench.controls and not any(self.file.of("launch")):
            self._control("launch")
        done, before = self.file.done(), self._elapsed
        waiting = [task for task in tasks if task.key not in done and trial_key(task) in self.tried]
        for number, task in enumerate(waiting):
            each = (self._elapsed - before) / number if number else LEAST_S
            if self._elapsed + each > self.asked.budget_s:
                break
            if number % EVERY == 0 and "control" in self.bench.controls:
                self._control("control")
            if self._missing(task):
                continue
            self._task(task)
            if number % EVERY == 0:
                left = (len(waiting) - number - 1) * (self._elapsed - before) / (number + 1)
                self.say(f"[{number + 1}/{len(waiting)}] {self._elapsed:.0f} s, about {left:.0f} s to go: {task.key}")
        done = self.file.done()
        left = Counter(task.case.kernel for task in tasks if task.key not in done and not self._missing(task))
        return Outcome(self.timed, self.failed, dict(left), self._elapsed)

    @property
    def _elapsed(self) -> float:
        return self.bench.clock() - self.start

    def _try(self, tasks: Sequence[Task]) -> None:
        checked = {record["key"] for record in self.file.of("check")}
        self.absent: set[tuple[str, str]] = set()
        asked = [one for one in trials(tasks, self.bench.device) if not (one.check and _check_key(one) in checked)]
        self.say(f"{len(asked)} trials, in {self.asked.processes} processes.")
        by_trial = {(task.case.kernel, task.case.name, task.tile.name, task.implementation): task for task in tasks}
        self.tried: set[object] = set()
        with closing(try_all(asked, self.asked.processes)) as ended:
            for tried in ended:
                trial = tried.trial
                if trial.check:
                    self._checked(tried)
                    continue
                task = by_trial[trial.case.kernel, trial.case.name, trial.tile.name, trial.implementation]
                self.tried.add(trial_key(task))
                if tried.missing:
                    self.absent.add((trial.case.kernel, trial.implementation))
                elif tried.failure:
                    self._failure(task, tried.failure)
                if self._elapsed > TRIALS * self.asked.budget_s:
                    break
        for task in tasks:
            if task.case.kernel in self.wrong and task.implementation == OURS and task.key not in self.file.done():
                self._failure(task, "the kernel's outputs are wrong: see its checks")
        for kernel, peer in sorted(self.absent):
            self.say(f"{peer}, a peer of {kernel}, is not installed.")
        self.say(f"Tried after {self._elapsed:.0f} s: {self.failed} failed, {len(self.wrong)} kernels are wrong.")

    def _missing(self, task: Task) -> bool:
        return (task.case.kernel, task.implementation) in self.absent

    def _checked(self, tried: Tried) -> None:
        trial = tried.trial
        bar = self.kernels[trial.case.kernel].tolerance[trial.case.dtype]
        passed = None if tried.undecided else not tried.failure and tried.error <= bar
        self.file.append(
            {
                "record": "check",
                "run": self.name,
                "key": _check_key(trial),
                "kernel": trial.case.kernel,
                "case": asdict(trial.case),
                "tile": asdict(trial.tile),
                "largest_error": tried.error if tried.error < float("inf") else None,
                "tolerance": bar,
                "passed": passed,
                "failure": tried.failure,
            }
        )
        if passed is False:
            self.wrong.add(trial.case.kernel)
            self.say(f"WRONG: {trial.case.kernel} {trial.case.name}: {tried.failure or tried.error}")

    def _task(self, task: Task) -> None:
        _release(self.bench.device)
        try:
            with self.bench.timer.place():
                inputs = make_inputs(task, self.bench.device)
                timing = self.bench.timer.time(inputs.runs, self.asked.goal)
        except MissingPackage:
            self.absent.add((task.case.kernel, task.implementation))
        except Exception as error:  # a case that fails must not cost the others
            self._failure(task, f"{type(error).__name__}: {error}".splitlines()[0][:300])
            if "CUDA error" in str(error):
                remedy = "Run the same command again: it goes on from here."
                raise DeviceLostError("device", self.bench.device, f"fails after {task.key}", remedy) from error
        else:
            work = asdict(task.kernel.work(task.case))
            sets = {"sets": len(inputs.runs), "bytes": inputs.bytes, "l2": inputs.l2}
            kind = "tuning" if task.tuning else "timing"
            self.file.append({**self._about(kind, task), **_times(timing), **sets, "work": work})
            self.timed += 1

    def _failure(self, task: Task, reason: str) -> None:
        self.file.append({**self._about("failure", task), "reason": reason})
        self.failed += 1
        if task.implementation == OURS:
            self.say(f"FAILED: {task.key}: {reason}")

    def _control(self, name: str) -> None:
        timing = self.bench.controls[name](replace(self.asked.goal, total_s=self.asked.goal.total_s / 3))
        self.file.append({"record": name, "run": self.name, "at_s": round(self._elapsed, 3), **_times(timing)})

    def _about(self, kind: str, task: Task) -> Record:
        case = task.case
        return {
            "record": kind,
            "run": self.name,
            "key": task.key,
            "kernel": case.kernel,
            "implementation": task.implementation,
            "case": asdict(case),
            "name": case.name,
            "held_out": case.held_out or self.asked.fresh is not None,
            **({} if self.asked.fresh is None else {"fresh": self.asked.fresh}),
            "tile": asdict(task.tile) if task.implementation == OURS else None,
            "at_s": round(self._elapsed, 3),
        }


def _times(timing: Timing) -> Record:
    low, high = interval(timing.samples_s)
    return {
        "median_s": median(timing.samples_s),
        "interval_s": [low, high],
        "samples_s": [float(f"{one:.6g}") for one in timing.samples_s],
        "calls_per_sample": timing.calls,
        "graph": timing.graph,
        "run_s": timing.run_s,
        "idle_s": timing.idle_s,
        **timing.telemetry,
    }


def _check_key(trial: Any) -> str:
    return f"check | {trial.case.kernel} | {trial.case.name} | {trial.tile.name}"


def _release(device: str) -> None:
    """Give memory back where little is left; freeing all of it each time would cost more than timing."""
    if device == "cpu":
        return
    import torch

    if torch.cuda.memory_reserved() > 0.5 * torch.cuda.get_device_properties(device).total_memory:
        torch.cuda.empty_cache()
