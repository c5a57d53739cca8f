"""Masks by name and plain data, for those who write them in files: ``sliding_window`` with ``{left: 4095}``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from lightbound.base.errors import LightboundError, choose_from

from .causal import Causal
from .dense import Dense
from .documents import Documents
from .gna import GNA
from .mask import Mask
from .sliding_window import Sinks, SlidingWindow
from .strided import Strided

KINDS: dict[str, type[Any]] = {
    "causal": Causal,
    "dense": Dense,
    "documents": Documents,
    "gna": GNA,
    "sinks": Sinks,
    "sliding_window": SlidingWindow,
    "strided": Strided,
}


def named_mask(kind: str, arguments: Mapping[str, Any], queries: int, keys: int) -> Mask:
    """The mask of this name and these arguments; the counts of queries and keys are taken where it needs any.

    Raises LightboundError for a kind or an argument that does not exist, and as the mask itself does.
    """
    if kind not in KINDS:
        raise LightboundError("mask", kind, "is not a mask", choose_from(KINDS, kind))
    known = inspect.signature(KINDS[kind]).parameters
    for name in arguments:
        if name not in known:
            raise LightboundError(f"mask.{kind}.{name}", arguments[name], "does not exist", choose_from(known, name))
    counts = {"queries": queries, "keys": keys, "grid": queries, "key_grid": keys}
    taken = {name: count for name, count in counts.items() if name in known and name not in arguments}
    given = {**taken, **arguments}
    if "grid" in arguments:  # of several axes: its keys are its own
        given.pop("key_grid", None)
    missing = [name for name, one in known.items() if one.default is inspect.Parameter.empty and name not in given]
    if missing:
        raise LightboundError(f"mask.{kind}", None, f"needs {missing[0]}", f"Write {{{kind}: {{{missing[0]}: ...}}}}.")
    return KINDS[kind](**given)
