"""``lightbound list``: the names there are, by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import getdoc
from typing import Any

from lightbound.base.errors import LightboundError, choose_from

from .answer import Answer, Table

Entry = dict[str, Any]


def answer(kind: str | None) -> Answer:
    """The entries of one kind, or of all of them."""
    if kind is not None and kind not in _KINDS:
        raise LightboundError("list", kind, "is no kind of thing", choose_from(_KINDS, kind))
    found = {name: _KINDS[name]() for name in ([kind] if kind else _KINDS)}
    blocks = [_table(name, entries) for name, entries in found.items()]
    records = [{"kind": name, **_joined(entry)} for name, entries in found.items() for entry in entries]
    return Answer(blocks, found[kind] if kind else found, records)


def _table(kind: str, entries: list[Entry]) -> Table:
    columns = tuple(dict.fromkeys(column for entry in entries for column in entry))
    rows = [tuple(str(_joined(entry).get(column, "")) for column in columns) for entry in entries]
    return Table(columns, rows, title=kind.capitalize())


def _joined(entry: Entry) -> Entry:
    return {name: ", ".join(value) if isinstance(value, list) else value for name, value in entry.items()}


def _workloads() -> list[Entry]:
    from lightbound.workloads.registry import method, workload_names

    methods = [method(name) for name in workload_names()]
    return [
        {"name": m.name, "title": m.title, "variants": list(m.cascades), "presets": list(m.presets)} for m in methods
    ]


def _machines() -> list[Entry]:
    from lightbound.archs.library import machine, machine_names

    machines = [machine(name) for name in machine_names()]
    return [
        {
            "name": m.name,
            "title": m.title,
            "levels": [level.name for level in m.levels],
            "units": list(m.units),
        }
        for m in machines
    ]


def _mappings() -> list[Entry]:
    from lightbound.workloads.registry import method, workload_names

    return [
        {"name": f"{owner}:{name}", "variant": _variant(made), "source": source(made)}
        for owner in workload_names()
        for name, made in method(owner).mappings.items()
    ]


def _variant(made: Mapping[str, Any] | Callable[..., Any]) -> str:
    return "" if callable(made) else str(made.get("variant") or "")


def source(made: Mapping[str, Any] | Callable[..., Any]) -> str:
    """Where a named mapping is from, in a line; for one that is made for each size and machine, what makes it."""
    return (getdoc(made) or "").split("\n\n")[0] if callable(made) else str(made.get("source", ""))


def _suites() -> list[Entry]:
    from lightbound.validate.suite import find_suite, suite_names

    suites = [find_suite(name) for name in suite_names()]
    return [
        {"name": suite.name, "title": suite.title, "source": suite.source, "columns of --cases": list(suite.columns)}
        for suite in suites
    ]


def _links() -> list[Entry]:
    from lightbound.archs.links import link_file, link_names

    files = [link_file(name) for name in link_names()]
    return [
        {"name": one.name, "title": one.title, "rates": [f"{step.rate / 1e6:g}" for step in one.rates]} for one in files
    ]


def _architectures() -> list[Entry]:
    from lightbound.workloads.architecture import architecture, architecture_names

    tables = [architecture(name) for name in architecture_names()]
    return [{"name": one.name, "title": one.title, "source": one.source} for one in tables]


_KINDS: dict[str, Callable[[], list[Entry]]] = {
    "workloads": _workloads,
    "machines": _machines,
    "mappings": _mappings,
    "suites": _suites,
    "links": _links,
    "architectures": _architectures,
}
