"""New shapes for a blind test: drawn by a seed, so that nobody chose them and no model has been compared with them.

From every case of a kernel comes one with other sizes: each that the kernel says may vary is drawn log-uniformly
between the smallest and the largest of its cases. Sizes that were equal stay equal, types and options stay as they
were, and the work is no less than that of the least case and no more than that of the most. Two thirds of the shapes
have round sizes (four binary digits), the others are left as they were drawn. A shape that is on record is none of
them: the same seed asks for the same shapes as long as they have not been seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from math import exp, log
from pathlib import Path
from random import Random
from typing import Any

from lightbound.base.errors import LightboundError

from ..kernel import Case, TritonKernel
from .records import read_records

TRIES = 50  # draws from one case before it is given up
RAGGED = 1 / 3  # of the shapes keep sizes as they were drawn
DIGITS = 4  # binary ones, of a round size

Place = str | tuple[str, int]  # a rank, or an axis of an option such as a grid
Shape = tuple[str, str]  # of a case: its kernel, and its sizes and options as text


def fresh_cases(kernel: TritonKernel, seed: int, seen: Iterable[Case] = ()) -> list[Case]:
    """A new shape for each case of a kernel, none of which is among its cases or those `seen`."""
    limits = _Limits(kernel)
    known = {shape_of(case) for case in kernel.cases}
    found = []
    for case in kernel.cases:
        drawn = _drawn(case, limits, Random(f"{seed} {kernel.name} {case.name}"), known)
        if drawn is not None:
            known.add(shape_of(drawn))
            found.append(drawn)
    on_record = {shape_of(case) for case in seen}
    return [case for case in found if shape_of(case) not in on_record]


def with_fresh_cases(kernels: Sequence[TritonKernel], seed: int, seen: Iterable[Case]) -> list[TritonKernel]:
    """The kernels with new shapes in place of their cases; LightboundError where all of the seed's are on record."""
    seen = list(seen)
    made = [replace(kernel, cases=fresh_cases(kernel, seed, seen)) for kernel in kernels]
    if not any(kernel.cases for kernel in made):
        raise LightboundError("--fresh", seed, "has no shape that is not on record already", "Take another number.")
    return made


def seen_cases() -> list[Case]:
    """Every case of the records that ship with lightbound."""
    folder = Path(str(files("lightbound"))) / "validate" / "measurements"
    records = (record for path in sorted(folder.glob("*.jsonl")) for record in read_records(path))
    return [Case(**record["case"]) for record in records if record["record"] in ("timing", "tuning", "failure")]


def shape_of(case: Case) -> Shape:
    """What makes two cases the same shape: all but the type of their numbers."""
    return case.kernel, json.dumps([dict(case.sizes), dict(case.options)], sort_keys=True)


class _Limits:
    """The range of every place whose size varies, and of the work, over a kernel's cases."""

    def __init__(self, kernel: TritonKernel) -> None:
        self.kernel = kernel
        self.ranges: dict[tuple[Place, int], tuple[int, int]] = {}  # axes by how many there are
        work = [kernel.work(case) for case in kernel.cases]
        self.macs = min(one.macs for one in work), max(one.macs for one in work)
        self.bytes = min(one.bytes for one in work), max(one.bytes for one in work)
        for case in kernel.cases:
            sizes = _varied(case, kernel.varied)
            for place, size in sizes.items():
                low, high = self.ranges.get((place, len(sizes)), (size, size))
                self.ranges[place, len(sizes)] = min(low, size), max(high, size)

    def allow(self, case: Case) -> bool:
        """Whether the kernel takes a case, and its work is within that of the others."""
        if not (self.kernel.takes(case) and self.kernel.possible(case)):
            return False
        work = self.kernel.work(case)
        return self.macs[0] <= work.macs <= self.macs[1] and self.bytes[0] <= work.bytes <= self.bytes[1]


def _varied(case: Case, names: Sequence[str]) -> dict[Place, int]:
    """The sizes of a case that may vary, by their place."""
    found: dict[Place, int] = {}
    for name in names:
        if name in case.sizes:
            found[name] = case.sizes[name]
        else:
            found |= {(name, axis): size for axis, size in enumerate(case.options[name])}
    return found


def _drawn(case: Case, limits: _Limits, random: Random, known: set[Shape]) -> Case | None:
    """A case with other sizes; None where no draw is possible."""
    sizes = _varied(case, limits.kernel.varied)
    alike: dict[tuple[int, bool], list[Place]] = {}  # ranks of one size stay equal; axes are each on their own
    for number, (place, size) in enumerate(sizes.items()):
        alike.setdefault((size, True) if isinstance(place, str) else (number, False), []).append(place)
    for _ in range(TRIES):
        ragged = random.random() < RAGGED
        new: dict[Place, int] = {}
        for places in alike.values():
            ranges = [limits.ranges[place, len(sizes)] for place in places]
            low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
            size = exp(log(low) + random.random() * (log(high) - log(low)))
            new |= dict.fromkeys(places, round(size) if ragged else _rounded(size))
        made = _with(case, new)
        if shape_of(made) not in known and limits.allow(made):
            return made
    return None


def _rounded(size: float) -> int:
    """To so many binary digits."""
    step = 1 << max(0, int(size).bit_length() - DIGITS)
    return max(1, round(size / step) * step)


def _with(case: Case, new: Mapping[Place, int]) -> Case:
    sizes, options = dict(case.sizes), {name: _copied(value) for name, value in case.options.items()}
    for place, size in new.items():
        if isinstance(place, str):
            sizes[place] = size
        else:
            options[place[0]][place[1]] = size
    return replace(case, sizes=sizes, options=options)


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
