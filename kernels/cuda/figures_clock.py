"""How the clock of the multiprocessors follows the load and the length of a run: traces of clock against time.

Every run begins after a rest. The clock is cycles of %clock64 over the time of %globaltimer, between samples that the
program itself writes; the management library's readings stand beside it where there are any.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import load
from .bench import Bench
from .figures import Figures, Task, figure
from .nvml import FIELDS, Watch
from .ptx import HOPPER, Program

REST_S = 0.3
LONG_S = 1.0
SHARES = (1.0, 0.85, 0.7, 0.5, 0.25)
SAMPLES = 1000
POINTS = 60
PAUSE_CYCLES = 72  # of one pause, about; what it was is measured


def tasks(capability: int) -> list[Task]:
    """Short runs first; then long ones by share of tensor work, on random numbers and on zeros."""
    tensor = load.group() if capability == HOPPER else load.sync()
    found = [
        Task("clock.fp32.10ms", 1, _run("clock.fp32.10ms", load.fp32(), 0.01)),
        *(
            Task(f"clock.tensor.{ms}ms", 1, _run(f"clock.tensor.{ms}ms", tensor, ms / 1e3, repeats=3))
            for ms in (1, 10, 100)
        ),
    ]
    for share in SHARES:
        name = f"clock.tensor.{share:g}.random"
        found.append(Task(name, LONG_S + 1, _run(name, tensor, LONG_S, share)))
    found.append(Task("clock.tensor.1.zeros", LONG_S + 1, _run("clock.tensor.1.zeros", tensor, LONG_S, zeros=True)))
    found.append(Task("clock.tensor.0.5.zeros", LONG_S + 1, _run("clock.tensor.0.5.zeros", tensor, LONG_S, 0.5, True)))
    found.append(Task("clock.fp32", 1.5, _run("clock.fp32", load.fp32(), 0.5)))
    if capability == HOPPER:
        found.append(Task("clock.mma_sync", LONG_S + 1, _run("clock.mma_sync", load.sync(), LONG_S)))
    return found


def _run(name: str, program: Program, seconds: float, share: float = 1.0, zeros: bool = False,
         repeats: int = 1) -> Callable[[Bench], Figures]:  # fmt: skip
    def run(bench: Bench) -> Figures:
        torch, driver = bench.torch, bench.driver
        data = torch.zeros((load.SAMPLES_AT + 16 * SAMPLES) // 8 + 16, device="cuda", dtype=torch.int64)
        if not zeros:
            half = data.view(torch.float16)
            half[: load.SAMPLES_AT // 2] = bench.operands[: load.SAMPLES_AT // 2]
        shared, warps = bench.alone(program), program.threads // 32

        def once(samples: int, bursts: int, pauses: int) -> np.ndarray:
            driver.launch(
                program,
                driver.multiprocessors,
                bench.out.data_ptr(),
                data.data_ptr(),
                (samples, bursts, pauses),
                shared,
            )
            return bench.records(driver.multiprocessors, warps)

        once(2, 8, 0)
        record = once(2, 200, 0)
        burst = float(np.median(record[..., 1].max(1) - record[..., 0].min(1))) / 400
        pauses = round(burst * (1 / share - 1) / PAUSE_CYCLES)
        record = once(2, 200, pauses)
        burst_ns = max(50.0, float(np.median(record[..., 3].max(1) - record[..., 2].min(1))) / 400)
        samples = min(SAMPLES, max(10, int(seconds * 1e3)))
        bursts = max(1, round(min(seconds, 3.0) * 1e9 / samples / burst_ns))
        clocks: list[float] = []
        rates: list[float] = []
        traces: list[Any] = []
        readings: list[Any] = []
        limits: dict[str, Any] = {}
        for _ in range(repeats):
            bench.wait()
            time.sleep(REST_S)
            with Watch(str(getattr(torch.cuda.get_device_properties(0), "uuid", ""))) as watch:
                limits = watch.limits()
                record = once(samples, bursts, pauses)
            cycles = record[..., 1].max(1) - record[..., 0].min(1)
            nanoseconds = record[..., 3].max(1) - record[..., 2].min(1)
            clocks.append(float(np.median(cycles / nanoseconds)) * 1e9)
            rates.append(float(np.median(program.work * samples * bursts * warps / cycles)))
            first = record[0, :, 0].min(), record[0, :, 2].min()
            at = load.SAMPLES_AT // 8
            ticks = data[at : at + 2 * samples].cpu().numpy().reshape(-1, 2)
            traces.append(_trace(np.vstack([first, ticks])))
            readings.append(watch.readings)
        what = f"clock over a run of {seconds:g} s after a rest, {program.name}, {pauses} pauses after each burst"
        return {
            name: figure(
                "Hz", what, clocks, per_clock=rates, trace=traces, nvml_fields=FIELDS, nvml=readings,
                nvml_limits=limits, zeros=zeros, seconds=seconds, share=share, program=program.name,
            )
        }  # fmt: skip

    return run


def _trace(ticks: np.ndarray) -> list[list[float]]:
    """Seconds since the start and the clock in MHz up to there since the point before: POINTS points, denser early."""
    last = len(ticks) - 1
    picked: Sequence[int] = sorted({0, *(round(x) for x in np.geomspace(1, last, min(POINTS, last)))})
    chosen = ticks[list(picked)].astype(np.float64)
    steps = np.diff(chosen, axis=0)
    times = (chosen[1:, 1] - chosen[0, 1]) / 1e9
    clocks = 1e3 * steps[:, 0] / np.maximum(steps[:, 1], 1)
    return [[round(float(t), 6), round(float(f), 1)] for t, f in zip(times, clocks, strict=True)]
