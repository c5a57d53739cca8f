"""What a paper claims about hardware, as data: the number, its conditions, its source, and which runs it compares.

A claim names the *runs* behind its number (workloads at sizes, so many times each) and the quantity that is compared;
what the quantity comes to is derived elsewhere, from the cascades alone, so that no claim can be met by a formula that
contains its own number. A claim about accuracy, or one whose conditions are not published, says why it cannot be
derived instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Quantity = Literal[
    "latency_s", "flops", "macs", "parameters", "traffic_bytes", "peak_memory_bytes", "state_bytes", "passes", "growth"
]
"""What is compared, of all runs together.

latency_s: simulated on `Claim.machine`. flops, macs: products that are summed, at two operations each or at one, of
the pairs that a mask leaves. parameters: elements of the weights. traffic_bytes: at the outermost level of the machine,
compulsory traffic where the claim names none. peak_memory_bytes: most that is alive at once, weights aside.
state_bytes: what one step hands to the next. passes: most walks over one rank. growth: the power with which all
operations grow when the sizes `Claim.grows_with` double.
"""

Evidence = Literal["code", "paper", "abstract", "third party", "recalled", "derived"]
"""Where the number was read. What is recalled has not been seen in the source and carries no verdict of its own."""


@dataclass(frozen=True)
class Run:
    """One workload, run `times` times, as part of what a claim speaks of.

    A method is named only where it is another one (a dense baseline). Sizes lie over those of the preset, which may be
    options of a mask as well.
    """

    variant: str | None = None
    preset: str | None = None
    method: str | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)
    times: float = 1
    training: bool = False
    """Forward and backward: only `peak_memory_bytes` tells the two apart; cascades of a training step stand for
    themselves."""
    mapping: str | None = None


@dataclass(frozen=True)
class Claim:
    """A number of a paper.

    With `baseline`, the claim is of a ratio: the quantity of `baseline` over that of `runs` where `inverted` is false
    (a speedup, a saving by a factor), of `runs` over `baseline` where it is true (a share that remains). Without it,
    the claim is of the quantity itself, in SI units. `exact` numbers are counts: an ``int`` has to be met as it is, a
    ``float`` to its last digit (24.37e6 by 24,373,212). Others are held to `tolerance`.

    A measured speedup may lie below what is possible: it is *bounded* where ours is above it, and *contradicted* where
    the claim is above what is simulated, or a count differs.
    """

    name: str
    statement: str
    """What is claimed, in our words, with its conditions."""
    value: float
    unit: str
    """Of `value`: ``x`` for a ratio, ``%``, ``s``, ``B``, ``parameters``, ``FLOP``, ``exponent``..."""
    source: str
    evidence: Evidence
    quantity: Quantity | None = None
    runs: tuple[Run, ...] = ()
    baseline: tuple[Run, ...] = ()
    inverted: bool = False
    machine: str | None = None
    """The machine it was measured on, by name, where the quantity depends on one."""
    grows_with: tuple[str, ...] = ()
    exact: bool = False
    tolerance: float = 0.15
    not_derivable: str = ""
    """Why nothing here can tell: the claim is about accuracy, its conditions are not published, or it rests on software
    that no cascade describes."""
    note: str = ""
    """What was assumed to get from the claim's conditions to the runs."""
