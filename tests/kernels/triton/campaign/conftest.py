"""A campaign without a GPU: two kernels that do nothing but let a false clock tick, and what times them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lightbound.kernels.triton.campaign import ready
from lightbound.kernels.triton.campaign.records import RecordFile
from lightbound.kernels.triton.campaign.run import Asked, Bench, Outcome, run
from lightbound.kernels.triton.campaign.telemetry import Telemetry
from lightbound.kernels.triton.campaign.timing import Goal, HostTimer, Run, Timing
from lightbound.kernels.triton.kernel import Call, Case, Launch, MissingPackage, Tile, TritonKernel, Work

ABOUT = {"device": "a clock", "commit": "0" * 40}
DEFAULT, OTHER = Tile({"ROWS": 32}, 4, 2), Tile({"ROWS": 64}, 8, 2)


@dataclass
class FalseClock:
    """Seconds that pass only where somebody lets them."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Killed(BaseException):
    """What a kill is to a program: nothing catches it."""


class Dying:
    """A timer that is killed when it has timed so many cases."""

    def __init__(self, timer: HostTimer, lives: int) -> None:
        self.timer, self.lives = timer, lives

    def place(self) -> AbstractContextManager[Any]:
        return self.timer.place()

    def time(self, runs: Sequence[Run], goal: Goal) -> Timing:
        if not self.lives:
            raise Killed
        self.lives -= 1
        return self.timer.time(runs, goal)


def false_kernel(name: str, clock: FalseClock, sizes: list[int], **others: Any) -> TritonKernel:
    """A kernel whose case of N takes N seconds of the false clock; a tile of 64 rows takes half of that."""

    def prepare(case: Case, tile: Tile, device: str, seed: int) -> Call:
        def spend() -> None:
            clock.now += case.sizes["N"] * 32 / tile.constants["ROWS"]

        return Call(spend, lambda: (), lambda: ())

    made = TritonKernel(
        name=name,
        title=name,
        cases=[Case(name, {"N": size}, "fp16") for size in sizes],
        tile=lambda case, capability: DEFAULT,
        tiles=lambda case, capability: (DEFAULT, OTHER),
        prepare=prepare,
        work=lambda case: Work(0, 0, 4 * case.sizes["N"]),
        compiled=lambda case, tile: (),
        launches=lambda case, tile, capability: (Launch("softmax", {"B": 1, "N": case.sizes["N"]}, "online"),),
    )
    return replace(made, **others)


@dataclass
class FalseCampaign:
    """Kernels, the clock that they run by, and the file."""

    clock: FalseClock
    kernels: list[TritonKernel]
    path: Path

    def run(self, lives: int = -1, **asked: Any) -> Outcome:
        timer = HostTimer(self.clock)
        killed = Dying(timer, lives) if lives >= 0 else timer
        bench = Bench("cpu", killed, Telemetry("cpu"), clock=self.clock)
        goal = Goal(total_s=5.0)
        wanted = Asked(**{"budget_s": 1e9, "processes": 0, "goal": goal, **asked})
        return run(RecordFile(self.path), self.kernels, bench, ABOUT, wanted, lambda line: None)

    @property
    def records(self) -> list[dict[str, Any]]:
        return RecordFile(self.path).records

    def keys(self, *kinds: str) -> list[str]:
        return [record["key"] for record in self.records if record["record"] in kinds]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FalseCampaign]:
    """A campaign of the kernels given, by default two with peers: one that is there, one that is not installed."""

    def make(*kernels: TritonKernel, clock: FalseClock | None = None) -> FalseCampaign:
        clock = clock or FalseClock()

        def missing(case: Case, device: str, seed: int) -> Run:
            raise MissingPackage("package", "rival", "is not installed", "Install it.")

        def tick(case: Case, device: str, seed: int) -> Run:
            def spend() -> None:
                clock.now += 1

            return spend

        some = list(kernels) or [
            false_kernel("even", clock, list(range(2, 22, 2)), peers={"tick": tick, "rival": missing}),
            false_kernel("odd", clock, list(range(1, 9, 2))),
        ]
        by_name = {kernel.name: kernel for kernel in some}
        monkeypatch.setattr(ready, "find_kernel", by_name.__getitem__)
        return FalseCampaign(clock, some, tmp_path / "records.jsonl")

    return make
