"""A device that is none: it has the face of `Driver`, writes records as programs would, and lets its own time pass.

Every number that it gives is made up. A round takes as many cycles as `pace` says, the clock runs at 2 GHz.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import torch

from lightbound.kernels.cuda.load import SAMPLES_AT
from lightbound.kernels.cuda.ptx import RECORD, Program

PACE = 100  # cycles of a round
MULTIPROCESSORS = 4


class Event:
    """An event that notes the device's own time."""

    def __init__(self, torch_: FakeTorch) -> None:
        self.torch, self.at = torch_, 0.0

    def record(self) -> None:
        self.at = self.torch.now_s

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, other: Event) -> float:
        return (other.at - self.at) * 1e3 + 1e-6


class Graph:
    """Takes down launches, and makes them again."""

    def __init__(self) -> None:
        self.launches: list[Any] = []

    def replay(self) -> None:
        for one in self.launches:
            one()


class FakeTorch:
    """PyTorch whose "cuda" is the processor."""

    def __init__(self, driver: FakeDriver) -> None:
        self.now_s, self.driver, self.cuda, self.version = 0.0, driver, self, torch.version

    def __getattr__(self, name: str) -> Any:
        if name in ("zeros", "randn", "randperm"):
            return lambda *given, **named: getattr(torch, name)(*given, **self._here(named))
        return getattr(torch, name)

    def _here(self, named: dict[str, Any]) -> dict[str, Any]:
        return {key: "cpu" if value == "cuda" else value for key, value in named.items()}

    def Generator(self, device: str) -> torch.Generator:  # noqa: N802
        return torch.Generator()

    def Event(self, enable_timing: bool) -> Event:  # noqa: N802
        return Event(self)

    def CUDAGraph(self) -> Graph:  # noqa: N802
        return Graph()

    def graph(self, graph: Graph) -> Any:
        driver = self.driver

        class Capture:
            def __enter__(self) -> None:
                driver.capture = graph

            def __exit__(self, *_: object) -> None:
                driver.capture = None

        return Capture()

    def synchronize(self) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def get_device_properties(self, index: int) -> Any:
        return type("Properties", (), {"name": "Made-up GPU", "total_memory": 8 << 30, "uuid": "none"})()


class FakeDriver:
    """The face of `driver.Driver`."""

    def __init__(self, capability: int = 90) -> None:
        self.torch = FakeTorch(self)
        self.capability, self.multiprocessors, self.assembler = capability, MULTIPROCESSORS, "none"
        self.attributes = {
            "multiprocessors": MULTIPROCESSORS, "clock_khz": 2_000_000, "shared_of_multiprocessor_bytes": 228 << 10,
            "shared_of_block_bytes": 227 << 10, "registers_of_multiprocessor": 65536, "l2_bytes": 50 << 20,
            "threads_of_multiprocessor": 2048, "blocks_of_multiprocessor": 32, "shared_reserved_of_block_bytes": 1024,
            "memory_clock_khz": 2_600_000, "memory_bus_bits": 5120,
        }  # fmt: skip
        self.capture: Graph | None = None
        self.launched: set[str] = set()
        self.breaks: set[str] = set()

    def version(self) -> int:
        return 12080

    def load(self, program: Program, cubin: bytes | None = None) -> None:
        pass

    def launch(self, program: Program, blocks: int, out: int, data: int, numbers: Any, shared: Any = None) -> None:
        assert program.runs_on(self.capability) and len(numbers) <= 4
        assert all(0 <= int(one) < 2**32 for one in numbers), (program.name, numbers)
        if any(program.name.startswith(one) for one in self.breaks):
            raise RuntimeError(f"{program.name} is broken")
        self.launched.add(program.name)
        if self.capture is not None:
            self.capture.launches.append(lambda: self.launch(program, blocks, out, data, numbers, shared))
            return
        rounds, a, _, _ = (*numbers, *(0,) * (4 - len(numbers)))
        cycles = PACE * rounds * (a if program.name.startswith("load") else 1)
        self.torch.now_s += 1e-6 + cycles / 2e9
        if program.name.startswith(("stream", "empty")):
            return
        if program.name == "chase_each":
            self._write(out, np.where(np.arange(rounds) % 2, 250, 310).astype(np.int32))
            return
        if program.name.startswith("load"):
            at = 10_000 + np.arange(1, rounds + 1) * PACE * a
            self._write(data + SAMPLES_AT, np.stack([at, at // 2], axis=1).astype(np.int64))
        self._write(out, self._records(program, blocks, cycles, a))

    def _records(self, program: Program, blocks: int, cycles: int, a: int) -> np.ndarray:
        warps = program.threads // 32
        records = np.zeros((blocks, warps, RECORD), np.int64)
        index = np.arange(blocks)[:, None]
        length = np.full((blocks, warps), cycles)
        if program.name.startswith("beside"):
            length[:, -4:] = PACE * a
        wave = index // MULTIPROCESSORS
        records[..., 0] = 10_000 + wave * (cycles + 500)
        records[..., 1] = records[..., 0] + length
        records[..., 2:4] = records[..., 0:2] // 2
        records[..., 4] = index % MULTIPROCESSORS
        return records

    def _write(self, address: int, values: np.ndarray) -> None:
        values = np.ascontiguousarray(values)
        ctypes.memmove(address, values.ctypes.data, values.nbytes)
