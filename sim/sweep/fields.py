"""What a point of a sweep is made of: the fields there are, and how the values of each are written.

A point is a call of `simulate`, so its fields are what that takes: a workload with its sizes, a machine with its
numbers, a mapping with its params, an engine. Nothing here combines them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.size import size

TEXTS = ("workload", "machine", "engine", "fill")
NAMES = ("preset", "variant", "mapping")  # texts that may be left out
WHOLE = ("word_bytes", "seed")
PLAIN = (*TEXTS, *NAMES, *WHOLE, "mask")
NO_MASK = "none"
PARTS = ("sizes", "options", "machine", "mapping")
FILES = {"workload": (".txt", ".einsum", ".yaml", ".yml"), "machine": (".yaml", ".yml"), "mapping": (".yaml", ".yml")}
"""Fields whose text may name a file, and how such a name ends."""


def part_of(field: str) -> tuple[str, str]:
    """``sizes.M`` as ``("sizes", "M")``, a plain field as ``("", field)``."""
    head, dot, rest = field.partition(".")
    return (head, rest) if dot else ("", field)


def check_field(where: str, field: object) -> str:
    """The field of this name, or an error that lists those there are."""
    text = str(field)
    part, rest = part_of(text)
    if text in PLAIN or (part in PARTS and rest):
        return text
    known = (*PLAIN, *(f"{one}.NAME" for one in PARTS))
    raise LightboundError(where, text, "is not a field of a point", choose_from(known, text))


def may_follow(field: str) -> bool:
    """Whether a field holds a number that a formula can give."""
    return part_of(field)[0] in PARTS or field in WHOLE


def read_value(where: str, field: str, value: Any) -> Any:
    """One value of a field as plain data, checked as far as it can be without knowing the others.

    Sizes become whole numbers, options of a mask stay as written, a number of a machine stays text where it has a unit.
    """
    part, name = part_of(field)
    if part == "sizes":
        return _whole(where, value, 1) if not isinstance(value, str) else size(where, name, value)
    if part == "options":
        return _option(where, value)
    if part in ("machine", "mapping"):
        return value.strip() if isinstance(value, str) and value.strip() else number(where, value)
    if field == "mask":
        return _mask(where, value)
    if field in WHOLE:
        return _whole(where, value, 0)
    if value is None and field in NAMES:
        return None
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value.strip()
    raise LightboundError(where, value, "is not a name", f"Write the name of a {field}.")


def number(where: str, value: Any) -> int | float:
    """A finite number."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or value != value or not -1e300 < value < 1e300:
        raise LightboundError(where, value, "is not a number", "Write a number, or one with its unit: 8 MiB.")
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def shown(value: Any) -> Any:
    """A value as a table holds it: shapes as ``18x24x24``, a mask in one line."""
    if isinstance(value, list | tuple):
        return "x".join(str(int(one)) for one in value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Mapping):
        kind, given = next(iter(value.items()))
        return f"{kind}({', '.join(f'{key}={shown(one)}' for key, one in given.items())})" if given else kind
    return value


def column_name(path: str) -> str:
    """A name for SQL and for formulas: ``dram.bandwidth`` as ``dram_bandwidth``."""
    name = re.sub(r"\W", "_", path, flags=re.ASCII)
    return f"_{name}" if name[:1].isdigit() else name


def _whole(where: str, value: Any, least: int) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 2**40:
        remedy = f"Write a whole number from {least} to 2**40."
        raise LightboundError(where, value, "is not a whole number in the range of this field", remedy)
    return value


def _option(where: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        if not 1 <= len(value) <= 4096:
            raise LightboundError(where, value, "is not a list of numbers", "Write [18, 24, 24].")
        return [_option(where, one) if isinstance(one, int) else _refuse_option(where, one) for one in value]
    return value if isinstance(value, bool) else _whole(where, value, 0)


def _refuse_option(where: str, value: Any) -> Any:
    raise LightboundError(where, value, "is not a whole number", "Write one for each axis: [18, 24, 24].")


def _mask(where: str, value: Any) -> Any:
    """A mask as ``{kind: {argument: value}}``, or ``none``."""
    if value in (None, NO_MASK):
        return NO_MASK
    given = {value: {}} if isinstance(value, str) else value
    if isinstance(given, Mapping) and len(given) == 1:
        kind, arguments = next(iter(given.items()))
        arguments = {} if arguments is None else arguments
        if isinstance(kind, str) and isinstance(arguments, Mapping):
            return {kind: {str(key): _option(f"{where}.{kind}.{key}", one) for key, one in arguments.items()}}
    remedy = "Write its kind, or {kind: {argument: value}}: {sliding_window: {left: 4095}}."
    raise LightboundError(where, value, "is not a mask", remedy)
