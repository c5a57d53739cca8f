"""What if a machine were another one: the same kernel under changes, ranked by what each would gain.

A change is a text, ``NAME=VALUE``, or several joined by commas that are made together. NAME is

* an operation (``exp``): the throughput of all units that do it, also fused with others;
* a unit (``tensor``): its throughput of everything; a level (``dram``): its bandwidth;
* ``clock``: that of short and of long runs alike, and what a file writes as a formula of it;
* any field of the machine as `lightbound.machine` takes it (``l2.capacity``, ``sm``, ``launch_latency``);
* ``imbalance``, with the VALUE ``none``: every slot of every instance has as much to do, in no waves.

VALUE is a factor (``2x``, ``0.5x``), ``inf`` for a throughput or a bandwidth without limit, or for a field or the clock
what a machine file would say (``2 GHz``). The mapping stays that of the base, with its formulas evaluated anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightbound.archs.library import changed
from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError, choose_from
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.registry import Workload, as_workload

from .accounts import IMBALANCE
from .mapping import Mapping
from .prediction import Prediction
from .simulate import MappingLike, as_machine, resolve_mapping, simulate

EVEN = f"{IMBALANCE}=none"
ENDLESS = 1e12  # times what there is: as good as without limit, and still a number
_CLOCKS = ("clock", "sustained_clock", "first_clock")  # of a machine, and of units that work at one of their own
_FACTOR = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*x")


@dataclass(frozen=True, eq=False)
class Change:
    """One change: the latency with it, how much faster that is, and the prediction it is from.

    unread: the fields among those changed that the engine does not read.
    """

    name: str
    latency_s: float
    speedup: float
    prediction: Prediction
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class WhatIf:
    """The base prediction and the changes, the one that gains most first."""

    base: Prediction
    changes: tuple[Change, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = [
            {
                "change": one.name,
                "latency_s": one.latency_s,
                "speedup": one.speedup,
                "bottleneck": one.prediction.bottleneck,
                "unread": list(one.unread),
            }
            for one in self.changes
        ]
        return {"base_latency_s": self.base.latency_s, "changes": rows}


def what_if(
    workload: Workload | Cascade | str,
    machine: Machine | str,
    mapping: MappingLike = None,
    changes: Sequence[str] = (),
    **options: Any,
) -> WhatIf:
    """What changes of the machine would gain; without any named, those of `default_changes`.

    workload, machine, mapping and options (engine, seed, fill, follow) are those of `simulate`.
    Raises LightboundError for a change that names nothing of the machine or has no value that it could take.
    """
    work, hardware = as_workload(workload), as_machine(machine)
    work, chosen = kept(work, hardware, mapping, str(options.get("engine", "analytical")))
    base = simulate(work, hardware, chosen, **options)
    wanted = tuple(changes) or default_changes(hardware, base)
    fields = [_overrides(hardware, text) for text in wanted]  # all are checked before the first is simulated
    made = []
    for text, (overrides, even) in zip(wanted, fields, strict=True):
        found = simulate(work, changed(hardware, **overrides) if overrides else hardware, chosen, **options)
        latency = _evenly(found) if even else float(found.latency_s)
        unread = tuple(path for path in overrides if any(_below(path, known) for known in base.unread))
        made.append(Change(text, latency, float(base.latency_s) / latency, found, unread))
    return WhatIf(base, tuple(sorted(made, key=lambda one: -one.speedup)))


def default_changes(machine: Machine, base: Prediction) -> tuple[str, ...]:
    """Twice the throughput of every unit and bandwidth of every level that works, more instances, a faster clock, no
    imbalance and no launch.
    """
    working = [name for name, seconds in base.busy_s.items() if seconds > 0]
    rates = [name for name in working if _rates(machine, name)]
    return (
        *(f"{name}=2x" for name in rates),
        *(f"{axis}=2x" for axis in machine.instances),
        "clock=1.25x",
        *([EVEN] if base.account_s.get(IMBALANCE, 0) > 0 else []),
        *(["launch_latency=0 s"] if machine.launch_latency_s else []),
    )


def kept(work: Workload, machine: Machine, mapping: MappingLike, engine: str) -> tuple[Workload, Mapping]:
    """The workload and mapping that `simulate` takes, and that all changes keep."""
    from .masked_prediction import kernel

    return kernel(work, machine, mapping, engine == "event") or resolve_mapping(work, machine, mapping)


def _below(path: str, known: str) -> bool:
    return path == known or path.startswith(f"{known}.")


def _evenly(found: Prediction) -> float:
    """The latency if every slot had as much to do: no shorter than what the levels need for all bytes."""
    spent = float(found.latency_s) - float(found.account_s.get(IMBALANCE, 0.0))
    least = sum(max(map(float, group.memory_s.values()), default=0.0) for group in found.groups)
    return max(spent, min(least, float(found.latency_s)))


def _overrides(machine: Machine, text: str) -> tuple[dict[str, Any], bool]:
    """The fields that a change sets, and whether it also evens out what slots have to do."""
    made: dict[str, Any] = {}
    even = False
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            remedy = "Write NAME=VALUE, such as exp=2x, dram=inf or 'clock=2 GHz'."
            raise LightboundError("what if", text, "is not a name and a value", remedy)
        if name == IMBALANCE:
            if value != "none":
                raise LightboundError(f"what if {name}", value, "is not a way to deal work", f"Write {EVEN}.")
            even = True
            continue
        made.update(_fields(machine, name, value))
    return made, even


def _fields(machine: Machine, name: str, value: str) -> dict[str, Any]:
    factor = _factor(name, value)
    stated = machine.fields()
    rates = _rates(machine, name)
    if name == "clock":
        new = machine.clock_hz * factor if factor is not None else _clock_hz(machine, value)
        ratio = new / machine.clock_hz
        return {path: stated[path] * ratio for path in stated if path.split(".")[-1] in _CLOCKS}
    if rates:
        if factor is None:
            remedy = "Write a factor, such as 2x, or inf; or name one field of it."
            raise LightboundError(f"what if {name}", value, "is no factor of a throughput", remedy)
        return {path: stated[path] * factor if faster else stated[path] / factor for path, faster in rates.items()}
    paths = [path for path in stated if path == name or path.split(".", 1)[-1] == name]
    if factor is not None:
        if not paths:
            levels = (level.name for level in machine.levels)
            known = {*_operations(machine), *machine.units, *levels, *machine.instances, "clock", IMBALANCE}
            remedy = f"{choose_from(known, name)} Or name a field of its file."
            raise LightboundError("what if", name, f"is nothing of {machine.name}", remedy)
        scaled = stated[paths[0]] * factor
        return {paths[0]: round(scaled) if isinstance(stated[paths[0]], int) else scaled}
    changed(machine, **{name: value})  # says what is wrong with it
    return {name: value}


def _factor(name: str, value: str) -> float | None:
    if value in ("inf", "infinite"):
        return ENDLESS
    match = _FACTOR.fullmatch(value)
    if match is None:
        return None
    if float(match[1]) <= 0:
        raise LightboundError(f"what if {name}", value, "is no throughput", "Write a factor above 0, such as 2x.")
    return float(match[1])


def _clock_hz(machine: Machine, value: str) -> float:
    return float(changed(machine, clock=value).clock_hz)


def _operations(machine: Machine) -> tuple[str, ...]:
    return tuple(dict.fromkeys(op for unit in machine.units.values() for ops in unit.cost for op in ops.split("+")))


def _rates(machine: Machine, name: str) -> dict[str, bool]:
    """The fields behind a throughput or bandwidth, and whether it grows with them (a cost it falls with)."""
    stated = machine.fields()
    if name in machine.units:
        return dict.fromkeys((path for path in stated if path.startswith(f"units.{name}.cost.")), False)
    if any(level.name == name for level in machine.levels):
        every = (path for path in stated if path.startswith(f"levels.{name}.") and path.endswith("bandwidth"))
        return dict.fromkeys(every, True)
    costs = [path for path in stated if path.startswith("units.") and path.split(".")[2] == "cost"]
    return dict.fromkeys((path for path in costs if name in path.split(".", 3)[3].split("+")), False)
