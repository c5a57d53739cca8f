"""Decisions that a mapping leaves open (`choose`), taken as a library's heuristic takes them: by predicting each.

All combinations of settings are evaluated in one vectorised call of the analytical engine; those that do not fit the
machine are left out. What is tried is what the mapping lists, nothing else: for tiles that nobody listed there is
`default_mapping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number, evaluate
from lightbound.workloads.cascade import Cascade

from .analytical import run_group
from .mapping import Mapping, Quantity
from .plan import make_plan
from .sizing import environment
from .traffic import Nests


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

    Raises LightboundError for a decision without settings, a setting that lacks a param of the others, and where
    none fits the machine.
    """
    offered = settings(mapping)
    _check(mapping)
    sizes = {**cascade.sizes, **{rank: cascade.size(rank) for rank in cascade.ranks}}
    names = {**machine.quantities, **sizes, "word_bytes": word_bytes}
    chosen = offered[0] if offered else {}
    columns = {
        name: np.array([float(evaluate(setting[name], names)) for setting in offered], dtype=float) for name in chosen
    }
    rest = {name: value for name, value in mapping.params.items() if name not in columns}
    plan = make_plan(cascade, mapping.model_copy(update={"params": rest, "choose": {}}), machine)
    known = environment(plan, {**sizes, **columns}, word_bytes)
    latency: Number = np.zeros(len(offered))
    fits = np.ones(len(offered), dtype=bool)
    for group in plan.groups:
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
    return settled(mapping, offered[int(np.argmin(np.where(fits, latency, np.inf)))])


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
