"""The machines that ship with lightbound, and machines from files: finding, reading and overriding them.

`machine` is the way in. Files are read as YAML 1.1 without aliases and tags, at most 1 MB, and checked by schema.py.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lightbound.base.errors import LightboundError, choose_from

from .machine import Machine

DATA = Path(__file__).with_name("data")
_NAMED = ("params", "instances", "levels", "units", "links")


def machine_names() -> tuple[str, ...]:
    """The names of the machines that ship with lightbound, in order."""
    return tuple(sorted(path.stem for path in DATA.glob("*.yaml")))


def machine(name_or_path: str | Path, /, **overrides: Any) -> Machine:
    """A machine by its name or by the path of a YAML file, with any of its numbers overridden.

    An override's key is a path in the file (``levels.dram.bandwidth``), without the section if you like
    (``dram.bandwidth``); a param or an instance axis by its name (``pe_dim``); or the name of a level, which sets its
    capacity (``global_buffer``). Its value is written as in a file (``"4 TB/s"``, a formula), or is a number or a
    float array in SI units; formulas that use it follow.

    Raises LightboundError, which names file and field: a missing file, one that is not YAML in UTF-8, an unknown
    field, a value of the wrong dimension, zero or negative.
    """
    path = _find(name_or_path)
    if any(isinstance(value, np.ndarray) for value in overrides.values()):
        return _build(path, overrides)
    key = tuple((name, type(value), value) for name, value in overrides.items())
    try:
        return _cached(path, *_stamp(path), key)
    except TypeError:  # an override that cannot be hashed is not a number either: let the checks say so
        return _build(path, overrides)


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if isinstance(name_or_path, str) and text in machine_names():
        return DATA / f"{text}.yaml"
    path = Path(text)
    if path.suffix.lower() not in (".yaml", ".yml") and not path.is_file():
        raise LightboundError(
            "machine",
            text,
            "is neither a machine of the library nor a YAML file",
            choose_from(machine_names(), text),
        )
    return path


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when the file does."""
    try:
        stat = path.stat()
    except (OSError, ValueError) as error:
        raise LightboundError(
            "machine", str(path), "is a file that cannot be read", "Check the path."
        ) from error
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=256)
def _cached(path: Path, changed: int, size: int, overrides: tuple[tuple[str, type, Any], ...]) -> Machine:
    return _build(path, {name: value for name, _, value in overrides})


def _build(path: Path, overrides: Mapping[str, Any]) -> Machine:
    from .resolve import resolve  # with pydantic and pint behind them, these load on first use
    from .schema import check

    where = path.name
    document = _document(path, *_stamp(path))
    if overrides:
        document = copy.deepcopy(document)
        for name, value in overrides.items():
            _override(document, name, value, where)
    return resolve(check(document, where), where)


@lru_cache(maxsize=64)
def _document(path: Path, changed: int, size: int) -> dict[str, Any]:
    """The content of a file; where it ``extends`` another machine, that machine's with the file's ``changes``."""
    from .reading import read_yaml

    document = read_yaml(path)
    if "extends" not in document:
        return document
    base = copy.deepcopy(_base(document.pop("extends"), path))
    changes = document.pop("changes", {})
    if not isinstance(changes, dict):
        raise LightboundError(
            f"{path.name}: changes", changes, "is not a list of fields", "Write {levels.dram.bandwidth: ...}."
        )
    for name, value in changes.items():
        _override(base, str(name), value, path.name)
    return {**base, **document}


def _base(name: object, path: Path) -> dict[str, Any]:
    sibling = path.with_name(f"{name}")
    base = sibling if sibling.suffix in (".yaml", ".yml") and sibling.is_file() else _find(str(name))
    if base.resolve() == path.resolve():
        raise LightboundError(f"{path.name}: extends", name, "is the file itself", "Extend another machine.")
    try:
        return _document(base, *_stamp(base))
    except RecursionError:
        raise LightboundError(
            f"{path.name}: extends", name, "extends this file in turn", "Break the circle."
        ) from None


def _override(document: dict[str, Any], name: str, value: Any, where: str) -> None:
    """Set one field of a document, in place."""
    from .schema import InSI, MachineFile

    first, *rest = name.split(".")
    section = next((s for s in _NAMED if isinstance(document.get(s), dict) and first in document[s]), None)
    if first in MachineFile.model_fields and section is None:
        parts = [first, *rest]
    elif section is None:
        known = {key for s in _NAMED if isinstance(document.get(s), dict) for key in document[s]}
        raise LightboundError(
            f"{where}: {name}",
            value,
            "is not a field of this machine",
            choose_from({*known, "clock", "launch_latency"} - {"source", "kind"}, first),
        )
    else:
        parts = [section, first, *rest]
        if not rest and section in ("levels", "links"):
            parts.append("capacity" if section == "levels" else "bandwidth")
    target: Any = document
    for part in parts[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise LightboundError(
                f"{where}: {name}",
                value,
                f"goes below {part!r}, which is a single number",
                "Leave out what follows it.",
            )
    if isinstance(value, int | float | np.number | np.ndarray) and not isinstance(value, bool):
        value = {"value": InSI(value), "source": "set by the caller", "kind": "override"}
    elif isinstance(value, str):
        value = {"value": value, "source": "set by the caller", "kind": "override"}
    target[parts[-1]] = value
