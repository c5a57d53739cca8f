"""Decisions that a mapping leaves open (`choose`), taken as a library's heuristic takes them: by predicting each.

All combinations of settings that a group reads together are evaluated in one vectorised call of the analytical
engine; those that do not fit the machine are left out. What is tried is what the mapping lists, nothing else: for
tiles that nobody listed there is `default_mapping`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, evaluate, formula
from lightbound.workloads.cascade import Cascade

from .analytical import run_group
from .mapping import Fit, Mapping, Quantity
from .nests import Nests
from .plan import make_plan
from .reuse import sizes_of
from .sizing import environment


def settings(mapping: Mapping) -> tuple[dict[str, Quantity], ...]:
    """Every combination of the settings that a mapping lists, one of each decision."""
    found = []
    for picked in product(*mapping.choose.values()):
        merged: dict[str, Quantity] = {}
        for setting in picked:
            merged |= setting
        found.append(merged)
    return tuple(found)


def settled(mapping: Mapping, setting: dict[str, Quantity]) -> Mapping:
    """The mapping with its decisions taken: params at the values of a setting."""
    return mapping.model_copy(update={"params": {**mapping.params, **setting}, "choose": {}})


def choose(cascade: Cascade, word_bytes: int, machine: Machine, mapping: Mapping) -> Mapping:
    """The mapping with the setting that is predicted fastest; the first of those that are equally fast.

    Decisions that no group reads together are taken apart, since times of groups add.
    Raises LightboundError for a decision without settings, a setting that lacks a param of the others, and where
    none fits the machine.
    """
    _check(mapping)
    readers = _readers(mapping)
    for decisions in _together(mapping, readers):
        groups = frozenset().union(*(readers[decision] for decision in decisions))
        mapping = _chosen(cascade, word_bytes, machine, mapping, decisions, groups)
    return mapping


def _chosen(
    cascade: Cascade,
    word_bytes: int,
    machine: Machine,
    mapping: Mapping,
    decisions: frozenset[str],
    groups: frozenset[int],
) -> Mapping:
    """The mapping with these decisions taken, by the groups that read them; others stand at their first setting."""
    open_ = {decision: offered for decision, offered in mapping.choose.items() if decision not in decisions}
    here = mapping.model_copy(
        update={"choose": {name: mapping.choose[name] for name in mapping.choose if name not in open_}}
    )
    offered = settings(here)
    sizes = sizes_of(cascade)
    names = {**machine.quantities, **sizes, "word_bytes": word_bytes}
    columns = {
        name: np.array([float(evaluate(setting[name], names)) for setting in offered], dtype=float)
        for name in offered[0]
    }
    rest = {name: value for name, value in mapping.params.items() if name not in columns}
    plan = make_plan(cascade, mapping.model_copy(update={"params": rest, "choose": {}}), machine)
    known = environment(plan, {**sizes, **columns}, word_bytes)
    latency: Number = np.zeros(len(offered))
    fits = np.ones(len(offered), dtype=bool)
    for number, group in enumerate(plan.groups):
        if number not in groups:
            continue
        result = run_group(plan, group, Nests(sizes, known), word_bytes, strict=False)
        latency = latency + result.latency_s
        if group.group.overbook:
            continue
        for name, taken in result.occupancy_bytes.items():
            capacity = machine.level(name).capacity_bytes
            fits &= True if capacity is None else np.broadcast_to(np.asarray(taken) <= capacity, fits.shape)
    if not fits.any():
        raise LightboundError(
            f"mapping {mapping.name!r}: choose",
            f"{len(offered)} settings",
            f"fit {machine.name} in none",
            "Add a smaller tile, or enlarge a level of the machine.",
        )
    best = offered[int(np.argmin(np.where(fits, latency, np.inf)))]
    return settled(mapping, best).model_copy(update={"choose": open_})


def _readers(mapping: Mapping) -> dict[str, frozenset[int]]:
    """For each decision the groups whose fields, or binds of whose Einsums, name what it sets, however indirectly."""
    moved: dict[str, set[str]] = {}  # param: decisions that it depends on
    for decision, offered in mapping.choose.items():
        for name in offered[0]:
            moved.setdefault(name, set()).add(decision)
    for name, value in mapping.params.items():
        for used in _names(value.model_dump() if isinstance(value, Fit) else value):
            moved.setdefault(name, set()).update(moved.get(used, ()))
    found: dict[str, set[int]] = {decision: set() for decision in mapping.choose}
    for number, group in enumerate(mapping.groups):
        binds = [bind for bind in mapping.bind if set(bind.einsums) & set(group.einsums)]
        for used in _names([group.model_dump(), *(bind.model_dump() for bind in binds), mapping.widths]):
            for decision in moved.get(used, ()):
                found[decision].add(number)
    return {decision: frozenset(numbers) for decision, numbers in found.items()}


def _names(value: object) -> Iterator[str]:
    """Every name in the formulas of plain data; texts that are no formula have none."""
    match value:
        case str():
            try:
                yield from formula(value).names
            except LightboundError:
                return
        case dict():
            for part in value.values():
                yield from _names(part)
        case list() | tuple():
            for part in value:
                yield from _names(part)
        case _:
            return


def _together(mapping: Mapping, readers: dict[str, frozenset[int]]) -> list[frozenset[str]]:
    """Decisions in the sets that some group reads together, in their order."""
    joined: list[frozenset[str]] = []
    for decision in mapping.choose:
        one = frozenset({decision})
        for other in [known for known in joined if any(readers[name] & readers[decision] for name in known)]:
            joined.remove(other)
            one |= other
        joined.append(one)
    return joined


def _check(mapping: Mapping) -> None:
    for decision, offered in mapping.choose.items():
        where = f"mapping {mapping.name!r}: choose.{decision}"
        if not offered:
            raise LightboundError(where, None, "offers no setting", "List at least one, such as [{TILE: 128}].")
        for setting in offered:
            if setting.keys() != offered[0].keys():
                problem = f"does not set the same params as the first one ({_listed(tuple(offered[0]))})"
                raise LightboundError(where, _listed(tuple(setting)), problem, "Set each param in every setting.")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
