"""How a GPU is timed, on a false one: calls put work into a queue, graphs hold calls, events read its clock."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from lightbound.kernels.triton.campaign.clock import Reading, as_reading, clock_between
from lightbound.kernels.triton.campaign.rest import Rest, light_clock
from lightbound.kernels.triton.campaign.telemetry import Telemetry
from lightbound.kernels.triton.campaign.timing import READINGS, CudaTimer, Goal, HostTimer

GOAL = Goal(sample_s=1.5e-3, total_s=45e-3, warm_s=12e-3)
START_S = 5e-6  # of a graph


class FalseGpu:
    """A device whose kernels take the time that they say, one after the other, and a face of torch on it."""

    def __init__(self, captures: bool = True) -> None:
        gpu = self
        self.now, self.ran = 0.0, 0
        self.capturing: list[float] | None = None

        class Event:
            def __init__(self, enable_timing: bool) -> None:
                self.asked = 0

            def record(self) -> None:
                self.at = gpu.now

            def query(self) -> bool:
                self.asked += 1
                return self.asked > 3

            def synchronize(self) -> None:
                pass

            def elapsed_time(self, other: Event) -> float:
                return (other.at - self.at) * 1e3

        class CUDAGraph:
            def capture_begin(self, capture_error_mode: str) -> None:
                if not captures:
                    raise RuntimeError("operation not permitted when stream is capturing")
                gpu.capturing = self.work = []

            def capture_end(self) -> None:
                gpu.capturing = None

            def replay(self) -> None:
                gpu.now += START_S + sum(self.work)
                gpu.ran += len(self.work)

        @contextmanager
        def stream(_: object) -> Iterator[None]:
            yield

        queue = SimpleNamespace(synchronize=lambda: None)
        cuda = SimpleNamespace(Event=Event, CUDAGraph=CUDAGraph, stream=stream, Stream=lambda: queue)
        self.torch = SimpleNamespace(cuda=cuda)

    def call(self, seconds: float) -> Callable[[], Any]:
        def run() -> None:
            if self.capturing is not None:
                self.capturing.append(seconds)
            else:
                self.now += seconds + 15e-6  # the start of a single kernel
                self.ran += 1

        return run


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FalseGpu]:
    def make(**how: Any) -> FalseGpu:
        made = FalseGpu(**how)
        monkeypatch.setitem(sys.modules, "torch", made.torch)
        return made

    return make


@pytest.mark.parametrize(("seconds", "sets"), [(3e-6, 40), (50e-6, 5), (0.4e-3, 3), (3e-3, 2), (0.2, 2)])
def test_a_call_is_timed_within_one_percent_whatever_its_length(
    seconds: float, sets: int, gpu: Callable[..., FalseGpu]
) -> None:
    device = gpu()
    timing = CudaTimer(Telemetry("cpu")).time([device.call(seconds)] * sets, GOAL)
    assert (timing.graph and timing.calls % sets == 0) or timing.calls == 1
    assert all(one == pytest.approx(seconds, rel=0.01) for one in timing.samples_s)
    sample_s = timing.calls * seconds
    assert sample_s >= 1e-3 and len(timing.samples_s) >= (20 if sample_s < 2.2e-3 else 3)
    assert timing.run_s >= GOAL.warm_s and timing.run_s < max(0.12, 5 * seconds)


def test_every_set_of_inputs_is_used_equally_often(gpu: Callable[..., FalseGpu]) -> None:
    device = gpu()
    used = [0, 0, 0]

    def counting(place: int) -> Callable[[], None]:
        plain = device.call(0.1e-3)

        def run() -> None:
            used[place] += device.capturing is not None
            plain()

        return run

    CudaTimer(Telemetry("cpu")).time([counting(place) for place in range(3)], GOAL)
    assert len(set(used)) == 1


def test_what_cannot_be_captured_runs_one_by_one_and_says_so(gpu: Callable[..., FalseGpu]) -> None:
    device = gpu(captures=False)
    timing = CudaTimer(Telemetry("cpu")).time([device.call(1e-3)] * 2, GOAL)
    assert not timing.graph and timing.calls == 1 and len(timing.samples_s) >= 20


class FalseClock:
    """Multiprocessors of a false device whose clocks run at 1.5 GHz, the last one a hundredth faster."""

    def __init__(self, gpu: FalseGpu) -> None:
        self.gpu, self.at = gpu, {}

    def read(self, number: int) -> None:
        assert self.gpu.capturing is None
        self.at[number] = self.gpu.now
        self.gpu.now += 3e-6

    def readings(self) -> list[Reading]:
        rates = (1.5, 1.5, 1.515)
        return [
            {sm: (round(at * rate * 1e9), round(at * 1e9)) for sm, rate in enumerate(rates)} for at in self.at.values()
        ]


@pytest.mark.parametrize("captures", [True, False])
def test_the_clock_is_read_outside_of_what_is_timed(captures: bool, gpu: Callable[..., FalseGpu]) -> None:
    device = gpu(captures=captures)
    clock = FalseClock(device)
    timing = CudaTimer(Telemetry("cpu"), clock).time([device.call(1e-3)] * 2, GOAL)
    assert list(clock.at) == list(range(READINGS))
    assert all(one == pytest.approx(1e-3, rel=0.02) for one in timing.samples_s)
    assert timing.telemetry["clock_hz"] == pytest.approx(1.5e9, rel=1e-4)
    assert timing.telemetry["warm_clock_hz"] == pytest.approx(1.5e9, rel=1e-4)
    assert timing.telemetry["clock_spread"] == pytest.approx(0.01, rel=0.01)
    assert timing.idle_s >= 0


class Warm:
    """A device that a heavy load has left at 1.4 GHz; it gains 50 MHz in each 10 ms of rest, up to 1.98 GHz."""

    def __init__(self, gains: float = 50e6) -> None:
        self.hz, self.gains, self.now, self.looks = 1.4e9, gains, 0.0, 0

    def look(self) -> float:
        self.looks += 1
        self.now += 0.3e-3
        return self.hz

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.hz = min(self.hz + self.gains * seconds / 10e-3, 1.98e9)

    def rest(self) -> Rest:
        return Rest(self.look, lambda: self.now, self.sleep)


def test_a_rest_ends_once_the_clock_is_back() -> None:
    device = Warm()
    rest = device.rest()
    device.hz = 1.98e9
    assert rest.until_fast(0.3) == {"rest_s": pytest.approx(0.3e-3), "rested_clock_hz": 1980000000}
    device.hz = 1.4e9
    found = rest.until_fast(0.3)
    assert found["rested_clock_hz"] >= 0.98 * 1.98e9 and 0.1 < found["rest_s"] < 0.14
    assert found["rest_s"] == pytest.approx(device.now - 0.3e-3, abs=1e-6)


def test_a_rest_ends_after_its_time_where_the_clock_does_not_come_back() -> None:
    device = Warm(gains=0)
    rest = device.rest()
    device.hz = 1.98e9
    rest.until_fast(0.3)
    device.hz = 1.4e9
    found = rest.until_fast(0.3)
    assert found["rested_clock_hz"] == 1400000000 and 0.29 < found["rest_s"] <= 0.3
    assert rest.until_fast(0)["rest_s"] < 1e-3


def test_nothing_is_awaited_where_no_clock_can_be_read() -> None:
    def pause(seconds: float) -> None:
        raise AssertionError

    assert Rest(lambda: None, lambda: 0.0, pause).until_fast(0.3) == {}


def test_a_look_at_the_clock_is_something_light_between_two_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    gpu = FalseGpu()
    clock: Any = FalseClock(gpu)
    waited = SimpleNamespace(synchronize=lambda: setattr(gpu, "now", gpu.now + 1))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: waited)
    assert light_clock(clock, "cpu")() is None  # no work took time on this device: the readings are too close
    read, clock.read = clock.read, lambda number: (setattr(gpu, "now", gpu.now + 0.3e-3 * number), read(number))
    assert light_clock(clock, "cpu")() == pytest.approx(1.5e9, rel=1e-4) and list(clock.at) == [0, 1]


def test_the_device_rests_between_its_last_work_and_the_warm_up(gpu: Callable[..., FalseGpu]) -> None:
    device, warm = gpu(), Warm()

    def sleep(seconds: float) -> None:
        warm.sleep(seconds)
        device.now += seconds

    rest = Rest(warm.look, lambda: device.now, sleep)
    warm.hz = 1.98e9
    rest.until_fast(0)
    warm.hz = 1.7e9
    timing = CudaTimer(Telemetry("cpu"), FalseClock(device), rest).time([device.call(1e-3)] * 2, GOAL)
    assert timing.telemetry["rest_s"] == pytest.approx(timing.idle_s, abs=1e-3) and timing.idle_s > 0.04
    assert timing.telemetry["rested_clock_hz"] >= 0.98 * 1.98e9
    assert timing.run_s < 0.12 and all(one == pytest.approx(1e-3, rel=0.02) for one in timing.samples_s)


def test_a_clock_is_the_median_of_what_multiprocessors_counted() -> None:
    before = as_reading([(105, 1_005, 0), (100, 1_000, 0), (7, 1_000, 1), (0, 1_000, 2), (9, 1_000, 3)])
    after = as_reading([(2_000_100, 1_001_000, 0), (1_980_007, 1_001_000, 1), (1_990_000, 1_001_000, 2)])
    hertz, spread = clock_between(before, after) or (0, 0)
    assert hertz == pytest.approx(1.99e9) and spread == pytest.approx(20 / 1990)
    assert clock_between(after, before) is None and clock_between(before, before) is None


COMPILED = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from lightbound.kernels.triton.device.clock import read_clocks
source = ASTSource(read_clocks, {"out": "*i64"}, {})
print(triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 1}).asm["ptx"])
"""


def test_the_kernel_that_reads_clocks_reads_cycles_time_and_place() -> None:
    pytest.importorskip("triton")
    compiled = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", COMPILED], env=compiled, capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in ("%clock64", "%globaltimer", "%smid"))


def test_the_host_times_call_by_call() -> None:
    ticks = iter(range(1000))
    timing = HostTimer(lambda: float(next(ticks))).time([lambda: None], Goal(total_s=4, fewest=3))
    assert timing.samples_s == (1.0,) * 4
