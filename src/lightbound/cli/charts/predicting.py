"""Charts of a prediction: what its latency waits for and is spent on, and where it lies on the roofline."""

from __future__ import annotations

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.sim.explain import seconds
from lightbound.sim.prediction import Prediction
from lightbound.sim.what_if import WhatIf
from lightbound.validate.claims import kept_operations
from lightbound.workloads.registry import Workload

from .chart import Axis, Chart, Picture, Series
from .rooflines import Point, roofline

NOTHING = 5e-4  # of the latency: parts below are not drawn


def prediction_charts(p: Prediction, work: Workload, machine: Machine, gains: WhatIf | None = None) -> list[Picture]:
    """All that can be drawn of a prediction."""
    found: list[Picture | None] = [
        decomposition(p),
        accounts(p),
        prediction_roofline(p, work, machine),
        occupancy(p, machine),
    ]
    found.append(changes(gains) if gains is not None else None)
    return [one for one in found if one is not None]


def decomposition(p: Prediction) -> Chart:
    """For each resource how long it is busy and how long the latency waits for it."""
    names = [name for name in dict.fromkeys((*p.busy_s, *p.decomposition_s)) if _noticed(p, name)]
    names.sort(key=lambda name: -float(p.decomposition_s.get(name, 0)))
    binds = [float(p.decomposition_s.get(name, 0)) for name in names]
    busy = [float(p.busy_s.get(name, 0)) for name in names]
    latency = float(p.latency_s)
    series = [
        Series(
            "the latency waits for it",
            binds,
            names,
            "bars",
            [f"{value / latency:.0%}" if value else "" for value in binds],
        ),
        Series("busy", busy, names, "bars", [f"{value / latency:.0%}" if value else "" for value in busy], hollow=True),
    ]
    told = ", ".join(f"{name} {value / latency:.0%}" for name, value in zip(names, binds, strict=True) if value)
    says = f"The latency of {seconds(latency)} waits for: {told}. Busy times overlap; the waits add up to the latency."
    return Chart("Where the time goes", says, Axis("time", "s"), Axis("resource"), series)


def _noticed(p: Prediction, name: str) -> bool:
    most = max(float(p.busy_s.get(name, 0)), float(p.decomposition_s.get(name, 0)))
    return most >= NOTHING * float(p.latency_s)


def accounts(p: Prediction) -> Chart:
    """What contexts spend the latency on, one bar of parts that add up."""
    latency = float(p.latency_s)
    parts = {name: float(part) for name, part in p.account_s.items() if part >= NOTHING * latency}
    ranked = sorted(parts.items(), key=lambda item: -item[1])
    series = [Series(f"{name} {part / latency:.1%}", [part], ["latency"], "bars") for name, part in ranked]
    says = "The latency is spent on: " + ", ".join(f"{name} {part / latency:.1%}" for name, part in ranked) + "."
    return Chart("What the time is spent on", says, Axis("time", "s"), Axis(""), series, stacked=True)


def prediction_roofline(p: Prediction, work: Workload, machine: Machine) -> Chart | None:
    """The prediction under the roofs of the units that it uses; None for work without multiply-adds, or a machine
    that states no bandwidth.
    """
    bandwidth = machine.levels[0].bandwidth_bytes_per_s
    traffic = float(next(iter(p.traffic_bytes.values())))
    if bandwidth is None or not traffic or not p.compulsory_bytes:
        return None
    try:
        macs = kept_operations(_sized(work, p)).get("mac", 0.0)
    except LightboundError:  # tile sizes that only the mapping knows
        return None
    latency, compulsory = float(p.latency_s), float(p.compulsory_bytes)
    ceilings = {name: float(share) * latency for name, share in p.utilization.items() if share}
    if not macs or not ceilings:
        return None
    least = max(*ceilings.values(), compulsory / float(bandwidth))
    points = [Point("predicted", latency, traffic), Point("roofline bound", least, compulsory, True)]
    return roofline("Roofline", macs, float(bandwidth), ceilings, points)


def _sized(work: Workload, p: Prediction) -> Workload:
    from dataclasses import replace

    known = work.cascade.structure.symbols
    sizes = {name: int(size) for name, size in p.sizes.items() if name in known}
    return replace(work, cascade=work.cascade.with_sizes(**sizes))


def occupancy(p: Prediction, machine: Machine) -> Chart | None:
    """What is held of each level that has a capacity."""
    held = {
        level.name: float(p.occupancy_bytes[level.name]) / float(level.capacity_bytes)
        for level in machine.levels
        if level.capacity_bytes is not None and level.name in p.occupancy_bytes
    }
    if not held:
        return None
    series = [Series("held", list(held.values()), list(held), "bars", [f"{share:.1%}" for share in held.values()])]
    says = "Of the capacity of each level is held: " + ", ".join(f"{n} {share:.1%}" for n, share in held.items()) + "."
    return Chart("Buffers", says, Axis("of the capacity", "%"), Axis("level"), series)


def changes(gains: WhatIf) -> Chart:
    """Speedups by changes of the machine."""
    names = [one.name for one in gains.changes]
    values = [float(one.speedup) for one in gains.changes]
    series = [Series("speedup", values, names, "bars", [f"{value:.3f}x" for value in values])]
    says = "Speedups: " + ", ".join(f"{name} {value:.3f}" for name, value in zip(names, values, strict=True)) + "."
    return Chart("What if", says, Axis("speedup", "x"), Axis("change"), series)
