"""The ``bound`` command and its options. It hands over to ``bounding``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .commands import Format, MappingName, MaskOption, Preset, Report, Set, SetMachine, Variant, Workload, app
from .delivering import check_delivery, deliver
from .output import note


def _mask(name: str, help_text: str) -> Any:
    return typer.Option(f"--{name}", metavar="N,N,N", help=help_text, rich_help_panel="Mask")


@app.command()
def bound(
    workload: Workload,
    preset: Preset = None,
    grid: Annotated[str | None, _mask("grid", "Tokens by axis: 30,48,80.")] = None,
    window: Annotated[str | None, _mask("window", "Keys of a query by axis.")] = None,
    stride: Annotated[str | None, _mask("stride", "Steps in which windows move.")] = None,
    dilation: Annotated[str | None, _mask("dilation", "Distance of the keys of a window.")] = None,
    causal: Annotated[str | None, _mask("causal", "1 or 0 by axis; 1 for attention without a mask.")] = None,
    extra_keys: Annotated[
        int | None, typer.Option("--extra-keys", metavar="N", help="Keys that every query attends: text tokens.")
    ] = None,
    mask: MaskOption = None,
    q_tile: Annotated[str | None, _mask("q-tile", "Queries of a tile by axis; the best offered by default.")] = None,
    kv_tile: Annotated[str | None, _mask("kv-tile", "Keys of a tile by axis.")] = None,
    kv_tiling: Annotated[
        str | None, typer.Option("--kv-tiling", metavar="KIND", help="static or dynamic; the backend's by default.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option("--backend", metavar="NAME", help="Whose tiles: a backend, any, or none for shapes of your own."),
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", metavar="MACHINE", help="Adds roofline, schedule and an estimate.")
    ] = None,
    set_machine: SetMachine = None,
    mapping: MappingName = None,
    variant: Variant = None,
    set_: Set = None,
    copy_share: Annotated[
        float, typer.Option("--copy-share", metavar="PART", help="Of the memory bandwidth, for token permutation.")
    ] = 0.5,
    search: Annotated[bool, typer.Option("--search", help="Sweep strides and tiles, and rank them.")] = False,
    strides: Annotated[
        str, typer.Option("--strides", metavar="KIND", help="In a search: pruned (all that help) or given.")
    ] = "pruned",
    tile_sizes: Annotated[
        str | None,
        typer.Option("--tile-sizes", metavar="Q,KV", help="In a search: all power-of-two tiles of these sizes."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="In a search: designs to keep.")] = 50,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw mask, tiles and ladder: .png, .svg or .pdf.")
    ] = None,
    report: Report = None,
    form: Format = "table",
) -> None:
    """How much faster than dense attention a masked kernel can be.

    A ladder of bounds (operations, tiles, roofline, schedule) with what is lost at each rung and why, beside it what a
    kernel is predicted to reach, what token permutation costs, and what a run of the model gains. With --search, the
    best strides and tile shapes.
    """
    from . import given, kernel
    from .bounding import flags, ladder_answer, search_answer, shape, with_mask

    check_delivery(form, report)
    options = {
        "grid": shape("--grid", grid),
        "window": shape("--window", window),
        "stride": shape("--stride", stride),
        "dilation": shape("--dilation", dilation),
        "extra_keys": extra_keys,
    }
    looks_back = flags("--causal", causal)
    work = given.workload(workload, preset, variant, set_ or ())
    plain = work.mask is None and isinstance(looks_back, bool)
    options |= {"causal": None if plain else looks_back, **kernel.mask_options(work, mask or ())}
    work = with_mask(work, options)
    work = kernel.causal(work) if plain and looks_back else work
    hardware = given.machine(machine, set_machine or ()) if machine is not None else None
    shared = {"kv_tiling": kv_tiling, "copy_share": copy_share}
    tiles = {"q_tile": shape("--q-tile", q_tile), "kv_tile": shape("--kv-tile", kv_tile)}
    kernel = given.mapping(mapping)
    if search:
        sizes = shape("--tile-sizes", tile_sizes)
        sought = {**shared, **_tried(tiles, sizes, backend), "strides": strides, "limit": limit}
        found = search_answer(work, hardware, sought, kernel, plot)
    else:
        whose = {None: "any", "none": None}.get(backend, backend)
        found = ladder_answer(work, hardware, {**shared, **tiles, "backend": whose}, kernel, plot)
    deliver(found, form, report, f"Bounds of {work.name}" + (f" on {hardware.name}" if hardware is not None else ""))
    if plot is not None:
        note(f"Drawn to {plot}")


def _tried(tiles: dict[str, Any], sizes: Any, backend: str | None) -> dict[str, Any]:
    """The tile pairs of a search: the one given, all of two sizes, or a backend's."""
    from lightbound.base.errors import LightboundError

    if sizes is not None:
        if not isinstance(sizes, tuple) or len(sizes) != 2:
            raise LightboundError("--tile-sizes", str(sizes), "is not two sizes", "Write --tile-sizes 256,128.")
        return {"tile_sizes": sizes}
    if tiles["q_tile"] is not None and tiles["kv_tile"] is not None:
        return {"tiles": [(tiles["q_tile"], tiles["kv_tile"])]}
    return {"backend": None if backend == "none" else backend}
