"""How a call is timed on a GPU: CUDA graphs of many calls over rotating inputs, between events, one after the other.

A sample is one replay of a graph. The graph holds so many calls that starting it does not count, and each call has
inputs of its own; together they exceed the L2 cache twice, so that every call finds its inputs in memory. The device
rests before it (`rest`), and then works on for some milliseconds before the first sample, so that its clock is that of
a long run of this case alone. Its multiprocessors' clocks are read before the warm-up, before the first sample and
after the last, outside what is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from typing import Any, Protocol

from .clock import Reading, clock_between
from .rest import Rest
from .telemetry import Telemetry

READINGS = 3  # of the clock: before the warm-up, before the first sample, after the last one
Run = Callable[[], Any]


@dataclass(frozen=True)
class Goal:
    """How long to measure. Seconds: of a sample, at least; of all samples together; of the warm-up before them; of the
    rest before that, at most.
    """

    sample_s: float = 1.5e-3
    total_s: float = 45e-3
    warm_s: float = 12e-3
    rest_s: float = 0.3
    fewest: int = 3
    most: int = 40
    calls: int = 1024  # in one graph, at most

    def samples(self, sample_s: float) -> int:
        """How many samples of this length."""
        return min(max(ceil(self.total_s / max(sample_s, 1e-9)), self.fewest), self.most)


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, sample by sample. A sample is `calls` calls; `graph` says whether they were one CUDA graph;
    `run_s` is how long the device did this and nothing else, warm-up included, and `idle_s` how long it did no work
    before, looks at its clock aside. telemetry: clocks and power meanwhile.
    """

    samples_s: tuple[float, ...]
    calls: int
    graph: bool
    run_s: float
    idle_s: float = 0.0
    telemetry: dict[str, Any] = field(default_factory=dict)


class Timer(Protocol):
    """Anything that times calls which do the same with different inputs."""

    def time(self, runs: Sequence[Run], goal: Goal) -> Timing:
        """The timing of one call."""
        ...

    def place(self) -> AbstractContextManager[Any]:
        """Where inputs are made and calls run."""
        ...


class Clock(Protocol):
    """What reads the clocks of the multiprocessors: `clock.SmClock`."""

    def read(self, number: int) -> None:
        """Queue a reading."""
        ...

    def readings(self) -> list[Reading]:
        """All of them, once the stream is done."""
        ...


class HostTimer:
    """Calls that return when they are done, such as those of the interpreter, by a clock."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock

    def time(self, runs: Sequence[Run], goal: Goal) -> Timing:
        """Every sample is one call; the first is the warm-up."""
        start = self._clock()
        runs[0]()
        first = self._clock()
        samples = [self._one(runs[number % len(runs)]) for number in range(goal.samples(first - start))]
        return Timing(tuple(samples), 1, False, self._clock() - start)

    def place(self) -> AbstractContextManager[Any]:
        """Nowhere in particular."""
        return nullcontext()

    def _one(self, run: Run) -> float:
        start = self._clock()
        run()
        return self._clock() - start


class CudaTimer:
    """Calls that only put work into the current stream."""

    def __init__(self, telemetry: Telemetry, clock: Clock | None = None, rest: Rest | None = None) -> None:
        import torch

        self._telemetry, self._clock, self._rest, self._stream = telemetry, clock, rest, torch.cuda.Stream()

    def place(self) -> AbstractContextManager[Any]:
        """A stream of its own, which graphs can be captured from."""
        import torch

        return torch.cuda.stream(self._stream)

    def time(self, runs: Sequence[Run], goal: Goal) -> Timing:
        """As the module says; calls that cannot be captured run one by one (`graph` is then False)."""
        import torch

        stream, worked = self._stream, torch.cuda.Event(enable_timing=True)
        with self.place():
            for run in runs:  # code is loaded, workspaces are made
                run()
            stream.synchronize()
            roughly = _seconds(lambda: [run() for run in runs], worked) / len(runs)
            try:
                replays, calls, each = _graphs(stream, runs, roughly, goal, worked)
                graph = True
            except RuntimeError as error:
                if "out of memory" in str(error):
                    raise
                stream.synchronize()
                replays, calls, each, graph = list(runs), 1, roughly, False
            return self._measure(replays, calls, each * calls, graph, goal, worked)

    def _measure(
        self, replays: Sequence[Run], calls: int, sample_s: float, graph: bool, goal: Goal, worked: Any
    ) -> Timing:
        """Rest; queue warm-up and samples without a pause, then ask for clocks until the last one is done."""
        import torch

        rested = self._rest.until_fast(goal.rest_s) if self._rest is not None else {}
        warm, samples = ceil(goal.warm_s / max(sample_s, 1e-9)), goal.samples(sample_s)
        events = [torch.cuda.Event(enable_timing=True) for _ in range(samples + 2)]
        self._read(0)
        events[0].record()
        for number in range(min(warm, 200)):
            replays[number % len(replays)]()
        self._read(1)
        events[1].record()
        for number in range(samples):
            replays[number % len(replays)]()
            events[number + 2].record()
        self._read(2)
        self._telemetry.take()
        while not events[-1].query():
            self._telemetry.sample()
            time.sleep(1e-3)
        seconds = [one.elapsed_time(after) / 1e3 for one, after in pairwise(events[1:])]
        run_s = events[0].elapsed_time(events[-1]) / 1e3
        idle_s = worked.elapsed_time(events[0]) / 1e3
        telemetry = {**self._clocks(), **rested, **self._telemetry.take()}
        return Timing(tuple(one / calls for one in seconds), calls, graph, run_s, idle_s, telemetry)

    def _read(self, number: int) -> None:
        if self._clock is not None:
            self._clock.read(number)

    def _clocks(self) -> dict[str, float]:
        """Hz over all samples, and over the warm-up before them; the spread over multiprocessors, relative."""
        if self._clock is None:
            return {}
        self._stream.synchronize()
        first, middle, last = self._clock.readings()
        warm, sampled = clock_between(first, middle), clock_between(middle, last)
        found = {} if sampled is None else {"clock_hz": round(sampled[0]), "clock_spread": round(sampled[1], 5)}
        return found if warm is None else {**found, "warm_clock_hz": round(warm[0])}


def _graphs(stream: Any, runs: Sequence[Run], roughly: float, goal: Goal, worked: Any) -> tuple[list[Run], int, float]:
    """Graphs to replay in turn, the calls in each, and seconds of a call: one graph a call where that is long enough,
    else one of as many rounds over all inputs as a sample needs. `worked` is recorded after the last work.
    """
    if roughly >= goal.sample_s:
        return [_captured(stream, [run]) for run in runs], 1, roughly
    graph = _captured(stream, runs)
    graph()
    each = _seconds(graph, worked) / len(runs)
    rounds = min(ceil(goal.sample_s / (each * len(runs))), max(goal.calls // len(runs), 1))
    if rounds > 1:
        graph = _captured(stream, [run for _ in range(rounds) for run in runs])
    return [graph], rounds * len(runs), each


def _captured(stream: Any, runs: Sequence[Run]) -> Run:
    import torch

    graph = torch.cuda.CUDAGraph()
    stream.synchronize()
    graph.capture_begin(capture_error_mode="relaxed")
    try:
        for run in runs:
            run()
    finally:
        graph.capture_end()
    return graph.replay


def _seconds(run: Run, end: Any) -> float:
    """One run between events, of which the last is `end`."""
    import torch

    start = torch.cuda.Event(enable_timing=True)
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3
