"""``lightbound catalogue``: every method on a machine, in one table, page or file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .commands import Format, app
from .output import check_format, note, publish


@app.command()
def catalogue(
    machine: Annotated[
        list[str] | None,
        typer.Option("--machine", metavar="MACHINE", help="A name or a .yaml file; several by repeating it."),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", metavar="NAME", help="One method, or several; all by default.")
    ] = None,
    every_preset: Annotated[bool, typer.Option("--every-preset", help="All presets, not each method's first.")] = False,
    events: Annotated[bool, typer.Option("--events", help="By the event engine too, where sizes allow.")] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write a page (.html), tables (.md) or rows (.csv)."),
    ] = None,
    form: Format = "table",
) -> None:
    """Every method on a machine: operations, passes, traffic, latency, what binds it, speedup over dense.

    Exits with 1 where a method could not be simulated.
    """
    from .cataloguing import answer
    from .writing import check_file, write

    check_format(form)
    if report is not None:
        check_file("--report", report)
    found, complete = answer(machine or ("h200",), method, every_preset, events)
    if report is not None:
        write(found, "Methods", report)
        note(f"Written to {report}")
    else:
        publish(found, form)
    if not complete:
        raise typer.Exit(1)
