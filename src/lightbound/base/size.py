"""Sizes of ranks as people write them: ``4096``, ``64K`` (65536), ``1.5K`` (1536), ``1M``, ``2**20``."""

from __future__ import annotations

import re
from fractions import Fraction

from .errors import LightboundError

_SIZE = re.compile(r"(\d{1,19}(?:\.\d{1,19})?)(?:\s*\*\*\s*(\d{1,2}))?\s*([KMGT]?)", re.IGNORECASE)
_FACTOR = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_LARGEST = 2**40  # products of six such sizes are still numbers


def size(field: str, name: str, text: str) -> int:
    """The integer meant by a text, at least 1. `field` says in errors where it stands, `name` whose size it is."""
    form = f"Write a positive integer, such as {name}=4096, {name}=64K (65536) or {name}=2**20."
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        negative = re.fullmatch(r"-\s*\d+\s*[KMGT]?", text.strip(), re.IGNORECASE)
        problem = "is negative" if negative else "is not a whole number"
        raise LightboundError(field, text, problem, form)
    value = Fraction(match[1]) ** int(match[2] or 1) * _FACTOR[match[3].upper()]
    if value.denominator != 1:
        raise LightboundError(field, text, "is not a whole number", form)
    if value < 1:
        raise LightboundError(field, text, "is zero", form)
    if value > _LARGEST:
        raise LightboundError(field, text, "is larger than 2**40", form)
    return int(value)
