"""The verb: a workload on a machine under a mapping gives a Prediction."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Mapping as Dictionary
from pathlib import Path
from typing import Any

import numpy as np

from lightbound.archs.library import machine as find_machine
from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import Number, ceil_div, evaluate, is_array
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.registry import Workload, as_workload

from .analytical import run
from .choosing import choose
from .energy import energy
from .mapping import Mapping
from .plan import Plan, make_plan
from .prediction import Prediction, summarise
from .reuse import sizes_of

MappingLike = Mapping | str | Dictionary[str, Any] | None
ENGINES = ("analytical", "event")
UNMASKED = "every query attends every key: no kernel of this machine that skips tiles of the mask is known"


def simulate(
    workload: Workload | Cascade | str,
    machine: Machine | str,
    mapping: MappingLike = None,
    engine: str = "analytical",
    seed: int = 0,
    fill: str = "counted",
    trace: str | Path | None = None,
    follow: str | int = "auto",
) -> Prediction:
    """Predict latency, traffic, utilization, energy and buffer use of a workload on a machine.

    workload: a Workload, a sized Cascade, or a name. machine: a Machine or a name.
    mapping: the name of one of the workload's mappings, a Mapping, or its plain data; none for `default_mapping`.
    engine: ``analytical`` for closed forms, ``event`` to simulate every task of every worker (docs/events.md). Only
    the latter reads `seed` (of its random numbers), `fill` (``counted`` or ``amortised``), `trace` (a file to write
    for the Perfetto UI), and `follow`: of how many instances it runs the tasks, for all that there are (a number,
    ``all``, or ``auto``: of all where that takes no more than seconds).
    Sizes and machine fields may be float64 arrays of one shape: the Prediction then holds arrays.
    Raises LightboundError where the three do not fit each other or the machine is too small for the mapping.
    """
    if engine not in ENGINES:
        raise LightboundError("engine", engine, "does not exist", choose_from(ENGINES, engine))
    work = as_workload(workload)
    hardware = as_machine(machine)
    if work.mask is not None:
        from .masked_prediction import kernel, masked_by_events, predict_masked

        masked = kernel(work, hardware, mapping, strict=engine == "event")
        if masked is not None:
            if engine == "event":
                return masked_by_events(masked[0], hardware, masked[1], seed, fill, trace, follow)
            _without_trace(trace)
            return predict_masked(masked[0], hardware, masked[1])
    work, chosen = resolve_mapping(work, hardware, mapping)
    prediction = predict(work, hardware, chosen)
    if engine == "event":
        from .event_prediction import by_events

        return by_events(prediction, seed, fill, trace, follow=follow)
    _without_trace(trace)
    return prediction


def _without_trace(trace: str | Path | None) -> None:
    if trace is not None:
        raise LightboundError("trace", str(trace), "needs a run of events to draw", "Ask for engine='event'.")


def as_machine(machine: Machine | str) -> Machine:
    """A Machine from a name or a path."""
    return find_machine(machine) if isinstance(machine, str) else machine


def resolve_mapping(work: Workload, machine: Machine, mapping: MappingLike) -> tuple[Workload, Mapping]:
    """The mapping meant, and the workload in the variant that it is written for."""
    if mapping is None:
        from .search import default_mapping

        mapping = default_mapping(work, machine)
    elif isinstance(mapping, str):
        named = work.method.mappings
        if mapping == "default":
            return resolve_mapping(work, machine, None)
        if mapping not in named:
            raise LightboundError(
                f"mapping of {work.name}", mapping, "does not exist", choose_from((*named, "default"), mapping)
            )
        mapping = _named(work, machine, mapping, named[mapping])
    elif not isinstance(mapping, Mapping):
        mapping = Mapping.from_data(mapping)
    if mapping.variant is not None and mapping.variant != work.variant:
        if mapping.variant not in work.method.cascades:
            raise LightboundError(
                "mapping.variant",
                mapping.variant,
                f"is not a cascade of {work.name}",
                choose_from(work.method.cascades, mapping.variant),
            )
        work = work.with_variant(mapping.variant)
    return work, mapping


_parsed: dict[tuple[str, str, int], Mapping] = {}


def _named(
    work: Workload, machine: Machine, name: str, made: Dictionary[str, Any] | Callable[..., Dictionary[str, Any]]
) -> Mapping:
    where = f"mapping {name!r} of {work.name}"
    if callable(made):
        if any(is_array(size) for size in work.sizes.values()):
            raise LightboundError(
                where,
                "arrays of sizes",
                "is another mapping at other sizes, so that one call cannot sweep it",
                "Simulate point by point.",
            )
        return Mapping.from_data({"name": name, **made(work.sizes, machine.quantities)}, where)
    key = (work.name, name, id(made))
    if key not in _parsed:
        _parsed[key] = Mapping.from_data({"name": name, **made}, where)
    return _parsed[key]


def predict(work: Workload, machine: Machine, mapping: Mapping) -> Prediction:
    """The prediction of a workload under exactly this mapping."""
    cascade, padded = _sized(work, machine, mapping)
    if mapping.choose:
        mapping = choose(cascade, work.word_bytes, machine, mapping)
    sizes = sizes_of(cascade)
    plan = _plan(cascade, mapping, machine)
    names, results = run(plan, sizes, work.word_bytes)
    parts, unpriced = energy(plan, sizes, names, results, work.word_bytes)
    fields = summarise(plan, sizes, results, work.word_bytes)
    assumptions = [
        "pipeline fill is amortised",
        f"every word takes {work.word_bytes} bytes",
        *padded,
        *((UNMASKED,) if work.mask is not None else ()),
        *_left_out(machine, bool(parts), unpriced),
    ]
    return Prediction(
        workload=work.name,
        machine=machine.name,
        mapping=mapping.name,
        engine="analytical",
        sizes=dict(cascade.sizes),
        word_bytes=work.word_bytes,
        compulsory_bytes=compulsory(cascade, work.word_bytes),
        energy_j=sum(parts.values()) if parts else None,
        energy_by_component=parts,
        assumptions=tuple(assumptions),
        unread=unread(machine, mapping),
        params={name: names[name] for name in mapping.params},
        plan=plan,
        groups=results,
        **fields,
    )


def _left_out(machine: Machine, priced: bool, unpriced: tuple[str, ...]) -> list[str]:
    if not priced:
        return [f"{machine.name} states no energies, so that none is predicted"]
    return [f"energy leaves out what {machine.name} does not price: {', '.join(unpriced)}"] if unpriced else []


_READ = re.compile(
    r"clock|sustained_clock|sustained_load\..*|launch_latency|params\..*|instances\..*"
    r"|levels\.[^.]*\.(capacity|bandwidth|sustained(_write|_shared)?_bandwidth|row|read_energy|write_energy)\b.*"
    r"|units\.[^.]*\.(shape|cost|energy|drain|registers|also|blocks|holds|needs|clock|sustained_clock)\b.*"
)


def unread(machine: Machine, mapping: Mapping) -> tuple[str, ...]:
    """What a machine states and this engine does not read: changing it moves nothing. Parts of one block are merged.
    The latency of a level is read where the delay or the chain of a group names it.
    """
    delays = " ".join(f"{group.delay} {group.chain}" for group in mapping.groups)
    named = {f"levels.{level.name}.latency" for level in machine.levels if f"{level.name}_latency" in delays}
    rows = {
        f"levels.{level.name}.row" for level in machine.levels if level.read_energy_j is level.write_energy_j is None
    }
    stray = [path for path in machine.fields() if path in rows or not (path in named or _READ.fullmatch(path))]
    return tuple(
        dict.fromkeys(path.split(".")[0] if path[0] in "ol" and "levels" not in path else path for path in stray)
    )


def compulsory(cascade: Cascade, word_bytes: int) -> Number:
    """Bytes that no mapping can avoid at the outermost level: every input once, every output once."""
    from lightbound.workloads.counts import compulsory_traffic

    return sum(compulsory_traffic(cascade, word_bytes).values(), 0)


def _sized(work: Workload, machine: Machine, mapping: Mapping) -> tuple[Cascade, tuple[str, ...]]:
    """The cascade with the tile sizes that the mapping fills in; a rank that these do not divide is padded."""
    cascade = work.cascade
    names = {**machine.quantities, **cascade.sizes, "word_bytes": work.word_bytes}
    tile = {symbol: evaluate(value, names) for symbol, value in mapping.sizes.items()}
    tile = {symbol: int(size) if not is_array(size) else size for symbol, size in tile.items()}
    notes: list[str] = []
    padded: dict[str, Number] = {}
    together: dict[str, Number] = {}  # of the parts of a rank that the mapping sizes, by the whole rank
    for symbol, size in tile.items():
        whole = symbol.rstrip("0123456789")
        if whole != symbol:
            together[whole] = together.get(whole, 1) * size
    for whole, size in together.items():
        given = cascade.sizes.get(whole)
        if given is not None and np.any(np.asarray(given % size)):
            padded[whole] = ceil_div(given, size) * size
            parts = " * ".join(symbol for symbol in tile if symbol.rstrip("0123456789") == whole)
            notes.append(f"{whole} is padded to whole tiles of {parts} = {size}")
    cascade = cascade.with_sizes(**padded, **tile)
    if cascade.missing_sizes:
        missing = cascade.missing_sizes[0]
        raise LightboundError(
            f"sizes of {work.name}", missing, "has no value", f"Give it: {missing}=..., or a mapping that does."
        )
    return cascade, tuple(notes)


_plans: OrderedDict[tuple[int, int, int], tuple[Plan, object]] = OrderedDict()


def _plan(cascade: Cascade, mapping: Mapping, machine: Machine) -> Plan:
    """Plans depend on structure alone: one serves every size. The cache keeps what its keys point to alive."""
    key = (id(cascade.structure), id(mapping), id(machine))
    if key not in _plans:
        if len(_plans) >= 256:
            _plans.popitem(last=False)
        _plans[key] = make_plan(cascade, mapping, machine), (cascade.structure, mapping, machine)
    return _plans[key][0]
