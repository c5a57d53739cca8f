"""``lightbound resources``: what is on record or compiled of every launch, beside the estimate, and its inner loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lightbound.base.errors import LightboundError
from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.catalogue import kernels as known_kernels
from lightbound.kernels.triton.compile import TARGETS, capability, compile_all
from lightbound.kernels.triton.footprint import Resources
from lightbound.kernels.triton.kernel import Tile, TritonKernel
from lightbound.kernels.triton.table import Point, points, recorded, write

from .answer import Answer, Block, Table, Text
from .given import pairs

MIX = ("mma", "mufu", "fma", "fp32", "compare", "convert", "integer", "shuffle", "ldmatrix", "shared_load",
       "shared_store", "global_load", "async_copy", "tensor_load", "barrier", "wait", "local")  # fmt: skip


def answer(kernels: Sequence[str], targets: Sequence[str], tiles: Sequence[str], case: str | None) -> Answer:
    """Tables of resources and of instructions, by kernel and target."""
    found = [one for one in _compiled(_points(kernels, targets, tiles, case))]
    blocks: list[Block] = []
    failed = [
        f"{point.kernel} {point.tile.name} {point.target}: {one}"
        for point, one in found
        if isinstance(one, LightboundError)
    ]
    done = [(point, one) for point, one in found if isinstance(one, Resources)]
    columns = ("kernel", "function", "dtype", "tile", "target", "registers", "spilled", "shared", "tmem", "threads")
    rows = [
        (point.kernel, point.launch.function, point.case.dtype, point.tile.name, point.target, str(one.registers),
         str(one.spill_bytes), str(one.shared_bytes), str(one.tensor_columns or ""), str(one.threads))
        for point, one in done
    ]  # fmt: skip
    blocks.append(Table(columns, rows, title="Resources", right=frozenset(columns[5:])))
    mixed = [(point, loop) for point, one in done if (loop := one.main_loop) is not None]
    names = ("kernel", "function", "tile", "target", "all", *MIX)
    blocks.append(
        Table(
            names,
            [
                (point.kernel, point.launch.function, point.tile.name, point.target, str(loop.total),
                 *(str(loop.instructions.get(kind, "")) for kind in MIX))
                for point, loop in mixed
            ],
            title="Instructions of a warp in a turn of its main loop",
            right=frozenset(names[4:]),
        )
    )  # fmt: skip
    if failed:
        blocks.append(Text("\n".join(failed), title="Not compiled"))
    data = [{**_named(point), **one.to_dict()} for point, one in done]
    return Answer(blocks, data, [_record(point, one) for point, one in done])


def write_tables(kernels: Sequence[str], targets: Sequence[str]) -> list[Path]:
    """Compile the default tiles of kernels for all targets and write their files."""
    paths = []
    for name in kernels or known_kernels():
        wanted = points(find_kernel(name), targets or TARGETS)
        done = compile_all([(point.launch, point.target) for point in wanted])
        for one in done:
            if isinstance(one, LightboundError):
                raise one
        paths.append(
            write(name, ((point, one) for point, one in zip(wanted, done, strict=True) if isinstance(one, Resources)))
        )
    return paths


def _points(kernels: Sequence[str], targets: Sequence[str], tiles: Sequence[str], case: str | None) -> list[Point]:
    found: list[Point] = []
    for name in kernels or known_kernels():
        kernel = find_kernel(name)
        cases = [one for one in kernel.cases if case is None or case in one.name]
        for target in targets or TARGETS:
            number = capability(target)
            changed = (
                replace(kernel, tile=lambda one, at, kernel=kernel: _changed(kernel.tile(one, at), tiles))
                if tiles and "all" not in tiles
                else kernel
            )
            found += points(changed, [target], cases, others="all" in tiles)
    return found


def _changed(tile: Tile, tiles: Sequence[str]) -> Tile:
    values = {name: int(value) for name, value in pairs("--tiles", tiles, "BLOCK_Q=128,warps=8")}
    warps, stages = values.pop("warps", tile.warps), values.pop("stages", tile.stages)
    unknown = [name for name in values if name not in tile.constants]
    if unknown:
        raise LightboundError(
            "--tiles",
            unknown[0],
            "is no constant of this kernel",
            f"Choose from: {', '.join(tile.constants)}, warps, stages.",
        )
    return Tile({**tile.constants, **values}, warps, stages)


def _compiled(wanted: Sequence[Point]) -> list[tuple[Point, Resources | LightboundError]]:
    known = {point.key: one for point in wanted if (one := recorded(point)) is not None}
    missing = [point for point in wanted if point.key not in known]
    done = compile_all([(point.launch, point.target) for point in missing]) if missing else []
    fresh = {point.key: one for point, one in zip(missing, done, strict=True)}
    return [(point, known.get(point.key) or fresh[point.key]) for point in wanted]


def _named(point: Point) -> dict[str, object]:
    return {
        "kernel": point.kernel,
        "function": point.launch.function,
        "dtype": point.case.dtype,
        "tile": point.tile.name,
    }


def _record(point: Point, one: Resources) -> dict[str, object]:
    loop = one.main_loop
    flat = {name: value for name, value in one.to_dict().items() if name not in ("instructions", "loops")}
    return {
        **_named(point),
        **flat,
        "loop_total": loop.total if loop else 0,
        **{f"loop_{kind}": (loop.instructions.get(kind, 0) if loop else 0) for kind in MIX},
    }
