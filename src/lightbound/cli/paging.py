"""An Answer as one page that opens anywhere, without a network: its blocks, its plots, its inputs, and how to redo it.

Whatever comes from a user's file is text: the template escapes it, and so does the figure of a plot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from .answer import Answer, Block, Table, Text
from .charts.chart import Picture
from .charts.figure import Figure, figure
from .provenance import command, moment, versions


@dataclass(frozen=True)
class Plot:
    """A picture as the page shows it; `anchor` is its place in the page."""

    anchor: str
    picture: Picture
    figure: Figure

    @property
    def table(self) -> Table:
        """Its numbers."""
        return self.picture.table()


def page(answer: Answer, title: str, script: str) -> str:
    """The page. Without a script that draws plots they are told in words and numbers."""
    from jinja2 import Environment

    pages = files("lightbound.cli").joinpath("pages")
    source = pages.joinpath("answer.html").read_text(encoding="utf-8")
    drawing = pages.joinpath("drawing.js").read_text(encoding="utf-8")
    first = answer.blocks[:1]  # it names what is answered
    opening = [*first, *(one for one in answer.blocks[1:] if isinstance(one, Text) and one.leads)]
    made = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    return made.render(
        title=title,
        opening=parts("part", opening),
        rest=parts("more", [block for block in answer.blocks if block not in opening]),
        inputs=parts("input", answer.inputs()),
        plots=plots(answer.pictures()),
        script=_harmless(script),
        drawing=drawing,
        versions=versions(),
        command=command(),
        moment=moment(),
    )


def plots(pictures: Sequence[Picture]) -> list[Plot]:
    """Each picture with its figure and a name for its place."""
    return [Plot(f"plot-{number}", one, figure(one)) for number, one in enumerate(pictures, 1)]


def parts(name: str, blocks: Sequence[Block]) -> list[tuple[str, Block]]:
    """Blocks, tables without their empty columns, each with a name for its place."""
    filled = [block.filled() if isinstance(block, Table) else block for block in blocks]
    return [(f"{name}-{number}", block) for number, block in enumerate(filled, 1)]


def _harmless(script: str) -> str:
    """A script inside a page ends where its end tag stands, and nowhere before."""
    return re.sub(r"</(?=script)", r"<\\/", script, flags=re.IGNORECASE)
