"""The kernels of a prediction one by one: how their time comes about, in cycles of the busiest multiprocessor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lightbound.sim.analytical import GroupResult
from lightbound.sim.prediction import Prediction

SCHEDULE = "schedule"


@dataclass(frozen=True)
class KernelTime:
    """A kernel without its launch. It takes `kernel_s`, which is that of its `limit`: the schedule of its cycles, or
    the bandwidth of a level.

    A visit (one turn of the block's main loop) takes `visit_cycles`, or `tested_visit_cycles` where scores are tested,
    in the share `tested` of them; a block takes `block_cycles` beside. Multiprocessors work for `mean_cycles`, the
    busiest one for `busiest_cycles`.
    """

    mapping: str
    kernel_s: float
    limit: str
    clock_hz: float
    visit_cycles: float
    block_cycles: float
    busiest_cycles: float
    mean_cycles: float
    tested_visit_cycles: float | None = None
    tested: float = 0.0

    def at(self, clock_hz: float) -> float:
        """Its seconds at another clock: only cycles follow it."""
        return self.kernel_s * (self.clock_hz / clock_hz if self.limit == SCHEDULE else 1.0)


def kernel_times(prediction: Prediction) -> Iterator[KernelTime]:
    """The kernels of a prediction; one that skips tiles stands for those beside it too."""
    found = prediction.estimate
    if found is None:
        yield from (_of_group(prediction.mapping, result) for result in prediction.groups)
        return
    yield KernelTime(
        prediction.mapping,
        found.kernel_s + found.beside_s,
        found.limit,
        found.clock_hz,
        found.visit_cycles,
        found.block_cycles,
        found.busiest_cycles,
        found.mean_cycles,
        found.tested_visit_cycles,
        found.tested,
    )


def _of_group(mapping: str, result: GroupResult) -> KernelTime:
    limits = {SCHEDULE: result.compute_s, **result.memory_s}
    schedule, limit = result.schedule, max(limits, key=lambda name: float(limits[name]))
    cycles = float(schedule.cycles)
    each = float(schedule.tasks) / float(schedule.instances)
    return KernelTime(
        mapping=mapping,
        kernel_s=float(limits[limit]),
        limit=limit,
        clock_hz=float(result.clock_hz),
        visit_cycles=float(schedule.epoch_cycles),
        block_cycles=float(schedule.overhead_cycles),
        busiest_cycles=cycles,
        mean_cycles=min(cycles * each / float(schedule.busiest), cycles),
    )
