"""``lightbound simulate``: one prediction, as a summary, tables of resources and traffic, and an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.sim.explain import joules, seconds, size
from lightbound.sim.mapping import Mapping
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import UNMASKED, simulate
from lightbound.sim.what_if import WhatIf, kept, what_if
from lightbound.workloads.registry import Workload

from .answer import Answer, Block, Table, Text, flat
from .inputs import inputs
from .progress import progress
from .timeline import check_trace, traced

if TYPE_CHECKING:
    from .charts.chart import Picture

LISTS = ("assumptions", "lacks", "followed")
ALL = "all"  # the changes that are of interest for most kernels


def answer(
    work: Workload,
    machine: Machine,
    mapping: Mapping | str | None,
    engine: str,
    explained: bool,
    seed: int = 0,
    fill: str = "counted",
    trace: Path | None = None,
    changes: Sequence[str] = (),
    follow: str = "auto",
) -> Answer:
    """The prediction, with its explanation in words where that is wanted. Seed, fill, trace and what to follow are the
    event engine's; `changes` are of the machine, and what each would gain is told beside.
    """
    check_trace(trace)
    if trace is not None and engine == "analytical":
        raise LightboundError("--trace", str(trace), "needs a run of events to draw", "Add --engine event.")
    with progress(f"Simulating {work.name} on {machine.name}"):
        asked = work
        work, chosen = kept(work, machine, mapping, engine)
        with traced(trace) as file:
            prediction = simulate(work, machine, chosen, engine, seed, fill, file, follow)
        named = () if tuple(changes) == (ALL,) else changes
        options: dict[str, Any] = {"engine": engine, "seed": seed, "fill": fill, "follow": follow}
        gains = what_if(work, machine, chosen, named, **options) if changes else None
    words = prediction.explain() if explained else None
    data = {"preset": work.preset, "variant": work.variant, **prediction.to_dict(), "lacks": list(machine.lacks)}
    record = dict(flat({name: value for name, value in data.items() if name not in LISTS}))
    if words is not None:
        data["explanation"] = words
    if gains is not None:
        data["what_if"] = gains.to_dict()
    blocks = [
        _summary(prediction, work, asked),
        _resources(prediction),
        _accounts(prediction),
        _changes(gains) if gains is not None else None,
        _levels(prediction, machine),
        _tensors(prediction),
    ]
    if words is not None:
        blocks.append(Text("\n".join((words, *machine.lacks)), title="Why", leads=True))

    def pictures() -> Sequence[Picture]:
        from .charts.predicting import prediction_charts

        return prediction_charts(prediction, asked, machine, gains)

    shown = [block for block in blocks if block is not None]
    return Answer(shown, data, [record], pictures, lambda: inputs(asked, machine))


def _summary(p: Prediction, work: Workload, asked: Workload) -> Block:
    """What was predicted; `work` is what was `asked` for in the variant that the mapping is written for."""
    sizes = " ".join(f"{symbol}={value}" for symbol, value in p.sizes.items())
    chosen = ", ".join(f"{name}={_number(value)}" for name, value in p.params.items())
    outermost = next(iter(p.traffic_bytes))
    total = p.traffic_bytes[outermost]
    rows = [("workload", p.workload + (f", preset {work.preset}" if work.preset else ""))]
    if len(work.method.cascades) > 1:
        stands = f", for which {p.mapping} is written: the result is that of {asked.variant}"
        rows.append(("variant", work.variant + (stands if work.variant != asked.variant else "")))
    rows.append(("sizes", sizes))
    if asked.mask is not None:
        name = type(asked.mask).__name__
        rows.append(("mask", f"{name}, not counted: {UNMASKED}" if UNMASKED in p.assumptions else name))
    rows += [
        ("machine", p.machine),
        ("mapping", p.mapping + (f" ({chosen})" if chosen else "")),
        ("latency", seconds(p.latency_s)),
        ("bottleneck", f"{p.bottleneck}, {_share(p.decomposition_s[p.bottleneck], p.latency_s)} of the latency"),
        (f"{outermost} traffic", f"{size(total)}, {_ratio(total, p.compulsory_bytes)}"),
    ]
    rows += [("followed", str(one)) for one in p.followed]
    if p.energy_j is not None:
        rows.append(("energy", joules(p.energy_j)))
    return Table(("prediction", p.engine), rows)


def _resources(p: Prediction) -> Block:
    """Busy times overlap; the shares of the latency during which each resource binds add up to all of it."""
    names = dict.fromkeys((*(name for name, busy in p.busy_s.items() if busy), *p.decomposition_s))
    rows = [
        (
            name,
            seconds(p.busy_s[name]) if name in p.busy_s else "",
            _share(p.busy_s[name], p.latency_s) if name in p.busy_s else "",
            f"{p.utilization[name]:.1%}" if name in p.utilization else "",
            _share(p.decomposition_s.get(name, 0), p.latency_s),
        )
        for name in names
    ]
    columns = ("resource", "busy", "busy of latency", "utilization", "binds")
    return Table(columns, rows, title="Where the time goes", right=frozenset(columns[1:]))


def _accounts(p: Prediction) -> Block:
    """What contexts spend the latency on: these parts add up, whatever overlaps."""
    rows = [(name, seconds(part), _share(part, p.latency_s)) for name, part in p.account_s.items()]
    columns = ("spent at", "time", "share")
    return Table(columns, rows, title="What the time is spent on", right=frozenset(columns[1:]))


def _changes(gains: WhatIf) -> Block:
    rows = [
        (one.name, seconds(one.latency_s), f"{one.speedup:.3f}x", one.prediction.bottleneck, ", ".join(one.unread))
        for one in gains.changes
    ]
    rows.append(("as it is", seconds(gains.base.latency_s), "1.000x", gains.base.bottleneck, ""))
    columns = ("what if", "latency", "speedup", "then binds", "not read")
    return Table(columns, rows, title="What if", right=frozenset(("latency", "speedup")))


def _levels(p: Prediction, machine: Machine) -> Block:
    rows = []
    for level in machine.levels:
        held, capacity = p.occupancy_bytes.get(level.name), level.capacity_bytes
        rows.append(
            (
                level.name,
                size(p.traffic_bytes.get(level.name, 0)),
                size(capacity) if capacity is not None else "",
                size(held) if held is not None else "",
                _share(held, capacity) if held is not None and capacity is not None else "",
            )
        )
    columns = ("level", "traffic", "capacity", "held", "of capacity")
    return Table(columns, rows, title="Storage", right=frozenset(columns[1:]))


def _tensors(p: Prediction) -> Block | None:
    """Traffic at the outermost level by tensor, the largest first."""
    outermost = next(iter(p.traffic_bytes))
    tensors = p.traffic_by_tensor.get(outermost, {})
    total = p.traffic_bytes[outermost]
    ranked = sorted(((name, value) for name, value in tensors.items() if value), key=lambda item: -item[1])
    if not ranked:
        return None
    rows = [(name, size(value), _share(value, total)) for name, value in ranked]
    columns = ("tensor", "traffic", "share")
    return Table(columns, rows, title=f"Traffic at {outermost}", right=frozenset(columns[1:]))


def _share(part: Any, whole: Any) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _ratio(traffic: Any, compulsory: Any) -> str:
    if abs(traffic - compulsory) <= 1e-9 * compulsory:
        return "the compulsory traffic and no more"
    return f"{traffic / compulsory:.3g}x the compulsory traffic"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
