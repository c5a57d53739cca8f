"""Resources on record: one file a kernel in resources/, one line a compiled launch, so that nobody needs triton.

A record holds for a launch as the compiler sees it (types, constants, warps, stages), whatever the sizes of the case,
and for the source that was compiled: where the device code has changed since, there is no record any more.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from .block import Block
from .footprint import Resources
from .kernel import Case, Compiled, Tile, TritonKernel
from .targets import capability

FOLDER = Path(__file__).parent / "resources"
DEVICE = Path(__file__).parent / "device"
_ON_DEVICE = f"{__package__}.device"


@dataclass(frozen=True)
class Point:
    """A launch to compile for a target, and the first case of its kernel that asks for it in a tile."""

    kernel: str
    case: Case
    tile: Tile
    launch: Compiled
    target: str
    default: bool = True
    block: Block | None = None

    @property
    def key(self) -> str:
        """A short hash of what is compiled: types, constants, warps, stages. Sizes that are arguments are no part of
        it, nor whether 16 divides them.
        """
        seen = {name: value for name, value in asdict(self.launch).items() if name != "divisible"}
        told = json.dumps([self.target, seen], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def points(
    kernel: TritonKernel, targets: Iterable[str], cases: Sequence[Case] | None = None, others: bool = False
) -> list[Point]:
    """The distinct launches of a kernel's cases (those on record if none are given) in their default tiles, in all of
    its `tiles` too where `others`.
    """
    found: dict[str, Point] = {}
    for target in targets:
        number = capability(target)
        for case in kernel.on_record if cases is None else cases:
            default = kernel.tile(case, number)
            for tile in (default, *(kernel.tiles(case, number) if others else ())):
                for point in points_of(kernel, case, tile, target):
                    found.setdefault(point.key, replace(point, default=tile == default))
    return list(found.values())


def points_of(kernel: TritonKernel, case: Case, tile: Tile, target: str) -> list[Point]:
    """The launches of one case in one tile."""
    found = []
    for launch in kernel.compiled(case, tile):
        block = kernel.blocks.get(launch.function)
        found.append(Point(kernel.name, case, tile, launch, target, True, block(launch) if block is not None else None))
    return found


def recorded(point: Point) -> Resources | None:
    """What is on record for a launch and a target; None where nothing is, or the source has changed since."""
    found = _records(point.kernel).get(point.key)
    if found is None or found["source"] != source_of(point.launch.module):
        return None
    return Resources.from_dict(found["resources"])


def resources_of(kernel: TritonKernel, case: Case, tile: Tile, target: str) -> list[Resources] | None:
    """What a prediction may use: the recorded resources of every launch of a case in a tile, None if any is missing."""
    found = [recorded(point) for point in points_of(kernel, case, tile, target)]
    return [one for one in found if one is not None] if None not in found else None


def write(kernel: str, compiled: Iterable[tuple[Point, Resources]]) -> Path:
    """Write the file of a kernel anew, one record a line."""
    records = [
        {
            "key": point.key,
            "function": point.launch.function,
            "case": point.case.name,
            "tile": point.tile.name,
            "source": source_of(point.launch.module),
            "resources": resources.to_dict(),
        }
        for point, resources in compiled
    ]
    path = FOLDER / f"{kernel}.json"
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    _records.cache_clear()
    return path


@cache
def _records(kernel: str) -> Mapping[str, Mapping[str, Any]]:
    path = FOLDER / f"{kernel}.json"
    if not path.exists():
        return {}
    return {one["key"]: one for one in json.loads(path.read_text(encoding="utf-8"))}


@cache
def source_of(module: str) -> str:
    """A short hash of the code of device/`module`.py and of what it imports there: comments, layout and docstrings are
    left out.
    """
    digest = hashlib.sha256()
    for path in sorted(_with_imports(module)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:12]


def _with_imports(module: str) -> set[Path]:
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = DEVICE / f"{waiting.pop()}.py"
        if path in found or not path.exists():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.level == 1 or (node.module or "").startswith(_ON_DEVICE)):
                module = (node.module or "").removeprefix(_ON_DEVICE).lstrip(".")
                waiting.extend([module] if module else [alias.name for alias in node.names])
    return found
