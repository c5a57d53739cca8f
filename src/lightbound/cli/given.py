"""What users write on the command line, read: sizes, overrides, and which workload, machine and mapping is meant.

Names and files are found by the library's own loaders; this only takes apart the text around them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lightbound.base.errors import LightboundError
from lightbound.base.size import size

if TYPE_CHECKING:
    from lightbound.archs.machine import Machine
    from lightbound.sim.mapping import Mapping
    from lightbound.workloads.registry import Workload

_YAML = (".yaml", ".yml")


def sizes(given: Iterable[str]) -> dict[str, int]:
    """The sizes in ``--set M=64K,P=64K --set E=64``, by symbol."""
    listed = (part for text in given for part in text.split(","))
    return {name: size(f"--set {name}", name, value) for name, value in pairs("--set", listed, "M=4096")}


def overrides(given: Iterable[str]) -> dict[str, str]:
    """The fields in ``--set-machine "global_buffer=8 MiB" --set-machine pe_dim=128``; values as a file has them."""
    return dict(pairs("--set-machine", given, '"global_buffer=8 MiB"'))


def pairs(option: str, given: Iterable[str], example: str) -> Iterator[tuple[str, str]]:
    """Name and value of each ``NAME=VALUE``; no name twice."""
    seen: set[str] = set()
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            problem = "is not a name and a value"
            raise LightboundError(option, text, problem, f"Write {option} NAME=VALUE, such as {option} {example}.")
        if name in seen:
            raise LightboundError(option, text, f"gives {name} a second time", "Give it once.")
        seen.add(name)
        yield name, value


def workload(name: str, preset: str | None, variant: str | None, set_: Iterable[str], word_bytes: int = 2) -> Workload:
    """The workload that the arguments describe."""
    from lightbound.workloads.registry import workload as find
    from lightbound.workloads.sizes import legal

    chosen = sizes(set_)
    found = find(name, preset, variant, word_bytes=word_bytes)
    for symbol, value in chosen.items():
        legal(found.cascade.structure, symbol, value)
    return found.with_sizes(**chosen) if chosen else found


def machine(name: str, set_machine: Iterable[str]) -> Machine:
    """The machine that the arguments describe."""
    from lightbound.archs.library import machine as find

    return find(name, **overrides(set_machine))


def mapping(text: str | None) -> Mapping | str | None:
    """A mapping read from a YAML file, or the name of one, for the workload to look up."""
    if text is None or not (text.lower().endswith(_YAML) or os.sep in text):
        return text
    from lightbound.base.document import read_yaml
    from lightbound.sim.mapping import Mapping

    data = read_yaml(text, "mapping file")
    if isinstance(data, dict):
        data.setdefault("name", Path(text).stem)
    return Mapping.from_data(data, f"mapping file {text}")
