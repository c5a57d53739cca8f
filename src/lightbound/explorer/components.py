"""Parts of the page: an answer's blocks and pictures as Dash components."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from lightbound.cli.answer import Block, Table
from lightbound.cli.charts.chart import Picture
from lightbound.cli.charts.figure import figure

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


def picture(one: Picture, place: str) -> Any:
    """A plot with its caption, which tells it to who does not see it."""
    drawn = figure(one)
    height = {"height": f"{drawn['layout']['height']}px"}
    graph = dcc.Graph(id=place, figure=drawn, config=PLAIN, responsive=True, style=height)
    caption = html.Figcaption(one.says, id=f"{place}-says")
    return html.Figure([html.H3(one.title), graph, caption], **aria(describedby=f"{place}-says"))


def card(name: str, value: str, place: str) -> Any:
    """One figure, large."""
    return html.Div([html.Dt(name), html.Dd(value, id=place)])
