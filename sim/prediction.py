"""What a simulation answers: latency and what binds it, traffic, utilization, energy, buffers, and why, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lightbound.base.formula import Number, is_array, maximum, where

from .accounts import account
from .analytical import GroupResult
from .plan import Plan
from .reuse import Sizes

if TYPE_CHECKING:
    from .estimate import Estimate
    from .following import Followed


@dataclass(frozen=True, eq=False)
class Prediction:
    """A cascade on a machine under a mapping. Times in seconds, traffic and buffers in bytes, energy in joules.

    Where sizes or machine fields were arrays, every number is an array of their common shape.

    latency_s: of all groups, one after the other. decomposition_s: the latency by what it waits for; its parts add up
        to it. busy_s: how long each unit and level is busy; these overlap. utilization: useful work of a unit over all
        that its lanes could do in the latency.
    account_s: the latency by what contexts spend it on: at units and levels, waiting, in the overhead of tasks, in
        imbalance and in launches (accounts.py); its parts add up to it too.
    traffic_bytes: read and written at each level, by name; traffic_by_tensor: the same by tensor. compulsory_bytes:
        what no mapping can avoid at the outermost level. occupancy_bytes: most that is held in one copy of each level.
    energy_j: the sum of energy_by_component, or None where the machine prices nothing.
    params: what the mapping's parameters came to. assumptions: what the answer rests on. unread: what the machine
        states and this engine does not read. groups: the results of each group, and plan: what they follow from.
    estimate: of a kernel that skips tiles, how its time comes about; groups are then those of a mean block.
    followed: groups of which the event engine followed some instances only (following.py). All numbers are of the whole
        machine.
    """

    workload: str
    machine: str
    mapping: str
    engine: str
    sizes: Mapping[str, Number]
    word_bytes: int
    latency_s: Number
    traffic_bytes: Mapping[str, Number]
    traffic_by_tensor: Mapping[str, Mapping[str, Number]]
    compulsory_bytes: Number
    utilization: Mapping[str, Number]
    busy_s: Mapping[str, Number]
    energy_j: Number | None
    energy_by_component: Mapping[str, Number]
    occupancy_bytes: Mapping[str, Number]
    decomposition_s: Mapping[str, Number]
    assumptions: tuple[str, ...]
    unread: tuple[str, ...] = ()
    params: Mapping[str, Number] = field(default_factory=dict)
    plan: Plan | None = field(default=None, repr=False)
    groups: tuple[GroupResult, ...] = field(default=(), repr=False)
    counted_s: Mapping[str, Number] | None = field(default=None, repr=False)  # `account_s`, where an engine counts it
    estimate: Estimate | None = field(default=None, repr=False)
    followed: tuple[Followed, ...] = ()

    @cached_property
    def account_s(self) -> Mapping[str, Number]:
        """Seconds by what they are spent on; they add up to the latency."""
        return account(self.groups) if self.counted_s is None else self.counted_s

    @cached_property
    def bottleneck(self) -> Any:
        """The resource that the largest part of the latency waits for: a unit, a drain, or a level."""
        names = list(self.decomposition_s)
        if not is_array(self.latency_s):
            return max(names, key=lambda name: self.decomposition_s[name])
        shape = np.shape(self.latency_s)
        stack = np.stack([np.broadcast_to(self.decomposition_s[name], shape) for name in names])
        return np.array(names)[np.argmax(stack, axis=0)]

    def explain(self) -> str:
        """Why it takes so long, in sentences: what binds, how far the next limit is, passes, and traffic."""
        from .explain import explain

        return explain(self)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "workload": self.workload,
            "machine": self.machine,
            "mapping": self.mapping,
            "engine": self.engine,
            "sizes": _plain(self.sizes),
            "word_bytes": self.word_bytes,
            "params": _plain(self.params),
            "latency_s": _plain(self.latency_s),
            "bottleneck": _plain(self.bottleneck),
            "decomposition_s": _plain(self.decomposition_s),
            "account_s": _plain(self.account_s),
            "busy_s": _plain(self.busy_s),
            "utilization": _plain(self.utilization),
            "traffic_bytes": _plain(self.traffic_bytes),
            "traffic_by_tensor": _plain(self.traffic_by_tensor),
            "compulsory_bytes": _plain(self.compulsory_bytes),
            "energy_j": _plain(self.energy_j),
            "energy_by_component": _plain(self.energy_by_component),
            "occupancy_bytes": _plain(self.occupancy_bytes),
            "assumptions": list(self.assumptions),
            "unread": list(self.unread),
            "followed": [asdict(one) for one in self.followed],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def summarise(
    plan: Plan,
    sizes: Sizes,
    results: tuple[GroupResult, ...],
    word_bytes: int,
) -> dict[str, Any]:
    """The fields of a Prediction that follow from the results of the groups."""
    machine = plan.machine
    latency: Number = sum((result.latency_s for result in results), 0)
    busy: dict[str, Number] = dict.fromkeys(machine.units, 0)
    useful: dict[str, Number] = dict.fromkeys(machine.units, 0)
    for result in results:
        for time in result.einsums.values():
            for unit, cycles in time.cycles.items():
                busy[unit] = busy[unit] + cycles / result.clock_hz
                useful[unit] = useful[unit] + time.lane_cycles[unit] * (machine.clock_hz / result.clock_hz)
    by_tensor: dict[str, dict[str, Number]] = {level.name: {} for level in machine.levels}
    for result in results:
        for (number, _, tensor), words in result.words.items():
            level = by_tensor[machine.levels[number].name]
            level[tensor] = level.get(tensor, 0) + words * word_bytes
    memory: dict[str, Number] = {}
    occupancy: dict[str, Number] = {}
    for result in results:
        for name, seconds in result.memory_s.items():
            memory[name] = memory.get(name, 0) + seconds
        for name, taken in result.occupancy_bytes.items():
            occupancy[name] = maximum(occupancy[name], taken) if name in occupancy else taken
    return {
        "latency_s": latency,
        "traffic_bytes": {name: sum(tensors.values(), 0) for name, tensors in by_tensor.items()},
        "traffic_by_tensor": {name: tensors for name, tensors in by_tensor.items() if tensors},
        "utilization": {
            name: useful[name] / (unit.lanes * machine.copies(unit.scope)) / (latency * machine.clock_hz)
            for name, unit in machine.units.items()
        },
        "busy_s": {**busy, **memory},
        "occupancy_bytes": {name: _scalar(value) for name, value in occupancy.items()},
        "decomposition_s": _decompose(results),
    }


def _scalar(value: Number) -> Number:
    return value.item() if isinstance(value, np.generic) else value


def _decompose(results: tuple[GroupResult, ...]) -> dict[str, Number]:
    """The latency by what it waits for: in each group its slowest resource, and in each slot its slowest unit."""
    parts: dict[str, Number] = {}

    def add(name: str, seconds: Number) -> None:
        parts[name] = parts.get(name, 0.0) + seconds

    busy = _busy_cycles(results)  # where units tie in a slot, the busier one of the whole run is named
    for result in results:
        work_s = maximum(result.compute_s, *result.memory_s.values())
        computes = result.compute_s >= work_s
        for slot in result.schedule.slots:
            longest = maximum(0, *slot.values())
            tied = {unit: where(cycles >= longest, busy[unit], -1) for unit, cycles in slot.items()}
            busiest = maximum(0, *tied.values())
            taken: Number = False
            for unit, cycles in slot.items():
                here = (tied[unit] >= busiest) & np.logical_not(taken)
                add(unit, here * computes * cycles / result.clock_hz)
                taken = taken | here
        for what, cycles in result.schedule.waits.items():
            add(what, computes * cycles / result.clock_hz)
        taken = computes
        for level, seconds in result.memory_s.items():
            here = (seconds >= work_s) & np.logical_not(taken)
            add(level, here * seconds)
            taken = taken | here
        if not isinstance(result.launch_s, int | float) or result.launch_s:
            add("launch", result.launch_s)
    return {name: _scalar(seconds) for name, seconds in parts.items() if np.any(np.asarray(seconds) > 0)}


def _busy_cycles(results: tuple[GroupResult, ...]) -> dict[str, Number]:
    busy: dict[str, Number] = {}
    for result in results:
        for time in result.einsums.values():
            for unit, cycles in time.cycles.items():
                busy[unit] = busy.get(unit, 0) + cycles
    return busy
