"""The points of a sweep in their order: enumerated, never listed, so that a billion candidates cost no memory.

A point has a position: the number of its combination, axes that one call cannot vary before those that it can (sizes
and numbers of the machine, which are arrays in one call of `simulate`). A chunk is a range of positions that depends on
the description alone, so that what is computed together is the same however often a sweep was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightbound.base.errors import LightboundError
from lightbound.base.formula import formula
from lightbound.base.version import VERSION

from .axes import Axis
from .fields import part_of, shown
from .files import Files
from .spec import Spec, read_spec

CALL = 32_768  # points of one call, and of one chunk: a tenth of a second or more
MOST = 200_000_000  # candidates, before `where`: more take too long to look at
_FIELDS_OF_FILES = ("workload", "machine", "mapping")

Positions = NDArray[np.int64]


class Plan:
    """A sweep ready to run: its description with its files, and the order of its points."""

    def __init__(self, spec: Spec, files: Files) -> None:
        self.spec = spec
        self.files = files
        slow = [axis for axis in spec.axes if not _vectors(axis)]
        fast = [axis for axis in spec.axes if _vectors(axis)]
        self.axes: tuple[Axis, ...] = (*slow, *fast)
        counts = [axis.count for axis in self.axes]
        self.strides = [prod(counts[at + 1 :]) for at in range(len(counts))]
        self.candidates = prod(counts)
        self.inner = prod(axis.count for axis in fast)
        self.slow = len(slow)
        self._shown: dict[str, list[Any]] = {}
        self._known_digests: dict[str, NDArray[np.uint8]] = {}
        self._axis_of = {field: number for number, axis in enumerate(self.axes) for field in axis.values}
        if self.candidates > MOST:
            remedy = "Take larger steps or shorter lists: `where` chooses among points that are looked at one by one."
            raise LightboundError("sweep", f"{self.candidates:,} points", f"are more than {MOST:,}", remedy)

    def chunks(self) -> Iterator[Positions]:
        """The positions of all points, in order, in chunks of at most CALL that end where a group ends if they can."""
        if self.inner >= CALL:
            bounds = (
                (start, min(start + CALL, group + self.inner))
                for group in range(0, self.candidates, self.inner)
                for start in range(group, group + self.inner, CALL)
            )
        else:
            length = CALL // self.inner * self.inner
            bounds = ((start, min(start + length, self.candidates)) for start in range(0, self.candidates, length))
        for start, stop in bounds:
            positions = np.arange(start, stop, dtype=np.int64)
            if self.spec.where:
                positions = positions[self._wanted(positions)]
            if positions.size:
                yield positions

    def count(self) -> int:
        """How many points there are; looks at every candidate if there is a `where`."""
        return sum(len(positions) for positions in self.chunks()) if self.spec.where else self.candidates

    def groups(self, positions: Positions) -> NDArray[np.int64]:
        """The group of each point: points of one group differ in what one call varies, and in nothing else."""
        return positions // self.inner

    def setting(self, position: int) -> dict[str, Any]:
        """The fields that all points of a group share, by the position of one of them."""
        found = dict(self.spec.fixed)
        for number, axis in enumerate(self.axes[: self.slow]):
            at = position // self.strides[number] % axis.count
            found.update({field: values.plain[at] for field, values in axis.values.items()})
        return found

    def plain(self, field: str, positions: Positions) -> list[Any]:
        """The values of a varying field at these points, as plain data."""
        if field in self.spec.follow:
            return _whole(self.numbers(positions)[field])
        number = self._axis_of[field]
        values = self.axes[number].values[field].plain
        return [values[at] for at in self._index(number, positions).tolist()]

    def vectors(self, positions: Positions) -> dict[str, Any]:
        """The fields that differ within a group, as arrays over these points."""
        fast = [field for axis in self.axes[self.slow :] for field in axis.values]
        numbers = self.numbers(positions)
        return {field: numbers[field] for field in (*fast, *self.spec.follow)}

    def numbers(self, positions: Positions) -> dict[str, Any]:
        """Every field that is a number, by field: arrays where they vary, and what follows from them."""
        found: dict[str, Any] = {
            field: value for field, value in self.spec.fixed.items() if isinstance(value, int | float)
        }
        for number, axis in enumerate(self.axes):
            for field, values in axis.values.items():
                if values.numbers is not None:
                    found[field] = values.numbers[self._index(number, positions)]
        for field, text in self.spec.follow.items():
            with np.errstate(all="ignore"):
                value = formula(text)(self.named(found))
            found[field] = np.broadcast_to(np.asarray(value, dtype=np.float64), positions.shape)
        return found

    def named(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Numbers by the names that formulas have for them."""
        return {self.spec.columns[field]: value for field, value in fields.items()}

    def keys(self, positions: Positions) -> NDArray[np.uint8]:
        """The content hash of each point, 16 bytes a row: of all its fields, of the files they name, of the version."""
        parts: list[NDArray[np.uint8]] = []
        follow = self.numbers(positions) if self.spec.follow else {}
        for field in sorted((*self.spec.fixed, *self.spec.varying)):
            if field in self.spec.fixed:
                parts.append(np.broadcast_to(self._digests(field)[0], (len(positions), 16)))
            elif field in follow and field in self.spec.follow:
                unique, inverse = np.unique(follow[field], return_inverse=True)
                parts.append(self._digested(field, _whole(unique))[inverse])
            else:
                parts.append(self._digests(field)[self._index(self._axis_of[field], positions)])
        rows = np.ascontiguousarray(np.concatenate(parts, axis=1))
        width = rows.shape[1]
        data = rows.tobytes()
        person = f"lb {VERSION}".encode()[:16]
        hashed = b"".join(
            blake2b(data[at : at + width], digest_size=16, person=person).digest()
            for at in range(0, len(data), width)
        )  # fmt: skip
        return np.frombuffer(hashed, dtype=np.uint8).reshape(-1, 16)

    def rows(self, positions: Positions) -> dict[str, list[Any]]:
        """The columns of the fields at these points, as a table holds them."""
        found: dict[str, list[Any]] = {}
        for number, axis in enumerate(self.axes):
            at = self._index(number, positions).tolist()
            for field in axis.values:
                if field not in self._shown:
                    self._shown[field] = [shown(value) for value in axis.values[field].plain]
                values = self._shown[field]
                found[self.spec.columns[field]] = [values[one] for one in at]
        for field in self.spec.follow:
            found[self.spec.columns[field]] = self.plain(field, positions)
        return found

    def _index(self, number: int, positions: Positions) -> NDArray[np.int64]:
        return positions // self.strides[number] % self.axes[number].count

    def _wanted(self, positions: Positions) -> NDArray[np.bool_]:
        known = self.named(self.numbers(positions))
        wanted = np.ones(positions.shape, dtype=bool)
        for text in self.spec.where:
            with np.errstate(all="ignore"):
                wanted &= np.broadcast_to(np.asarray(formula(text)(known), dtype=bool), positions.shape)
        return wanted

    def _digests(self, field: str) -> NDArray[np.uint8]:
        if field not in self._known_digests:
            fixed = field in self.spec.fixed
            plain = [self.spec.fixed[field]] if fixed else self.axes[self._axis_of[field]].values[field].plain
            self._known_digests[field] = self._digested(field, plain)
        return self._known_digests[field]

    def _digested(self, field: str, values: Any) -> NDArray[np.uint8]:
        found = bytearray()
        for value in values:
            file = self.files.content(field, str(value)) if field in _FIELDS_OF_FILES else ""
            text = json.dumps([field, value, file], separators=(",", ":"), sort_keys=True)
            found += blake2b(text.encode(), digest_size=16).digest()
        return np.frombuffer(bytes(found), dtype=np.uint8).reshape(-1, 16)


@lru_cache(maxsize=8)
def plan_of(text: str) -> Plan:
    """The plan that a text carries from one process to another (`carried`)."""
    data = json.loads(text)
    needs = {name: tuple(paths) for name, paths in data["needs"].items()}
    files = Files(data["texts"], data["names"], needs)
    return Plan(read_spec(data["spec"], data["where"], files.place), files)


def carried(data: Mapping[str, Any], where: str, files: Files) -> str:
    """A sweep with its files as one text; equal sweeps give one text."""
    parts = {"spec": data, "where": where, "texts": files.texts, "names": files.names, "needs": files.needs}
    return json.dumps(parts, separators=(",", ":"))


def _vectors(axis: Axis) -> bool:
    """Whether one call can take all settings of an axis as arrays."""
    return all(
        part_of(field)[0] in ("sizes", "machine") and values.numbers is not None
        for field, values in axis.values.items()
    )


def _whole(values: NDArray[np.float64]) -> list[int | float]:
    """Numbers as they are written: whole ones without a point."""
    whole = (np.abs(values) < 2**53) & (np.trunc(values) == values)
    if whole.all():
        return values.astype(np.int64).tolist()
    return [int(value) if one else value for value, one in zip(values.tolist(), whole.tolist(), strict=True)]
