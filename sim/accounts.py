"""What the latency is spent on: a split of it over units, levels, waiting, overhead, imbalance and launches.

Busy times overlap and so do not add up; what binds names one resource for all of the time. Here the time of every
context (a warp group, a block, or the one context of an array) is followed from its start to its end: at each moment it
is *at* one resource, the one whose work has to end before the context can go on, however many others share it. So a
unit's part grows with its own work and with the queue before it, and the parts add up to the latency.

``waiting`` is time at no resource: barriers, drains, latencies, and what is not there yet; ``overhead`` the start and
end of tasks; ``imbalance`` time in which a slot of an instance has nothing left to do or never had (waves that are not
full, tasks of unequal length); ``launch`` that of kernels. Lanes without work are in a unit's part; its utilization
tells them.

The closed forms follow a context through the queueing network (or the slots) of a group; where the bandwidth of a level
binds, all of the time is at that level. The event engine counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lightbound.base.formula import Number, maximum, where

from .analytical import GroupResult

WAITING, OVERHEAD, IMBALANCE, LAUNCH = "waiting", "overhead", "imbalance", "launch"
Parts = dict[str, Number]


def account(results: tuple[GroupResult, ...]) -> Parts:
    """Seconds by what they are spent on, over all groups, as the closed forms have it."""
    total: Parts = {}
    for result in results:
        for name, seconds in _of_group(result).items():
            total[name] = total.get(name, 0.0) + seconds
    return settled(total)


def settled(parts: Mapping[str, Number]) -> Parts:
    """The parts that there are, the special ones last."""
    last = (WAITING, OVERHEAD, IMBALANCE, LAUNCH)
    names = [*(name for name in parts if name not in last), *(name for name in last if name in parts)]
    return {name: parts[name] for name in names if np.any(np.asarray(parts[name]) > 0)}


def _of_group(result: GroupResult) -> Parts:
    schedule = result.schedule
    work_s = maximum(result.compute_s, *result.memory_s.values())
    computes = result.compute_s >= work_s
    level = schedule.tasks / (schedule.busiest * schedule.instances)  # 1 where every instance has as much to do
    parts: Parts = {}
    for name, cycles in with_loads(result, schedule.spent).items():
        parts[name] = computes * level * cycles / result.clock_hz
    parts[IMBALANCE] = computes * (1 - level) * result.compute_s
    taken = computes
    for name, seconds in result.memory_s.items():
        here = (seconds >= work_s) & np.logical_not(taken)
        parts[name] = parts.get(name, 0.0) + where(here, seconds, 0.0)
        taken = taken | here
    parts[LAUNCH] = result.launch_s
    return parts


def with_loads(result: GroupResult, parts: Mapping[str, Number]) -> Parts:
    """Parts in which the time that a unit is held by loads of its own threads is given to the level they load from."""
    made = dict(parts)
    for unit in parts:
        busy = sum((time.cycles.get(unit, 0) for time in result.einsums.values()), 0)
        for level, loads in _loads(result, unit).items():
            moved = parts[unit] * where(busy > 0, loads / maximum(busy, 1e-30), 0)
            made[unit] = made[unit] - moved
            made[level] = made.get(level, 0.0) + moved
    return made


def _loads(result: GroupResult, unit: str) -> Parts:
    loads: Parts = {}
    for time in result.einsums.values():
        for level, cycles in time.loads.get(unit, {}).items():
            loads[level] = loads.get(level, 0) + cycles
    return loads
