"""What kernels take of a multiprocessor: on record or compiled now, beside what is estimated from the tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError

from .assembly import Loop
from .catalogue import find_kernel, kernels
from .compile import compile_all
from .estimate import Estimate, estimate
from .footprint import Resources
from .kernel import Case, MissingPackage, Tile, TritonKernel, require
from .table import Point, points, recorded, write
from .targets import TARGETS

SLACK, SLACK_SHARE = 4, 0.01  # by which counts of instructions may differ between two compilations of one launch
_VARYING = ("place", "skippable", "instructions", "turn_cycles")


@dataclass(frozen=True)
class Surveyed:
    """A launch for a target: what it takes (`resources`, or `error` where it does not compile), blocks that a
    multiprocessor holds of it, and the estimate, None where the kernel does not say what a block does.
    """

    point: Point
    resources: Resources | None
    estimate: Estimate | None
    error: str = ""

    @property
    def blocks(self) -> int | None:
        """Blocks on a multiprocessor at once, as compiled."""
        return self.resources.blocks if self.resources is not None else None

    @property
    def main_loop(self) -> Loop | None:
        """The loop that does most of the work, where it compiles and has one."""
        return self.resources.main_loop if self.resources is not None else None

    @property
    def serialized(self) -> bool:
        """Whether ptxas makes a warp group await each matrix product before its next one (its message C7510 or C7515),
        in which case nothing but another group works beside it.
        """
        loop, block = self.main_loop, self.point.block
        return loop is not None and block is not None and len(block.products) < loop.groups == loop.instructions["mma"]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        point = self.point
        return {
            "kernel": point.kernel,
            "function": point.launch.function,
            "case": point.case.name,
            "tile": point.tile.name,
            "target": point.target,
            "error": self.error,
            "blocks": self.blocks,
            "serialized": self.serialized,
            "estimate": vars(self.estimate) if self.estimate is not None else None,
            "resources": self.resources.to_dict() if self.resources is not None else None,
        }


def resources(
    names: str | Sequence[str] = (),
    targets: str | Sequence[str] = (),
    tile: Mapping[str, int] | None = None,
    cases: str | Sequence[Case] = (),
    every_tile: bool = False,
) -> list[Surveyed]:
    """Registers, spills, shared memory and loops of kernels in Triton, on any machine.

    names: of kernels, all by default. targets: ``sm_80``, ``sm_90``, ``sm_100``, ``gfx942``, all by default. tile:
    constants that differ from the default tiles, and ``warps`` and ``stages``. cases: those to look at, or words that
    their names hold. every_tile: the other tiles of a kernel too. What is not on record is compiled, which needs torch
    and triton; MissingPackage says so where they are not installed.
    """
    wanted = [
        point
        for name in ([names] if isinstance(names, str) else names or kernels())
        for point in _points(
            find_kernel(name), [targets] if isinstance(targets, str) else targets, tile, cases, every_tile
        )
    ]
    known = {point.key: one for point in wanted if (one := recorded(point)) is not None}
    missing = [point for point in wanted if point.key not in known]
    try:
        done = compile_all([(point.launch, point.target) for point in missing]) if missing else []
    except MissingPackage as error:
        first = missing[0]
        problem = (
            f"of {len(missing)} launches ({first.kernel}, {first.tile.name}, {first.target}) are not on record, and "
        )
        raise MissingPackage("resources", None, problem + f"{error.value} is not installed", error.remedy) from error
    fresh = dict(zip((point.key for point in missing), done, strict=True))
    return [_surveyed(point, known.get(point.key) or fresh[point.key]) for point in wanted]


def record(names: Sequence[str] = ()) -> list[Path]:
    """Put the default tiles of kernels on record for every target, a file a kernel; raises where one does not compile.

    What is on record already, of the same source and the same version of triton, is not compiled again.
    """
    require("torch", "triton")
    installed = version("triton")
    every = {name: points(find_kernel(name), TARGETS) for name in names or kernels()}
    known = {one.key: found for one in _flat(every) if (found := recorded(one)) and found.triton == installed}
    missing = [one for one in _flat(every) if one.key not in known]
    done = compile_all([(one.launch, one.target) for one in missing])
    known |= {one.key: _whole(found) for one, found in zip(missing, done, strict=True)}
    return [write(name, [(one, known[one.key]) for one in wanted]) for name, wanted in every.items()]


def _flat(every: Mapping[str, Sequence[Point]]) -> list[Point]:
    return [point for wanted in every.values() for point in wanted]


def differing(names: Sequence[str] = (), sample: int = 1) -> list[str]:
    """Compile the default tiles of kernels for every target; a line for each launch that differs from its record.

    sample: of so many launches, one; of each function at least one. Registers, spills and shared memory are to be the
    same; of instructions, some may differ (`alike`).
    """
    every = [point for name in names or kernels() for point in points(find_kernel(name), TARGETS)]
    firsts = {point.launch.function: point.key for point in every}
    wanted = [point for point in every if int(point.key, 16) % sample == 0 or point.key in firsts.values()]
    done = compile_all([(point.launch, point.target) for point in wanted])
    found = []
    for point, one in zip(wanted, done, strict=True):
        known = recorded(point)
        told = "is not on record" if known is None else str(one) if isinstance(one, LightboundError) else ""
        if isinstance(one, Resources) and known is not None:
            other = [
                f"{name} {getattr(known, name)} became {getattr(one, name)}"
                for name in ("triton", "registers", "spill_bytes", "shared_bytes", "instructions", "loops")
                if not alike(getattr(known, name), getattr(one, name))
            ]
            told = f"is not as recorded: {', '.join(other)}" if other else ""
        if told:
            found.append(f"{point.kernel} {point.launch.function} {point.tile.name} {point.target} {told}")
    return found


def alike(known: Any, found: Any) -> bool:
    """Whether a compilation says the same as a record. The assembler does not always choose alike (of one launch for
    sm_100, two moves and waits of 2,176 instructions came and went): counts may differ by 1 %, or by four.
    """
    if isinstance(known, Mapping) and isinstance(found, Mapping):
        every = sum(known.values())
        return all(
            abs(known.get(name, 0) - found.get(name, 0)) <= max(SLACK, SLACK_SHARE * every) for name in {*known, *found}
        )
    if isinstance(known, tuple) and isinstance(found, tuple):
        return len(known) == len(found) and all(
            replace(two, **{name: getattr(one, name) for name in _VARYING}) == one
            and alike(one.instructions, two.instructions)
            and alike({"cycles": one.turn_cycles or 0}, {"cycles": two.turn_cycles or 0})
            for one, two in zip(known, found, strict=True)
        )
    return known == found


def _points(
    kernel: TritonKernel,
    targets: Sequence[str],
    tile: Mapping[str, int] | None,
    cases: str | Sequence[Case],
    every: bool,
) -> list[Point]:
    chosen = [one for one in kernel.on_record if cases in one.name] if isinstance(cases, str) else cases or None
    if tile:
        kernel = replace(kernel, tile=lambda case, at, default=kernel.tile: changed(default(case, at), tile))
    return points(kernel, targets or TARGETS, chosen, every)


def changed(tile: Tile, values: Mapping[str, int]) -> Tile:
    """A tile with other constants, `warps` and `stages`."""
    constants = dict(values)
    warps, stages = constants.pop("warps", tile.warps), constants.pop("stages", tile.stages)
    for name in constants:
        if name not in tile.constants:
            remedy = f"Choose from: {', '.join((*tile.constants, 'warps', 'stages'))}."
            raise LightboundError("tile", name, "is no constant of this kernel's tiles", remedy)
    return Tile({**tile.constants, **constants}, warps, stages)


def _surveyed(point: Point, found: Resources | LightboundError) -> Surveyed:
    expected = None
    if point.block is not None:
        launch = point.launch
        expected = estimate(point.block, point.target, launch.warps, launch.stages, launch.options.get("maxnreg"))
    if isinstance(found, LightboundError):
        return Surveyed(point, None, expected, str(found))
    return Surveyed(point, found, expected)


def _whole(found: Resources | LightboundError) -> Resources:
    if isinstance(found, LightboundError):
        raise found
    return found
