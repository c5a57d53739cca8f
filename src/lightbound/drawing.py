"""Pictures of bounds, drawn to files with matplotlib: a mask with its tiles and its ladder, and a search over designs.

They are read without colour: by shade, hatching and words. matplotlib is an extra and loads inside functions alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightbound.base.errors import LightboundError
from lightbound.base.place import check_place, writing
from lightbound.sim.designs import Design, DesignSearch
from lightbound.sim.explain import seconds
from lightbound.sim.ladder import Ladder
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.masks.shape import text

from .mask_pictures import MaskPicture, mask_pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lightbound.sim.agents.study import Study

SUFFIXES = (".png", ".svg", ".pdf")
DESIGNS = 24  # designs in the picture of a search


def draw(what: Ladder | DesignSearch | Study | Cascade, path: str | os.PathLike[str]) -> Path:
    """Draw a ladder (its mask, its tiles, its rungs), a search, a study of agents, or the graph of a cascade to a .png,
    .svg or .pdf file; returns its path.

    Raises LightboundError for another kind of file, without matplotlib, and where the file cannot be written.
    """
    if isinstance(what, Cascade):
        from .drawing_graph import draw_graph

        return draw_graph(what, path)
    if not isinstance(what, Ladder | DesignSearch):
        from .drawing_agents import draw_study

        return draw_study(what, path)
    place = Path(path)
    check_drawable(place)
    figure = _ladder_figure(what) if isinstance(what, Ladder) else _search_figure(what)
    with writing("plot", place):
        figure.savefig(place, dpi=150)
    return place


def check_drawable(path: Path) -> None:
    """Refuse, before any work, a file type that cannot be drawn, and a machine without matplotlib."""
    if path.suffix.lower() not in SUFFIXES:
        raise LightboundError("plot", str(path), "is of no kind that can be drawn", f"End it in {', '.join(SUFFIXES)}.")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        remedy = "Install it: pip install 'lightbound[plot]'."
        raise LightboundError("plot", str(path), "needs matplotlib, which is not installed", remedy) from error
    check_place("plot", path)


def _ladder_figure(ladder: Ladder) -> Figure:
    from matplotlib.figure import Figure  # no pyplot: a file needs no display

    pictures = mask_pictures(ladder)
    figure = Figure(figsize=(11, 8), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(5, 4))
    above, below = halves
    tiles = f"{text(ladder.count.q_tile)} queries / {text(ladder.count.kv_tile)} keys, {ladder.count.kv_tiling}"
    above.suptitle(f"{ladder.workload}: {_named(ladder)}\ntiles of {tiles}")
    axes = np.atleast_1d(above.subplots(1, len(pictures)))
    for panel, picture in zip(axes, pictures, strict=True):
        _draw_picture(panel, picture)
    if len(axes) == 1:
        axes[0].set_aspect("equal")
    _legend(above, pictures[0].keys)
    _draw_rungs(below.subplots(), ladder)
    return figure


def _named(ladder: Ladder) -> str:
    """The mask in a few words: its kind, and its shapes as text."""
    mask: Any = ladder.mask
    said = [f"{type(mask).__name__}, grid {text(mask.grid)}"]
    for name in ("window", "stride", "dilation"):
        value = getattr(mask, name, 1)
        shape = value if isinstance(value, tuple) else (value,)
        if name != "dilation" or any(step > 1 for step in shape):
            said += [f"{name} {text(shape)}"] if hasattr(mask, name) else []
    return ", ".join((*said, *(["causal"] if mask.is_causal else [])))


def _draw_picture(panel: Axes, picture: MaskPicture) -> None:
    height, width = picture.shades.shape
    panel.imshow(
        picture.shades,
        cmap="gray",
        vmin=0,
        vmax=1,
        extent=(0, width, height, 0),
        aspect="auto",
        interpolation="nearest",
    )
    for at in picture.rows:
        panel.axhline(at, color="black", linewidth=0.3)
    for at in picture.columns:
        panel.axvline(at, color="black", linewidth=0.3)
    top, bottom = picture.worst
    panel.add_patch(_box(0, top, width, bottom - top))
    panel.set_title(picture.title, fontsize=10)
    panel.set_xlabel(f"key ({picture.unit})")
    panel.set_ylabel("query")
    panel.tick_params(labelsize=8)


def _box(x: float, y: float, width: float, height: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, fill=False, edgecolor="black", linewidth=1.8, clip_on=False)


def _legend(figure: Any, shades: tuple[tuple[str, float], ...]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=str(shade), edgecolor="black", label=label) for label, shade in shades]
    handles.append(Patch(facecolor="none", edgecolor="black", linewidth=1.8, label="worst Q tile"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9, frameon=False)


def _draw_rungs(panel: Axes, ladder: Ladder) -> None:
    names = [rung.name for rung in ladder.rungs]
    values = [rung.speedup for rung in ladder.rungs]
    notes = [
        (f", {rung.lost:.0%} lost" if rung.lost > 5e-3 else "")
        + ("" if rung.is_bound else " (published; no bound)" if rung.informative else " (not informative)")
        for rung in ladder.rungs
    ]
    fills = ["0.35" if rung.is_bound else "white" for rung in ladder.rungs]
    hatches = ["" if rung.is_bound else "///" for rung in ladder.rungs]
    if ladder.estimate is not None and ladder.estimated_speedup is not None:
        names.append("estimate")
        values.append(ladder.estimated_speedup)
        notes.append(f", {seconds(ladder.estimate.kernel_s)}: a prediction")
        fills.append("0.85")
        hatches.append("..")
        if ladder.permutation.seconds and ladder.estimated_total_speedup is not None:
            names.append("with token order")
            values.append(ladder.estimated_total_speedup)
            notes.append(f", {seconds(ladder.permutation.seconds)} of copies")
            fills.append("0.85")
            hatches.append("xx")
    for row, (value, note, fill, hatch) in enumerate(zip(values, notes, fills, hatches, strict=True)):
        panel.barh(row, value, color=fill, edgecolor="black", hatch=hatch, height=0.65)
        panel.annotate(
            f"{value:.4g}x{note}", (value, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9
        )
    panel.set_yticks(range(len(names)), names)
    panel.invert_yaxis()
    panel.set_xlim(0, max(values) * 1.3)
    where = f" on {ladder.machine}" if ladder.machine else ""
    panel.set_xlabel(f"speedup over dense attention{where}")
    panel.spines[["top", "right"]].set_visible(False)


def _search_figure(search: DesignSearch) -> Figure:
    from matplotlib.figure import Figure

    designs = search.designs[:DESIGNS]
    figure = Figure(figsize=(10, 1.8 + 0.32 * len(designs)), layout="constrained")
    panel = figure.subplots()
    where = f" on {search.machine}" if search.machine else ""
    found = f"the best {len(designs)} of {search.counted:,} designs, {search.tile_pairs:,} tile pairs"
    figure.suptitle(f"{search.workload}{where}: {found}")
    rows = range(len(designs))
    for row, design in enumerate(designs):
        panel.hlines(row, 0, design.speedup, color="0.85", linewidth=1)
    worst = [design.worst_tile for design in designs]
    panel.scatter(worst, rows, marker="|", color="black", label="worst tile (published)", zorder=3, s=52)
    bounds = [design.speedup for design in designs]
    panel.scatter(bounds, rows, marker="o", facecolors="white", edgecolors="black", label="bound", zorder=3, s=52)
    skips = [row for row in rows if designs[row].skips_tests]
    panel.scatter(
        [designs[row].speedup for row in skips], skips, marker="o", color="black", zorder=4, s=52,
        label="bound, perfectly block-sparse",
    )  # fmt: skip
    if search.machine and any(design.estimated_speedup for design in designs):
        values = [design.estimated_speedup or np.nan for design in designs]
        panel.scatter(values, rows, marker="D", facecolors="0.5", edgecolors="black", zorder=3, s=34, label="estimate")
    operations = max(design.operations for design in designs)
    panel.axvline(operations, color="black", linestyle="--", linewidth=1)
    panel.annotate(
        f"operations {operations:.4g}x", (operations, -0.6), xytext=(4, 0), textcoords="offset points", fontsize=9
    )
    panel.set_yticks(list(rows), [_label(design) for design in designs], fontsize=9, family="monospace")
    panel.set_title("stride, tiles of queries/keys", loc="left", x=-0.01, ha="right", fontsize=9)
    panel.set_ylim(len(designs) - 0.4, -0.9)
    panel.set_xlim(0, operations * 1.15)
    panel.set_xlabel("speedup over dense attention")
    panel.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    return figure


def _label(design: Design) -> str:
    stride = f"{text(design.stride):>9}  " if design.stride is not None else ""
    return f"{stride}{design.tiles:>15}"
