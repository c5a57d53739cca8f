"""Parts of the page: an answer's blocks and pictures as Dash components."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dash import dcc, html

from lightbound.cli.answer import Block, Table
from lightbound.cli.charts.chart import Picture
from lightbound.cli.charts.figure import Figure, figure

PLOT, SAYS = "plot", "says"
PLAIN: Any = {"displaylogo": False, "displayModeBar": False, "responsive": True}


def aria(**values: str) -> dict[str, Any]:
    """Attributes for those who do not see the page: ``aria-label`` and the like."""
    return {f"aria-{name}": value for name, value in values.items()}


def block(one: Block, name: str) -> Any:
    """A table or a text under its title."""
    title = [html.H3(one.title)] if one.title else []
    if isinstance(one, Table):
        return html.Section([*title, table(one, one.title or name)])
    return html.Section([*title, html.Pre(one.text)])


def table(one: Table, name: str) -> Any:
    """A table that scrolls by itself where it is wide."""
    filled = one.filled()
    sides = ["right" if column in filled.right else "" for column in filled.columns]
    head = [
        html.Th(column, scope="col", className=side) if column else html.Td()
        for column, side in zip(filled.columns, sides, strict=True)
    ]
    rows = [
        html.Tr([html.Td(cell, className=side) for cell, side in zip(row, sides, strict=True)]) for row in filled.rows
    ]
    made = html.Table([html.Thead(html.Tr(head)), html.Tbody(rows)])
    return html.Div(made, className="wide", role="region", tabIndex="0", **aria(label=name))


@dataclass(frozen=True)
class Plot:
    """A picture, drawn: its title, the figure that Plotly draws, and its caption."""

    title: str
    figure: Figure
    says: str

    @property
    def height(self) -> int:
        """In pixels."""
        return self.figure["layout"]["height"]

    def fits(self, other: Plot) -> bool:
        """Whether it can be drawn in the place of another."""
        return (self.title, self.height) == (other.title, other.height)


def plot(one: Picture) -> Plot:
    """A picture as the page draws it."""
    return Plot(one.title, figure(one), one.says)


def picture(one: Plot, number: int) -> Any:
    """A plot with its caption, which tells it to who does not see it."""
    says = {"type": SAYS, "number": number}
    place = {"type": PLOT, "number": number}
    style = {"height": f"{one.height}px"}
    graph = dcc.Graph(id=place, figure=one.figure, config=PLAIN, responsive=True, style=style)
    caption = html.Figcaption(one.says, id=says)
    return html.Figure([html.H3(one.title), graph, caption], **aria(describedby=html_id(says)))


def html_id(place: Mapping[str, Any]) -> str:
    """How Dash writes an id that is a dictionary."""
    return json.dumps(place, separators=(",", ":"), sort_keys=True)


def card(name: str, value: str, place: str) -> Any:
    """One figure, large."""
    return html.Div([html.Dt(name), html.Dd(value, id=place)])
