"""What a group takes at least, known for a fraction of the work of `run_group`: what it holds, what its units do, and
what passes the outermost level. A search leaves out what a sketch already rules out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lightbound.base.formula import Number, maximum

from .analytical import capacity
from .floors import busy_s
from .level_time import level_seconds, readers_alike
from .nests import Nests
from .plan import GroupPlan, Plan
from .traffic import Traffic, outermost_traffic, whole_traffic
from .work_time import work_times


@dataclass(frozen=True, eq=False)
class Sketch:
    """A group of a plan at one environment. Sizes may be arrays: then so is what follows."""

    plan: Plan
    group: GroupPlan
    nests: Nests
    word_bytes: int

    @cached_property
    def need_bytes(self) -> dict[str, Number]:
        """What it holds in one copy of each level, as `run_group` counts it."""
        taken, _ = capacity(self.plan, self.group, self.nests, self.word_bytes, strict=False)
        return {self.plan.machine.levels[number].name: need for number, need in taken.items()}

    @cached_property
    def busy_s(self) -> Number:
        """Seconds that the busiest unit works at least."""
        busy: dict[str, Number] = {}
        for time in work_times(self.plan, self.group, self.nests, self.word_bytes).values():
            for unit, cycles in time.cycles.items():
                busy[unit] = busy.get(unit, 0) + cycles
        return busy_s(self.plan.machine, busy)

    @cached_property
    def at_least(self) -> tuple[Number, Number]:
        """Seconds that it takes at least, and the bytes that pass the outermost level, which are exact."""
        traffic = outermost_traffic(self.group, self.nests)
        moved = self._seconds(traffic).get(self.plan.machine.levels[0].name, 0)
        words = sum((words for _, words in traffic.of((0,))), 0)
        return self.plan.machine.launch_latency_s + maximum(moved, self.busy_s), words * self.word_bytes

    @cached_property
    def traffic(self) -> Traffic:
        """The words of all instances."""
        return whole_traffic(self.group, self.nests, {})

    @cached_property
    def closer(self) -> tuple[Number, Number]:
        """The same with all levels that instances share."""
        levels, private = self.plan.machine.levels, self.group.private
        moved = self._seconds(self.traffic)
        shared = [moved.get(level.name, 0) for number, level in enumerate(levels) if number not in private]
        seconds, outermost = self.at_least
        return maximum(seconds, self.plan.machine.launch_latency_s + maximum(*shared)), outermost

    def _seconds(self, traffic: Traffic) -> dict[str, Number]:
        alike = readers_alike(self.plan, self.group, self.nests, traffic)
        return level_seconds(self.plan, traffic, self.word_bytes, alike, self.group.group.apart)
