"""A Prediction in sentences: what binds and by how much, which Einsum, which pass, which traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, is_array
from lightbound.workloads.passes import pass_of

from .prediction import Prediction

if TYPE_CHECKING:
    from .buffers import BufferSizing

_SCALES = ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_JOULES = ((1e-12, "pJ"), (1e-9, "nJ"), (1e-6, "uJ"), (1e-3, "mJ"), (1.0, "J"), (1e3, "kJ"), (1e6, "MJ"))


def seconds(value: float) -> str:
    """Three or four significant digits with the unit that suits: ``3.14 ms``, ``4.51 h``."""
    if abs(value) >= 7200:
        return f"{value / 3600:,.4g} h"
    scale, unit = next(((s, u) for s, u in reversed(_SCALES) if abs(value) >= s), _SCALES[0])
    return f"{value / scale:,.4g} {unit}"


def size(value: float) -> str:
    """Bytes with a binary prefix: ``1.5 MiB``."""
    power = 0
    while abs(value) >= 1024 and power < len(_BYTES) - 1:
        value /= 1024
        power += 1
    return f"{value:.4g} {_BYTES[power]}"


def times(value: float) -> str:
    """A ratio: ``1.25x``, ``4,133x``."""
    return f"{value:,.0f}x" if value >= 1000 else f"{value:.3g}x"


def joules(value: float) -> str:
    """Energy with the unit that suits."""
    scale, unit = next(((s, u) for s, u in reversed(_JOULES) if abs(value) >= s), _JOULES[0])
    return f"{value / scale:.4g} {unit}"


def explain(prediction: Prediction) -> str:
    """The paragraphs behind `Prediction.explain`."""
    if is_array(prediction.latency_s):
        raise LightboundError(
            "explain", f"{prediction.latency_s.size} points", "is a sweep", "Explain one point: simulate it alone."
        )
    lines = [
        _headline(prediction),
        _limits(prediction),
        _spent(prediction),
        *_groups(prediction),
        *_passes(prediction),
        _traffic(prediction),
    ]
    lines += [_buffers(prediction), _energy(prediction)]
    lines += [f"Assumed: {'; '.join(prediction.assumptions)}."]
    if prediction.unread:
        lines += [f"Stated by the machine but not read by this engine: {', '.join(prediction.unread)}."]
    return "\n".join(line for line in lines if line)


def _headline(p: Prediction) -> str:
    what = f"{p.workload} on {p.machine}, mapping {p.mapping!r}: {seconds(p.latency_s)}"
    share = p.decomposition_s[p.bottleneck] / p.latency_s
    return f"{what}. It waits for {_resource(p.bottleneck)} during {share:.0%} of that time."


def _resource(name: str) -> str:
    if name.endswith(" drain"):
        return f"the drain of unit {name.removesuffix(' drain')} (results that another unit needs leave it late)"
    known = {
        "launch": "launches",
        "contention": "contexts that wait for each other's units",
        "overhead": "the start and end of tasks",
        "waiting": "work that waits for other work, for memory, or for a unit in use",
        "imbalance": "instances that have nothing left to do",
    }
    return known.get(name, f"{name!r}")


def _limits(p: Prediction) -> str:
    ranked = sorted(((value, name) for name, value in p.busy_s.items() if value), reverse=True)
    busy = ", ".join(f"{name} {value / p.latency_s:.1%}" for value, name in ranked)
    used = ", ".join(f"{name} {value:.1%}" for name, value in p.utilization.items() if value)
    return f"Busy: {busy}. Utilization (useful work of all lanes): {used}."


def _spent(p: Prediction) -> str:
    """What the latency is spent on, all of it (accounts.py)."""
    ranked = sorted(p.account_s.items(), key=lambda item: -item[1])
    parts = [f"{name} {value / p.latency_s:.1%}" for name, value in ranked if value >= 0.0005 * p.latency_s]
    return f"Spent at: {', '.join(parts)}."


def _groups(p: Prediction) -> list[str]:
    assert p.plan is not None
    lines = []
    many = len(p.groups) > 1
    for group, result in zip(p.plan.groups, p.groups, strict=True):
        spent = [(cycles, name, unit) for name, time in result.einsums.items() for unit, cycles in time.cycles.items()]
        clock = result.clock_hz
        work = ", ".join(
            f"{name} {seconds(cycles / clock)} on {unit}{_pass(group.sites[name].passes)}"
            for cycles, name, unit in sorted(spent, reverse=True)[:3]
            if cycles
        )
        title = f"Group {'+'.join(group.sites)}: {seconds(result.latency_s)}. " if many else ""
        memory = "; ".join(f"{name} needs {seconds(value)}" for name, value in result.memory_s.items())
        lines.append(f"{title}Longest Einsums: {work}. Compute schedule {seconds(result.compute_s)}; {memory}.")
        for name, missing in result.spilled.items():
            if missing:
                lines.append(f"{name} is overbooked: {missing:.2%} of what is held there is fetched on each use.")
    return lines


def _pass(vector: tuple[int, ...]) -> str:
    return f" (pass {max(vector)})" if vector and max(vector) > 1 else ""


def _passes(p: Prediction) -> list[str]:
    """Ranks that the cascade walks more than once, and what that costs: the tensors that live from pass to pass."""
    assert p.plan is not None
    lines = []
    outermost = p.plan.machine.levels[0].name
    for family, analysis in pass_of(p.plan.cascade).items():
        whole = [name for name, live in analysis.live.items() if live.carries and name in p.plan.order]
        if analysis.count > 1 and whole:
            spilled = sum(float(p.traffic_by_tensor.get(outermost, {}).get(name, 0)) for name in whole)
            cost = f"they cost {size(spilled)} of traffic there" if spilled else "they stay on chip"
            lines.append(
                f"{family} is walked in {analysis.count} passes: {', '.join(whole)} must be kept over all of it, "
                f"or sent to {outermost} and back; {cost}."
            )
    return lines


def _traffic(p: Prediction) -> str:
    assert p.plan is not None
    outermost = p.plan.machine.levels[0].name
    total = p.traffic_bytes[outermost]
    tensors = _largest(p.traffic_by_tensor.get(outermost, {}))
    parts = ", ".join(f"{name} {size(value)}" for name, value in tensors)
    ratio = total / p.compulsory_bytes
    return f"Traffic at {outermost}: {size(total)}, {times(ratio)} the compulsory {size(p.compulsory_bytes)}: {parts}."


def _largest(values: Mapping[str, Number], count: int = 5) -> list[tuple[str, Number]]:
    return sorted(((n, v) for n, v in values.items() if v), key=lambda item: item[1], reverse=True)[:count]


def _buffers(p: Prediction) -> str:
    assert p.plan is not None
    parts = []
    for name, taken in p.occupancy_bytes.items():
        capacity = p.plan.machine.level(name).capacity_bytes
        of = f" of {size(capacity)}" if capacity is not None else ""
        parts.append(f"{name} {size(taken)}{of}")
    return f"Held: {', '.join(parts)}." if parts else ""


def _energy(p: Prediction) -> str:
    if p.energy_j is None:
        return ""
    parts = ", ".join(f"{name} {value / p.energy_j:.1%}" for name, value in _largest(p.energy_by_component))
    return f"Energy: {joules(p.energy_j)}: {parts}."


def explain_sizing(sizing: BufferSizing) -> str:
    """The paragraphs behind `BufferSizing.explain`."""
    first, last = sizing.points[0], sizing.points[-1]
    need = f"at least {size(first.capacity_bytes)} of {sizing.level} are needed"
    if first.capacity_bytes == 0:
        need = f"it runs with nothing held in {sizing.level}"
    lines = [
        f"{sizing.workload.name} on {sizing.machine.name}: {need}; the traffic is then "
        f"{times(first.traffic_bytes / sizing.compulsory_bytes)} the compulsory {size(sizing.compulsory_bytes)}.",
    ]
    if sizing.smallest_compulsory_bytes is None:
        lines.append(
            f"No mapping tried reaches compulsory traffic; {size(last.capacity_bytes)} bring it to "
            f"{times(last.traffic_bytes / sizing.compulsory_bytes)}."
        )
    else:
        lines.append(f"{size(sizing.smallest_compulsory_bytes)} reach compulsory traffic.")
    fastest = next(p for p in sizing.points if p.latency_s <= last.latency_s * (1 + 1e-9))
    lines.append(f"{size(fastest.capacity_bytes)} reach the least latency found, {seconds(fastest.latency_s)}.")
    if sizing.grows_with:
        still = [rank for rank, power in sizing.grows_with.items() if abs(power) < 0.05]
        grows = [f"{rank} (to the power {power:.2g})" for rank, power in sizing.grows_with.items() if rank not in still]
        if grows:
            lines.append(
                f"Ranks doubled one at a time, the capacity for compulsory traffic grows with {', '.join(grows)}."
            )
        if still:
            alone = "" if grows else ", doubled one at a time"
            lines.append(f"The capacity for compulsory traffic is independent of {', '.join(still)}{alone}.")
    lines += _kernel_beside(sizing)
    return "\n".join(lines)


def _kernel_beside(sizing: BufferSizing) -> list[str]:
    """That a GPU runs kernels, which are no mappings of a search."""
    from .kernel_choice import fastest_kernel

    kernel = fastest_kernel(sizing.workload, sizing.machine) if sizing.mapping is None else None
    if kernel is None:
        return []
    variant = kernel.variant or sizing.workload.variant
    return [
        f"These are mappings of a search over variant {sizing.workload.variant!r}, whose units overlap perfectly. "
        f"`simulate` takes the kernel {kernel.name!r} instead (variant {variant!r}), which can be sized by its name."
    ]
