"""How a program is timed: rounds by a first short run, repeats, records of every warp, events around launches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .driver import Driver
from .ptx import RECORD, Program

REPEATS = 7
TARGET_CYCLES = 60_000  # of one timed run: tens of microseconds
MOST_ROUNDS = 4_000_000
OPERANDS_BYTES = 8 << 20  # of random numbers, more than any program reads
RECORDS_BYTES = 4 << 20


@dataclass(frozen=True)
class Runs:
    """Records of several repeats: array of repeat, block, warp, RECORD; and the rounds of each."""

    records: np.ndarray
    rounds: int

    @property
    def cycles(self) -> np.ndarray:
        """Cycles of each block of each repeat, from its first warp's start to its last warp's end."""
        return self.records[..., 1].max(axis=2) - self.records[..., 0].min(axis=2)

    @property
    def nanoseconds(self) -> np.ndarray:
        """As `cycles`, by the global timer."""
        return self.records[..., 3].max(axis=2) - self.records[..., 2].min(axis=2)

    def per_cycle(self, work: float) -> list[float]:
        """`work` of a warp and round, of all warps of a block, per cycle: the median block of each repeat."""
        warps = self.records.shape[2]
        return [float(x) for x in np.median(work * self.rounds * warps / self.cycles, axis=1)]

    def cycles_of(self, work: float) -> list[float]:
        """Cycles of one of the things of which a warp does `work` a round: the median block of each repeat."""
        return [float(x) for x in np.median(self.cycles / (work * self.rounds), axis=1)]


class Bench:
    """A GPU with buffers: `operands` (random fp16), `zeros` (as long), `out` for records."""

    def __init__(self, driver: Driver) -> None:
        torch = driver.torch
        self.driver, self.torch = driver, torch
        generator = torch.Generator(device="cuda").manual_seed(1)
        self.operands = torch.randn(OPERANDS_BYTES // 2, device="cuda", dtype=torch.float16, generator=generator)
        self.zeros = torch.zeros_like(self.operands)
        self.out = torch.zeros(RECORDS_BYTES // 8, device="cuda", dtype=torch.int64)
        self.wait()

    def wait(self) -> None:
        """Until the GPU has done all that was asked."""
        self.torch.cuda.synchronize()

    def records(self, blocks: int, warps: int) -> np.ndarray:
        """What the last timed run wrote: block, warp, RECORD."""
        self.wait()
        return self.out[: blocks * warps * RECORD].cpu().numpy().reshape(blocks, warps, RECORD).copy()

    def run(
        self, program: Program, *, numbers: Sequence[int] = (), data: Any = None, blocks: int | None = None,
        target: int = TARGET_CYCLES, repeats: int = REPEATS, alone: bool = True,
    ) -> Runs:  # fmt: skip
        """Time a program, one block on each multiprocessor by default; `alone`: no block shares its multiprocessor."""
        blocks = blocks or self.driver.multiprocessors
        warps = program.threads // 32
        shared = self.alone(program) if alone else program.shared_bytes
        address = (self.operands if data is None else data).data_ptr()

        def once(rounds: int) -> np.ndarray:
            self.driver.launch(program, blocks, self.out.data_ptr(), address, (rounds, *numbers), shared)
            return self.records(blocks, warps)

        once(4)
        first = Runs(once(16)[None], 16)
        rounds = int(np.clip(16 * target / max(1.0, float(np.median(first.cycles))), 4, MOST_ROUNDS))
        once(rounds)
        return Runs(np.stack([once(rounds) for _ in range(repeats)]), rounds)

    def alone(self, program: Program) -> int:
        """So much shared memory that no second block fits on the multiprocessor."""
        return max(program.shared_bytes, self.driver.attributes["shared_of_multiprocessor_bytes"] // 2 + 1024)

    def elapsed(
        self, work: Callable[[], None], repeats: int = REPEATS, before: Callable[[], None] | None = None
    ) -> list[float]:
        """Seconds between events around `work`, for each repeat; `before` runs ahead of the first event."""
        found = []
        for _ in range(repeats):
            if before is not None:
                before()
            start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
            self.wait()
            start.record()
            work()
            end.record()
            end.synchronize()
            found.append(start.elapsed_time(end) / 1e3)
        return found
