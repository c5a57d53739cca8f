"""A mapping with some of its values changed: params, tile sizes, and the order of its blocks.

What a mapping's names mean, and which values fit together, is for the mapping to say; this changes values by name.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.formula import evaluate
from lightbound.workloads.registry import Workload

from .mapping import Fit, Mapping, Quantity


def with_values(mapping: Mapping, values: Dictionary[str, Quantity]) -> Mapping:
    """The mapping with other values (numbers or formulas) for some of its `params` and `sizes`.

    Raises LightboundError for a name that the mapping has not.
    """
    for name, value in values.items():
        if name not in mapping.params and name not in mapping.sizes:
            known = (*mapping.params, *mapping.sizes)
            raise LightboundError(
                f"mapping {mapping.name!r}: {name}",
                value,
                "is not one of its params or sizes",
                choose_from(known, name),
            )
    params = {name: values.get(name, value) for name, value in mapping.params.items()}
    sizes = {name: values.get(name, value) for name, value in mapping.sizes.items()}
    return mapping.model_copy(update={"params": params, "sizes": sizes})


def in_order(mapping: Mapping, order: str, section: int = 0) -> Mapping:
    """The mapping of a kernel that starts its blocks in this order (``launch`` or ``longest``), so many copies of the
    mask at a time.
    """
    if mapping.masked is None:
        return mapping
    changed = {"order": order, "section": section}
    return mapping.model_copy(update={"masked": mapping.masked.model_copy(update=changed)})


def tiles(mapping: Mapping, work: Workload, machine: Machine) -> tuple[int, int]:
    """The queries and keys of a tile of a mapping that can skip tiles."""
    how = mapping.masked
    if how is None:
        remedy = "Name a mapping with `masked` (docs/mapping.md)."
        raise LightboundError("mapping", mapping.name, "does not say how its kernel skips tiles", remedy)
    names = {**machine.quantities, **work.sizes, "word_bytes": work.word_bytes}
    for name, value in (*mapping.sizes.items(), *mapping.params.items()):
        if isinstance(value, Fit):
            continue
        names[name] = evaluate(value, names)
    return int(names[how.q_tile]), int(names[how.kv_tile])
