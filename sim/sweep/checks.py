"""Names of a sweep that are wrong wherever they stand, found before any point is computed.

What is wrong at some points alone (a preset that one of two workloads has not) is those points' own failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightbound.archs.library import machine as find_machine
from lightbound.archs.library import stated_value
from lightbound.base.errors import LightboundError, choose_from
from lightbound.workloads.method import Method
from lightbound.workloads.registry import method as find_method
from lightbound.workloads.registry import symbols_of

from ..simulate import ENGINES
from .fields import FILES, part_of
from .plan import Plan

FILLS = ("counted", "amortised")


def check(plan: Plan) -> None:
    """Refuse workloads and machines that do not exist, and what no workload or machine of the sweep has."""
    methods = [find_method(plan.files.place("workload", name)) for name in _values(plan, "workload")]
    machines = [plan.files.place("machine", name) for name in _values(plan, "machine")]
    for machine in machines:
        find_machine(machine)
    for field in ("preset", "variant", "mapping", "engine", "fill"):
        known = {name for method in methods for name in _offered(method, field)}
        for value in _values(plan, field):
            if value is None or (field in FILES and plan.files.place(field, value) != value):
                continue
            if value not in known:
                raise LightboundError(f"sweep: {field}", value, "does not exist", choose_from(known, value))
    symbols = {symbol for method in methods for symbol in symbols_of(method)}
    for field in (*plan.spec.fixed, *plan.spec.varying):
        part, name = part_of(field)
        if part == "sizes" and name not in symbols:
            raise LightboundError(f"sweep: {field}", None, "is a size of no workload here", choose_from(symbols, name))
        if part == "machine" and field not in plan.spec.follow:
            _of_some(machines, name, _values(plan, field)[0])


def _values(plan: Plan, field: str) -> list[Any]:
    fixed = [plan.spec.fixed[field]] if field in plan.spec.fixed else []
    return [*fixed, *(one for axis in plan.spec.axes if field in axis.values for one in axis.values[field].plain)]


def _offered(method: Method, field: str) -> Sequence[str]:
    """The names that a workload has for a field."""
    return {
        "preset": tuple(method.presets),
        "variant": tuple(method.cascades),
        "mapping": (*method.mappings, "default"),
        "engine": ENGINES,
        "fill": FILLS,
    }[field]


def _of_some(machines: Sequence[str], name: str, value: Any) -> None:
    """Refuse a field that no machine has, or that none can give this value."""
    refused: list[LightboundError] = []
    for machine in machines:
        try:
            stated_value(machine, name, value)
            return
        except LightboundError as error:
            refused.append(error)
    raise refused[0]
