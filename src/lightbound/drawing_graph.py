"""The graph of a cascade as a picture: Einsums from left to right, products shaded, and who reads whom.

Inputs are left out: a cascade has more of them than a picture bears. What a recurrence hands to its next step is drawn
like any other read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx

from lightbound.base.place import writing
from lightbound.workloads.cascade import Cascade

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_ROW = 12
"""Layers side by side; a longer graph goes on below."""


def draw_graph(cascade: Cascade, path: str | os.PathLike[str]) -> Path:
    """Draw a cascade to a .png, .svg or .pdf file, the same bytes each time; returns its path."""
    from .drawing import check_drawable

    place = Path(path)
    check_drawable(place)
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": cascade.name}):
        figure = _figure(cascade)
        metadata = {"Date": None} if place.suffix == ".svg" else None
        with writing("plot", place):
            figure.savefig(place, dpi=150, metadata=metadata, bbox_inches="tight", transparent=False)
    return place


def _layers(graph: nx.DiGraph) -> list[list[str]]:
    """Einsums by how many lie before them at most; those of a recurrence, which wait for each other, in one layer."""
    merged = nx.condensation(graph)
    order = {name: number for number, name in enumerate(graph)}
    return [
        sorted((name for node in layer for name in merged.nodes[node]["members"]), key=order.__getitem__)
        for layer in nx.topological_generations(merged)
    ]


def _figure(cascade: Cascade) -> Figure:
    from matplotlib.figure import Figure

    graph = nx.DiGraph()
    graph.add_nodes_from(einsum.name for einsum in cascade.einsums)
    graph.add_edges_from((edge.producer.name, edge.consumer.name) for edge in cascade.dependencies)
    layers = _layers(graph)
    rows = [layers[start : start + LONGEST_ROW] for start in range(0, len(layers), LONGEST_ROW)]
    places: dict[str, tuple[float, float]] = {}
    top = 0.0
    for row in rows:
        height = max(len(layer) for layer in row)
        for column, layer in enumerate(row):
            for number, name in enumerate(layer):
                places[name] = (1.0 * column, -top - (height - len(layer)) / 2 - number)
        top += height + 0.6
    width = max(len(row) for row in rows)
    figure = Figure(figsize=(0.85 * width + 0.4, 0.42 * top + 0.2), layout="constrained")
    panel = figure.subplots()
    panel.set_axis_off()
    products = {einsum.name for einsum in cascade.einsums if any("mac" in work.ops for work in einsum.work)}
    for before, after in graph.edges:
        if before != after:
            panel.annotate(
                "", xy=places[after], xytext=places[before],
                arrowprops={"arrowstyle": "-|>", "color": "0.55", "lw": 0.6, "shrinkA": 9, "shrinkB": 9},
            )  # fmt: skip
    for name, place in places.items():
        shade = "0.85" if name in products else "white"
        box = {"boxstyle": "round,pad=0.25", "facecolor": shade, "edgecolor": "0.3", "linewidth": 0.7}
        panel.text(*place, name, ha="center", va="center", fontsize=7, bbox=box)
    panel.set_xlim(-0.6, width - 0.4)
    panel.set_ylim(-top + 0.2, 0.6)
    return figure
