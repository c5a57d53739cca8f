"""A chart as a Plotly figure: plain dictionaries, which a page or an application hands to Plotly. Loads no package.

A figure is read without colour: lines differ in dash, points in shape, bars in hatching. Text is escaped, since Plotly
reads some markup in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from .chart import Axis, Chart, Mark, Picture, Raster, Series, Value

Figure = dict[str, Any]

INK, GRID, PAPER = "#1a1a1a", "#d9d9d9", "#ffffff"
# Dark enough on white for a thin line (3:1 at least); no two of them differ in hue alone, since the shapes differ too.
COLOURS = ("#0067a5", "#b34700", "#00735c", "#8e3a80", "#222222", "#6b5900", "#a1203b", "#4a55a2")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SHAPES = ("circle", "square", "diamond", "triangle-up", "x", "cross", "triangle-down", "star", "pentagon", "hexagram")
HATCHES = ("", "/", "x", "-", "\\", ".", "|", "+")
TICKS = 8
BAR, BESIDE_BARS, LINE = 30, 120, 22  # pixels
HEIGHT = 430


def figure(picture: Picture) -> Figure:
    """The figure of a chart or a raster: its data and its layout."""
    return _raster(picture) if isinstance(picture, Raster) else _chart(picture)


def _chart(chart: Chart) -> Figure:
    data = [*(_band(chart, band) for band in sorted(chart.bands, reverse=True))]
    if chart.bands:
        data.append(_equal(chart))
    data += [_trace(chart, one, number) for number, one in enumerate(chart.series)]
    layout = _layout(_height(chart))
    layout["xaxis"] = _axis(chart.x, _numbers(chart, "x"))
    layout["yaxis"] = _axis(chart.y, _numbers(chart, "y"))
    bars = [one for one in chart.series if one.form == "bars"]
    if bars:
        layout["yaxis"] |= {"autorange": "reversed", "type": "category", "ticklabelstandoff": 4}
        layout["barmode"] = "stack" if chart.stacked else "group"
        if any(one.labels for one in bars) and not chart.x.log:  # room for the words beside the longest bar
            layout["xaxis"]["range"] = [0, 1.25 * max(_numbers(chart, "x"))]
        layout["bargap"] = 0.25
    drawn = [_mark(mark, chart) for mark in chart.marks]
    layout["shapes"] = [shape for shape, _ in drawn]
    layout["annotations"] = [words for _, words in drawn if words["text"]]
    layout["showlegend"] = len(data) > 1
    return {"data": data, "layout": layout}


_LEGEND = {
    "orientation": "h", "x": 0, "yref": "container", "y": 0, "yanchor": "bottom", "itemwidth": 30,
    "traceorder": "normal",
}  # fmt: skip
"""Below the plot: above it are the buttons."""


def _layout(height: int) -> Figure:
    return {
        "height": height,
        "autosize": True,
        "margin": {"l": 10, "r": 16, "t": 36, "b": 10},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "legend": _LEGEND,
        "hoverlabel": {"bgcolor": PAPER, "font": {"color": INK}},
        "hovermode": "closest",
        "dragmode": "zoom",
    }


def _height(chart: Chart) -> int:
    """In pixels, with room for the legend in about two columns."""
    bars = [one for one in chart.series if one.form == "bars"]
    legend = LINE * ((len(chart.series) + 1) // 2 if len(chart.series) > 1 else 0)
    if not bars:
        return HEIGHT + legend
    names = len(dict.fromkeys(name for one in bars for name in one.y))
    beside = 1 if chart.stacked or len(bars) == 1 else 0.7 * len(bars)
    return int(BESIDE_BARS + BAR * names * beside) + legend


def _axis(axis: Axis, values: Sequence[float]) -> Figure:
    made: Figure = {
        "title": {"text": escape(axis.title), "standoff": 8},
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": INK,
        "zerolinecolor": INK if not axis.log else GRID,
        "ticks": "outside",
    }
    if not values:  # names
        return made
    made["nticks"] = TICKS
    if axis.log:
        marks = _powers_of_two(min(values), max(values)) if axis.unit == "B" else _round(min(values), max(values))
        return made | {"type": "log", "tickvals": marks, "ticktext": [_short(axis, mark) for mark in marks]}
    made |= {"rangemode": "tozero"} if axis.unit else {}
    if axis.unit == "s":
        made |= {"tickformat": "~s", "ticksuffix": "s"}
    elif axis.unit == "%":
        made["tickformat"] = "~%"
    elif axis.unit == "x":
        made |= {"tickformat": "~g", "ticksuffix": "x"}
    elif axis.unit == "B":
        made |= {"tickformat": "~s", "ticksuffix": "B"}
    return made


def _powers_of_two(least: float, most: float) -> list[float]:
    first, last = math.floor(math.log2(least)) - 1, math.ceil(math.log2(most)) + 1
    step = max(1, math.ceil((last - first) / TICKS))
    return [2.0**power for power in range(first, last + 1, step)]


def _round(least: float, most: float) -> list[float]:
    """1, 2, 5, 10, ... from below the least to above the most; only powers of ten where those are many."""
    first, last = math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 1
    decades = math.log10(most / least)
    if decades > TICKS / 3:
        step = max(1, math.ceil(decades / TICKS))
        return [10.0**power for power in range(first, last + 1, step)]
    fine = (1, 2, 3, 5, 7) if decades < 1 else (1, 2, 5)
    return [digit * 10.0**power for power in range(first, last + 1) for digit in fine]


def _short(axis: Axis, value: float) -> str:
    """A value at an axis: with its unit, or with the letter of its thousands."""
    if axis.unit:
        return axis.say(value)
    power = max(-1, min(5, math.floor(math.log10(value) / 3 + 1e-9)))
    return f"{value / 1000.0**power:.4g}{('', 'k', 'M', 'G', 'T', 'P', 'm')[power]}"


def _numbers(chart: Chart, name: str) -> list[float]:
    axis = chart.x if name == "x" else chart.y
    found = [value for one in chart.series for value in getattr(one, name)]
    found += [mark.at for mark in chart.marks if mark.axis == name]
    return [
        value for value in found if not isinstance(value, str) and math.isfinite(value) and (value > 0 or not axis.log)
    ]


def _trace(chart: Chart, one: Series, number: int) -> Figure:
    style = number if one.like is None else one.like
    colour = COLOURS[style % len(COLOURS)]
    trace: Figure = {
        "name": escape(one.name),
        "x": [_shown(value, chart.x) for value in one.x],
        "y": [_shown(value, chart.y) for value in one.y],
        "hoverinfo": "text",
        "hovertext": _hover(chart, one),
    }
    if one.form == "bars":
        pattern = {"shape": HATCHES[style % len(HATCHES)], "fgcolor": INK, "bgcolor": PAPER, "size": 6, "solidity": 0.2}
        light = {"color": PAPER if one.hollow else colour, "line": {"color": INK, "width": 1}}
        marker = {**light, "pattern": pattern if pattern["shape"] and not one.hollow else {}}
        text = {"text": [escape(label) for label in one.labels], "textposition": "outside", "cliponaxis": False}
        return {**trace, "type": "bar", "orientation": "h", "marker": marker, **(text if one.labels else {})}
    trace["type"] = "scatter"
    if one.form in ("line", "stairs"):
        shape = "hv" if one.form == "stairs" else "linear"
        dash = DASHES[style % len(DASHES)]
        return {**trace, "mode": "lines", "line": {"color": colour, "dash": dash, "shape": shape, "width": 2}}
    shape = SHAPES[style % len(SHAPES)] + ("-open" if one.hollow else "")
    trace |= {"mode": "markers", "marker": {"color": colour, "symbol": shape, "size": 9, "line": {"width": 1.5}}}
    if one.spread:
        pairs = [(float(x), *ends) for x, ends in zip(one.x, one.spread, strict=True) if not isinstance(x, str)]
        above = [max(high - x, 0.0) for x, _, high in pairs]
        below = [max(x - low, 0.0) for x, low, _ in pairs]
        shown = {"color": colour, "thickness": 1, "width": 0}
        trace["error_x"] = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, **shown}
    return trace


def _shown(value: Value, axis: Axis) -> Value | None:
    """A number that JSON knows and that has a place on the axis; text as Plotly shows it."""
    if isinstance(value, str):
        return escape(value)
    return float(value) if math.isfinite(value) and (value > 0 or not axis.log) else None


def _hover(chart: Chart, one: Series) -> list[str]:
    found = []
    for place, (x, y) in enumerate(zip(one.x, one.y, strict=True)):
        words = [one.name, f"{chart.x.title}: {chart.x.say(x)}", f"{chart.y.title}: {chart.y.say(y)}"]
        words += [one.labels[place]] if one.labels and one.labels[place] not in words[-1] else []
        found.append("<br>".join(escape(word) for word in words if word))
    return found


def _ends(chart: Chart) -> tuple[float, float]:
    values = [value for value in (*_numbers(chart, "x"), *_numbers(chart, "y")) if value > 0]
    return min(values) / 1.5, max(values) * 1.5


def _band(chart: Chart, band: float) -> Figure:
    low, high = _ends(chart)
    shade = f"rgba(0, 0, 0, {0.07 if band > min(chart.bands) else 0.12})"
    return {
        "type": "scatter", "mode": "lines", "name": f"within {band:.0%}", "hoverinfo": "skip",
        "x": [low, high, high, low, low],
        "y": [low * (1 + band), high * (1 + band), high * (1 - band), low * (1 - band), low * (1 + band)],
        "fill": "toself", "fillcolor": shade, "line": {"width": 0.5, "color": "#808080", "dash": "dot"},
    }  # fmt: skip


def _equal(chart: Chart) -> Figure:
    ends = list(_ends(chart))
    line = {"color": INK, "width": 1}
    return {"type": "scatter", "mode": "lines", "name": "equal", "x": ends, "y": ends, "line": line,
            "hoverinfo": "skip"}  # fmt: skip


def _mark(mark: Mark, chart: Chart) -> tuple[Figure, Figure]:
    """A dotted line, and its words at the end where there is room."""
    axis = chart.x if mark.axis == "x" else chart.y
    place = math.log10(mark.at) if axis.log else mark.at
    across = {"xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": mark.at, "y1": mark.at}
    upright = {"yref": "paper", "y0": 0, "y1": 1, "xref": "x", "x0": mark.at, "x1": mark.at}
    same = [other.at for other in chart.marks if other.axis == mark.axis]
    turn = same.index(mark.at)
    dash = DASHES[1 + turn % (len(DASHES) - 1)]
    line = {"color": INK, "width": 1.3, "dash": dash}
    words: Figure = {"text": escape(mark.text), "showarrow": False, "bgcolor": "rgba(255,255,255,0.8)", "borderpad": 1}
    if mark.axis == "y":
        words |= {"xref": "paper", "x": 0, "xanchor": "left", "yref": "y", "y": place, "yanchor": "bottom"}
        return {"type": "line", "line": line, **across}, words
    numbers = _numbers(chart, "x")
    middle = (min(numbers) * max(numbers)) ** 0.5 if axis.log else (min(numbers) + max(numbers)) / 2
    side = "right" if mark.at > middle else "left"
    words |= {"yref": "paper", "y": 1 - 0.08 * turn, "yanchor": "top", "xref": "x", "x": place, "xanchor": side}
    return {"type": "line", "line": line, **upright}, words


def _raster(raster: Raster) -> Figure:
    rows, columns = raster.shades.shape
    scale = [[0.0, "#000000"], [1.0, "#ffffff"]]
    data: list[Figure] = [
        {
            "type": "heatmap", "z": [[round(float(shade), 2) for shade in row] for row in raster.shades],
            "zmin": 0, "zmax": 1, "colorscale": scale, "showscale": False, "hoverinfo": "x+y",
            "x0": 0.5, "dx": 1, "y0": 0.5, "dy": 1,
        }
    ]  # fmt: skip
    for name, shade in raster.keys:
        grey = f"rgb({round(255 * shade)},{round(255 * shade)},{round(255 * shade)})"
        square = {"symbol": "square", "size": 12, "color": grey, "line": {"color": INK, "width": 1}}
        data.append(
            {"type": "scatter", "mode": "markers", "x": [None], "y": [None], "name": escape(name), "marker": square}
        )
    layout = _layout(520)
    layout["xaxis"] = _axis(Axis(raster.x_title), ()) | {"range": [0, columns], "showgrid": False, "zeroline": False}
    layout["yaxis"] = _axis(Axis(raster.y_title), ()) | {"range": [rows, 0], "showgrid": False, "zeroline": False}
    layout["showlegend"] = True
    if raster.outlined is not None:
        top, bottom = raster.outlined
        line = {"color": "#b34700", "width": 2.5}
        layout["shapes"] = [{"type": "rect", "x0": 0, "x1": columns, "y0": top, "y1": bottom, "line": line}]
    return {"data": data, "layout": layout}
