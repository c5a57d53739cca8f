"""``lightbound show NAME``: finds what the name means (a workload, a machine, a mapping, a file of one of these)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError, choose_from

from . import given
from .answer import Answer, Block, Text

KINDS = ("workload", "machine")
_YAML = (".yaml", ".yml")


def answer(
    name: str,
    kind: str | None,
    preset: str | None,
    variant: str | None,
    set_: Iterable[str],
    machine: str | None,
    set_machine: Iterable[str],
) -> Answer:
    """Everything about one name; both, where a workload and a machine share it."""
    if kind is not None and kind not in KINDS:
        raise LightboundError("--kind", kind, "is not a kind that shares names", choose_from(KINDS, kind))
    owner, colon, mapping = name.rpartition(":")
    if colon and not os.path.exists(name):
        work = given.workload(owner, preset, variant, set_)
        return _mapping(work, mapping, given.machine(machine, set_machine) if machine else None)
    blocks: list[Block] = []
    data: dict[str, Any] = {}
    for found in [kind] if kind else _kinds(name):
        if found == "workload":
            from .show_workload import describe

            more, data[found] = describe(given.workload(name, preset, variant, set_))
        else:
            from .show_machine import describe

            more, data[found] = describe(given.machine(name, set_machine))
        blocks += more
    return Answer(blocks, data)


def _kinds(name: str) -> list[str]:
    """What a name or file is: a workload, a machine, or both."""
    from lightbound.archs.library import machine_names
    from lightbound.workloads.registry import workload_names

    if name.lower().endswith(_YAML):
        return [_kind_of_file(name)]
    if Path(name).suffix or os.sep in name:
        return ["workload"]
    known = {"workload": workload_names(), "machine": machine_names()}
    found = [kind for kind, names in known.items() if name in names]
    if not found:
        every = {*known["workload"], *known["machine"]}
        remedy = f"{choose_from(every, name)} A mapping is shown as WORKLOAD:MAPPING."
        raise LightboundError("show", name, "is neither a workload, a machine nor a file", remedy)
    return found


def _kind_of_file(path: str) -> str:
    """A workload has a cascade; a machine has levels, or extends another."""
    from lightbound.base.document import read_yaml

    data = read_yaml(path, "file")
    fields = set(data) if isinstance(data, dict) else set[str]()
    if fields & {"cascade", "cascades"}:
        return "workload"
    if fields & {"levels", "units", "extends"}:
        return "machine"
    remedy = "A workload has the field cascade or cascades, a machine levels and units, or extends."
    raise LightboundError("file", path, "is neither a workload nor a machine", remedy)


def _mapping(work: Any, name: str, machine: Any) -> Answer:
    """A mapping as YAML, which `simulate --mapping FILE.yaml` takes back."""
    import yaml

    from lightbound.sim.simulate import resolve_mapping

    made = work.method.mappings.get(name)
    if machine is None and (callable(made) or name == "default"):
        remedy = "Name one: --machine MACHINE, with --preset and --set for other sizes."
        raise LightboundError(f"{work.name}:{name}", None, "depends on the machine", remedy)
    if machine is None:
        from lightbound.archs.library import machine as find
        from lightbound.archs.library import machine_names

        machine = find(machine_names()[0])  # plain data depends on no machine: any will do
    data = resolve_mapping(work, machine, name)[1].to_data()
    text = yaml.safe_dump(_plain(data), sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    return Answer([Text(text.rstrip(), verbatim=True)], {"mapping": data})


def _plain(value: Any) -> Any:
    """Lists and dictionaries only, which is all that YAML knows."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
