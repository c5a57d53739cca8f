"""The machines that ship with lightbound, and machines from files: finding, reading and overriding them.

`machine` is the way in. It edits the document of a file and hands it to schema.py and resolve.py, so that an
override is checked as a file is, and every formula that uses it follows.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lightbound.base.document import read_yaml
from lightbound.base.errors import LightboundError, choose_from

from .cached import PROBED, probed_file
from .machine import Machine

DATA = Path(__file__).with_name("data")
Document = dict[str, Any]
Stamp = tuple[Path, int, int]  # a file, when it was changed, its size

_WORDS = ("title", "scope", "source", "kind")  # fields that hold no number


def machine_names() -> tuple[str, ...]:
    """The names of the machines that ship with lightbound, in alphabetical order."""
    return tuple(sorted(path.stem for path in DATA.glob("*.yaml")))


def machine(name_or_path: str | Path, /, **overrides: Any) -> Machine:
    """A machine by its name or by the path of a YAML file, with any of its numbers overridden.

    An override's key is a path in the file, with or without its section (``levels.dram.bandwidth``,
    ``dram.bandwidth``, ``clock``); a param or an instance axis by its name (``pe_dim``); or the name of a
    level, which sets its capacity (``global_buffer``). Its value is written as in a file (``"4 TB/s"``, a
    formula), or is a number or an array of floats in SI units. Formulas that use it follow. Equal calls give
    one object.

    Raises LightboundError with file, field and remedy: a missing file, one that is not YAML in UTF-8, an
    unknown field, a value of the wrong dimension, zero or negative.
    """
    chain = _chain(_find(name_or_path))
    if any(isinstance(value, np.ndarray | dict | list) for value in overrides.values()):
        return _build(chain, overrides)
    return _cached(chain, tuple((name, type(value), value) for name, value in overrides.items()))


def changed(one: Machine, **overrides: Any) -> Machine:
    """A machine that came from `machine`, with more of its numbers overridden; keys and errors are as there."""
    if one.origin is None:
        remedy = "Ask `machine` for it, by a name or a file."
        raise LightboundError("machine", one.name, "was made by hand, so that no field of it can be set", remedy)
    path, before = one.origin
    return machine(Path(path), **{**dict(before), **overrides})


def stated_value(name_or_path: str | Path, field: str, value: Any) -> Any:
    """What `value` comes to in a field of a machine (a key as `machine` takes it), in SI units: ``"8 MiB"`` is 8388608.

    Raises LightboundError as `machine` does.
    """
    return machine(name_or_path, **{field: value}).stated[field_path(name_or_path, field)]


def field_path(name_or_path: str | Path, field: str) -> str:
    """Where a field of a machine stands: ``global_buffer`` is ``levels.global_buffer.capacity``.

    Raises LightboundError where the machine has no such field, whatever its value.
    """
    chain = _chain(_find(name_or_path))
    return ".".join(_override(_document(chain), field, 1, chain[0][0].name))


def machine_files(name_or_path: str | Path) -> Iterator[Path]:
    """The file of a machine and those it extends; each is read only when the next one is asked for."""
    yield from (path for path, _, _ in _links(_find(name_or_path)))


def _find(name_or_path: object) -> Path:
    """The file of a name or path that a user gave."""
    text = str(name_or_path)
    if re.fullmatch(r"\w+", text) and (DATA / f"{text}.yaml").is_file():
        return DATA / f"{text}.yaml"
    if text in PROBED:
        if not probed_file(text).is_file():
            raise LightboundError("machine", text, "has not been probed here", f"Run it first: {PROBED[text]}.")
        return probed_file(text)
    path = Path(text)
    if path.suffix.lower() in (".yaml", ".yml") or isinstance(name_or_path, Path) or "/" in text:
        return path
    raise LightboundError(
        "machine",
        text,
        "is neither a machine of the library nor a YAML file",
        choose_from(machine_names(), text),
    )


def _chain(path: Path) -> tuple[Stamp, ...]:
    """The file and those it extends, each with a stamp that changes when the file does."""
    return tuple(_links(path))


def _links(path: Path) -> Iterator[Stamp]:
    chain: list[Stamp] = []
    while True:
        try:
            stat = path.stat()
            stamp = (path, stat.st_mtime_ns, stat.st_size)
        except (OSError, ValueError):
            stamp = (path, 0, 0)  # reading it will say what is wrong
        if any(path == earlier for earlier, _, _ in chain):
            remedy = "Break the circle: extend a machine that stands alone."
            raise LightboundError(f"{chain[0][0].name}: extends", path.name, "leads back to itself", remedy)
        chain.append(stamp)
        yield stamp
        base = _file(stamp).get("extends")
        if base is None:
            return
        beside = path.parent / str(base)
        path = beside if beside.suffix in (".yaml", ".yml") else _find(base)


@lru_cache(maxsize=64)
def _file(stamp: Stamp) -> Document:
    """The content of one file, as it stands there."""
    document = read_yaml(stamp[0], "machine file")
    if not isinstance(document, dict):
        remedy = "Begin it with 'name:' and see the machines of the library."
        raise LightboundError("machine file", str(stamp[0]), "is not a mapping of fields", remedy)
    return document


@lru_cache(maxsize=256)
def _cached(chain: tuple[Stamp, ...], overrides: tuple[tuple[str, type, Any], ...]) -> Machine:
    return _build(chain, {name: value for name, _, value in overrides})


def _build(chain: tuple[Stamp, ...], overrides: Mapping[str, Any]) -> Machine:
    from lightbound.base.schema import check

    from .resolve import resolve  # pydantic and pint behind these load on first use
    from .schema import MachineFile
    from .values import Override

    where = chain[0][0].name
    document = _document(chain)
    for name, value in overrides.items():
        _override(document, name, value if isinstance(value, dict) else Override(value), where)
    origin = (str(chain[0][0]), tuple(overrides.items()))
    return replace(resolve(check(MachineFile, document, where), where), origin=origin)


def _document(chain: tuple[Stamp, ...]) -> Document:
    """A copy of the file's content; where it extends another, of that one's with the file's ``changes``, and
    with the file's own levels, units and other things by name added to it, or in place of those it has."""
    from .schema import SECTIONS

    document = copy.deepcopy(_file(chain[0]))
    if len(chain) == 1:
        return document
    where = chain[0][0].name
    base = _document(chain[1:])
    del document["extends"]
    changes = document.pop("changes", {})
    if not isinstance(changes, dict):
        remedy = "Write {levels.dram.bandwidth: {value: 4 TB/s, source: ...}}."
        raise LightboundError(f"{where}: changes", changes, "is not a list of fields", remedy)
    for name, value in changes.items():
        _override(base, str(name), value, where)
    if "source" in base:  # numbers of the base that rest on it must not change their source
        document["source"] = f"{document.get('source', '')} Extends {base.get('name')}: {base['source']}".strip()
    for section in SECTIONS:
        own, inherited = document.get(section), base.get(section)
        if isinstance(own, dict) and isinstance(inherited, dict):
            document[section] = {**own, **{name: item for name, item in inherited.items() if name not in own}}
    return {**base, **document}


def _override(document: Document, name: str, value: object, where: str) -> list[str]:
    """Set one field of a document, in place; where it is. A field may be added, but no level, unit, axis or param."""
    from .schema import SECTIONS, MachineFile
    from .values import Override

    def refuse(problem: str, remedy: str) -> LightboundError:
        return LightboundError(f"{where}: {name}", value, problem, remedy)

    named = {
        key: section for section in SECTIONS if isinstance(document.get(section), dict) for key in document[section]
    }
    alone = set(MachineFile.model_fields) - {*SECTIONS, *_WORDS, "name", "lacks"}
    first, *rest = name.split(".")
    if first in SECTIONS and rest:
        first, *rest = rest
    if first in named:
        parts = [named[first], first, *rest]
        if not rest and named[first] == "levels":
            parts.append("capacity")
        elif not rest and named[first] == "units":
            raise refuse("is a unit, which has many numbers", f"Name one, such as {first}.cost.mac.")
        elif not rest and named[first] == "links":
            parts.append("bandwidth")
    elif first in alone:
        parts = [first, *rest]
    else:
        raise refuse("is not a field of this machine", choose_from(map(str, {*named, *alone} - {*_WORDS}), first))
    block: Any = document
    for part in parts[:-1]:
        block = block.setdefault(part, {})
        if not isinstance(block, dict) or "value" in block or "by_capacity" in block:
            raise refuse(f"goes below {part!r}, which is one number", "Leave out what follows it.")
    if parts[-1] in _WORDS and isinstance(value, Override):
        value = value.value
    block[parts[-1]] = value
    return parts
